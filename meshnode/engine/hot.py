"""Counts what each repository takes of this node, out of the access log's data, in bounded memory.

    requests -> the current minute's counts -> sixty minutes in a ring -> summed when somebody asks

Each minute keeps the busiest repositories: where more than `KEPT_MAX` have been seen, the lighter half goes, and what the
heaviest of those had is remembered as the amount that may be missing. So the heavy ones are exact from when they
became heavy, whatever number of light ones there is. Not in Prometheus: a series for each repository has no bound.
Source: Metwally et al., "Efficient Computation of Frequent and Top-k Elements in Data Streams" (2005), simplified.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final

from meshnode.base.ids import NodeId
from meshnode.core.hot import HotCounts, NodeReport, hottest
from meshnode.ports import Clock
from meshnode.telemetry.access import CANCELLED, OK, Access

MINUTES: Final = 60
KEPT_MAX: Final = 512
"""Repositories of one minute; 60 of them with 150 bytes each are below 5 MB."""

_MINUTE_MS: Final = 60_000


@dataclass(slots=True)
class _Minute:
    number: int = -1
    counts: dict[str, HotCounts] = field(default_factory=dict)
    missed_work: float = 0.0


class HotCounter:
    """One node's counts."""

    def __init__(self, own: NodeId, clock: Clock) -> None:
        self._own = own
        self._clock = clock
        self._minutes = [_Minute() for _ in range(MINUTES)]
        self._started_ms = clock.monotonic_ms()

    def note(self, access: Access) -> None:
        """Count a request where it was answered; what was handed on counts there, what nobody answered nowhere."""
        if not access.repository or access.forwarded_to or access.outcome not in {OK, CANCELLED}:
            return
        if access.kind not in {"accessor", "mutator"}:
            return
        minute = self._minute()
        counts = minute.counts.get(access.repository)
        if counts is None:
            if len(minute.counts) >= KEPT_MAX:
                _drop_lighter_half(minute)
            counts = minute.counts[access.repository] = HotCounts()
        if access.kind == "mutator":
            counts.writes += 1
        else:
            counts.reads += 1
        counts.bytes_in += access.bytes_in
        counts.bytes_out += access.bytes_out
        counts.git_ms += access.git_ms

    def report(self, window_s: int, limit: int) -> NodeReport:
        """The busiest repositories of the last `window_s`, in whole minutes, the current one included."""
        now_ms = self._clock.monotonic_ms()
        number = now_ms // _MINUTE_MS
        wanted = min(MINUTES, max(1, -(-window_s // 60)))
        total: dict[str, HotCounts] = {}
        missed = 0.0
        for minute in self._minutes:
            if number - wanted < minute.number <= number:
                missed += minute.missed_work
                for name, counts in minute.counts.items():
                    total.setdefault(name, HotCounts()).add(counts)
        listed = hottest(total, limit)
        if len(total) > limit:
            missed += listed[-1][1].work
        begun_ms = max(self._started_ms, (number - wanted + 1) * _MINUTE_MS)
        return NodeReport(
            node=self._own,
            observed_s=max(1, (now_ms - begun_ms) // 1_000),
            cores=len(os.sched_getaffinity(0)),
            missed_work=missed,
            repositories=dict(listed),
        )

    def _minute(self) -> _Minute:
        number = self._clock.monotonic_ms() // _MINUTE_MS
        minute = self._minutes[number % MINUTES]
        if minute.number != number:
            minute = self._minutes[number % MINUTES] = _Minute(number)
        return minute


def _drop_lighter_half(minute: _Minute) -> None:
    ordered = hottest(minute.counts, len(minute.counts))
    kept, dropped = ordered[: KEPT_MAX // 2], ordered[KEPT_MAX // 2 :]
    minute.missed_work += dropped[0][1].work
    minute.counts = dict(kept)
