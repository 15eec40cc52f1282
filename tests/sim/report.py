"""What a long run has done so far, in a file: it may be stopped at any time and goes on where the file ends.

Seeds count from the first one without a gap: blocks that are done before an earlier one are kept back until that is
done too. So the file always says "these seeds, and no others, gave these numbers".
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from tests.sim.pool import Counts, Failure
from tests.sim.runs import add_counts

WRITE_EVERY: Final = 1_000


@dataclass
class Report:
    """The sums over seeds `start` to `following` - 1."""

    start: int
    following: int
    seconds: float = 0.0
    """By the clock, pauses between processes left out."""
    failed: list[Failure] = field(default_factory=list)
    counts: Counts = field(default_factory=dict)


class ReportFile:
    """Keeps a report, and writes it each thousand seeds and at the end."""

    def __init__(self, path: Path, start: int) -> None:
        self._path = path
        self.report = _read(path) if path.exists() else Report(start, start)
        if self.report.start != start:
            raise ValueError(f"{path} begins at seed {self.report.start}, not {start}")
        self._kept_back: dict[int, tuple[range, Sequence[Failure], Counts]] = {}
        self._since = time.monotonic()
        self._written = self.report.following

    def add(self, block: range, failed: Sequence[Failure], counts: Counts) -> None:
        """Take a block in."""
        self._kept_back[block.start] = (block, failed, counts)
        report = self.report
        while (next_one := self._kept_back.pop(report.following, None)) is not None:
            block, failed, counts = next_one
            report.following = block.stop
            report.failed += failed
            report.counts = add_counts([report.counts, counts])
        if report.following - self._written >= WRITE_EVERY:
            self.write()

    def write(self) -> None:
        """Write the file anew, whole or not at all."""
        now = time.monotonic()
        self.report.seconds = round(self.report.seconds + now - self._since, 1)
        self._since, self._written = now, self.report.following
        beside = self._path.with_name(self._path.name + ".new")
        beside.write_text(json.dumps(asdict(self.report), indent=1))
        beside.replace(self._path)


def _read(path: Path) -> Report:
    raw = json.loads(path.read_text())
    raw["failed"] = [(int(seed), tuple(violations)) for seed, violations in raw["failed"]]
    return Report(**raw)
