"""One run of one plan, from an empty cluster to the verdict.

cluster and repositories, calm -> faults and clients, FAULTS_MS and what clients still wait for
-> every fault ends, dead nodes start -> everything must converge -> one more write and read everywhere -> checks
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from meshnode.base.errors import ReadOnly, ReplicaBehind
from meshnode.base.ids import NodeId, RepositoryName
from meshnode.engine.router import CandidateRouter
from meshnode.ports import Consistency
from tests.sim.clients import Clients, Ending
from tests.sim.faults import FaultInjector
from tests.sim.linearizability import Verdict, check_register
from tests.sim.plan import FAULTS_MS, Operation, Plan, make_plan
from tests.sim.story import Story
from tests.sim.virtual_time import EndlessError, StuckError, run_virtual
from tests.sim.world import Plant, World, no_bug

CONVERGE_MS: Final = 60_000
"""How long healing may take once nothing fails any more; the slowest pause between two tries is 10 s."""
SERVE_MS: Final = 20_000
LAST_TRIES: Final = 2
DOUBLES_MS: Final = 6_000
"""How long a doubled message may still be on its way."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What came of a run."""

    plan: Plan
    violations: tuple[str, ...]
    story: tuple[str, ...]
    counts: dict[str, int] = field(default_factory=dict)
    virtual_ms: int = 0
    converge_ms: int = 0

    @property
    def digest(self) -> str:
        """Hash over the story: two runs of one seed have the same."""
        return hashlib.sha256("\n".join(self.story).encode()).hexdigest()


def run_seed(seed: int, *, plant: Plant = no_bug, is_verbose: bool = False) -> RunResult:
    """Run the plan of a seed."""
    return run_plan(make_plan(seed), plant=plant, is_verbose=is_verbose)


def run_plan(plan: Plan, *, plant: Plant = no_bug, is_verbose: bool = False) -> RunResult:
    """Run a plan; with `is_verbose` the engines' own log is a part of the story."""
    story = Story()
    log = logging.getLogger("meshnode")
    before = (log.level, log.propagate)
    log.setLevel(logging.INFO if is_verbose else logging.ERROR)
    log.propagate = False
    log.addHandler(story)
    gc.disable()
    try:
        return run_virtual(_Run(plan, story, plant).run())
    except (StuckError, EndlessError) as error:
        return RunResult(plan=plan, violations=(f"the run does not end: {error}",), story=tuple(story.lines))
    finally:
        gc.enable()
        log.removeHandler(story)
        log.setLevel(before[0])
        log.propagate = before[1]


class _Run:
    def __init__(self, plan: Plan, story: Story, plant: Plant) -> None:
        self._plan = plan
        self._story = story
        self._world = World(plan, story, plant)
        self._clients = Clients(self._world)
        self._converge_ms = 0

    async def run(self) -> RunResult:
        asyncio.get_running_loop().set_exception_handler(self._on_loop_error)
        world = self._world
        await world.begin()
        await self._clients.prepare()
        self._story.tell("***", "faults begin")
        await self._trouble()
        self._story.tell("***", "faults end")
        if not world.auditor.violations:
            await self._converge()
        self._clients.check_endings()
        self._check_histories()
        virtual_ms = round(asyncio.get_running_loop().time() * 1000)
        await world.end()
        violations = [*world.auditor.violations, *self._story.defects]
        return RunResult(
            plan=self._plan,
            violations=tuple(violations),
            story=tuple(self._story.lines),
            counts=self._counts(),
            virtual_ms=virtual_ms,
            converge_ms=self._converge_ms,
        )

    def _on_loop_error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        if not self._story.is_over:
            self._story.defects.append(f"loop: {context.get('message')} {context.get('exception')!r}")

    async def _trouble(self) -> None:
        faults = asyncio.ensure_future(FaultInjector(self._world).run())
        work = asyncio.ensure_future(self._clients.run(self._plan.operations))
        await asyncio.wait({faults, work}, timeout=FAULTS_MS / 1000)
        faults.cancel()
        await asyncio.wait({faults})
        if not faults.cancelled() and (error := faults.exception()) is not None:
            raise error
        await self._world.heal()
        for name in self._world.disks:
            await self._world.start(name)
        await work

    async def _converge(self) -> None:
        world = self._world
        begun = world.clock.monotonic_ms()
        await self._wait_until_finished(CONVERGE_MS)
        self._converge_ms = world.clock.monotonic_ms() - begun
        if world.auditor.violations:
            return
        await self._write_once_more()
        await self._wait_until_finished(SERVE_MS)
        if world.auditor.violations:
            return
        await self._read_everywhere()
        await self._check_drained()
        await world.network.settled(DOUBLES_MS)
        await world.check_objects()

    async def _wait_until_finished(self, within_ms: int) -> None:
        world = self._world
        deadline_ms = world.clock.monotonic_ms() + within_ms
        while reason := world.unfinished():
            if world.auditor.violations:
                return
            if world.clock.monotonic_ms() > deadline_ms:
                world.auditor.violate(f"no convergence: {reason}")
                return
            await asyncio.sleep(0.1)

    async def _write_once_more(self) -> None:
        """A write to every repository is acknowledged; a late change of its configuration may refuse one."""
        for number, name in enumerate(self._plan.repositories):
            leader = self._plan.nodes.index(self._replicas_of(name)[0])
            for attempt in range(LAST_TRIES):
                operation = _last_operation(1_000 + 100 * attempt + number, "push", number, leader)
                await self._clients.do(operation)
                if self._clients.endings.get(f"op{operation.number}") == [Ending.DONE]:
                    break
            else:
                self._world.auditor.violate(f"no write to {name} after all faults ended")

    async def _read_everywhere(self) -> None:
        """Every replica of every repository shows it."""
        for number, name in enumerate(self._plan.repositories):
            for node in self._replicas_of(name, with_read_replicas=True):
                before = self._clients.counts.get("read: done", 0)
                await self._clients.do(_last_operation(2_000 + number, "read", number, self._plan.nodes.index(node)))
                if self._clients.counts.get("read: done", 0) == before:
                    self._world.auditor.violate(f"no read of {name} at {node} after all faults ended")

    async def _check_drained(self) -> None:
        """A drained node is a replica like any other, and nobody sends work to it once everyone knows."""
        drained = self._plan.drained
        if not drained:
            return
        for name, process in self._world.processes.items():
            assert process.engine is not None
            asked = await process.spawn(self._candidates(process.engine.router))
            if drained in asked:
                self._world.auditor.violate(f"{name} would send work to {drained}, which is drained")

    async def _candidates(self, router: CandidateRouter) -> list[NodeId]:
        """Whom a node would ask, once it has heard of everyone who is up: hints may be late by eight seconds."""
        repository = RepositoryName(self._plan.repositories[0])
        deadline_ms = self._world.clock.monotonic_ms() + SERVE_MS
        while True:
            try:
                asked = await router.write_candidates(repository)
                return asked + await router.read_candidates(repository, Consistency())
            except (ReadOnly, ReplicaBehind) as nobody:
                if self._world.clock.monotonic_ms() > deadline_ms:
                    self._world.auditor.violate(f"nobody is known to be up after all faults ended: {nobody}")
                    return []
                await asyncio.sleep(0.1)

    def _replicas_of(self, name: str, *, with_read_replicas: bool = False) -> tuple[NodeId, ...]:
        record = self._world.auditor.truths[self._clients.ids[name]].record
        partition = self._world.auditor.partitions[record.partition]
        return partition.members if with_read_replicas else partition.replicas

    def _check_histories(self) -> None:
        for (repository, ref), calls in self._clients.histories.items():
            match check_register(calls):
                case Verdict.IMPOSSIBLE:
                    self._world.auditor.violate(f"not linearizable: {ref} of {repository[:6]}: {calls}")
                case Verdict.GIVEN_UP:
                    self._world.network.count("histories given up")
                case Verdict.EXPLAINED:
                    self._world.network.count("histories explained")

    def _counts(self) -> dict[str, int]:
        counts = dict(self._clients.counts)
        for what, number in self._world.network.counts.items():
            counts[what] = counts.get(what, 0) + number
        counts["published"] = len(self._world.auditor.published)
        return counts


def _last_operation(number: int, kind: str, repository: int, node: int) -> Operation:
    return Operation(
        number=number,
        at_ms=0,
        client=0,
        kind=kind,
        repository=repository,
        ref=2,
        node=node,
        choice=1,
        is_repeated=False,
    )


def add_counts(all_counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """The sums, sorted by name."""
    total: dict[str, int] = {}
    for counts in all_counts:
        for what, number in counts.items():
            total[what] = total.get(what, 0) + number
    return dict(sorted(total.items()))
