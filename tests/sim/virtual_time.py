"""An event loop whose clock jumps to the next timer when nothing else is to do.

Nothing in these tests may wait for the outside (sockets, threads, processes): then a run is the same every time
and takes no longer than its computation. A loop with neither work nor timers is stuck for ever, and says so.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Coroutine, Generator
from contextvars import Context
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")


class StuckError(AssertionError):
    """Every task waits for something that can never happen."""


class _JumpingSelector(selectors.SelectSelector):
    """Reports no readiness; passes the time it was asked to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StuckError("nothing is left that could happen")
        self.now += max(0.0, timeout)
        return []


class NumberedTask(asyncio.Task[Any]):
    """A task whose place in a set follows from when it was made, not from where it lies in memory."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop in virtual time, starting at 0."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._clock_resolution = 1e-9
        self._numbers = count(1)
        self.set_task_factory(self._make_task)

    def _make_task(
        self,
        _loop: asyncio.AbstractEventLoop,
        work: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        context: Context | None = None,
    ) -> NumberedTask:
        number = next(self._numbers)
        task: NumberedTask = NumberedTask.__new__(NumberedTask)
        task.number = number
        task.__init__(work, loop=self, name=f"task-{number}", context=context)  # type: ignore[misc]
        return task

    def time(self) -> float:
        """Virtual seconds."""
        return self._jumping.now


class VirtualClock:
    """`ports.Clock` on the running virtual loop."""

    def monotonic_ms(self) -> int:
        """Virtual milliseconds."""
        return round(asyncio.get_running_loop().time() * 1000)

    def wall_ms(self) -> int:
        """Virtual milliseconds since an arbitrary day."""
        return 1_700_000_000_000 + self.monotonic_ms()

    async def sleep(self, duration_ms: int) -> None:
        """Return when virtual time has passed."""
        await asyncio.sleep(duration_ms / 1000)


class SeededEntropy:
    """`ports.Entropy` from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def new_id(self) -> str:
        """128 random bits in hex."""
        return f"{self._random.getrandbits(128):032x}"

    def below(self, limit: int) -> int:
        """A number from 0 to limit - 1."""
        return self._random.randrange(limit)


def run_virtual(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
