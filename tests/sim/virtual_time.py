"""An event loop whose clock jumps to the next timer when nothing else is to do.

Nothing in these tests may wait for the outside (sockets, threads, processes): then a run is the same every time
and takes no longer than its computation. A loop with neither work nor timers is stuck for ever, and says so.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final, TypeVar, TypeVarTuple

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

CALLBACKS_MAX: Final = 2_000_000
"""Steps of one run, two hundred times what a run takes on average: a bound that does not depend on the machine."""


class StuckError(AssertionError):
    """Every task waits for something that can never happen."""


class EndlessError(AssertionError):
    """A run does more than any run has to: something goes round in circles."""


class NumberedTask(asyncio.Task[Any]):
    """A task whose place in a set follows from when it was made, not from where it lies in memory."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class _Call(asyncio.TimerHandle):
    """A callback to be made, without asyncio's bookkeeping for debugging: that costs more than what is called."""

    __slots__ = ()

    def __init__(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> None:
        self._when = when
        self._callback = callback
        self._args = args
        self._context = copy_context() if context is None else context
        self._cancelled = False
        self._repr = self._source_traceback = None

    def cancel(self) -> None:
        """Do not make it."""
        self._cancelled = True
        self._callback, self._args = _nothing, ()


def _nothing() -> None:
    """Stand in for what was let go."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop in virtual time, starting at 0.

    Timers of one moment run in the order they were set. Files and sockets are never looked at: there are none.
    """

    _stopping: bool

    def __init__(self, callbacks_max: int = CALLBACKS_MAX) -> None:
        super().__init__()
        self._ready: deque[_Call]
        self._now = 0.0
        self._timers: list[tuple[float, int, _Call]] = []
        self._numbers = count(1)
        self._callbacks_max = callbacks_max
        self._callbacks = 0
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
        return self._now

    def call_at(
        self, when: float, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call at a moment; what is set first for a moment is called first."""
        timer = _Call(when, callback, args, context)
        heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def call_later(
        self, delay: float, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call after a while."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_soon(
        self, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.Handle:
        """Call in the next turn."""
        handle = _Call(0.0, callback, args, context)
        self._ready.append(handle)
        return handle

    def _run_once(self) -> None:
        """Call what is ready; where nothing is, go to the moment of the next timers."""
        ready, timers = self._ready, self._timers
        if not ready and not self._stopping:
            while timers and timers[0][2]._cancelled:
                heappop(timers)
            if not timers:
                raise StuckError("nothing is left that could happen")
            self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            ready.append(heappop(timers)[2])
        self._callbacks += len(ready)
        if self._callbacks > self._callbacks_max:
            self._callbacks_max *= 2  # so that what cleans up can run
            raise EndlessError(f"more than {self._callbacks - len(ready)} callbacks, {self._now:.1f} virtual seconds")
        for _ in range(len(ready)):
            call = ready.popleft()
            if call._cancelled:
                continue
            try:
                call._context.run(call._callback, *call._args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 - as asyncio's own handles do
                self.call_exception_handler({"message": "callback failed", "exception": error, "handle": call})


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
