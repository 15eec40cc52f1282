"""Keeps what recursive listings say of each directory, so that the next commit's listing makes only what has changed.

    T1 ── src ── a, b      the second listing makes the entries of T2 and of lib;
    T2 ── src, lib ── c    what it says of src is what the first one said

A directory's tree names all that is below it, so what is said of it follows from its id, its path and what was asked
for: true for ever. It is kept with answers (`rpc/answer_cache.py`), as the bytes they are made of.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Hashable, Sequence
from typing import Final

from meshnode.ports import KnownPart, WholePart
from meshnode.rpc.object_reads import ObjectRead
from meshnode.v1 import tree_pb2

PART_BYTES_MAX: Final = 64 << 10
"""Of a directory that is kept: a larger one is made of others that are."""
_TURN: Final = 100
"""Directories kept before others get their turn: about 0.5 ms."""
_COUNTS: Final = struct.Struct("<QQ")
"""Entries, and bytes of their paths; before the content."""


class KeptParts:
    """What is kept of one tree's directories for listings with the options of a request."""

    def __init__(self, read: ObjectRead, request: tree_pb2.ListEntriesRequest) -> None:
        self._read = read
        self._asked = (request.path, request.sizes, request.lfs)

    def find(self, oid: bytes, path: bytes) -> KnownPart | None:
        """As `ports.KnownParts`."""
        kept = self._read.known(self._question(oid, path))
        if kept is None:
            return None
        entries, path_bytes = _COUNTS.unpack_from(kept)
        return KnownPart(entries, path_bytes, memoryview(kept)[_COUNTS.size :])

    async def keep(self, parts: Sequence[WholePart], pieces: Sequence[bytes | memoryview]) -> None:
        """Keep what a listing, made of `pieces`, says of directories."""
        for number, part in enumerate(parts, start=1):
            content = pieces[part.start : part.end]
            if sum(map(len, content)) <= PART_BYTES_MAX:
                counts = _COUNTS.pack(part.entries, part.path_bytes)
                self._read.keep(self._question(part.oid, part.path), b"".join([counts, *content]))
            if number % _TURN == 0:
                await asyncio.sleep(0)

    def _question(self, oid: bytes, path: bytes) -> Hashable:
        return "tree/part", oid, path, *self._asked
