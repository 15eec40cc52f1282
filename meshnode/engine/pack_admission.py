"""Decides which packs may run now: some per repository, some per node, the rest waits in a bounded line.

    place(name):  lane of the repository (16 run, 64 wait)  ->  lane of the node (64 run)  ->  work

A request waits for its repository first and for the node last, so a busy repository never holds more of the
node's places than its own share. Lines are first come, first served. One wait has one limit over both lanes.
A lane lives only while somebody is in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from meshnode.base.ids import RepositoryName
from meshnode.config import LimitSettings
from meshnode.engine.lane import Lane

REPOSITORY_LIMIT: Final = "packs_per_repository"
NODE_LIMIT: Final = "packs_per_node"

_NODE_QUEUE_FACTOR: Final = 4
"""Waiting for the node's places: this many times their number, so that the line is a minute of small packs."""


class PackAdmission:
    """The places of one node."""

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self._node = Lane(
            places=lambda: limits.packs_per_node,
            queue_max=lambda: _NODE_QUEUE_FACTOR * limits.packs_per_node,
            limit=NODE_LIMIT,
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
                places=lambda: self._limits.packs_per_repository,
                queue_max=lambda: self._limits.queue_per_repository,
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
