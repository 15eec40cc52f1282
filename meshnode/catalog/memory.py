"""The catalog in a process's memory: for the simulator and for tests of everything above the port.

    MemoryCatalog() -- client() --> MemoryCatalog     each client has its own fault hook and watches,
           |                             |
           +---------> _Store <----------+            all share keys, leases and the revision counter

Rule: nothing here happens by itself. No thread, no task, no randomness; time is the `Clock` given; lease ids and
revisions count up. An operation yields to the loop once and then takes effect in one step, so a run repeats
exactly when the loop and the hook do.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import Final

from meshnode.base.errors import CatalogUnavailable, NotFound
from meshnode.catalog.checks import check_keys, check_range, check_transaction, check_ttl
from meshnode.ports import Clock, Compare, Delete, Entry, Put, WatchEvent

PENDING_EVENTS_MAX: Final = 1_000
"""Hints a watch holds for a slow reader before they become one "anything may have changed"."""


class Moment(Enum):
    """When a fault hook is called."""

    BEFORE = "before"
    """Nothing has happened; an error raised here means it never will."""
    AFTER = "after"
    """It has taken effect; an error raised here hides that from the caller."""


@dataclass(kw_only=True, slots=True)
class CatalogCall:
    """What a fault hook is told. `keys` are the keys read or written, the prefix, or empty for leases."""

    operation: str
    """The port's method; for a hint about to be delivered "event"."""
    moment: Moment
    keys: tuple[str, ...] = ()
    compares: tuple[Compare, ...] = ()
    writes: tuple[Put | Delete, ...] = ()


FaultHook = Callable[[CatalogCall], Awaitable[None]]
"""May wait (a slow catalog), raise `CatalogUnavailable` (BEFORE: surely not applied) or `OutcomeUnknown` (BEFORE:
lost; AFTER: landed; BEFORE and later the call's own compares and writes on another client: landed late)."""


@dataclass(slots=True)
class _Lease:
    ttl_ms: int
    ends_at_ms: int
    keys: set[str] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class _Watcher:
    prefix: str
    changed: asyncio.Event
    pending: list[WatchEvent] = field(default_factory=list)
    is_closed: bool = False

    def tell(self, event: WatchEvent) -> None:
        if len(self.pending) >= PENDING_EVENTS_MAX:
            self.pending[:] = [WatchEvent("", event.revision)]
        else:
            self.pending.append(event)
        self.changed.set()

    def close(self) -> None:
        self.is_closed = True
        self.changed.set()


class _MonotonicClock:
    """The process's own clock, for tests that need no other."""

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep(self, duration_ms: int) -> None:
        await asyncio.sleep(duration_ms / 1_000)


class _Store:
    """Keys, leases and watchers that all clients share. No method waits."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.revision = 0
        self.watchers: list[_Watcher] = []
        self._entries: dict[str, Entry] = {}
        self._keys: list[str] = []
        """Of the entries, in order."""
        self._lease_of: dict[str, int] = {}
        self._leases: dict[int, _Lease] = {}
        self._leases_opened = 0

    def read(self, keys: Sequence[str]) -> list[Entry | None]:
        self.expire()
        return [self._entries.get(key) for key in keys]

    def range(self, prefix: str, after: str, limit: int) -> list[Entry]:
        self.expire()
        first = max(bisect_left(self._keys, prefix), bisect_right(self._keys, after))
        entries: list[Entry] = []
        for key in islice(self._keys, first, first + limit):
            if not key.startswith(prefix):
                break
            entries.append(self._entries[key])
        return entries

    def transact(self, compares: Sequence[Compare], writes: Sequence[Put | Delete]) -> int | None:
        self.expire()
        for compare in compares:
            entry = self._entries.get(compare.key)
            if (0 if entry is None else entry.revision) != compare.revision:
                return None
        for write in writes:
            if isinstance(write, Put) and write.lease and write.lease not in self._leases:
                raise NotFound("the lease has ended", lease=write.lease)
        self._apply(writes)
        return self.revision

    def open_lease(self, ttl_ms: int) -> int:
        self.expire()
        self._leases_opened += 1
        self._leases[self._leases_opened] = _Lease(ttl_ms, self.clock.monotonic_ms() + ttl_ms)
        return self._leases_opened

    def keep_lease(self, lease: int) -> bool:
        self.expire()
        if (kept := self._leases.get(lease)) is None:
            return False
        kept.ends_at_ms = self.clock.monotonic_ms() + kept.ttl_ms
        return True

    def close_lease(self, lease: int) -> None:
        self.expire()
        if (ended := self._leases.pop(lease, None)) is not None:
            self._apply([Delete(key) for key in sorted(ended.keys)])

    def expire(self) -> None:
        """End the leases whose time is over, in the order they were opened."""
        now_ms = self.clock.monotonic_ms()
        for lease in [lease for lease, held in self._leases.items() if held.ends_at_ms <= now_ms]:
            ended = self._leases.pop(lease)
            self._apply([Delete(key) for key in sorted(ended.keys)])

    def next_expiry_ms(self, prefix: str) -> int | None:
        """Milliseconds until the next lease with a key below `prefix` ends (0 or more), None where there is none."""
        ends = [held.ends_at_ms for held in self._leases.values() if any(key.startswith(prefix) for key in held.keys)]
        return max(0, min(ends) - self.clock.monotonic_ms()) if ends else None

    def _apply(self, writes: Sequence[Put | Delete]) -> None:
        effective = [write for write in writes if isinstance(write, Put) or write.key in self._entries]
        if not effective:
            return
        self.revision += 1
        for write in effective:
            if (bound := self._leases.get(self._lease_of.pop(write.key, 0))) is not None:
                bound.keys.discard(write.key)
            if isinstance(write, Delete):
                del self._entries[write.key]
                del self._keys[bisect_left(self._keys, write.key)]
            else:
                if write.key not in self._entries:
                    insort(self._keys, write.key)
                self._entries[write.key] = Entry(write.key, write.value, self.revision)
                if write.lease:
                    self._lease_of[write.key] = write.lease
                    self._leases[write.lease].keys.add(write.key)
            for watcher in self.watchers:
                if write.key.startswith(watcher.prefix):
                    watcher.tell(WatchEvent(write.key, self.revision))


class MemoryCatalog:
    """Port `Catalog` on a dictionary."""

    def __init__(self, *, clock: Clock | None = None, hook: FaultHook | None = None) -> None:
        self._store = _Store(clock or _MonotonicClock())
        self._watchers: list[_Watcher] = []
        self._is_closed = False
        self.hook: FaultHook | None = hook
        """Called around every operation of this client; may be replaced at any time."""

    def client(self, hook: FaultHook | None = None) -> MemoryCatalog:
        """Another client of the same keys, as another node would have, with its own faults."""
        other = MemoryCatalog(clock=self._store.clock, hook=hook)
        other._store = self._store
        return other

    async def get(self, keys: Sequence[str]) -> list[Entry | None]:
        """Read up to 64 keys at one revision. See `ports.Catalog`."""
        check_keys(keys)
        await self._call("get", Moment.BEFORE, keys)
        entries = self._store.read(keys)
        await self._call("get", Moment.AFTER, keys)
        return entries

    async def range(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[Entry]:
        """Read a page of entries in key order. See `ports.Catalog`."""
        check_range(limit)
        await self._call("range", Moment.BEFORE, (prefix,))
        entries = self._store.range(prefix, after, limit)
        await self._call("range", Moment.AFTER, (prefix,))
        return entries

    async def transact(self, compares: Sequence[Compare], writes: Sequence[Put | Delete]) -> int | None:
        """Apply all writes if all compares hold. See `ports.Catalog`."""
        check_transaction(compares, writes)
        keys = [write.key for write in writes]
        await self._call("transact", Moment.BEFORE, keys, compares, writes)
        revision = self._store.transact(compares, writes)
        await self._call("transact", Moment.AFTER, keys, compares, writes)
        return revision

    async def watch(self, prefix: str) -> AsyncIterator[WatchEvent]:
        """Yield hints, the first one "" as soon as the watch stands. See `ports.Catalog`.

        A hook that raises `CatalogUnavailable` at an "event" turns it into "anything may have changed", as a
        broken connection does.
        """
        self._check_open()
        watcher = _Watcher(prefix, asyncio.Event())
        watcher.tell(WatchEvent("", self._store.revision))
        self._store.watchers.append(watcher)
        self._watchers.append(watcher)
        try:
            while not watcher.is_closed:
                self._store.expire()
                if not watcher.pending:
                    await self._wait_for_change(watcher)
                    continue
                event = watcher.pending.pop(0)
                try:
                    await self._call("event", Moment.BEFORE, (event.key,))
                except CatalogUnavailable:
                    event = WatchEvent("", event.revision)
                if not watcher.is_closed:
                    yield event
        finally:
            self._store.watchers.remove(watcher)
            self._watchers.remove(watcher)

    async def open_lease(self, ttl_ms: int) -> int:
        """Start a lease. See `ports.Catalog`."""
        check_ttl(ttl_ms)
        await self._call("open_lease", Moment.BEFORE)
        lease = self._store.open_lease(ttl_ms)
        await self._call("open_lease", Moment.AFTER)
        return lease

    async def keep_lease(self, lease: int) -> bool:
        """Prolong a lease; False where it has ended."""
        await self._call("keep_lease", Moment.BEFORE)
        is_kept = self._store.keep_lease(lease)
        await self._call("keep_lease", Moment.AFTER)
        return is_kept

    async def close_lease(self, lease: int) -> None:
        """End a lease and remove its keys."""
        await self._call("close_lease", Moment.BEFORE)
        self._store.close_lease(lease)
        await self._call("close_lease", Moment.AFTER)

    async def close(self) -> None:
        """End this client's watches; keys and leases stay, as they do when a node dies."""
        self._is_closed = True
        for watcher in self._watchers:
            watcher.close()

    async def _call(
        self,
        operation: str,
        moment: Moment,
        keys: Sequence[str] = (),
        compares: Sequence[Compare] = (),
        writes: Sequence[Put | Delete] = (),
    ) -> None:
        if moment is Moment.BEFORE:
            await asyncio.sleep(0)
        if self.hook is not None:
            await self.hook(
                CatalogCall(
                    operation=operation,
                    moment=moment,
                    keys=tuple(keys),
                    compares=tuple(compares),
                    writes=tuple(writes),
                )
            )
        if moment is Moment.BEFORE and operation != "event":
            self._check_open()

    def _check_open(self) -> None:
        if self._is_closed:
            raise CatalogUnavailable("the catalog is closed")

    async def _wait_for_change(self, watcher: _Watcher) -> None:
        """Return when there is something to read or a lease that matters ends. The inner waits end with this one."""
        watcher.changed.clear()
        expiry_ms = self._store.next_expiry_ms(watcher.prefix)
        if expiry_ms is None:
            await watcher.changed.wait()
            return
        waits = [
            asyncio.ensure_future(watcher.changed.wait()),
            asyncio.ensure_future(self._store.clock.sleep(expiry_ms + 1)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
