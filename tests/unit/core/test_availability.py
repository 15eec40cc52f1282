"""What would be left of partitions without a node or a zone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshnode.base.ids import PartitionId
from meshnode.core.availability import blockers_of_rest, zone_warnings
from meshnode.core.nodes import NodeState
from tests.unit.core.builders import N1, N2, N3, N4, N5
from tests.unit.core.test_targets import a_cluster, a_node

THREE = tuple(a_node(name) for name in (N1, N2, N3))


@pytest.mark.parametrize("state", [NodeState.DRAINING, NodeState.DISABLED])
def test_one_node_of_three_may_rest(state: NodeState) -> None:
    assert blockers_of_rest(a_cluster(*THREE), N3, state) == {}
    assert blockers_of_rest(a_cluster(*THREE), N4, state) == {}, "no such node"


def test_two_of_three_may_drain_but_not_be_disabled() -> None:
    drained = (THREE[0], replace(THREE[1], state=NodeState.DRAINING), THREE[2])
    assert blockers_of_rest(a_cluster(*drained), N3, NodeState.DRAINING) == {}
    disabled = (THREE[0], replace(THREE[1], state=NodeState.DISABLED), THREE[2])
    blockers = blockers_of_rest(a_cluster(*disabled), N3, NodeState.DISABLED)
    assert blockers[PartitionId(0)] == "only 1 of 2 votes would be left"


def test_the_last_replica_that_takes_requests_must_stay() -> None:
    drained = (THREE[0], *(replace(node, state=NodeState.DRAINING) for node in THREE[1:]))
    blockers = blockers_of_rest(a_cluster(*drained), N1, NodeState.DRAINING)
    assert set(blockers.values()) == {"no replica would be left that takes requests"}
    assert blockers_of_rest(a_cluster(*drained), N1, NodeState.AVAILABLE) == {}


def test_a_node_without_replicas_may_always_rest() -> None:
    resting = (THREE[0], *(replace(node, state=NodeState.DISABLED) for node in THREE[1:]), a_node(N4))
    assert blockers_of_rest(a_cluster(*resting), N4, NodeState.DISABLED) == {}


def test_a_zone_whose_loss_breaks_quorums_is_named() -> None:
    two = (a_node(N1, zone="a"), a_node(N2, zone="b"), a_node(N3, zone="b"))
    assert zone_warnings(a_cluster(*two)) == ("the loss of zone b would leave 4 partitions without a quorum",)
    three = (a_node(N1, zone="a"), a_node(N2, zone="b"), a_node(N3, zone="c"))
    assert zone_warnings(a_cluster(*three)) == ()
    assert zone_warnings(a_cluster(*THREE)) == (), "one zone only: nothing to spread over"
    five = (*three, a_node(N4, zone="a"), a_node(N5, zone="b"))
    assert zone_warnings(a_cluster(*five, target=(N1, N4, N2))) == (
        "the loss of zone a would leave 4 partitions without a quorum",
    )
