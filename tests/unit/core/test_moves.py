"""The steps of a move by themselves: their order, what each waits for, and what none of them may do."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from meshnode.base.errors import InvariantViolated
from meshnode.base.ids import NodeId
from meshnode.core.moves import (
    AwaitRepair,
    Fill,
    Finish,
    Join,
    ListEverywhere,
    Retire,
    Step,
    Swap,
    Tally,
    Withdraw,
    is_moving,
    partition_after,
    partition_dropped,
    plan_step,
)
from meshnode.core.partition import Partition
from meshnode.core.quorum import quorum_size
from meshnode.core.record import comes_to_list
from tests.unit.core.builders import N1, N2, N3, N4, N5, a_partition, a_record

ZONES = {N1: "a", N2: "b", N3: "c", N4: "c", N5: "a"}
QUIET = Tally(records=10)


def moving(*target: NodeId, replicas: tuple[NodeId, ...] = (N1, N2, N3)) -> Partition:
    return replace(a_partition(*replicas), target=target)


def walk(partition: Partition, tally: Tally = QUIET) -> tuple[list[Step], Partition]:
    """Every step of a move where nothing has to be waited for."""
    steps: list[Step] = []
    while (step := plan_step(partition, tally, ZONES)) is not None:
        steps.append(step)
        partition = partition_after(partition, step)
        assert len(steps) < 50, "the plan has no end"
    return steps, partition


def test_a_replica_is_replaced_by_joining_listing_and_one_switch() -> None:
    steps, end = walk(moving(N1, N2, N4))
    assert steps == [Join(N4), ListEverywhere(N4), Swap(N4, N3)]
    assert set(end.replicas) == {N1, N2, N4}
    assert end.leaving == (N3,)
    assert end.epoch == 2
    assert not is_moving(end)
    assert partition_dropped(end, N3).leaving == ()


def test_more_replicas_come_one_by_one_and_nobody_goes() -> None:
    steps, end = walk(moving(N1, N2, N3, N4, N5))
    assert steps == [Join(N4), ListEverywhere(N4), Swap(N4, None), Join(N5), ListEverywhere(N5), Swap(N5, None)]
    assert end.leaving == ()


def test_fewer_replicas_retire_one_by_one() -> None:
    steps, end = walk(moving(N1, N2, N3, replicas=(N1, N2, N3, N4, N5)))
    assert steps == [Retire(N4), Retire(N5)]
    assert end.replicas == (N1, N2, N3)


def test_whoever_most_records_list_goes_first_then_one_of_the_same_zone() -> None:
    filled = replace(moving(N1, N4), joining=(N4,), listed=(N4,), replicas=(N1, N2, N3))
    assert plan_step(filled, QUIET, ZONES) == Swap(N4, N3), "n3 is of n4's zone"
    assert plan_step(filled, Tally(records=10, listings={N2: 1}), ZONES) == Swap(N4, N2), "n2 lacks something"


def test_a_node_is_not_believed_before_it_was_listed_everywhere_and_filled() -> None:
    joined = replace(moving(N1, N2, N4), joining=(N4,))
    assert plan_step(joined, QUIET, ZONES) == ListEverywhere(N4), "listed nowhere is no claim yet"
    listed = partition_after(joined, ListEverywhere(N4))
    assert plan_step(listed, Tally(records=10, listings={N4: 7}), ZONES) == Fill(N4, 7)
    assert plan_step(listed, Tally(records=10, listings={N2: 7}), ZONES) == Swap(N4, N3)


def test_nobody_retires_while_one_that_stays_is_behind_anywhere() -> None:
    fewer = moving(N1, N2)
    assert plan_step(fewer, Tally(records=10, listings={N2: 1}), ZONES) == AwaitRepair(N3, 1)
    assert plan_step(fewer, Tally(records=10, listings={N3: 9}), ZONES) == Retire(N3)


def test_a_joining_node_that_is_not_wanted_any_more_is_withdrawn_first() -> None:
    filling = replace(moving(N1, N2, N5), joining=(N4,), listed=(N4,))
    assert plan_step(filling, QUIET, ZONES) == Withdraw(N4)
    after = partition_after(filling, Withdraw(N4))
    assert (after.joining, after.listed, after.leaving) == ((), (), (N4,))
    assert plan_step(after, QUIET, ZONES) == Join(N5)
    assert plan_step(replace(filling, target=()), QUIET, ZONES) == Withdraw(N4), "a move that was called off"


def test_a_node_that_joins_again_must_be_listed_again() -> None:
    left = replace(moving(N1, N2, N4), leaving=(N4,), listed=(N4,))
    joined = partition_after(left, Join(N4))
    assert (joined.leaving, joined.listed) == ((), ())
    assert joined.epoch == left.epoch + 1


def test_a_target_that_is_reached_already_is_only_taken_off() -> None:
    there = moving(N3, N2, N1)
    assert plan_step(there, QUIET, ZONES) == Finish()
    assert partition_after(there, Finish()) == a_partition(N1, N2, N3)
    assert plan_step(a_partition(), QUIET, ZONES) is None


@pytest.mark.parametrize(
    "step",
    [Swap(N4, N3), Join(N1), Join(N5), ListEverywhere(N4), Withdraw(N4), Retire(N1), Retire(N5), Finish(), Fill(N4, 1)],
)
def test_a_step_that_does_not_fit_is_a_defect(step: Step) -> None:
    with pytest.raises(InvariantViolated):
        partition_after(moving(N1, N2, N4), step)


def test_of_every_target_from_every_start_each_step_changes_one_replica_and_can_keep_its_quorum() -> None:
    nodes = (N1, N2, N3, N4, N5)
    sets = {frozenset(some) for size in range(1, 6) for some in permutations(nodes, size)}
    for start in sets:
        for end in sets:
            partition = replace(a_partition(*sorted(start)), target=tuple(sorted(end)))
            while (step := plan_step(partition, QUIET, ZONES)) is not None:
                after = partition_after(partition, step)
                came, went = (
                    set(after.replicas) - set(partition.replicas),
                    set(partition.replicas) - set(after.replicas),
                )
                assert len(came) <= 1
                assert len(went) <= 1
                assert len(after.replicas) >= min(len(start), len(end))
                kept = set(partition.replicas) & set(after.replicas)
                assert came or len(kept) >= quorum_size(len(after.replicas))
                assert not set(after.joining) & set(after.replicas)
                assert went <= set(after.leaving)
                is_other = (after.replicas, after.joining) != (partition.replicas, partition.joining)
                assert after.epoch == partition.epoch + is_other
                partition = after
            assert set(partition.replicas) == end


def test_the_listing_mark_is_written_where_a_node_of_the_target_comes_to_be_listed() -> None:
    partition = moving(N1, N2, N4)
    before, listed = a_record(), a_record(inconsistent=frozenset({N4}))
    assert comes_to_list(before, listed, partition)
    assert comes_to_list(None, listed, partition), "a create that does not reach the node"
    assert not comes_to_list(listed, listed, partition)
    assert not comes_to_list(listed, before, partition), "a node that rejoins"
    assert not comes_to_list(before, a_record(inconsistent=frozenset({N3})), partition), "n3 goes anyway"
    assert not comes_to_list(before, listed, a_partition()), "nothing moves"
