"""The life of a cluster, told under load: it grows, spreads, restarts, shrinks, and loses a zone.

    python -m tests.chaos.life --seed 7

Three nodes in three zones over etcd; two more join by invitation; replicas spread; every node is drained, stopped and
started in turn; a node is removed; a zone dies with its machines and comes back. All the while the clients of the chaos
suite write and read through every node, and afterwards their history goes before the same judge. Exit codes as `run.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.chaos import isolation
from tests.chaos.aftermath import look
from tests.chaos.cluster import ChaosCluster
from tests.chaos.history import FaultEvent, History, Level
from tests.chaos.light_client import LightClient
from tests.chaos.load import Load
from tests.chaos.network import CommandFailed
from tests.chaos.report import Report, Setting
from tests.chaos.rounds import RoundCollector
from tests.chaos.run import RESULTS
from tests.chaos.verdict import judge
from tests.chaos.workload import REPOSITORIES, Wishes

ZONES: Final = {"n1": "a", "n2": "b", "n3": "c", "n4": "a", "n5": "b"}
"""No zone may hold two of three replicas, so each zone holds one of every partition."""
FOUNDERS: Final = 3
SETTINGS: Final = {
    "MESHNODE_REBALANCE__INTERVAL_MS": "100",
    "MESHNODE_REBALANCE__PARTITIONS_AT_ONCE": "32",
    "MESHNODE_REBALANCE__DROP_AFTER_MS": "1500",
}
MOVED_S: Final = 300.0
PROGRESS_S: Final = 60.0
WRITES: Final = 15
"""Acknowledged writes that have to come about in each chapter: the cluster works while it changes."""
_POLL_S: Final = 0.5


class Life:
    """One life, from the first node to the verdict."""

    def __init__(self, seed: int, directory: Path) -> None:
        self._seed = seed
        self._directory = directory
        self._history = History()
        self._cluster = ChaosCluster(
            isolation.WORK,
            directory,
            nodes=len(ZONES),
            factor=3,
            founders=FOUNDERS,
            zones=ZONES,
            settings=SETTINGS,
        )
        self._rounds = RoundCollector(self._cluster.data)
        self._load = Load(self._cluster, self._history, isolation.WORK, seed)
        self._failures: list[str] = []

    async def run(self) -> int:
        """Everything, in order; the exit code."""
        print(f"life: seed {self._seed}, logs in {self._directory}", flush=True)
        failures = ["the run itself broke off"]
        try:
            await self._cluster.create()
            await self._load.prepare()
            span = await self._live()
            aftermath = await look(self._cluster, self._load, self._rounds)
            aftermath.failures += self._failures
            setting = Setting(seed=self._seed, nodes=len(ZONES), factor=3, seconds=span[1] - span[0])
            verdict = await asyncio.to_thread(judge, self._history, aftermath.chains)
            report = Report(setting, self._history, span, verdict, aftermath)
            report.save(self._directory)
            print("\n".join(report.lines()), flush=True)
            failures = report.failures
        except CommandFailed as error:
            print(f"FAILED: {error}", flush=True)
        finally:
            if failures:
                await asyncio.to_thread(self._cluster.keep_disks)
                print(f"kept: {self._directory}", flush=True)
            await self._cluster.close()
        return 1 if failures else 0

    async def _live(self) -> tuple[float, float]:
        """The chapters, under load; when they began and ended."""
        begun = self._history.now()
        work = [asyncio.ensure_future(self._load.run()), asyncio.ensure_future(self._rounds.run_forever())]
        story = asyncio.ensure_future(self._tell())
        try:
            await asyncio.wait({story, *work}, return_when=asyncio.FIRST_COMPLETED)
            for task in (story, *work):
                if task.done() and (error := task.exception()) is not None:
                    raise error
        finally:
            ended = self._history.now()
            for task in (story, *work):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, ExceptionGroup, CommandFailed):
                    await task
        return begun, ended

    async def _tell(self) -> None:
        async with self._chapter("two machines join", []):
            for node in ("n4", "n5"):
                await self._cluster.join(node)
                self._load.welcome(node)
        async with self._chapter("replicas spread", []):
            await self._cluster.admin("cluster", "rebalance")
            await self._until(self._is_spread, "replicas are spread evenly in every zone")
        async with self._reader() as reader, self._chapter("every node restarts", []):
            for node in self._cluster.names:
                await self._restart(node)
            self._failures += reader.uncured
        async with self._chapter("a node is removed", []):
            await self._cluster.admin("node", "remove", "n5")
            await self._until(self._is_forgotten, "n5 is forgotten")
            self._cluster.names = tuple(name for name in self._cluster.names if name != "n5")
            if code := await self._cluster.machines["n5"].stop():
                self._failures.append(f"n5 ended with exit code {code} after it was removed")
        lost = [name for name in self._cluster.names if ZONES[name] == "a"]
        async with self._chapter("a zone is lost", lost):
            for name in lost:
                await self._cluster.machines[name].kill()
        async with self._chapter("the zone is back", []):
            for name in lost:
                self._cluster.machines[name].start()
            for name in lost:
                await self._cluster.wait_ready(name)

    async def _restart(self, node: str) -> None:
        """As an operator does it for an upgrade. Light clients push without asking for references first, and such a
        push is finished, not refused: a drained node has work as long as they come, and its stop ends what runs.
        """
        await self._cluster.admin("node", "drain", node)
        if code := await self._cluster.machines[node].stop():
            self._failures.append(f"{node} ended with exit code {code} when it was restarted")
        self._cluster.machines[node].start()
        await self._cluster.admin("node", "enable", node)
        await self._cluster.wait_ready(node)

    # ------------------------------------------------------------ what is waited for

    async def _is_spread(self) -> bool:
        partitions = await self._partitions()
        if any(one["target"] or one["joining"] or one["leaving"] for one in partitions):
            return False
        held = Counter(node for one in partitions for node in one["replicas"])
        by_zone: dict[str, list[int]] = {}
        for name in self._cluster.names:
            by_zone.setdefault(ZONES[name], []).append(held[name])
        return all(max(counts) - min(counts) <= 1 for counts in by_zone.values())

    async def _is_forgotten(self) -> bool:
        listed = json.loads(await self._cluster.admin("node", "list", "--json"))
        return "n5" not in [one["node"] for one in listed]

    async def _partitions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(await self._cluster.admin("cluster", "partitions", "--json"))
        return found

    async def _until(self, condition: Callable[[], Awaitable[bool]], what: str, within_s: float = MOVED_S) -> None:
        deadline = time.monotonic() + within_s
        while not await condition():
            if time.monotonic() > deadline:
                raise CommandFailed(f"not so within {within_s:.0f} s: {what}")
            await asyncio.sleep(_POLL_S)

    @asynccontextmanager
    async def _chapter(self, title: str, victims: list[str]) -> AsyncIterator[None]:
        """Tell of something that happens to the cluster, and see that writes go on before it is over."""
        event = FaultEvent(kind=title, victims=victims, begun_at=self._history.now())
        self._history.faults.append(event)
        print(f"{event.begun_at:7.1f}  {title}", flush=True)
        yield
        since = self._history.now()
        wanted = f"{WRITES} writes are acknowledged while {title}"
        await self._until(lambda: self._has_written(since), wanted, PROGRESS_S)
        event.ended_at = self._history.now()

    async def _has_written(self, since: float) -> bool:
        done = [one for one in self._history.writes if since <= one.answered_at < inf and one.is_acknowledged]
        return len(done) >= WRITES

    @asynccontextmanager
    async def _reader(self) -> AsyncIterator[PatientReader]:
        async with aiohttp.ClientSession() as session:
            reader = PatientReader(self._cluster, self._history, session, self._seed)
            reading = asyncio.ensure_future(reader.run())
            try:
                yield reader
            finally:
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reading


class PatientReader:
    """Reads through one node, and through the next one where that fails; notes what no node answered."""

    def __init__(self, cluster: ChaosCluster, history: History, session: aiohttp.ClientSession, seed: int) -> None:
        self._cluster = cluster
        self._chance = random.Random(f"{seed} patient")
        self._history = history
        wishes = Wishes("patient", history, self._chance)
        self._clients = {name: LightClient(cluster, name, wishes, session) for name in cluster.names}
        self.uncured: list[str] = []

    async def run(self) -> None:
        """One read after another, until cancelled."""
        while True:
            repository = self._chance.choice(REPOSITORIES)
            names = list(self._clients)
            self._chance.shuffle(names)
            for name in names:
                if await self._clients[name].read(repository, Level.VERIFIED):
                    break
            else:
                self.uncured.append(f"no node answered a read of {repository} at {self._history.now():.1f}")
            await asyncio.sleep(0.1)


def main() -> int:
    """Take arguments, isolate, run."""
    parser = argparse.ArgumentParser(description="The life of a cluster, under load.")
    parser.add_argument("--seed", type=int, help="of clients' choices; default: any")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    isolation.enter("tests.chaos.life")
    seed = random.SystemRandom().randrange(1_000_000) if arguments.seed is None else arguments.seed
    directory = arguments.results / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-life-seed{seed}"
    directory.mkdir(parents=True)
    return asyncio.run(Life(seed, directory).run())


if __name__ == "__main__":
    sys.exit(main())
