"""Decides which packs may run now: some per repository, some per node, the rest waits in a bounded line.

    place(name):  lane of the repository (16 run, 64 wait)  ->  lane of the node (64 run)  ->  work

A request waits for its repository first and for the node last, so a busy repository never holds more of the
node's places than its own share. Lines are first come, first served. One wait has one limit over both lanes.
A lane lives only while somebody is in it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from meshnode.base.errors import Overloaded
from meshnode.base.ids import RepositoryName
from meshnode.config import LimitSettings

REPOSITORY_LIMIT: Final = "packs_per_repository"
NODE_LIMIT: Final = "packs_per_node"

RETRY_AFTER_MS: Final = 5_000
"""What a refused client is told to wait: a line that is full now moves within seconds."""

_NODE_QUEUE_FACTOR: Final = 4
"""Waiting for the node's places: this many times their number, so that the line is a minute of small packs."""


class Lane:
    """Places that are taken and given back, with a line of bounded length in front."""

    def __init__(self, *, places: int, queue_max: int, limit: str) -> None:
        self._free = places
        self._places = places
        self._queue_max = queue_max
        self._limit = limit
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def is_unused(self) -> bool:
        """Whether nobody has a place or waits for one."""
        return self._free == self._places and not self._line

    @property
    def running(self) -> int:
        """Places taken."""
        return self._places - self._free

    @property
    def waiting(self) -> int:
        """Requests in the line."""
        return len(self._line)

    async def acquire(self) -> None:
        """Take a place, or wait in the line for one. Raises Overloaded where the line is full."""
        if self._free and not self._line:
            self._free -= 1
            return
        if len(self._line) >= self._queue_max:
            raise self.overloaded("too many requests wait")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with suppress(ValueError):  # release() may have passed over it already
                    self._line.remove(turn)
            else:
                self.release()
            raise

    def release(self) -> None:
        """Give a place back; the first in the line has it at once."""
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def overloaded(self, message: str) -> Overloaded:
        """The error that tells a client of this lane's limit."""
        return Overloaded(message, limit=self._limit, places=self._places, retry_after_ms=RETRY_AFTER_MS)


class PackAdmission:
    """The places of one node."""

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self._node = Lane(
            places=limits.packs_per_node, queue_max=_NODE_QUEUE_FACTOR * limits.packs_per_node, limit=NODE_LIMIT
        )
        self._repositories: dict[RepositoryName, Lane] = {}

    @property
    def running(self) -> int:
        """Packs running on the node."""
        return self._node.running

    @property
    def waiting(self) -> int:
        """Packs waiting in any line."""
        return self._node.waiting + sum(lane.waiting for lane in self._repositories.values())

    @property
    def repositories(self) -> int:
        """Repositories with somebody in their lane."""
        return len(self._repositories)

    @asynccontextmanager
    async def place(self, name: RepositoryName) -> AsyncIterator[None]:
        """Hold a place for one pack of a repository.

        Raises:
            Overloaded: a line is full, or `queue_wait_ms` went by; `limit` says whether it is the
                repository's or the node's, `retry_after_ms` when to try again.
        """
        lane = self._repositories.get(name)
        if lane is None:
            lane = self._repositories[name] = Lane(
                places=self._limits.packs_per_repository,
                queue_max=self._limits.queue_per_repository,
                limit=REPOSITORY_LIMIT,
            )
        held: list[Lane] = []
        try:
            await self._take(held, lane)
            yield
        finally:
            for taken in reversed(held):
                taken.release()
            if lane.is_unused and self._repositories.get(name) is lane:
                del self._repositories[name]

    async def _take(self, held: list[Lane], lane: Lane) -> None:
        current = lane
        try:
            async with asyncio.timeout(self._limits.queue_wait_ms / 1_000):
                for current in (lane, self._node):
                    await current.acquire()
                    held.append(current)
        except TimeoutError as error:
            raise current.overloaded("no place became free in time") from error
