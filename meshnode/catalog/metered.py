"""A catalog whose requests are timed: what `meshnode_catalog_duration_seconds` counts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager

from meshnode.ports import Catalog, Compare, Delete, Entry, Put, WatchEvent


class MeteredCatalog:
    """Passes everything on; `request(operation)` surrounds each call that waits for an answer."""

    def __init__(self, catalog: Catalog, request: Callable[[str], AbstractContextManager[None]]) -> None:
        self._catalog = catalog
        self._request = request

    async def get(self, keys: Sequence[str]) -> list[Entry | None]:
        """Read keys at one revision."""
        with self._request("get"):
            return await self._catalog.get(keys)

    async def range(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[Entry]:
        """Read a page of keys."""
        with self._request("range"):
            return await self._catalog.range(prefix, after=after, limit=limit)

    async def transact(self, compares: Sequence[Compare], writes: Sequence[Put | Delete]) -> int | None:
        """Write under conditions."""
        with self._request("transact"):
            return await self._catalog.transact(compares, writes)

    def watch(self, prefix: str) -> AsyncIterator[WatchEvent]:
        """Yield hints; not timed, for they have no end."""
        return self._catalog.watch(prefix)

    async def open_lease(self, ttl_ms: int) -> int:
        """Start a lease."""
        with self._request("lease"):
            return await self._catalog.open_lease(ttl_ms)

    async def keep_lease(self, lease: int) -> bool:
        """Prolong a lease."""
        with self._request("lease"):
            return await self._catalog.keep_lease(lease)

    async def close_lease(self, lease: int) -> None:
        """End a lease."""
        with self._request("lease"):
            await self._catalog.close_lease(lease)

    async def close(self) -> None:
        """Let the catalog go."""
        await self._catalog.close()
