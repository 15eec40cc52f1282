"""The embedded catalog: a file that all nodes of one machine share.

    get, quiet watch  --> the loop      --> CatalogFile      at once, or, where that cannot be, as a range
    range, watch      --> reader thread --> CatalogFile      a read never waits for another process's write
    transact, leases  --> writer thread --> CatalogFile      writes queue here before they queue at the file

A get finds a few keys in pages that the machine has in memory, where reads never wait for writes: 10 microseconds,
where a thread's turn costs 180 (docs/adr/0003). It is what every verified read waits for.

Rule: a request ends within the deadline. A job that has not begun by then is taken back (surely not applied); a
write that has begun and does not end is an unknown outcome. Two processes on two machines must never share the
file: the write-ahead log needs one memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from meshnode.base.errors import CatalogUnavailable, InvalidRequest, OutcomeUnknown
from meshnode.catalog.checks import check_keys, check_range, check_transaction, check_ttl
from meshnode.catalog.sqlite_file import CatalogFile, Changes, boottime_ms
from meshnode.ports import Compare, Delete, Entry, Put, WatchEvent

POLL_MS: Final = 50
"""How often a watch looks: one read of 10 microseconds where nothing changed, and a hint soon enough for a person."""
QUEUE_MAX: Final = 1_000
"""Jobs waiting for a thread: a second's worth of writes, so a full queue would miss the deadline anyway."""
LOCK_SHARE: Final = 0.8
"""Part of the deadline that may be spent waiting for a lock, so that its error arrives before the deadline's."""

T = TypeVar("T")


class SqliteCatalog:
    """Port `Catalog` on an SQLite file."""

    def __init__(self, at_once: CatalogFile, reader: _Worker, writer: _Worker) -> None:
        self._at_once = at_once
        self._reader = reader
        self._writer = writer
        self._closing = asyncio.Event()

    @classmethod
    async def open(
        cls, path: Path, *, deadline_ms: int = 2_000, now_ms: Callable[[], int] = boottime_ms
    ) -> SqliteCatalog:
        """Open the file, making it where it does not exist.

        Args:
            path: the file; its directory must exist, on a local filesystem.
            deadline_ms: longest time of one request, waiting for other processes included.
            now_ms: what leases are measured by; the same in every process that has the file open.

        Raises:
            InvalidRequest, Corrupt, CatalogUnavailable: as `CatalogFile.open` says.
        """
        if not path.is_absolute():
            raise InvalidRequest("the catalog's path must be absolute", path=str(path))
        workers = [_Worker(name, path, deadline_ms, now_ms) for name in ("catalog-reader", "catalog-writer")]
        try:
            for worker in workers:
                await worker.open()
            at_once = await workers[0].ask(lambda _: CatalogFile.open(path, deadline_ms, now_ms))
        except BaseException:
            for worker in workers:
                await worker.close()
            raise
        return cls(at_once, *workers)

    async def get(self, keys: Sequence[str]) -> list[Entry | None]:
        """Read up to 64 keys at one revision. See `ports.Catalog`."""
        check_keys(keys)
        await asyncio.sleep(0)  # who asks again and again must not keep the loop
        if not self._closing.is_set():
            with contextlib.suppress(
                CatalogUnavailable
            ):  # locked for a moment; or the reader finds the same, and says it
                return self._at_once.read(keys)
        return await self._reader.ask(lambda file: file.read(keys))

    async def range(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[Entry]:
        """Read a page of entries in key order. See `ports.Catalog`."""
        check_range(limit)
        return await self._reader.ask(lambda file: file.range(prefix, after, limit))

    async def transact(self, compares: Sequence[Compare], writes: Sequence[Put | Delete]) -> int | None:
        """Apply all writes if all compares hold. See `ports.Catalog`."""
        check_transaction(compares, writes)
        return await self._writer.change(lambda file: file.transact(compares, writes))

    async def watch(self, prefix: str) -> AsyncIterator[WatchEvent]:
        """Yield hints, the first one "" as soon as the watch stands. See `ports.Catalog`.

        While the file cannot be read the watch keeps its place and waits.
        """
        revision = await self._reader.ask(lambda file: file.revision())
        yield WatchEvent("", revision)
        while not self._closing.is_set():
            if self._is_quiet(revision):
                await self._pause()
                continue
            try:
                changes = await self._changes(revision, prefix)
            except CatalogUnavailable:
                await self._pause()
                continue
            if changes.is_gap:
                yield WatchEvent("", changes.revision)
            for changed_at, key in changes.keys:
                yield WatchEvent(key, changed_at)
            revision = changes.revision
            if not changes.keys:
                await self._pause()

    async def open_lease(self, ttl_ms: int) -> int:
        """Start a lease. See `ports.Catalog`."""
        check_ttl(ttl_ms)
        return await self._writer.ask(lambda file: file.open_lease(ttl_ms))

    async def keep_lease(self, lease: int) -> bool:
        """Prolong a lease; False where it has ended."""
        return await self._writer.ask(lambda file: file.keep_lease(lease))

    async def close_lease(self, lease: int) -> None:
        """End a lease and remove its keys."""
        await self._writer.ask(lambda file: file.close_lease(lease))

    async def close(self) -> None:
        """End watches, take back what waits, and close the file."""
        self._closing.set()
        self._at_once.close()  # before the others: the last one to close writes to the disk
        await self._reader.close()
        await self._writer.close()

    async def _changes(self, after_revision: int, prefix: str) -> Changes:
        """What changed; leases that are over end first, so that a watch sees it when nobody writes."""
        changes = await self._reader.ask(lambda file: file.changes(after_revision, prefix))
        if not changes.has_ended_lease:
            return changes
        await self._writer.ask(lambda file: file.expire())
        return await self._reader.ask(lambda file: file.changes(after_revision, prefix))

    def _is_quiet(self, revision: int) -> bool:
        """Whether it is sure that there is nothing to tell."""
        try:
            return self._at_once.is_quiet(revision)
        except CatalogUnavailable:
            return False

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(POLL_MS / 1_000):
                await self._closing.wait()
        except TimeoutError:
            return


class _Worker:
    """A thread with a connection of its own, and the jobs waiting for it."""

    def __init__(self, name: str, path: Path, deadline_ms: int, now_ms: Callable[[], int]) -> None:
        self._path = path
        self._deadline_ms = deadline_ms
        self._now_ms = now_ms
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._file: CatalogFile | None = None
        self._waiting = 0
        self._is_closed = False

    async def open(self) -> None:
        """Open the connection in the worker's thread."""
        await asyncio.wrap_future(self._executor.submit(self._open))

    async def ask(self, job: Callable[[CatalogFile], T]) -> T:
        """Run a job that may run twice without harm; raises CatalogUnavailable at the deadline."""
        try:
            return await self._run(job)
        except OutcomeUnknown as error:
            raise CatalogUnavailable("the catalog's file does not answer", path=str(self._path)) from error

    async def change(self, job: Callable[[CatalogFile], T]) -> T:
        """Run a job with effect; raises OutcomeUnknown at the deadline if it has begun."""
        return await self._run(job)

    async def close(self) -> None:
        """Take back waiting jobs, let the running one end (for at most a deadline), close the connection."""
        if self._is_closed:
            return
        self._is_closed = True
        self._executor.shutdown(wait=False, cancel_futures=True)
        ended = asyncio.to_thread(self._executor.shutdown, wait=True)
        try:
            await asyncio.wait_for(ended, self._deadline_ms / 1_000)
        except TimeoutError:
            return
        if self._file is not None:
            await asyncio.to_thread(self._file.close)

    async def _run(self, job: Callable[[CatalogFile], T]) -> T:
        if self._is_closed:
            raise CatalogUnavailable("the catalog is closed", path=str(self._path))
        if self._waiting >= QUEUE_MAX:
            raise CatalogUnavailable("too many requests wait for the catalog", waiting=self._waiting)
        future = self._executor.submit(self._work, job, time.monotonic() + self._deadline_ms * LOCK_SHARE / 1_000)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._deadline_ms / 1_000):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            if future.cancelled():
                raise CatalogUnavailable("the catalog is too busy", path=str(self._path)) from error
            raise OutcomeUnknown("the catalog's file does not answer", path=str(self._path)) from error
        except asyncio.CancelledError as error:
            if self._is_closed and future.cancelled() and not _is_cancelling():
                raise CatalogUnavailable("the catalog is closed", path=str(self._path)) from error
            raise
        finally:
            self._waiting -= 1

    def _open(self) -> None:
        # Kept here, not by the awaiting task: that one may be cancelled, and `close` must find what was opened.
        self._file = CatalogFile.open(self._path, self._deadline_ms, self._now_ms)

    def _work(self, job: Callable[[CatalogFile], T], lock_deadline_s: float) -> T:
        assert self._file is not None
        self._file.wait_for_locks_until(lock_deadline_s)
        return job(self._file)


def _is_cancelling() -> bool:
    """Whether someone asked the current task to stop, as opposed to its job having been taken back."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
