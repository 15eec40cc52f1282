"""Takes marks of requests that nobody repeats any more out of the catalog. Who plans moves does it, once an hour."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Final

from meshnode.base.errors import Corrupt
from meshnode.core.keys import REQUESTS
from meshnode.core.request_marks import decode_request_mark
from meshnode.ports import Catalog, Clock, Compare, Delete, Entry

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
        if gone:
            log.info("requests_forgotten", extra={"marks": gone})
        return gone

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
