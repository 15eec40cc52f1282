"""What a replica must do next, by its record and its partition."""

from __future__ import annotations

from typing import Any

from meshnode.base.ids import Generation
from meshnode.core.participant import Position
from meshnode.core.record import RepositoryState
from meshnode.core.refs import EMPTY_DIGEST
from meshnode.core.repair import RepairPlan, RepairStep, plan_repair
from tests.unit.core.builders import N1, N2, N3, N4, N5, a_partition, a_record, round_id

THERE = Position(Generation(5), round_id(5))
BEHIND = Position(Generation(4), round_id(4))


def plan(position: Position | None, *listed: str, own: str = N4, **changes: Any) -> RepairPlan:
    """The plan of a node; n4 is joining n1 to n3."""
    return plan_repair(
        own=own,  # type: ignore[arg-type]
        position=position,
        digest=None if position is None else EMPTY_DIGEST,
        record=a_record(inconsistent=frozenset(listed), **changes),
        partition=a_partition(joining=(N4,)),
        online=(N1, N2, N3, N4, N5),
    )


def test_a_joining_node_lists_itself_before_it_is_filled() -> None:
    assert plan(None).step is RepairStep.EXCLUDE_SELF
    assert plan(BEHIND).step is RepairStep.EXCLUDE_SELF
    assert plan(None, N4) == RepairPlan(RepairStep.FETCH, (N1, N2, N3), "no replica")


def test_a_joining_node_that_is_filled_takes_itself_off_the_list() -> None:
    assert plan(THERE, N4).step is RepairStep.REJOIN
    assert plan(THERE).step is RepairStep.NOTHING


def test_a_joining_node_is_no_source_and_an_outsider_does_nothing() -> None:
    assert plan(None, N1, own=N1) == RepairPlan(RepairStep.FETCH, (N2, N3), "no replica")
    assert plan(None, own=N5).step is RepairStep.NOTHING
    assert plan(None, N1, N2, N3, N4).step is RepairStep.WAIT


def test_of_a_deleted_repository_having_nothing_is_right() -> None:
    assert plan(None, state=RepositoryState.DELETED).step is RepairStep.NOTHING
    assert plan(None, N4, state=RepositoryState.DELETED).step is RepairStep.REJOIN
    assert plan(BEHIND, state=RepositoryState.DELETED).step is RepairStep.EXCLUDE_SELF
    assert plan(None, state=RepositoryState.ABANDONED).step is RepairStep.NOTHING
