"""A pack on its way in at a participant: bytes to a file, completed and checked by what the coordinator found out.

    write(raw) ... finish(fix): header patched, cut at body_end, tail appended, trailer checked against the bytes
    write_index(...) ... finish_index(): index checked against itself and the pack, both synced and named

No process runs. That the objects' content matches their names is the coordinator's word: it indexed them, the
connection is authenticated, and scrubbing checks it later (it costs 48 times as much; see the measurements).

Source: gitformat-pack(5).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Final, ParamSpec

from meshnode.base.errors import Corrupt, Fenced, InvalidRequest, MeshError, Overloaded
from meshnode.base.ids import parse_object_id
from meshnode.git import durable
from meshnode.git.disk import on_disk
from meshnode.git.journal import HASH_BYTES
from meshnode.git.quarantine import Quarantine
from meshnode.ports import PackFix

P = ParamSpec("P")

_HEADER_BYTES: Final = 12
_INDEX_MAGIC: Final = b"\377tOc\0\0\0\2"
_FANOUT_END: Final = 8 + 1024
_FLUSH_BYTES: Final = 1 << 20
"""Bytes gathered before a thread writes and hashes them: 2 ms of work for a hop of 0.1 ms."""
_HASH_CHUNK: Final = 1 << 20


class GitReceive:
    """`PackReceive` over files. Made by `GitPackStore.open_receive`."""

    def __init__(self, quarantine: Quarantine, bytes_max: int) -> None:
        self._quarantine = quarantine
        self._hash_bytes = HASH_BYTES[quarantine.object_format]
        self._bytes_max = bytes_max
        self._pack = _Growing(quarantine, "incoming.pack", self._hash_bytes)
        self._index = _Growing(quarantine, "incoming.idx", self._hash_bytes)
        self._fix: PackFix | None = None
        self._trailer = b""
        self._count = 0
        self._is_complete = False

    async def write(self, chunk: bytes) -> None:
        """Append bytes of the raw pack. Raises Overloaded; Fenced as the others do, where the round is aborted."""
        if self._fix is not None:
            raise InvalidRequest("pack bytes after the end of the pack")
        if self._pack.size + len(chunk) > self._bytes_max:
            raise Overloaded("pack is too large", bytes_max=self._bytes_max)
        await self._pack.append(chunk)

    async def finish(self, fix: PackFix) -> None:
        """Complete the pack. Raises Corrupt."""
        if self._fix is not None:
            raise InvalidRequest("pack is complete already")
        self._fix = fix
        await _arriving(self._complete_pack, fix)

    async def write_index(self, chunk: bytes) -> None:
        """Append bytes of the index. Raises Corrupt where there are more than announced."""
        if self._fix is None:
            raise InvalidRequest("index before the end of the pack")
        if self._index.size + len(chunk) > self._fix.index_bytes:
            raise Corrupt("index is longer than announced", index_bytes=self._fix.index_bytes)
        await self._index.append(chunk)

    async def finish_index(self) -> None:
        """Check the index, make both durable. Raises Corrupt."""
        if self._fix is None:
            raise InvalidRequest("index before the end of the pack")
        await _arriving(self._complete_index, self._fix)
        self._is_complete = True

    async def close(self) -> None:
        """Close both files; remove the quarantine unless both are complete."""
        self._pack.close()
        self._index.close()
        if not self._is_complete or self._quarantine.is_superseded():
            await self._quarantine.remove()

    def _complete_pack(self, fix: PackFix) -> None:
        try:
            parse_object_id(fix.pack_id, object_format=self._quarantine.object_format)
        except MeshError as error:
            raise Corrupt("pack id is none", pack=fix.pack_id[:64]) from error
        pack, length = self._pack, self._hash_bytes
        pack.flush()
        is_sound = (
            len(fix.header) == _HEADER_BYTES
            and fix.header[:4] == b"PACK"
            and _HEADER_BYTES <= fix.body_end <= pack.size
            and len(fix.tail) >= length
        )
        if not is_sound:
            raise Corrupt("pack fix does not fit the bytes received", body_end=fix.body_end, bytes=pack.size)
        head = os.pread(pack.descriptor, _HEADER_BYTES, 0)
        running = pack.digest() if head == fix.header and fix.body_end == pack.size - length else None
        durable.truncate(pack.descriptor, pack.path, fix.body_end)
        pack.put(fix.header, 0)
        pack.put(fix.tail, fix.body_end)
        if running is None:
            running = _new_hash(self._quarantine.object_format)
            _hash_file(pack.descriptor, fix.body_end, running.update)
        running.update(fix.tail[:-length])
        self._trailer = fix.tail[-length:]
        self._count = int.from_bytes(fix.header[8:12], "big")
        if running.digest() != self._trailer or self._trailer.hex() != fix.pack_id:
            raise Corrupt("pack does not match its trailer", pack=fix.pack_id)

    def _complete_index(self, fix: PackFix) -> None:
        index, length = self._index, self._hash_bytes
        index.flush()
        if index.size != fix.index_bytes or index.size < _FANOUT_END + 2 * length:
            raise Corrupt("index is not as long as announced", bytes=index.size, announced=fix.index_bytes)
        start = os.pread(index.descriptor, _FANOUT_END, 0)
        end = os.pread(index.descriptor, 2 * length, index.size - 2 * length)
        is_sound = (
            start[:8] == _INDEX_MAGIC
            and int.from_bytes(start[-4:], "big") == self._count
            and end[:length] == self._trailer
            and end[length:] == index.digest().digest()
        )
        if not is_sound:
            raise Corrupt("index does not match its pack", pack=fix.pack_id)
        for file, suffix in ((self._pack, ".pack"), (self._index, ".idx")):
            os.fchmod(file.descriptor, 0o444)
            durable.sync(file.descriptor, file.path)
            file.close()
            durable.rename(file.path, self._quarantine.packs / f"pack-{fix.pack_id}{suffix}")


async def _arriving(work: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    """`on_disk` in a quarantine, which goes when the round is aborted. Raises Fenced then."""
    try:
        await on_disk(work, *args, **kwargs)
    except MeshError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise Fenced("the round was aborted while its objects arrived") from error
        raise


class _Growing:
    """A file that grows by pieces, with the hash of all but its last `held_back` bytes kept up to date."""

    def __init__(self, quarantine: Quarantine, name: str, held_back: int) -> None:
        self.path = quarantine.packs / name
        self.size = 0
        self.descriptor = -1
        self._held_back = held_back
        self._hash = _new_hash(quarantine.object_format)
        self._unhashed = b""
        self._pieces: list[bytes] = []
        self._gathered = 0

    async def append(self, chunk: bytes) -> None:
        self._pieces.append(bytes(chunk))
        self._gathered += len(chunk)
        self.size += len(chunk)
        if self._gathered >= _FLUSH_BYTES:
            await _arriving(self.flush)

    def flush(self) -> None:
        """Write and hash what was gathered."""
        if self.descriptor < 0:
            self.descriptor = durable.create(self.path, os.O_RDWR | os.O_EXCL)
        data = b"".join(self._pieces)
        self._pieces.clear()
        self.put(data, self.size - self._gathered)
        self._gathered = 0
        data = self._unhashed + data
        hashed = max(len(data) - self._held_back, 0)
        self._hash.update(memoryview(data)[:hashed])
        self._unhashed = data[hashed:]

    def put(self, data: bytes, offset: int) -> None:
        """Write at an offset."""
        durable.write(self.descriptor, self.path, data, offset)

    def digest(self) -> hashlib._Hash:
        """The hash of everything but the bytes held back."""
        return self._hash.copy()

    def close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _new_hash(object_format: str) -> hashlib._Hash:
    return hashlib.new(object_format, usedforsecurity=False)


def _hash_file(descriptor: int, end: int, update: Callable[[bytes], None]) -> None:
    for start in range(0, end, _HASH_CHUNK):
        update(os.pread(descriptor, min(_HASH_CHUNK, end - start), start))
