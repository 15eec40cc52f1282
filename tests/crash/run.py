"""Kills a process at every change it makes to a node's disk, and verifies what a start makes of it.

    python -m tests.crash.run                          every scenario, every point
    python -m tests.crash.run push --list              the points of a scenario
    python -m tests.crash.run push --point 17 --mode torn --keep DIR     one death; the directory stays in DIR
    python -m tests.crash.run push --planted locks-that-stay             is a bug caught?

Everything is imported once; each life is a fork of this process. The directory is made once for a scenario and
copied for each death. What the dying process tells comes through a pipe, fact by fact.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from meshnode.git import durable
from meshnode.git.stores import Step
from tests.contract.replica_fixtures import Source, make_source
from tests.crash.ledger import Fact, Ledger
from tests.crash.ordering import check_order
from tests.crash.planted import PLANTED, PLANTED_IN_START, plant
from tests.crash.points import AFTER, BEFORE, MODES, TORN, Killer, Point
from tests.crash.scenario import Scenario, name_of
from tests.crash.scenarios import SCENARIOS
from tests.crash.site import Site
from tests.crash.survey import Survey, survey
from tests.crash.verify import look, verify
from tests.environment import clean_environment

_PR_SET_CHILD_SUBREAPER: Final = 36
_MEMORY: Final = Path("/dev/shm")
"""`kill -9` does not lose what was not synced, so a disk that syncs in no time shows the same."""


@dataclass
class Outcome:
    """What became of a scenario."""

    name: str
    points: int = 0
    deaths: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


class Stage:
    """One scenario on one working directory."""

    def __init__(self, scenario: Scenario, work: Path, planted: str = "") -> None:
        self.scenario = scenario
        self.planted = planted
        self.data = work / "data"
        self._template = work / "template"
        self._dead = work / "dead"
        self.source: Source = make_source(work / "source.git", scenario.object_format)
        self.ledger = Ledger()

    def set_up(self) -> None:
        """Make the directory that every life begins with."""
        asyncio.run(self.scenario.prepare(Site(self.data, self.source, self.ledger)))
        gc.collect()  # lets go of the directory's lock
        self.data.rename(self._template)

    def survey(self) -> Survey:
        """Let the scenario come to its end once, watching."""
        self._renew()

        def site(step: Step) -> Site:
            return Site(self.data, self.source, self.ledger.copy(), step=step)

        def watched(tell: Callable[[Any], None]) -> None:
            plant(self.planted, is_start=False)
            _tell_result(tell, survey(self.scenario, self.data, site))

        answers, status = live(watched)
        if status != 0 or not answers:
            raise AssertionError(f"{name_of(type(self.scenario))} does not come to its end: {answers}")
        found: Survey = answers[0]
        return found

    def die_at(self, number: int, mode: str) -> list[str]:
        """Live until the `number`-th change and die there; what is wrong afterwards."""
        self._renew()
        ledger = self.ledger.copy()

        async def doomed(tell: Callable[[Fact], None]) -> None:
            plant(self.planted, is_start=False)
            durable.observe(Killer(number, mode))
            await self.scenario.act(Site(self.data, self.source, self.ledger.copy(), tell=tell))

        facts, status = live(lambda tell: asyncio.run(doomed(tell)))
        if status != -signal.SIGKILL:
            return [f"the process did not die there but ended with {status}: {_last_line(facts)}"]
        for fact in facts:
            ledger.note(fact)
        problems = look(self.data, ledger)
        worlds = [("", ledger)] + [(" (published later)", ledger.publishing(one)) for one in ledger.undecided()]
        if len(worlds) > 1:
            _copy(self.data, self._dead)
        for place, (what, world) in enumerate(worlds):
            if place:
                _copy(self._dead, self.data)
            answers, status = live(partial(_verify_and_tell, self, world))
            found = answers[0] if status == 0 and answers else [f"the start ended with {status}: {_last_line(answers)}"]
            problems += [problem + what for problem in found]
        return problems

    def _renew(self) -> None:
        _copy(self._template, self.data)


def live(life: Callable[[Callable[[Any], None]], None]) -> tuple[list[Any], int]:
    """Run `life` in a fork; what it told, and its exit code (negative: the signal). No process of its own is left."""
    reader, writer = Pipe(duplex=False)
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        reader.close()
        _live_and_exit(life, writer)
    writer.close()
    told: list[Any] = []
    while True:
        try:
            told.append(reader.recv())
        except EOFError:
            break
    reader.close()
    _, status = os.waitpid(pid, 0)
    while True:
        try:
            os.waitpid(-1, 0)  # git processes that outlived it
        except ChildProcessError:
            break
    return told, os.waitstatus_to_exitcode(status)


def _live_and_exit(life: Callable[[Callable[[Any], None]], None], writer: Connection) -> None:
    code = 1
    try:
        life(writer.send)
        code = 0
    except BaseException:  # noqa: BLE001 - whatever it is, the parent must hear of it
        writer.send(traceback.format_exc())
    finally:
        os._exit(code)


def _tell_result(tell: Callable[[Any], None], work: Awaitable[Any]) -> None:
    async def run() -> Any:
        return await work

    tell(asyncio.run(run()))


def _last_line(told: list[Any]) -> str:
    return str(told[-1]).strip().rpartition("\n")[2][:300] if told else "nothing was told"


def _verify_and_tell(stage: Stage, world: Ledger, tell: Callable[[Any], None]) -> None:
    plant(stage.planted, is_start=True)
    _tell_result(tell, verify(stage.data, stage.source, world, stage.scenario))


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)


def plan_deaths(changes: list[Point], *, is_behind_each: bool) -> Iterator[tuple[int, str]]:
    """Where to die. The disk right behind a change is the disk right before the next one (`Survey.unseen` is
    empty), so only the last change is also died behind, unless it is asked for.
    """
    for number, point in enumerate(changes, start=1):
        yield number, BEFORE
        if point.is_tearable:
            yield number, TORN
        if is_behind_each or number == len(changes):
            yield number, AFTER


def run_scenario(name: str, work: Path, options: argparse.Namespace) -> Outcome:
    """Die everywhere in one scenario."""
    began = time.monotonic()
    stage = Stage(SCENARIOS[name](), work, options.planted)
    stage.set_up()
    found = stage.survey()
    outcome = Outcome(name, points=len(found.changes))
    if not options.planted:
        outcome.problems += [f"{name}: changed without being a point: {path}" for path in found.unseen]
        outcome.problems += [f"{name}: {complaint}" for complaint in check_order(found.points)]
    deaths = list(plan_deaths(found.changes, is_behind_each=options.all_modes))
    if options.point:
        deaths = [(options.point, options.mode)]
    if options.list:
        for number, point in enumerate(found.points, start=1):
            print(f"{number:4} {point}")
    if options.list or options.survey:
        deaths = []
    for number, mode in deaths:
        if options.planted and outcome.problems:
            break
        outcome.deaths += 1
        point = found.changes[number - 1]
        outcome.problems += [f"{name} {number} {mode} ({point}): {text}" for text in stage.die_at(number, mode)]
    outcome.seconds = time.monotonic() - began
    return outcome


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="*", choices=[*SCENARIOS, []], help="all by default")
    parser.add_argument("--list", action="store_true", help="print the points and end")
    parser.add_argument("--survey", action="store_true", help="check completeness and order of syncs, kill nobody")
    parser.add_argument("--point", type=int, default=0, help="die at this change only")
    parser.add_argument("--mode", choices=MODES, default=BEFORE)
    parser.add_argument("--all-modes", action="store_true", help="die behind every change too")
    parser.add_argument(
        "--planted",
        choices=[*PLANTED, *PLANTED_IN_START],
        default="",
        help="put a bug into the store, and end when it is caught",
    )
    parser.add_argument("--keep", type=Path, help="work here, and leave what is there at the end")
    options = parser.parse_args(arguments)
    clean_environment(os.environ)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    problems = 0
    for name in options.scenario or SCENARIOS:
        work = options.keep or Path(tempfile.mkdtemp(prefix="crash-", dir=_MEMORY if _MEMORY.is_dir() else None))
        work.mkdir(exist_ok=True)
        outcome = run_scenario(name, work, options)
        if not options.keep:
            shutil.rmtree(work)
        for problem in outcome.problems:
            print(f"!!! {problem}")
        problems += len(outcome.problems)
        print(f"{name:20} {outcome.points:4} points {outcome.deaths:4} deaths {outcome.seconds:6.1f} s", flush=True)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
