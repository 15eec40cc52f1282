"""Looks once into the catalog for a key that is not known: a node that has just joined, or signs with a new key.

Rule: strangers can make keys up, so the catalog is read for them at most once a second, whoever asks; a call that comes
while that is being read waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from meshnode.base.errors import CatalogUnavailable
from meshnode.ports import Clock

PAUSE_MS: Final = 1_000


class KeySearch:
    """Reads the list of keys again, seldom."""

    def __init__(self, read: Callable[[], Awaitable[None]], clock: Clock, *, pause_ms: int = PAUSE_MS) -> None:
        self._read = read
        self._clock = clock
        self._pause_ms = pause_ms
        self._turn = asyncio.Lock()
        self._began_ms: int | None = None

    async def look(self) -> bool:
        """Whether the list was read since this was asked, so that it is worth another try."""
        asked_ms = self._clock.monotonic_ms()
        async with self._turn:
            if self._began_ms is not None and self._began_ms >= asked_ms:
                return True
            now_ms = self._clock.monotonic_ms()
            if self._began_ms is not None and now_ms < self._began_ms + self._pause_ms:
                return False
            self._began_ms = now_ms
            try:
                await self._read()
            except CatalogUnavailable:
                return False
            return True
