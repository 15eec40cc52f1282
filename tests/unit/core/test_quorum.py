"""Quorum arithmetic over every set of voters of up to seven replicas."""

from __future__ import annotations

from itertools import chain, combinations

import pytest

from meshnode.base.ids import NodeId
from meshnode.core.quorum import can_reach_quorum, has_quorum, quorum_size


def subsets(nodes: tuple[NodeId, ...]) -> list[tuple[NodeId, ...]]:
    return list(chain.from_iterable(combinations(nodes, size) for size in range(len(nodes) + 1)))


REPLICA_SETS = [tuple(NodeId(f"n{i}") for i in range(1, n + 1)) for n in range(1, 8)]


@pytest.mark.parametrize("replicas", REPLICA_SETS, ids=len)
def test_any_two_quorums_share_a_replica(replicas: tuple[NodeId, ...]) -> None:
    quorums = [set(voters) for voters in subsets(replicas) if has_quorum(voters, replicas)]
    assert quorums
    assert all(one & other for one in quorums for other in quorums)


@pytest.mark.parametrize("replicas", REPLICA_SETS, ids=len)
def test_a_quorum_is_a_majority_of_the_configured_replicas(replicas: tuple[NodeId, ...]) -> None:
    for voters in subsets(replicas):
        assert has_quorum(voters, replicas) == (2 * len(voters) > len(replicas))
    assert quorum_size(len(replicas)) == len(replicas) // 2 + 1


def test_votes_of_strangers_do_not_count() -> None:
    replicas = REPLICA_SETS[2]
    assert not has_quorum([NodeId("n1"), NodeId("n8"), NodeId("n9")], replicas)


@pytest.mark.parametrize("replicas", REPLICA_SETS[:5], ids=len)
def test_a_quorum_can_be_reached_exactly_where_some_further_votes_would_make_one(replicas: tuple[NodeId, ...]) -> None:
    for voters in subsets(replicas):
        for undecided in subsets(replicas):
            possible = any(has_quorum({*voters, *more}, replicas) for more in subsets(undecided))
            assert can_reach_quorum(voters, undecided, replicas) == possible


def test_a_partition_without_replicas_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        quorum_size(0)
