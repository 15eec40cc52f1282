"""What this node is doing, for health checks, status and a graceful stop. Implements `ports.Activity`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from meshnode.core.round import ReplicaKey
from meshnode.engine.meter import Meter
from meshnode.ports import Clock, RepairProgress

_LONG_MS: Final = 86_400_000
"""Longer than anything that a draining node lets go on."""


class NodeActivity:
    """Counters and facts; the engine writes them, servers read them."""

    def __init__(self, clock: Clock, meter: Meter) -> None:
        self._clock = clock
        self._meter = meter
        self._is_started = False
        self._is_stopping = False
        self._resting_since_ms: int | None = None
        self._counters: list[Callable[[], int]] = []
        self._work_counters: list[Callable[[], int]] = []
        self._repairs: dict[ReplicaKey, RepairProgress] = {}
        self._consistent_since: dict[ReplicaKey, int] = {}
        self._damaged: set[ReplicaKey] = set()

    # ------------------------------------------------------------ ports.Activity

    def is_ready(self) -> bool:
        """Start-up checks are done and no stop is under way."""
        return self._is_started and not self._is_stopping

    def is_stopping(self) -> bool:
        """A stop is under way: everything new is refused, except from nodes that finish what they began."""
        return self._is_stopping

    def is_draining(self) -> bool:
        """New work is refused, by a stop or because the node's wanted state says so."""
        return self._is_stopping or self._resting_since_ms is not None

    def resting_ms(self) -> int:
        """How long an operator has wanted this node out of service; 0 where nobody does."""
        since_ms = self._resting_since_ms
        return 0 if since_ms is None else max(1, self._clock.monotonic_ms() - since_ms)

    def is_drained(self) -> bool:
        """New work is refused, and none is under way any more."""
        return self.is_draining() and not any(count() for count in self._work_counters)

    def repairs(self) -> list[RepairProgress]:
        """Repairs running now."""
        return list(self._repairs.values())

    def requests_in_flight(self) -> int:
        """Requests being served."""
        return sum(count() for count in self._counters)

    def consistent_since_ms(self, key: ReplicaKey) -> int:
        """Wall clock from which this replica has been consistent without a break; 0 where it is not."""
        return self._consistent_since.get(key, 0)

    # ------------------------------------------------------------ for the engine and the servers

    def note_started(self) -> None:
        """Start-up checks are done."""
        self._is_started = True

    def note_stopping(self) -> None:
        """Refuse new work from now on, for good."""
        self._is_stopping = True

    def note_resting(self, *, is_resting: bool) -> None:
        """Refuse new work for as long as an operator wants it so."""
        if not is_resting:
            self._resting_since_ms = None
        elif self._resting_since_ms is None:
            # A node that starts out of service never began anything that it would have to finish.
            self._resting_since_ms = self._clock.monotonic_ms() - (0 if self._is_started else _LONG_MS)

    def count_with(self, counter: Callable[[], int]) -> None:
        """Have a server's count of running requests in `requests_in_flight`."""
        self._counters.append(counter)

    def wait_for(self, counter: Callable[[], int]) -> None:
        """Call this node drained only where `counter` says 0: work of the kind that a draining node does not begin."""
        self._work_counters.append(counter)

    def note_repair(self, progress: RepairProgress) -> None:
        """Show a repair's progress."""
        self._repairs[progress.key] = progress
        self._consistent_since.pop(progress.key, None)
        self._count()

    def note_repair_over(self, key: ReplicaKey) -> None:
        """Take a repair off the list."""
        self._repairs.pop(key, None)
        self._count()

    def note_consistent(self, key: ReplicaKey) -> None:
        """Note that the replica matches its record; the first note counts."""
        self._consistent_since.setdefault(key, self._clock.wall_ms())
        self._count()

    def note_damaged(self, key: ReplicaKey) -> bool:
        """Note that the replica must not be used until it is out of the way; False where that was known."""
        self.note_inconsistent(key)
        is_news = key not in self._damaged
        self._damaged.add(key)
        return is_news

    def note_set_aside(self, key: ReplicaKey) -> None:
        """Note that the damaged copy is out of the way."""
        self._damaged.discard(key)

    def is_damaged(self, key: ReplicaKey) -> bool:
        """Whether the replica must not be used."""
        return key in self._damaged

    def note_inconsistent(self, key: ReplicaKey) -> None:
        """Note that the replica does not match its record."""
        self._consistent_since.pop(key, None)
        self._count()

    def _count(self) -> None:
        self._meter.set_replicas(consistent=len(self._consistent_since), inconsistent=len(self._repairs))
