"""Runs two or more ways of doing one thing in turn, and tells medians, spread and the ratio of the medians.

Interleaved, because a shared machine drifts: what ran in the same minute can be compared. The order within a
round is turned around each time. A way may run several times in a row: a service that is asked all day is not cold, and
neither is the git that is run all day.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Series:
    """Seconds of one way, in the order measured."""

    name: str
    seconds: Sequence[float]

    @property
    def median_s(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    def text(self) -> str:
        """Median and range."""
        return f"{_format(self.median_s)} ({_format(min(self.seconds))}..{_format(max(self.seconds))})"


@dataclass(frozen=True)
class Row:
    """One line of the table: ours, what it is compared with, and the aim."""

    what: str
    ours: Series
    against: Series | None
    aim: str
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Median of ours over median of the other; None where there is no other."""
        return None if self.against is None else self.ours.median_s / self.against.median_s

    def as_json(self) -> dict[str, Any]:
        """The row with every single measurement."""
        return {
            "what": self.what,
            "ours": {"name": self.ours.name, "seconds": list(self.ours.seconds)},
            "against": self.against and {"name": self.against.name, "seconds": list(self.against.seconds)},
            "ratio": self.ratio,
            "aim": self.aim,
            "note": self.note,
        }


@dataclass
class Table:
    """Rows measured so far; each is printed as soon as it is there."""

    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Take a row and print it."""
        self.rows.append(row)
        against = f"{row.against.name} {row.against.text()}" if row.against else "-"
        ratio = "-" if row.ratio is None else f"{row.ratio:.2f}x"
        print(
            f"  {row.what}\n    {row.ours.name} {row.ours.text()}   against {against}   ratio {ratio}   "
            f"(aim: {row.aim}){'   ' + row.note if row.note else ''}",
            flush=True,
        )

    def print_summary(self) -> None:
        """All rows, one line each."""
        width = max((len(row.what) for row in self.rows), default=0)
        print(f"\n{'what':<{width}}  {'ours':>9}  {'against':>9}  {'ratio':>7}  aim")
        for row in self.rows:
            ratio = "-" if row.ratio is None else f"{row.ratio:.2f}x"
            other = "-" if row.against is None else _format(row.against.median_s)
            print(f"{row.what:<{width}}  {_format(row.ours.median_s):>9}  {other:>9}  {ratio:>7}  {row.aim}")


def interleave(ways: Mapping[str, Callable[[int], float]], *, rounds: int, in_a_row: int = 1) -> list[Series]:
    """Run every way `in_a_row` times a round; each returns the seconds that count, given the number of its measurement."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        order = list(ways.items())
        for name, run in order if number % 2 == 0 else reversed(order):
            seconds[name].extend(run(number * in_a_row + repetition) for repetition in range(in_a_row))
    return [Series(name, values) for name, values in seconds.items()]


def _format(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
