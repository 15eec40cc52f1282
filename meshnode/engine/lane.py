"""Places that are taken and given back, first come, first served, with a line of bounded length in front.

How many places there are is asked each time, so the number may change while places are taken: fewer, and nobody gets
one until enough have been given back; more, and those who wait have them within seconds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final

from meshnode.base.errors import Overloaded

RETRY_AFTER_MS: Final = 5_000
"""What a refused client is told to wait: a line that is full now moves within seconds."""
LOOK_S: Final = 2.0
"""How often those who wait look whether there are more places than there were."""


class Lane:
    """Places and the line in front of them."""

    def __init__(self, *, places: Callable[[], int], queue_max: Callable[[], int], limit: str) -> None:
        """`limit` names the setting that the places come from, for errors."""
        self._places = places
        self._queue_max = queue_max
        self._limit = limit
        self._taken = 0
        self._line: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    @property
    def is_unused(self) -> bool:
        """Whether nobody has a place or waits for one."""
        return not self._taken and not self._line

    @property
    def running(self) -> int:
        """Places taken."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Requests in the line."""
        return len(self._line)

    async def acquire(self) -> None:
        """Take a place, or wait in the line for one. Raises Overloaded where the line is full."""
        if not self._line and self._taken < self._places():
            self._taken += 1
            return
        if len(self._line) >= self._queue_max():
            raise self.overloaded("too many requests wait")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            while not turn.done():
                self._let_in()
                await asyncio.wait({turn}, timeout=LOOK_S)
        except asyncio.CancelledError:
            if turn.done():
                self.release()
            else:
                with suppress(ValueError):
                    self._line.remove(turn)
            raise

    def release(self) -> None:
        """Give a place back; the first in the line has it at once."""
        self._taken -= 1
        self._let_in()

    def overloaded(self, message: str) -> Overloaded:
        """The error that tells a client of this lane's limit."""
        return Overloaded(message, limit=self._limit, places=self._places(), retry_after_ms=RETRY_AFTER_MS)

    def _let_in(self) -> None:
        while self._line and self._taken < self._places():
            self._line.popleft().set_result(None)
            self._taken += 1
