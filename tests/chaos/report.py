"""What a run prints and keeps: load held, faults, unavailability, and the verdict.

A *window* is a span of at least WINDOW_S between two acknowledged writes, whoever made them through whichever node.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any, Final

from tests.chaos.aftermath import Aftermath
from tests.chaos.etcd import MEMBERS
from tests.chaos.history import Ending, FaultEvent, History, Level
from tests.chaos.load import count_endings
from tests.chaos.verdict import Judgement

WINDOW_S: Final = 0.5
RECOVERY_S: Final = 5.0
"""A fault's victim counts again so long after the fault: a node starts, a lease of three seconds runs out, on a busy
machine."""
_WORST: Final = 5


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a run was asked for."""

    seed: int
    nodes: int
    factor: int
    seconds: float


@dataclass(frozen=True)
class Windows:
    """Spans in which something did not succeed."""

    spans: Sequence[tuple[float, float]]

    @property
    def max_s(self) -> float:
        """The longest."""
        return max((end - begin for begin, end in self.spans), default=0.0)

    @property
    def p99_s(self) -> float:
        """99 of 100 are not longer."""
        lengths = sorted(end - begin for begin, end in self.spans)
        return lengths[ceil(0.99 * len(lengths)) - 1] if lengths else 0.0

    @property
    def total_s(self) -> float:
        """All together."""
        return sum(end - begin for begin, end in self.spans)


def windows_of(successes: Sequence[float], begun: float, ended: float) -> Windows:
    """The spans of at least WINDOW_S without a success."""
    moments = [begun, *sorted(moment for moment in successes if begun <= moment <= ended), ended]
    pairs = itertools.pairwise(moments)
    return Windows([(one, other) for one, other in pairs if other - one >= WINDOW_S])


def spans_with_quorum(
    faults: Sequence[FaultEvent], nodes: int, begun: float, ended: float
) -> list[tuple[float, float]]:
    """When a majority of nodes and of etcd members had been left alone for RECOVERY_S or longer."""
    moments = sorted(
        {begun, ended}
        | {fault.begun_at for fault in faults if begun < fault.begun_at < ended}
        | {fault.ended_at + RECOVERY_S for fault in faults if begun < fault.ended_at + RECOVERY_S < ended}
    )
    spans: list[tuple[float, float]] = []
    for one, other in pairwise(moments):
        hurt = {
            victim
            for fault in faults
            if fault.begun_at <= one < fault.ended_at + RECOVERY_S
            for victim in fault.victims
        }
        members = sum(victim in MEMBERS for victim in hurt)
        if members > len(MEMBERS) // 2 or len(hurt) - members > (nodes - 1) // 2:
            continue
        if spans and spans[-1][1] == one:
            spans[-1] = (spans[-1][0], other)
        else:
            spans.append((one, other))
    return spans


def within(windows: Windows, spans: Sequence[tuple[float, float]]) -> Windows:
    """The parts of windows that lie in the spans, where they are long enough."""
    parts = [(max(begin, since), min(end, until)) for begin, end in windows.spans for since, until in spans]
    return Windows([part for part in parts if part[1] - part[0] >= WINDOW_S])


class Report:
    """The figures of one run."""

    def __init__(
        self,
        setting: Setting,
        history: History,
        span: tuple[float, float],
        judgement: Judgement,
        aftermath: Aftermath,
    ) -> None:
        """`span` is when the load began and ended."""
        self._setting = setting
        self._history = history
        self._span = span
        self._judgement = judgement
        self._aftermath = aftermath
        writes = [write for write in history.writes if span[0] <= write.called_at <= span[1]]
        reads = [read for read in history.reads if span[0] <= read.called_at <= span[1]]
        seconds = span[1] - span[0]
        acknowledged = [write.answered_at for write in writes if write.is_acknowledged]
        self._writing = windows_of(acknowledged, *span)
        self._reading = windows_of([read.answered_at for read in reads if read.level is Level.VERIFIED], *span)
        self._quorum_spans = spans_with_quorum(history.faults, setting.nodes, *span)
        self._quorate = within(self._writing, self._quorum_spans)
        self._figures: dict[str, Any] = {
            "writes_per_s": len(acknowledged) / seconds,
            "reads_per_s": len(reads) / seconds,
            "writes": count_endings(writes),
            "reads": dict(Counter(f"{read.way} {read.level.value}" for read in reads)),
            "failed_reads": dict(Counter(history.failed_reads).most_common()),
            "refusals": dict(_reasons(history, Ending.REFUSED).most_common(15)),
            "unknown": dict(_reasons(history, Ending.OPEN).most_common(15)),
            "faults": dict(sorted(Counter(fault.kind for fault in history.faults).items())),
        }

    @property
    def failures(self) -> list[str]:
        """Everything that is wrong."""
        return [*self._judgement.violations, *self._aftermath.failures]

    def lines(self) -> list[str]:
        """For people."""
        figures, judgement, aftermath = self._figures, self._judgement, self._aftermath
        setting = self._setting
        ways = [
            f"  {way:<6}" + ", ".join(f"{number:,} {ending}" for ending, number in sorted(row.items()))
            for way, row in sorted(figures["writes"].items())
        ]
        return [
            f"seed {setting.seed}: {setting.nodes} nodes, factor {setting.factor}, {setting.seconds:.0f} s of faults",
            (
                f"load held           {figures['writes_per_s']:.1f} acknowledged writes/s, "
                f"{figures['reads_per_s']:.1f} reads/s"
            ),
            "changes of references",
            *ways,
            (
                f"reads               {sum(figures['reads'].values()):,} answered, "
                f"{sum(figures['failed_reads'].values()):,} not"
            ),
            f"faults              {len(self._history.faults)}: "
            + ", ".join(f"{kind} {number}" for kind, number in figures["faults"].items()),
            f"no write succeeded  {_describe(self._writing)}",
            *(f"  {line}" for line in self._worst()),
            (
                f"  of that with a quorum left alone for {RECOVERY_S:.0f} s: {_describe(self._quorate)}"
                f" (such was {sum(end - begin for begin, end in self._quorum_spans):.0f} s of the time)"
            ),
            f"no read succeeded   {_describe(self._reading)}",
            f"all replicas agree  {aftermath.heal_s:.1f} s after the last fault ({aftermath.replicas} replicas, fsck)",
            (
                f"histories           {judgement.registers} of references, {judgement.calls:,} calls, "
                f"{judgement.given_up} given up"
            ),
            f"rounds committed    {sum(len(chain.rounds) for chain in aftermath.chains.values()):,}",
            f"errors logged       {aftermath.errors_logged or 'none'}",
            f"acknowledged writes lost: {judgement.lost}",
            *(f"FAILED: {failure}" for failure in self.failures[:30]),
        ]

    def _worst(self) -> list[str]:
        """The longest windows, and what was wrong then."""
        worst = sorted(self._writing.spans, key=lambda span: span[0] - span[1])[:_WORST]
        return [
            f"{end - begin:.1f} s from {begin - self._span[0]:.1f}: "
            + (
                "; ".join(
                    str(fault) for fault in self._history.faults if fault.begun_at < end and fault.ended_at > begin
                )
                or "no fault"
            )
            for begin, end in worst
        ]

    def save(self, directory: Path) -> None:
        """Figures, history and stories as files."""
        setting = self._setting
        figures = {
            "seed": setting.seed,
            "nodes": setting.nodes,
            "factor": setting.factor,
            "seconds": setting.seconds,
            **self._figures,
            "write_windows": list(self._writing.spans),
            "write_windows_with_quorum": list(self._quorate.spans),
            "read_windows": list(self._reading.spans),
            "heal_s": self._aftermath.heal_s,
            "histories": self._judgement.registers,
            "calls": self._judgement.calls,
            "given_up": self._judgement.given_up,
            "lost": self._judgement.lost,
            "errors_logged": self._aftermath.errors_logged,
            "failures": self.failures,
        }
        (directory / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
        self._history.save(directory / "history.jsonl")
        for number, (violation, lines) in enumerate(self._judgement.stories.items(), 1):
            (directory / f"story-{number}.txt").write_text("\n".join([violation, *lines]) + "\n")


def _reasons(history: History, ending: Ending) -> Counter[str]:
    return Counter(
        f"{write.way}: {write.reason.split('(')[0][:70]}"
        for write in history.writes
        if any(change.ending is ending for change in write.changes)
    )


def _describe(windows: Windows) -> str:
    return (
        f"{len(windows.spans)} times for {WINDOW_S} s or more: max {windows.max_s:.1f} s, "
        f"p99 {windows.p99_s:.1f} s, {windows.total_s:.1f} s in all"
    )
