"""Reads everything below a prefix of the catalog, a page at a time."""

from __future__ import annotations

from typing import Final

from meshnode.ports import Catalog, Entry

PAGE: Final = 1_000
"""Entries asked for at once."""


async def read_all(catalog: Catalog, prefix: str) -> list[Entry]:
    """Every entry below a prefix, in key order; of entries that change meanwhile, either state."""
    entries: list[Entry] = []
    while True:
        page = await catalog.range(prefix, after=entries[-1].key if entries else "", limit=PAGE)
        entries += page
        if len(page) < PAGE:
            return entries
