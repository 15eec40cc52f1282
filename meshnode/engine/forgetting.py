"""Takes what is over out of the catalog: marks of requests that nobody repeats any more, keys that are not believed any more.

Who plans moves does it, once an hour. Nothing waits for it: what is over has no effect where it is still written.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Final

from meshnode.base.errors import Corrupt
from meshnode.core.applications import APPLICATIONS_MAX, believed, decode_application, encode_application
from meshnode.core.keys import APPLICATIONS, REQUESTS
from meshnode.core.request_marks import decode_request_mark
from meshnode.ports import Catalog, Clock, Compare, Delete, Entry, Put

log = logging.getLogger("meshnode.engine")

INTERVAL_MS: Final = 3_600_000
PAGE: Final = 500
BATCH: Final = 50
"""Deletions in one transaction; etcd allows 128 operations, compares included."""


@dataclass(kw_only=True)
class Forgetting:
    """Removes what has been kept for long enough."""

    catalog: Catalog
    clock: Clock
    _next_ms: int = field(default=0, init=False)

    async def run_if_due(self) -> int:
        """Look once an hour; how many marks went."""
        now_ms = self.clock.monotonic_ms()
        if now_ms < self._next_ms:
            return 0
        self._next_ms = now_ms + INTERVAL_MS
        return await self.run_once()

    async def run_once(self) -> int:
        """Look at every mark; how many went. Raises CatalogUnavailable, OutcomeUnknown: the next time will do."""
        gone, after = 0, ""
        while True:
            page = await self.catalog.range(REQUESTS, after=after, limit=PAGE)
            old = [entry for entry in page if self._is_forgotten(entry)]
            for start in range(0, len(old), BATCH):
                gone += await self._remove(old[start : start + BATCH])
            if len(page) < PAGE:
                break
            after = page[-1].key
        await self._drop_keys()
        if gone:
            log.info("requests_forgotten", extra={"marks": gone})
        return gone

    async def _drop_keys(self) -> None:
        """Take keys whose time is over off the list of applications."""
        now_ms = self.clock.wall_ms()
        for entry in await self.catalog.range(APPLICATIONS, limit=APPLICATIONS_MAX):
            try:
                application = decode_application(entry.value)
            except Corrupt:
                log.exception("application_unreadable", extra={"key": entry.key})
                continue
            left = believed(application, now_ms)
            if left == application or not left.public_keys:
                continue
            write = Put(entry.key, encode_application(left))
            if await self.catalog.transact([Compare(entry.key, entry.revision)], [write]) is not None:
                facts = {"application": left.application, "keys": len(left.public_keys)}
                log.info("application_key_dropped", extra=facts)

    async def _remove(self, entries: list[Entry]) -> int:
        """Marks are written once: one that is not as it was read was removed by somebody else."""
        revision = await self.catalog.transact(
            [Compare(entry.key, entry.revision) for entry in entries], [Delete(entry.key) for entry in entries]
        )
        return 0 if revision is None else len(entries)

    def _is_forgotten(self, entry: Entry) -> bool:
        try:
            return decode_request_mark(entry.value).is_forgotten(self.clock.wall_ms())
        except Corrupt:
            log.exception("request_mark_unreadable", extra={"key": entry.key})
            return False
