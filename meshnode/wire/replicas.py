"""Turns a replica's account of itself and its snapshot of references into messages and back.

    snapshot -> (state + 5,000 references) (5,000 references) ...

A snapshot read back is complete or an error: its digest is recomputed and compared, so a cut or altered stream
can never become a replica.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from meshnode.base.errors import Corrupt, InvalidRequest
from meshnode.base.ids import (
    HEAD,
    Generation,
    NodeId,
    ObjectId,
    RefName,
    RefValue,
    parse_object_format,
    parse_object_id,
    parse_ref_name,
    parse_ref_value,
    parse_refs_digest,
    parse_repository_id,
    parse_repository_name,
    parse_round_id,
)
from meshnode.core import refs as core_refs
from meshnode.core.round import ReplicaKey
from meshnode.ports import RefsSnapshot, ReplicaDescription, ReplicaState
from meshnode.v1 import replication_pb2
from meshnode.wire.reads import generation_of
from meshnode.wire.rounds import optional_round_id

REFS_PER_MESSAGE: Final = 5_000
REFS_MAX: Final = 5_000_000
"""About 1 GB of names and values in memory: far above what Git itself handles well."""
PROBLEMS_MAX: Final = 100
PROBLEM_CHARS_MAX: Final = 500


def description_message(description: ReplicaDescription | None) -> replication_pb2.DescribeReplicaResponse:
    """A replica's account of itself; None: no such replica here."""
    if description is None:
        return replication_pb2.DescribeReplicaResponse(found=False)
    return replication_pb2.DescribeReplicaResponse(
        found=True,
        generation=description.generation,
        round_id=description.round_id or "",
        refs_digest=description.refs_digest,
        digest_on_disk=description.digest_on_disk or "",
        object_digest=description.object_digest,
        problems=[
            problem[:PROBLEM_CHARS_MAX].encode("utf-8", "backslashreplace").decode()
            for problem in description.problems[:PROBLEMS_MAX]
        ],
        ref_count=description.ref_count,
        size_bytes=description.size_bytes,
        consistent_since_s=description.consistent_since_ms // 1_000,
        activity=description.activity,
        prepared=description.prepared or (),
        prepared_known=description.prepared is not None,
    )


def description_of(message: replication_pb2.DescribeReplicaResponse, node: NodeId) -> ReplicaDescription | None:
    """What `node` said of its replica. Raises InvalidRequest."""
    if not message.found:
        return None
    return ReplicaDescription(
        node=node,
        generation=generation_of(message.generation),
        round_id=optional_round_id(message.round_id),
        refs_digest=parse_refs_digest(message.refs_digest),
        digest_on_disk=parse_refs_digest(message.digest_on_disk) if message.digest_on_disk else None,
        object_digest=message.object_digest[:128],
        problems=tuple(problem[:PROBLEM_CHARS_MAX] for problem in message.problems[:PROBLEMS_MAX]),
        ref_count=message.ref_count,
        size_bytes=message.size_bytes,
        consistent_since_ms=message.consistent_since_s * 1_000,
        activity=message.activity[:200],
        prepared=tuple(parse_round_id(text) for text in message.prepared) if message.prepared_known else None,
    )


def snapshot_messages(state: ReplicaState, snapshot: RefsSnapshot) -> Iterator[replication_pb2.ReadSnapshotResponse]:
    """Yield a replica's state and references; the first message carries the state."""
    message = replication_pb2.ReadSnapshotResponse(
        generation=state.generation,
        round_id=state.round_id or "",
        refs_digest=state.refs_digest,
        name=state.name,
        object_format=state.object_format,
        deleted=state.is_deleted,
        fork_parent=state.fork_parent or "",
    )
    names = iter(snapshot.refs.items())
    while True:
        piece = list(islice(names, REFS_PER_MESSAGE))
        message.refs.extend(
            replication_pb2.ReadSnapshotResponse.Ref(name=name, value=value, peeled=snapshot.peeled.get(name, ""))
            for name, value in piece
        )
        yield message
        if len(piece) < REFS_PER_MESSAGE:
            return
        message = replication_pb2.ReadSnapshotResponse()


class SnapshotAssembler:
    """Puts the messages of one snapshot together again."""

    def __init__(self, key: ReplicaKey, *, refs_max: int = REFS_MAX) -> None:
        self._key = key
        self._refs_max = refs_max
        self._first: replication_pb2.ReadSnapshotResponse | None = None
        self._refs: dict[RefName, RefValue] = {}
        self._peeled: dict[RefName, ObjectId] = {}

    def add(self, message: replication_pb2.ReadSnapshotResponse) -> None:
        """Take the next message. Raises InvalidRequest for hostile values, repeated names or too many of them."""
        if self._first is None:
            self._first = message
        if len(self._refs) + len(message.refs) > self._refs_max:
            raise InvalidRequest("snapshot is too large", refs_max=self._refs_max)
        for ref in message.refs:
            name = parse_ref_name(ref.name)
            if name in self._refs:
                raise InvalidRequest("snapshot repeats a reference", ref=name)
            self._refs[name] = parse_ref_value(ref.value)
            if ref.peeled:
                self._peeled[name] = parse_object_id(ref.peeled)

    def finish(self) -> tuple[ReplicaState, RefsSnapshot]:
        """The state and its references.

        Raises:
            InvalidRequest: nothing came, or the state is malformed.
            Corrupt: the references are not those the state's digest was made of.
        """
        first = self._first
        if first is None:
            raise InvalidRequest("snapshot is empty")
        digest = parse_refs_digest(first.refs_digest)
        if core_refs.digest_of(self._refs) != digest:
            raise Corrupt("snapshot does not match its digest", refs=len(self._refs))
        object_format = parse_object_format(first.object_format)
        state = ReplicaState(
            key=self._key,
            name=parse_repository_name(first.name),
            generation=generation_of(first.generation),
            round_id=optional_round_id(first.round_id),
            refs_digest=digest,
            object_format=object_format,
            is_deleted=first.deleted,
            fork_parent=parse_repository_id(first.fork_parent) if first.fork_parent else None,
        )
        return state, snapshot_of(state.generation, self._refs, self._peeled, object_format)


def snapshot_of(
    generation: Generation, refs: dict[RefName, RefValue], peeled: dict[RefName, ObjectId], object_format: str
) -> RefsSnapshot:
    """A snapshot with its names sorted; UTF-8 keeps code point order, so this is byte order."""
    names = tuple(sorted(name for name in refs if name != HEAD))
    return RefsSnapshot(generation=generation, refs=refs, peeled=peeled, object_format=object_format, names=names)
