"""The coordination store: linearizable reads, conditional transactions, hints and leases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """A key's value and the catalog revision that wrote it."""

    key: str
    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Compare:
    """A condition of a transaction: `key` was last written at `revision`; 0 means it does not exist."""

    key: str
    revision: int


@dataclass(frozen=True, slots=True)
class Put:
    """Write `value`; with `lease`, the key goes away when the lease ends."""

    key: str
    value: bytes
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove `key`; nothing happens where it does not exist."""

    key: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """Something below a watched prefix changed. A hint: it may come twice, late, or coalesced.

    `key` "" means "anything may have changed": read what you need again.
    """

    key: str
    revision: int


class Catalog(Protocol):
    """The coordination store: linearizable reads and conditional transactions."""

    async def get(self, keys: Sequence[str]) -> list[Entry | None]:
        """Read up to 64 keys at one revision, linearizably, in the order asked.

        Raises:
            CatalogUnavailable: no answer within the catalog's own deadline.
        """
        ...

    async def range(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[Entry]:
        """Read up to `limit` entries whose key starts with `prefix` and sorts after `after`, in key order."""
        ...

    async def transact(self, compares: Sequence[Compare], writes: Sequence[Put | Delete]) -> int | None:
        """Apply all `writes` (up to 64) if all `compares` hold; the new revision, or None where one did not.

        Raises:
            CatalogUnavailable: surely not applied (it was never sent, or the catalog said so).
            OutcomeUnknown: it may have been applied, or may still be.
            NotFound: all compares held, but the lease of a Put has ended; nothing is applied.
        """
        ...

    def watch(self, prefix: str) -> AsyncIterator[WatchEvent]:
        """Yield a hint for each change below `prefix` from now on; resumes by itself, ends only by aclose().

        The first hint has key "": the watch stands, everything later is seen. Start it, then read.
        """
        ...

    async def open_lease(self, ttl_ms: int) -> int:
        """Start a lease that ends `ttl_ms` after its last keep-alive."""
        ...

    async def keep_lease(self, lease: int) -> bool:
        """Prolong a lease; False where it has ended already."""
        ...

    async def close_lease(self, lease: int) -> None:
        """End a lease and remove its keys; nothing happens where it has ended."""
        ...

    async def close(self) -> None:
        """Release connections, files and tasks."""
        ...
