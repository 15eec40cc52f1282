"""Adds up what repositories cost, and works out how many replicas the busy ones need. Pure.

    needed = the larger of  reads a second / what one node may spend on one repository
                            cores that its git processes keep busy / the same
    read-heavy -> read replicas, which cost writes no vote; else -> a larger factor; never more than there are nodes

Everything is an estimate to start from, so the arithmetic is told with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Final

from meshnode.base.ids import NodeId
from meshnode.core.quorum import FACTOR_MAX

READS_PER_S: Final = 1_700
"""Signed unary calls that one node's loop serves (measured)."""
SHARE: Final = 0.5
"""Of a node that one repository may take: the others live there too, and a node that is away leaves its share."""
READ_HEAVY: Final = 0.9
"""Share of reads from which on writes do not matter for where to answer."""


@dataclass(kw_only=True, slots=True)
class HotCounts:
    """What one repository took in a window."""

    reads: int = 0
    writes: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    git_ms: float = 0.0

    @property
    def work(self) -> float:
        """What repositories are ranked by: milliseconds, at one for each request beside its git processes."""
        return self.reads + self.writes + self.git_ms

    def add(self, other: HotCounts) -> None:
        """Take another's counts in."""
        self.reads += other.reads
        self.writes += other.writes
        self.bytes_in += other.bytes_in
        self.bytes_out += other.bytes_out
        self.git_ms += other.git_ms


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeReport:
    """What one node saw."""

    node: NodeId
    observed_s: int
    """How much of the window it has seen; less than the window right after its start."""
    cores: int
    missed_work: float
    """A repository whose work here was below this may be missing."""
    repositories: Mapping[str, HotCounts] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """One repository's load, and what carries it."""

    counts: HotCounts
    window_s: int
    """Seconds in which the counts came together."""
    voters: int
    read_replicas: int
    nodes: int
    """That may have a replica: available ones."""
    cores: int
    """Of the smallest node."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suggestion:
    """What would carry a load."""

    replicas: int
    """That are needed in all."""
    read_replicas: int
    """To add; 0 where none."""
    factor: int
    """Voting replicas to have; 0: as they are."""
    reasons: tuple[str, ...]
    """The arithmetic, a step a line."""


def sum_reports(reports: Iterable[NodeReport]) -> dict[str, HotCounts]:
    """Each repository's counts over all nodes."""
    total: dict[str, HotCounts] = {}
    for report in reports:
        for name, counts in report.repositories.items():
            total.setdefault(name, HotCounts()).add(counts)
    return total


def hottest(counts: Mapping[str, HotCounts], limit: int) -> list[tuple[str, HotCounts]]:
    """The busiest first; of equal ones the first by name."""
    return sorted(counts.items(), key=lambda one: (-one[1].work, one[0]))[:limit]


def plan_replicas(load: Load) -> Suggestion:
    """Work out how many replicas a load needs, and of which kind."""
    counts, window_s = load.counts, max(1, load.window_s)
    reads_per_s = counts.reads / window_s
    busy_cores = counts.git_ms / 1_000 / window_s
    by_reads = reads_per_s / (READS_PER_S * SHARE)
    room = max(1, load.cores) * SHARE
    by_git = busy_cores / room
    needed = max(1, ceil(max(by_reads, by_git)))
    has = load.voters + load.read_replicas
    share = counts.reads / max(1, counts.reads + counts.writes)
    one = f"({SHARE:.0%} for one repository)"
    reasons = [
        f"reads: {counts.reads} in {window_s} s = {reads_per_s:.1f}/s, of {READS_PER_S * SHARE:.0f}/s {one}: {by_reads:.2f} nodes",
        f"git: {counts.git_ms / 1_000:.1f} s in {window_s} s = {busy_cores:.2f} cores, of {room:.1f} {one}: {by_git:.2f} nodes",
        f"needed: {needed}; it has {load.voters} voting and {load.read_replicas} read replicas",
    ]
    if needed <= has:
        return Suggestion(replicas=needed, read_replicas=0, factor=0, reasons=(*reasons, "enough as it is"))
    if share >= READ_HEAVY:
        return _with_read_replicas(load, needed, share, reasons)
    return _with_factor(load, needed, share, reasons)


def _with_read_replicas(load: Load, needed: int, share: float, reasons: list[str]) -> Suggestion:
    has = load.voters + load.read_replicas
    more = max(0, min(needed, load.nodes) - has)
    reasons.append(f"{share:.0%} are reads: read replicas carry them and cost writes no vote")
    if has + more < needed:
        reasons.append(
            f"{load.nodes} nodes are available: {more} more instead of {needed - has}; add nodes for the rest"
        )
    return Suggestion(replicas=needed, read_replicas=more, factor=0, reasons=tuple(reasons))


def _with_factor(load: Load, needed: int, share: float, reasons: list[str]) -> Suggestion:
    odd = needed + 1 - needed % 2
    most = min(FACTOR_MAX, load.nodes)
    factor = min(odd, most - 1 + most % 2)
    reasons.append(f"{1 - share:.0%} are writes: voting replicas share in leading them; an odd number wastes no vote")
    if factor < odd:
        reasons.append(
            f"{load.nodes} nodes are available, and at most {FACTOR_MAX} replicas vote: {factor} instead of {odd}"
        )
    if factor <= load.voters:
        return Suggestion(replicas=needed, read_replicas=0, factor=0, reasons=(*reasons, "it has as many; add nodes"))
    return Suggestion(replicas=needed, read_replicas=0, factor=factor, reasons=tuple(reasons))
