"""Tells a story in steps, each checked and timed, and prints the table at the end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


class NotSoError(Exception):
    """A step of the story is not so."""


@dataclass
class Story:
    """Steps told so far, with their seconds."""

    steps: list[tuple[str, float, str]] = field(default_factory=list)
    _fact: str = ""

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One step; what is checked inside must be so."""
        print(f"  {title} ... ", end="", flush=True)
        begin = time.monotonic()
        self._fact = ""
        try:
            yield
        except BaseException:
            print(f"NOT SO ({time.monotonic() - begin:.2f} s)", flush=True)
            raise
        duration_s = time.monotonic() - begin
        self.steps.append((title, duration_s, self._fact))
        print(f"ok ({duration_s:.2f} s{', ' + self._fact if self._fact else ''})", flush=True)

    def fact(self, text: str) -> None:
        """Something worth a word in the table beside the current step."""
        self._fact = text

    def check(self, is_so: object, what: str) -> None:
        """Raise NotSoError unless `is_so`."""
        if not is_so:
            raise NotSoError(what)

    def chapter(self, title: str) -> None:
        """A line between steps."""
        print(f"\n{title}", flush=True)

    def print_table(self) -> None:
        """All steps with their seconds."""
        width = max(len(title) for title, _, _ in self.steps)
        print(f"\n{'step':<{width}}  seconds")
        print(f"{'-' * width}  -------")
        for title, duration_s, fact in self.steps:
            print(f"{title:<{width}}  {duration_s:7.2f}  {fact}".rstrip())
        total_s = sum(duration_s for _, duration_s, _ in self.steps)
        print(f"{'-' * width}  -------\n{f'{len(self.steps)} steps, all so':<{width}}  {total_s:7.2f}")
