"""Seeds by the thousand in several processes; each seed that fails, breaks off or does not end is named.

    parent --seeds--> worker --seed n begins, its verdict and counts, seed m begins ...--> parent

A worker says what it begins, so that its death has a seed to it: one that takes too much processor time ends its
worker, one that takes too long by the clock is ended by the parent; another worker goes on with the seeds after it.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing import connection, get_context
from types import FrameType
from typing import Final

from tests.sim.runs import add_counts, run_seed

BLOCK: Final = 25
"""Seeds a worker takes at once."""
CPU_S_MAX: Final = 60
"""Processor time of one seed, a thousand times what one takes, so that the load of the machine does not matter."""
WALL_S_MAX: Final = 900.0
"""Time of one seed by the clock; generous, since a worker at idle priority may stand still for minutes."""
EXIT_TOO_LONG: Final = 70

Failure = tuple[int, tuple[str, ...]]
"""A seed, and what it violated."""
Counts = dict[str, int]
RunOne = Callable[[int], tuple[tuple[str, ...], Counts]]
OnBlock = Callable[[range, Sequence[Failure], Counts], None]


def run_one(seed: int) -> tuple[tuple[str, ...], Counts]:
    """Run a seed: what it violated, and what was counted."""
    result = run_seed(seed)
    return result.violations, {
        "runs": 1,
        "virtual ms": result.virtual_ms,
        "healing ms": result.converge_ms,
    } | result.counts


def run_many(
    start: int,
    count: int,
    jobs: int,
    *,
    on_block: OnBlock = lambda _block, _failed, _counts: None,
    run: RunOne = run_one,
    wall_s_max: float = WALL_S_MAX,
    cpu_s_max: float = CPU_S_MAX,
) -> tuple[list[Failure], Counts]:
    """Run `count` seeds from `start` in `jobs` processes; `on_block` hears of each block that is done."""
    blocks = deque(range(first, min(first + BLOCK, start + count)) for first in range(start, start + count, BLOCK))
    failed: list[Failure] = []
    total: Counts = {}
    workers = [_Worker(run, cpu_s_max) for _ in range(min(jobs, len(blocks)))]
    try:
        for worker in workers:
            worker.take(blocks.popleft())
        while busy := [worker for worker in workers if worker.block]:
            ready = connection.wait([worker.pipe for worker in busy], timeout=1)
            for worker in busy:
                if worker.pipe in ready:
                    worker.listen()
                elif time.monotonic() - worker.since > wall_s_max:
                    worker.replace(f"no end within {wall_s_max:.0f} s by the clock")
                if not worker.todo:
                    on_block(worker.block, worker.failed, worker.counts)
                    failed += worker.failed
                    total = add_counts([total, worker.counts])
                    worker.take(blocks.popleft() if blocks else range(0))
    finally:
        for worker in workers:
            worker.end()
    return sorted(failed), total


class _Worker:
    """A process that runs seeds, as the parent sees it."""

    def __init__(self, run: RunOne, cpu_s_max: float) -> None:
        self._run = run
        self._cpu_s_max = cpu_s_max
        self.block = range(0)
        self.todo: deque[int] = deque()
        """Seeds of the block whose verdict is not there yet; the first one runs."""
        self.failed: list[Failure] = []
        self.counts: Counts = {}
        self.since = 0.0
        self._begin()

    def _begin(self) -> None:
        context = get_context("spawn")  # a forked process would take over the parent's threads and locks
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_work, args=(theirs, self._run, self._cpu_s_max), daemon=True, name="seeds"
        )
        self._process.start()
        theirs.close()

    def take(self, block: range) -> None:
        """Begin a block; an empty one means there is none left."""
        self.block, self.todo, self.failed, self.counts = block, deque(block), [], {}
        self._send()

    def _send(self) -> None:
        self.since = time.monotonic()
        if self.todo:
            self.pipe.send(list(self.todo))

    def listen(self) -> None:
        """Take one verdict, or learn that the process has begun or is gone."""
        try:
            message = self.pipe.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            code = self._process.exitcode
            is_long = code == EXIT_TOO_LONG
            self.replace(f"more than {self._cpu_s_max} s of processor time" if is_long else f"worker ended with {code}")
            return
        self.since = time.monotonic()
        if message is None:
            return
        violations, counts = message
        seed = self.todo.popleft()
        self.counts = add_counts([self.counts, counts])
        if violations:
            self.failed.append((seed, violations))

    def replace(self, why: str) -> None:
        """Take the running seed for failed and go on with the rest in another process."""
        self.end()
        self.failed.append((self.todo.popleft(), (why,)))
        self._begin()
        self._send()

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _work(pipe: connection.Connection, run: RunOne, cpu_s_max: float) -> None:
    """Run what comes, until the parent goes away."""

    def give_up(_signal: int, _frame: FrameType | None) -> None:
        faulthandler.dump_traceback(sys.stderr)
        os._exit(EXIT_TOO_LONG)

    signal.signal(signal.SIGPROF, give_up)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    try:
        pipe.send(None)
        while True:
            for seed in pipe.recv():
                signal.setitimer(signal.ITIMER_PROF, cpu_s_max)
                try:
                    verdict = run(seed)
                except Exception as error:  # noqa: BLE001 - whatever it is, the seed must be named
                    verdict = ((f"{type(error).__name__}: {error}",), {"runs": 1})
                pipe.send(verdict)
    except (EOFError, ConnectionError):
        return
