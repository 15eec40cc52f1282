"""Rounds, records and snapshots for tests of the wire."""

from __future__ import annotations

from dataclasses import replace

from meshnode.base.ids import (
    HEAD,
    Generation,
    NodeId,
    ObjectId,
    PartitionId,
    RefName,
    RefsDigest,
    RefValue,
    RepositoryId,
    RepositoryName,
    RoundId,
)
from meshnode.core.partition import Partition
from meshnode.core.record import Record, RepositoryState
from meshnode.core.refs import RefEdit, digest_of
from meshnode.core.round import ReplicaKey, Round, WriteKind
from meshnode.ports import RefsSnapshot, ReplicaState

KEY = ReplicaKey(PartitionId(7), RepositoryId("a" * 32))
ROUND_ID = RoundId("b" * 32)
NAME = RepositoryName("project/repo")
N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def oid(number: int) -> ObjectId:
    """A made-up object id."""
    return ObjectId(f"{number:040x}")


def value(number: int) -> RefValue:
    """The same as a reference's value."""
    return RefValue(oid(number))


def branch(number: int) -> RefName:
    """A branch name that sorts by number."""
    return RefName(f"refs/heads/b{number:06d}")


def some_round(edits: int = 2) -> Round:
    """An update round with `edits` edits, or with the move of HEAD for 0."""
    changes = tuple(RefEdit(branch(i), None if i % 2 else value(i + 1), value(i + 2)) for i in range(edits))
    return Round(
        round_id=ROUND_ID,
        repository=KEY.repository,
        home=KEY.home,
        kind=WriteKind.UPDATE,
        base_generation=Generation(41),
        base_round_id=RoundId("c" * 32),
        edits=changes or (RefEdit(HEAD, RefValue("ref:refs/heads/old"), RefValue("ref:refs/heads/new")),),
        refs_digest=RefsDigest("d" * 64),
        name=NAME,
        object_format="sha1",
        coordinator=N1,
        request_key="once",
        actor="app:ci",
        fork_root=KEY.repository,
        has_pack=True,
        created_at_ms=1_700_000_000_000,
    )


def create_round() -> Round:
    """A create round of a fork, with every optional field set."""
    return replace(
        some_round(),
        kind=WriteKind.CREATE,
        base_generation=Generation(0),
        base_round_id=None,
        edits=(RefEdit(branch(1), None, value(3)),),
        fork_parent=RepositoryId("e" * 32),
        fork_generation=Generation(9),
    )


def some_record() -> Record:
    """An active record with n3 left behind."""
    return Record(
        repository=KEY.repository,
        name=NAME,
        partition=KEY.home,
        home=KEY.home,
        generation=Generation(42),
        round_id=ROUND_ID,
        refs_digest=RefsDigest("d" * 64),
        inconsistent=frozenset({N3}),
        state=RepositoryState.ACTIVE,
        object_format="sha1",
        recent=(RoundId("c" * 32), ROUND_ID),
        fork_root=KEY.repository,
    )


def some_partition() -> Partition:
    """Three replicas."""
    return Partition(partition=KEY.home, replicas=(N1, N2, N3))


def some_snapshot(branches: int = 3) -> RefsSnapshot:
    """HEAD, branches and an annotated tag."""
    refs: dict[RefName, RefValue] = {HEAD: RefValue("ref:" + branch(0))}
    refs.update((branch(i), value(i + 1)) for i in range(branches))
    tag = RefName("refs/tags/v1")
    refs[tag] = value(999_999)
    return RefsSnapshot(
        generation=Generation(42),
        refs=refs,
        peeled={tag: oid(1)},
        names=tuple(sorted(name for name in refs if name != HEAD)),
    )


def state_of(snapshot: RefsSnapshot) -> ReplicaState:
    """The state that belongs to a snapshot."""
    return ReplicaState(
        key=KEY,
        name=NAME,
        generation=snapshot.generation,
        round_id=ROUND_ID,
        refs_digest=digest_of(snapshot.refs),
        object_format="sha1",
        is_deleted=False,
        fork_parent="e" * 32,
    )
