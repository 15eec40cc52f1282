"""Rounds, records and partitions for tests, with everything that does not matter filled in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from meshnode.base.ids import Generation, NodeId, PartitionId, RefName, RefValue, RepositoryId, RepositoryName, RoundId
from meshnode.core.partition import Partition
from meshnode.core.record import Record, RepositoryState
from meshnode.core.refs import EMPTY_DIGEST, RefEdit
from meshnode.core.round import Round, WriteKind

REPOSITORY = RepositoryId("a" * 32)
NAME = RepositoryName("demo/one")
PARTITION = PartitionId(7)
MAIN = RefName("refs/heads/main")
N1, N2, N3, N4, N5 = (NodeId(f"n{number}") for number in range(1, 6))
OID_A = RefValue("a" * 40)
OID_B = RefValue("b" * 40)


def round_id(number: int) -> RoundId:
    return RoundId(f"{number:032x}")


def a_partition(*replicas: NodeId, joining: tuple[NodeId, ...] = ()) -> Partition:
    return Partition(partition=PARTITION, replicas=replicas or (N1, N2, N3), joining=joining)


def a_record(generation: int = 5, **changes: Any) -> Record:
    record = Record(
        repository=REPOSITORY,
        name=NAME,
        partition=PARTITION,
        home=PARTITION,
        generation=Generation(generation),
        round_id=round_id(generation),
        refs_digest=EMPTY_DIGEST,
        inconsistent=frozenset(),
        state=RepositoryState.ACTIVE,
        object_format="sha1",
        recent=tuple(round_id(number) for number in range(max(1, generation - 15), generation + 1)),
        fork_root=REPOSITORY,
    )
    return replace(record, **changes)


def a_round(base: int = 5, number: int | None = None, **changes: Any) -> Round:
    """The round `number` (default: base + 1) on the base made by round `base`."""
    made = Round(
        round_id=round_id(base + 1 if number is None else number),
        repository=REPOSITORY,
        home=PARTITION,
        kind=WriteKind.UPDATE if base else WriteKind.CREATE,
        base_generation=Generation(base),
        base_round_id=round_id(base) if base else None,
        edits=(RefEdit(MAIN, None, OID_A),),
        refs_digest=EMPTY_DIGEST,
        name=NAME,
        object_format="sha1",
        coordinator=N1,
        request_key="",
        actor="test",
        fork_root=REPOSITORY,
    )
    return replace(made, **changes)
