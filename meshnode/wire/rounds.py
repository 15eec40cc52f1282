"""Turns a round into messages and back, in pieces so that no message nears the size limit.

    Round of 4,500 edits -> (all fields + 2,000 edits) (round id + 2,000) (round id + 500, complete)

Whatever a peer sends is checked like a stranger's words: every id, name and value passes its parser, the pieces
must belong together, and their sum is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import (
    Generation,
    RefName,
    RoundId,
    parse_node_id,
    parse_object_format,
    parse_partition_id,
    parse_ref_name,
    parse_ref_value,
    parse_refs_digest,
    parse_repository_id,
    parse_repository_name,
    parse_round_id,
)
from meshnode.core.refs import RefEdit
from meshnode.core.round import ReplicaKey, Round, WriteKind
from meshnode.v1 import replication_pb2
from meshnode.wire.reads import actor_of, generation_of, request_key_of

EDITS_PER_MESSAGE: Final = 2_000
"""2,000 edits with names of the longest kind stay below 3 MiB; usual ones are 300 KiB."""
EDITS_MAX: Final = 500_000
"""Edits of one round: a fork of a repository with half a million references."""


def key_message(key: ReplicaKey) -> replication_pb2.ReplicaKey:
    """A replica's key for a peer."""
    return replication_pb2.ReplicaKey(partition=key.home, repository_id=key.repository)


def key_of(message: replication_pb2.ReplicaKey) -> ReplicaKey:
    """Check a replica's key. Raises InvalidRequest."""
    return ReplicaKey(parse_partition_id(message.partition), parse_repository_id(message.repository_id))


def optional_round_id(text: str) -> RoundId | None:
    """Check a round id; "" is None. Raises InvalidRequest."""
    return parse_round_id(text) if text else None


def round_messages(round_: Round) -> Iterator[tuple[replication_pb2.Round, bool]]:
    """Yield the pieces of `round_`, each with whether it is the last one."""
    edits = [replication_pb2.RefEdit(name=edit.name, old=edit.old or "", new=edit.new or "") for edit in round_.edits]
    first = replication_pb2.Round(
        round_id=round_.round_id,
        key=key_message(round_.key),
        kind=round_.kind.value,
        base_generation=round_.base_generation,
        base_round_id=round_.base_round_id or "",
        edits=edits[:EDITS_PER_MESSAGE],
        refs_digest=round_.refs_digest,
        name=round_.name,
        object_format=round_.object_format,
        coordinator=round_.coordinator,
        request_key=round_.request_key,
        actor=round_.actor,
        fork_root=round_.fork_root,
        fork_parent=round_.fork_parent or "",
        fork_generation=round_.fork_generation or 0,
        has_pack=round_.has_pack,
        created_at_ms=round_.created_at_ms,
    )
    yield first, len(edits) <= EDITS_PER_MESSAGE
    for start in range(EDITS_PER_MESSAGE, len(edits), EDITS_PER_MESSAGE):
        piece = replication_pb2.Round(round_id=round_.round_id, edits=edits[start : start + EDITS_PER_MESSAGE])
        yield piece, start + EDITS_PER_MESSAGE >= len(edits)


class RoundAssembler:
    """Puts the pieces of one round after another together again."""

    def __init__(self, *, edits_max: int = EDITS_MAX) -> None:
        self._edits_max = edits_max
        self._first: replication_pb2.Round | None = None
        self._edits: list[RefEdit] = []

    @property
    def is_empty(self) -> bool:
        """Whether no round is begun."""
        return self._first is None

    def add(self, message: replication_pb2.Round, *, is_complete: bool) -> Round | None:
        """Take the next piece; the round where this was its last one.

        Raises:
            InvalidRequest: a piece of another round, too many edits, or a value that its parser refuses.
        """
        if self._first is None:
            self._first = message
        elif message.round_id != self._first.round_id:
            raise InvalidRequest("pieces of two rounds are mixed", round=self._first.round_id[:100])
        if len(message.edits) > EDITS_PER_MESSAGE or len(self._edits) + len(message.edits) > self._edits_max:
            raise InvalidRequest("too many edits", per_message_max=EDITS_PER_MESSAGE, edits_max=self._edits_max)
        self._edits.extend(_edit_of(edit) for edit in message.edits)
        if not is_complete:
            return None
        first, edits = self._first, tuple(self._edits)
        self._first, self._edits = None, []
        return _round_of(first, edits)


def _edit_of(message: replication_pb2.RefEdit) -> RefEdit:
    return RefEdit(
        parse_ref_name(message.name),
        parse_ref_value(message.old) if message.old else None,
        parse_ref_value(message.new) if message.new else None,
    )


def _round_of(message: replication_pb2.Round, edits: tuple[RefEdit, ...]) -> Round:
    names: set[RefName] = {edit.name for edit in edits}
    if len(names) != len(edits):
        raise InvalidRequest("a round edits a reference twice", round=message.round_id[:100])
    key = key_of(message.key)
    fork_generation = generation_of(message.fork_generation)
    return Round(
        round_id=parse_round_id(message.round_id),
        repository=key.repository,
        home=key.home,
        kind=_kind_of(message.kind),
        base_generation=Generation(generation_of(message.base_generation)),
        base_round_id=optional_round_id(message.base_round_id),
        edits=edits,
        refs_digest=parse_refs_digest(message.refs_digest),
        name=parse_repository_name(message.name),
        object_format=parse_object_format(message.object_format),
        coordinator=parse_node_id(message.coordinator),
        request_key=request_key_of(message.request_key),
        actor=actor_of(message.actor),
        fork_root=parse_repository_id(message.fork_root),
        fork_parent=parse_repository_id(message.fork_parent) if message.fork_parent else None,
        fork_generation=fork_generation or None,
        has_pack=message.has_pack,
        created_at_ms=message.created_at_ms,
    )


def _kind_of(text: str) -> WriteKind:
    try:
        return WriteKind(text)
    except ValueError as error:
        raise InvalidRequest("unknown kind of write", kind=text[:20]) from error
