"""What a planner tells of its moves, and how fast a node lets itself be filled. Virtual time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from meshnode.base.ids import NodeId, PartitionId
from meshnode.config import RebalanceSettings
from meshnode.core.moves import Fill, Join, Swap, Tally
from meshnode.core.partition import Partition
from meshnode.core.round import ReplicaKey
from meshnode.engine.move_progress import ProgressTracker
from meshnode.engine.pace import FillPace
from meshnode.engine.survey import PartitionAt, Surveyed
from tests.sim.virtual_time import VirtualClock, run_virtual
from tests.unit.core.builders import N1, N2, N3, N4, PARTITION, REPOSITORY, a_partition

KEY = ReplicaKey(PARTITION, REPOSITORY)
MIB = 1 << 20


def looked_at(records: int = 10) -> Surveyed:
    at = PartitionAt(partition=a_partition(joining=(N4,)), revision=1, mark_revision=0)
    return Surveyed(at=at, tally=Tally(records=records))


def test_progress_tells_what_is_left_and_how_long_at_the_pace_so_far() -> None:
    async def story() -> None:
        clock = VirtualClock()
        tracker = ProgressTracker(N1, clock)
        tracker.note_nothing()
        tracker.note_move(looked_at(), Join(N4), 9 * MIB)
        tracker.note_waiting(1)
        first = tracker.report()
        assert first is not None
        assert (first.planner, first.left_ms, first.waiting) == (N1, -1, 1)
        assert (first.moves[0].step, first.moves[0].left, first.moves[0].repositories) == ("joining", 10, 10)
        assert tracker.report() is None, "nothing new"
        await clock.sleep(10_000)
        tracker.note_move(looked_at(), Fill(N4, 5), 9 * MIB)
        half = tracker.report()
        assert half is not None
        assert (half.moves[0].step, half.moves[0].left) == ("filling", 5)
        assert 18_000 <= half.left_ms <= 22_000, "as long again for this one, and as long for one that waits"
        await clock.sleep(5_000)
        tracker.note_move(looked_at(), Swap(N4, N3), 9 * MIB)
        last = tracker.report()
        assert last is not None
        assert last.moves[0].predecessor == N3
        tracker.note_nothing()
        tracker.note_blocked({PartitionId(number): "no room" for number in range(30)})
        over = tracker.report()
        assert over is not None
        assert (over.moves, over.blocked[0], over.blocked[-1]) == ((), "partition 0: no room", "and 10 more")

    run_virtual(story())


def filled(own: NodeId, bytes_per_s_max: int, chunks: int) -> int:
    """Milliseconds that so many chunks of 1 MiB take; n4 is joining, the others are replicas."""

    async def story() -> int:
        clock = VirtualClock()
        membership: Any = SimpleNamespace(partitions=lambda: {PARTITION: placed()})
        records: Any = SimpleNamespace(partition_of=lambda key: key.home)
        pace = FillPace(own, membership, records, clock, RebalanceSettings(bytes_per_s_max=bytes_per_s_max))
        for _ in range(chunks):
            await pace.take(KEY, MIB)
        return clock.monotonic_ms()

    return run_virtual(story())


def placed() -> Partition:
    return a_partition(N1, N2, N3, joining=(N4,))


def test_what_fills_a_joining_node_comes_in_at_a_bounded_rate() -> None:
    assert 9_900 <= filled(N4, 10 * MIB, 100) <= 10_000
    assert filled(N4, 0, 100) == 0, "no bound"


def test_repair_of_a_replica_is_never_held_back() -> None:
    assert filled(N1, MIB, 100) == 0
