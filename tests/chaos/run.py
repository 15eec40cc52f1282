"""`make chaos`: one run of the chaos suite, from an empty machine to the verdict.

    python -m tests.chaos.run --minutes 2 --nodes 5 --seed 7

Exit code 0: nothing was lost and everything healed; 1: something is wrong, and the directory that is named keeps
figures, history, logs, stories and the nodes' disks; 2: this machine cannot hold a run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import time
from pathlib import Path
from typing import Final

from tests.chaos import isolation
from tests.chaos.aftermath import Aftermath, look
from tests.chaos.cluster import ChaosCluster
from tests.chaos.history import History
from tests.chaos.load import Load
from tests.chaos.nemesis import Nemesis
from tests.chaos.network import CommandFailed
from tests.chaos.plan import plan_faults
from tests.chaos.report import Report, Setting
from tests.chaos.rounds import RoundCollector
from tests.chaos.verdict import judge

RESULTS: Final = Path(__file__).resolve().parents[2] / "chaos-results"


def main() -> int:
    """Take arguments, isolate, run."""
    parser = argparse.ArgumentParser(description="Real clusters under real faults.")
    parser.add_argument("--minutes", type=float, default=2.0, help="of faults, under load")
    parser.add_argument("--nodes", type=int, choices=(3, 5), default=3)
    parser.add_argument("--factor", type=int, choices=(3, 5), help="replicas; default 3, of five nodes by seed 3 or 5")
    parser.add_argument("--seed", type=int, help="of faults and clients' choices; default: any")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    isolation.enter("tests.chaos.run")
    seed = random.SystemRandom().randrange(1_000_000) if arguments.seed is None else arguments.seed
    setting = Setting(
        seed=seed,
        nodes=arguments.nodes,
        factor=arguments.factor or (3 if arguments.nodes == 3 or seed % 2 else 5),
        seconds=60 * arguments.minutes,
    )
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    directory = arguments.results / f"{stamp}-nodes{setting.nodes}-seed{seed}"
    directory.mkdir(parents=True)
    return asyncio.run(_Run(setting, directory).run())


class _Run:
    def __init__(self, setting: Setting, directory: Path) -> None:
        self._setting = setting
        self._directory = directory
        self._history = History()
        self._cluster = ChaosCluster(isolation.WORK, directory, nodes=setting.nodes, factor=setting.factor)
        self._rounds = RoundCollector(self._cluster.data)
        self._load = Load(self._cluster, self._history, isolation.WORK, setting.seed)

    async def run(self) -> int:
        """Everything, in order; the exit code."""
        print(f"chaos: seed {self._setting.seed}, logs in {self._directory}", flush=True)
        failures = ["the run itself broke off"]
        try:
            await self._cluster.create()
            await self._load.prepare()
            span = await self._trouble()
            aftermath = await look(self._cluster, self._load, self._rounds)
            failures = await asyncio.to_thread(self._conclude, span, aftermath)
        except CommandFailed as error:
            failures = [str(error)]
            print(f"FAILED: {error}")
        finally:
            if failures:
                await asyncio.to_thread(self._cluster.keep_disks)
                print(f"kept: {self._directory}; again with SEED={self._setting.seed}", flush=True)
            await self._cluster.close()
        return 1 if failures else 0

    async def _trouble(self) -> tuple[float, float]:
        """Load and faults; when they began and ended."""
        faults = plan_faults(self._setting.seed, self._cluster.names, self._setting.seconds)
        nemesis = Nemesis(self._cluster, self._history)
        begun = self._history.now()
        load = asyncio.ensure_future(self._load.run())
        trouble = asyncio.ensure_future(nemesis.run(faults))
        collecting = asyncio.ensure_future(self._rounds.run_forever())
        try:
            await asyncio.wait({load, trouble}, return_when=asyncio.FIRST_COMPLETED)
            if not load.done():
                await asyncio.wait({load}, timeout=max(0.0, begun + self._setting.seconds - self._history.now()))
            for task in (load, trouble, collecting):
                if task.done() and (error := task.exception()) is not None:
                    raise error
        finally:
            ended = self._history.now()
            await nemesis.heal()
            for task in (trouble, load, collecting):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, ExceptionGroup):
                    await task
        return begun, ended

    def _conclude(self, span: tuple[float, float], aftermath: Aftermath) -> list[str]:
        report = Report(self._setting, self._history, span, judge(self._history, aftermath.chains), aftermath)
        report.save(self._directory)
        print("\n".join(report.lines()), flush=True)
        return report.failures


if __name__ == "__main__":
    sys.exit(main())
