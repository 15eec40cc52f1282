"""Sums over nodes, and how many replicas a load needs: arithmetic that can be followed, never more than there are nodes."""

from __future__ import annotations

import pytest

from meshnode.base.ids import NodeId
from meshnode.core.hot import HotCounts, Load, NodeReport, hottest, plan_replicas, sum_reports


def load(
    *, reads: int = 0, writes: int = 0, git_s: float = 0, voters: int = 3, readers: int = 0, nodes: int = 9
) -> Load:
    counts = HotCounts(reads=reads, writes=writes, git_ms=git_s * 1_000)
    return Load(counts=counts, window_s=600, voters=voters, read_replicas=readers, nodes=nodes, cores=2)


def test_what_nodes_saw_adds_up_and_the_busiest_come_first() -> None:
    def report(node: str, **counts: HotCounts) -> NodeReport:
        return NodeReport(node=NodeId(node), observed_s=600, cores=2, missed_work=0, repositories=counts)

    total = sum_reports(
        [
            report("n1", a=HotCounts(reads=5, bytes_out=7), b=HotCounts(writes=2)),
            report("n2", a=HotCounts(reads=1, git_ms=9)),
        ]
    )
    assert total["a"] == HotCounts(reads=6, bytes_out=7, git_ms=9)
    assert [name for name, _ in hottest(total, 5)] == ["a", "b"]
    assert [name for name, _ in hottest({"z": HotCounts(), "y": HotCounts()}, 1)] == ["y"]


@pytest.mark.parametrize(
    ("given", "replicas", "read_replicas", "factor"),
    [
        (load(reads=600), 1, 0, 0),  # one a second
        (load(reads=850 * 600 * 5), 5, 2, 0),  # five nodes' worth of reads
        (load(reads=100, git_s=600 * 6), 6, 3, 0),  # six cores busy; half of two cores a node
        (load(reads=100, git_s=600 * 6, readers=2), 6, 1, 0),
        (load(reads=100, git_s=600 * 6, readers=3), 6, 0, 0),
        (load(reads=100, git_s=600 * 6, nodes=4), 6, 1, 0),  # only one node is left
        (load(reads=100, git_s=600 * 6, nodes=3), 6, 0, 0),
        (load(reads=100, writes=100, git_s=600 * 4), 4, 0, 5),  # half are writes: an odd number of voters
        (load(reads=100, writes=100, git_s=600 * 40, nodes=30), 40, 0, 9),
        (load(reads=100, writes=100, git_s=600 * 4, nodes=4), 4, 0, 0),  # five cannot be had, and four are no better
        (load(), 1, 0, 0),
    ],
)
def test_a_load_gets_what_it_needs_and_no_more_than_there_are_nodes(
    given: Load, replicas: int, read_replicas: int, factor: int
) -> None:
    plan = plan_replicas(given)
    assert (plan.replicas, plan.read_replicas, plan.factor) == (replicas, read_replicas, factor)
    assert given.voters + given.read_replicas + plan.read_replicas <= max(
        given.nodes, given.voters + given.read_replicas
    )
    assert plan.factor <= given.nodes


def test_the_arithmetic_is_told() -> None:
    plan = plan_replicas(load(reads=100, git_s=3_600))
    assert plan.reasons[:3] == (
        "reads: 100 in 600 s = 0.2/s, of 850/s (50% for one repository): 0.00 nodes",
        "git: 3600.0 s in 600 s = 6.00 cores, of 1.0 (50% for one repository): 6.00 nodes",
        "needed: 6; it has 3 voting and 0 read replicas",
    )
    assert "read replicas carry them" in plan.reasons[3]
    assert (
        "4 nodes are available: 1 more instead of 3" in plan_replicas(load(reads=9, git_s=3_600, nodes=4)).reasons[-1]
    )
