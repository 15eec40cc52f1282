"""Turns what followers of changes ask and hear between proto and core."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeVar

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import Generation, RefValue, RepositoryId, parse_repository_id, symbolic_target
from meshnode.core.refs import RefEdit
from meshnode.core.round import Round, WriteKind
from meshnode.ports import Change, Deleted, Event, Gap, Heartbeat, Standing, Standings
from meshnode.v1 import event_pb2 as pb
from meshnode.wire.reads import generation_of

POINTS_MAX: Final = 100_000
STANDINGS_MAX: Final = 1_000
"""Of one message: about 100 KB with ordinary names."""
REFERENCES_MAX: Final = 5_000
"""Of one message: below 1 MB with ordinary names, 6 MB with the longest."""
HEARTBEAT_MS: Final = 30_000
HEARTBEAT_MS_MIN: Final = 1_000
HEARTBEAT_MS_MAX: Final = 300_000

_KINDS: Final = {
    WriteKind.CREATE: pb.Change.KIND_CREATED,
    WriteKind.UPDATE: pb.Change.KIND_UPDATED,
    WriteKind.RENAME: pb.Change.KIND_RENAMED,
    WriteKind.DELETE: pb.Change.KIND_DELETED,
}

T = TypeVar("T")


def resume_of(request: pb.WatchRequest) -> Mapping[RepositoryId, Generation] | None:
    """The points a request resumes from; None where it does not resume. Raises InvalidRequest."""
    if not request.HasField("resume"):
        return None
    points = request.resume.points
    if len(points) > POINTS_MAX:
        raise InvalidRequest("too many resume points", points=len(points), points_max=POINTS_MAX)
    return {parse_repository_id(point.repository_id): generation_of(point.generation) for point in points}


def heartbeat_of(request: pb.WatchRequest) -> int:
    """Milliseconds between heartbeats. Raises InvalidRequest."""
    if not request.heartbeat_ms:
        return HEARTBEAT_MS
    if not HEARTBEAT_MS_MIN <= request.heartbeat_ms <= HEARTBEAT_MS_MAX:
        raise InvalidRequest(
            "heartbeat is out of range",
            heartbeat_ms=request.heartbeat_ms,
            least=HEARTBEAT_MS_MIN,
            most=HEARTBEAT_MS_MAX,
        )
    return int(request.heartbeat_ms)


def event_messages(event: Event) -> Iterator[pb.WatchResponse]:
    """An event as messages: one, or more for long lists."""
    match event:
        case Standings():
            yield from _standings(event.standings)
        case Change():
            yield from _change(event.round)
        case Deleted():
            standing = event.standing
            yield pb.WatchResponse(
                change=pb.Change(
                    repository_id=standing.repository,
                    name=standing.name,
                    generation=standing.generation,
                    kind=pb.Change.KIND_DELETED,
                )
            )
        case Gap():
            standing = event.standing
            yield pb.WatchResponse(
                gap=pb.Gap(
                    repository_id=standing.repository,
                    name=standing.name,
                    after=event.after,
                    generation=standing.generation,
                )
            )
        case Heartbeat():
            yield pb.WatchResponse(heartbeat=pb.Heartbeat())


def _standings(standings: Sequence[Standing]) -> Iterator[pb.WatchResponse]:
    for part, is_last in _parts(standings, STANDINGS_MAX):
        yield pb.WatchResponse(
            standings=pb.Standings(
                standings=[
                    pb.Standing(repository_id=one.repository, name=one.name, generation=one.generation) for one in part
                ],
                is_last=is_last,
            )
        )


def _change(round_: Round) -> Iterator[pb.WatchResponse]:
    for part, is_last in _parts(round_.edits, REFERENCES_MAX):
        yield pb.WatchResponse(
            change=pb.Change(
                repository_id=round_.repository,
                name=round_.name,
                generation=round_.generation,
                kind=_KINDS[round_.kind],
                references=[_reference(edit) for edit in part],
                has_more=not is_last,
                actor=round_.actor,
                created_at_ms=round_.created_at_ms,
                round_id=round_.round_id,
            )
        )


def _reference(edit: RefEdit) -> pb.ReferenceChange:
    old_oid, old_target = _value(edit.old)
    new_oid, new_target = _value(edit.new)
    return pb.ReferenceChange(
        name=edit.name,
        old_oid=old_oid,
        new_oid=new_oid,
        old_symbolic_target=old_target,
        new_symbolic_target=new_target,
    )


def _value(value: RefValue | None) -> tuple[str, str]:
    if value is None:
        return "", ""
    target = symbolic_target(value)
    return (value, "") if target is None else ("", target)


def _parts(values: Sequence[T], most: int) -> Iterator[tuple[Sequence[T], bool]]:
    """Pieces of at most `most`, with whether each is the last; one empty piece of nothing."""
    for start in range(0, max(len(values), 1), most):
        yield values[start : start + most], start + most >= len(values)
