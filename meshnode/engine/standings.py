"""Where every repository stands, kept current for as long as somebody follows changes.

    catalog watch --hint--> dirty keys --get, 64 at a time--> table --> followers: "look at this repository"
                   "anything may have changed", every RESCAN_MS --range--> table

Hints may come late, twice or not at all, so the whole range is read again now and then: what a hint missed is late,
never lost. A follower is told which repositories moved, not what happened: it holds one entry a repository however
slow it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from typing import Final

from meshnode.base.errors import CatalogUnavailable, Corrupt
from meshnode.base.ids import RepositoryId
from meshnode.core.keys import RECORDS
from meshnode.core.record import Record, RepositoryState, decode_record
from meshnode.engine.supervisor import Supervisor
from meshnode.ports import Catalog, Clock, Entry

log = logging.getLogger("meshnode.engine")

RESCAN_MS: Final = 60_000
"""A full look costs one range request per 1,000 repositories."""
RETRY_MS: Final = 1_000
PAGE: Final = 1_000
BATCH: Final = 64
"""Keys of one catalog get."""


class Follower:
    """One who follows: the repositories that moved since it looked."""

    def __init__(self) -> None:
        self.moved: dict[RepositoryId, None] = {}
        self._woken = asyncio.Event()

    def note(self, repository: RepositoryId) -> None:
        """Tell it that a repository moved."""
        self.moved[repository] = None
        self._woken.set()

    def wake(self) -> None:
        """Have it look around."""
        self._woken.set()

    async def wait(self) -> None:
        """Wait until something moved, or was to be looked at."""
        await self._woken.wait()
        self._woken.clear()


class StandingsTable:
    """Records of all repositories by id, while somebody follows."""

    def __init__(self, catalog: Catalog, clock: Clock, supervisor: Supervisor) -> None:
        self._catalog = catalog
        self._clock = clock
        self._supervisor = supervisor
        self.records: dict[RepositoryId, Record] = {}
        self._followers: set[Follower] = set()
        self._task: asyncio.Task[None] | None = None
        self._complete: asyncio.Future[None] | None = None
        self._hinted: dict[str, None] = {}
        self._is_all_hinted = False
        self._hint = asyncio.Event()

    @property
    def follower_count(self) -> int:
        """How many follow."""
        return len(self._followers)

    @contextmanager
    def following(self, follower: Follower) -> Iterator[None]:
        """Keep the table current, and `follower` told, inside the block."""
        self._followers.add(follower)
        if self._task is None:
            self._complete = asyncio.get_running_loop().create_future()
            self._task = self._supervisor.spawn("standings", self._run())
            self._task.add_done_callback(lambda _: self._wake_all())
        try:
            yield
        finally:
            self._followers.discard(follower)
            if not self._followers:
                self._task.cancel()
                self._task = None
                self.records.clear()

    async def until_complete(self) -> None:
        """Wait for the first full look. Raises CatalogUnavailable where it fails, or nobody looks any more."""
        complete, task = self._complete, self._task
        assert complete is not None
        assert task is not None
        await asyncio.wait({complete, task}, return_when=asyncio.FIRST_COMPLETED)
        if not complete.done():
            raise CatalogUnavailable("this node cannot follow the catalog; ask another one")
        complete.result()

    def check_current(self) -> None:
        """Check that the table still follows the catalog. Raises CatalogUnavailable."""
        if self._task is None or self._task.done():
            raise CatalogUnavailable("this node follows the catalog no longer; ask another one")

    def _wake_all(self) -> None:
        for follower in self._followers:
            follower.wake()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(), name="standings-watch")
            group.create_task(self._follow(), name="standings-follow")
            group.create_task(self._rescan(), name="standings-rescan")

    async def _listen(self) -> None:
        async with aclosing(self._catalog.watch(RECORDS)) as hints:  # type: ignore[type-var]
            async for hint in hints:
                if hint.key:
                    self._hinted[hint.key] = None
                else:
                    self._is_all_hinted = True
                self._hint.set()

    async def _rescan(self) -> None:
        while True:
            await self._clock.sleep(RESCAN_MS)
            self._is_all_hinted = True
            self._hint.set()

    async def _follow(self) -> None:
        while True:
            await self._hint.wait()
            self._hint.clear()
            try:
                if self._is_all_hinted:
                    self._is_all_hinted = False
                    self._hinted.clear()
                    async for entry in self._all():
                        self._take(entry)
                    if self._complete is not None and not self._complete.done():
                        self._complete.set_result(None)
                while self._hinted:
                    keys = list(self._hinted)[:BATCH]
                    for key in keys:  # before they are read: a hint that comes meanwhile may be newer than the answer
                        del self._hinted[key]
                    for found in await self._catalog.get(keys):
                        if found is not None:
                            self._take(found)
            except CatalogUnavailable as error:
                if self._complete is not None and not self._complete.done():
                    self._complete.set_exception(error)
                    self._complete.exception()  # whoever waits hears it; nobody has to
                    self._complete = asyncio.get_running_loop().create_future()
                self._is_all_hinted = True
                self._hint.set()
                await self._clock.sleep(RETRY_MS)

    async def _all(self) -> AsyncIterator[Entry]:
        last = ""
        while True:
            page = await self._catalog.range(RECORDS, after=last, limit=PAGE)
            for entry in page:
                yield entry
            if len(page) < PAGE:
                return
            last = page[-1].key

    def _take(self, entry: Entry) -> None:
        try:
            record = decode_record(entry.value)
        except Corrupt as error:
            log.error("record_unreadable", extra={"key": entry.key, "error": str(error)})  # noqa: TRY400 - a fact
            return
        if record.state is RepositoryState.ABANDONED:
            return
        known = self.records.get(record.repository)
        self.records[record.repository] = record
        if known is None or known.generation != record.generation:
            for follower in self._followers:
                follower.note(record.repository)
