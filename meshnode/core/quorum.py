"""Quorum arithmetic, on the configured number of replicas and never on who happens to be up."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from meshnode.base.ids import NodeId

FACTOR_MAX: Final = 9
"""Replicas of a partition: each more costs every write a vote; four lost at once are enough for anyone."""


def quorum_size(replica_count: int) -> int:
    """Votes needed of `replica_count` configured replicas: floor(n/2) + 1, so any two quorums share one."""
    if replica_count < 1:
        raise ValueError(f"a partition has at least one replica, not {replica_count}")
    return replica_count // 2 + 1


def has_quorum(voters: Collection[NodeId], replicas: Collection[NodeId]) -> bool:
    """Whether the voters among `replicas` are a quorum of them; others (learners of a join) do not count."""
    return len(set(voters) & set(replicas)) >= quorum_size(len(replicas))


def can_reach_quorum(voters: Collection[NodeId], undecided: Collection[NodeId], replicas: Collection[NodeId]) -> bool:
    """Whether a quorum is still possible if everyone in `undecided` votes yes."""
    return has_quorum(set(voters) | set(undecided), replicas)
