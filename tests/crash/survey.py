"""What a scenario does to the disk when nothing goes wrong: every point in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from meshnode.git import durable
from meshnode.git.durable import Observer
from meshnode.git.stores import Step
from tests.crash.points import Point, Recorder
from tests.crash.scenario import Scenario
from tests.crash.site import Site


@dataclass
class Survey:
    """A scenario's points."""

    points: list[Point]
    """With the store's marks among them."""
    unseen: list[str]
    """What changed on disk without being a point."""

    @property
    def changes(self) -> list[Point]:
        """The points where a process can die."""
        return [point for point in self.points if point.kind != "mark"]


async def survey(
    scenario: Scenario,
    data: Path,
    open_site: Callable[[Step], Site],
    *,
    through: Callable[[Observer], Observer] = lambda one: one,
) -> Survey:
    """Let a prepared scenario come to its end in `data`, watching from the opening of the site on.

    `through` may keep something from the watcher.
    """
    recorder = Recorder(data)
    durable.observe(through(recorder))
    try:
        await scenario.act(open_site(recorder.mark))
    finally:
        durable.observe(None)
    recorder.mark("the end")
    recorder.end()
    return Survey(recorder.points, recorder.unseen)
