"""How far moves are and how long they will take, in the planner's own reckoning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from meshnode.base.ids import NodeId, PartitionId
from meshnode.core.control import MoveProgress, PartitionProgress
from meshnode.core.moves import AwaitRepair, Fill, Join, ListEverywhere, Retire, Step, Swap
from meshnode.engine.survey import Surveyed
from meshnode.ports import Clock

REPORT_MS: Final = 2_000
"""Between two reports that say nothing new but the time."""
RECORD_BYTES: Final = 100_000
"""What filling one repository costs besides its bytes, in bytes: calls, processes, fsyncs."""
BLOCKED_MAX: Final = 20
"""Lines of a report about what cannot be planned."""


class ProgressTracker:
    """Follows the moves of one planner."""

    def __init__(self, own: NodeId, clock: Clock) -> None:
        self._own = own
        self._clock = clock
        self._began_ms = clock.monotonic_ms()
        self._since: dict[PartitionId, int] = {}
        self._moves: dict[PartitionId, PartitionProgress] = {}
        self._left: dict[PartitionId, int] = {}
        self._done_bytes = 0
        self._waiting = 0
        self._blocked: tuple[str, ...] = ()
        self._reported: tuple[object, ...] | None = None
        self._reported_ms = 0

    def note_nothing(self) -> None:
        """Nothing moves."""
        self._moves.clear()
        self._since.clear()
        self._left.clear()
        self._waiting = 0
        self._done_bytes = 0
        self._began_ms = self._clock.monotonic_ms()

    def note_paused(self, waiting: int) -> None:
        """Everything waits for an operator."""
        self.note_nothing()
        self._waiting = waiting

    def note_waiting(self, waiting: int) -> None:
        """So many partitions have to wait for their turn."""
        self._waiting = waiting
        seen = set(self._moves)
        for number in set(self._since) - seen:
            del self._since[number]

    def note_blocked(self, blocked: Mapping[PartitionId, str]) -> None:
        """So many moves cannot be planned."""
        lines = [f"partition {number}: {reason}" for number, reason in sorted(blocked.items())]
        more = [f"and {len(lines) - BLOCKED_MAX} more"] if len(lines) > BLOCKED_MAX else []
        self._blocked = (*lines[:BLOCKED_MAX], *more)

    def note_move(self, surveyed: Surveyed, step: Step | None, size_bytes: int) -> None:
        """A partition was looked at and this step comes next."""
        number = surveyed.at.partition.partition
        records = surveyed.tally.records
        left = records if isinstance(step, Join | ListEverywhere) else _left(step)
        work = (size_bytes + records * RECORD_BYTES) * left // max(1, records)
        self._done_bytes += max(0, self._left.get(number, work) - work)
        self._left[number] = work
        if step is None:
            self._moves.pop(number, None)
            self._left.pop(number, None)
            return
        self._moves[number] = PartitionProgress(
            partition=number,
            step=_words(step),
            node=getattr(step, "node", None),
            predecessor=step.predecessor if isinstance(step, Swap) else None,
            repositories=records,
            left=left,
            size_bytes=size_bytes,
            since_ms=self._since.setdefault(number, self._clock.wall_ms()),
        )

    def report(self) -> MoveProgress | None:
        """What to tell the cluster; None where that was told already."""
        facts = (tuple(self._moves.values()), self._waiting, self._blocked)
        now_ms = self._clock.monotonic_ms()
        is_old = now_ms - self._reported_ms >= REPORT_MS
        if facts == self._reported and not (is_old and self._moves):
            return None
        self._reported, self._reported_ms = facts, now_ms
        return MoveProgress(
            planner=self._own,
            at_ms=self._clock.wall_ms(),
            waiting=self._waiting,
            moves=tuple(self._moves[number] for number in sorted(self._moves)),
            done_bytes=self._done_bytes,
            left_ms=self._left_ms(now_ms),
            blocked=self._blocked,
        )

    def _left_ms(self, now_ms: int) -> int:
        """At the pace so far; those that wait count like those that run."""
        if not self._done_bytes:
            return -1
        running = sum(self._left.values())
        mean = running // len(self._left) if self._left else 0
        left = running + mean * self._waiting
        return left * max(1, now_ms - self._began_ms) // self._done_bytes


def _left(step: Step | None) -> int:
    return step.left if isinstance(step, Fill | AwaitRepair) else 0


def _words(step: Step) -> str:
    match step:
        case Join():
            return "joining"
        case ListEverywhere():
            return "listing"
        case Fill():
            return "filling"
        case Swap():
            return "switching"
        case AwaitRepair():
            return "waiting for repair"
        case Retire():
            return "retiring"
        case _:
            return "ending"
