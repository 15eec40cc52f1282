"""Places to wait in: one writer a repository, in order of arrival, with a bounded queue and a bounded wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from typing import Final

from meshnode.base.errors import Overloaded
from meshnode.config import LimitSettings

RETRY_AFTER_MS: Final = 1_000


class KeyedLocks:
    """One lock a key (a replica, a reference of one), made on demand and forgotten when nobody holds or waits for it."""

    def __init__(self, limits: LimitSettings | None = None) -> None:
        """With `limits`, their queue bounds how many wait for one key, and how long; without, nothing does."""
        self._locks: dict[Hashable, asyncio.Lock] = {}
        self._users: dict[Hashable, int] = {}
        self._limits = limits

    @asynccontextmanager
    async def hold(self, key: Hashable) -> AsyncIterator[None]:
        """Hold the key's lock.

        Raises:
            Overloaded: too many wait already, or the wait took too long; nothing was done.
        """
        users = self._users.get(key, 0)
        limits = self._limits
        if limits is not None and users > limits.queue_per_repository:
            raise Overloaded("too many writes wait for this repository", retry_after_ms=RETRY_AFTER_MS, waiting=users)
        lock = self._locks.setdefault(key, asyncio.Lock())
        self._users[key] = users + 1
        try:
            try:
                async with asyncio.timeout(None if limits is None else limits.queue_wait_ms / 1000):
                    await lock.acquire()
            except TimeoutError as error:
                raise Overloaded(
                    "waited too long for the repository's write slot", retry_after_ms=RETRY_AFTER_MS
                ) from error
            try:
                yield
            finally:
                lock.release()
        finally:
            self._users[key] -= 1
            if not self._users[key]:
                del self._users[key]
                del self._locks[key]

    def waiting(self) -> int:
        """How many hold or wait, over all keys."""
        return sum(self._users.values())
