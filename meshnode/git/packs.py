"""Reading a pack without git: what kind of object an id names in it. For checks that must not cost a process.

Source: gitformat-pack(5), index version 2.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from meshnode.base.errors import Corrupt
from meshnode.base.ids import ObjectId

KINDS: Final = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
_OFS_DELTA: Final = 6
_REF_DELTA: Final = 7
_MAGIC: Final = b"\377tOc\0\0\0\2"
_PACK_HEADER: Final = 12
_FANOUT: Final = 8
_NAMES: Final = _FANOUT + 1024
_CHAIN_MAX: Final = 10_000
"""Longer than any chain git makes (4,095): a longer one is a loop."""


class PackFile:
    """A complete pack and its index, mapped."""

    def __init__(self, pack: mmap.mmap, index: mmap.mmap, hash_bytes: int) -> None:
        self._pack = pack
        self._index = index
        self._hash_bytes = hash_bytes
        self._count: int = struct.unpack_from(">I", index, _FANOUT + 255 * 4)[0]
        if len(index) < _NAMES + self._count * (hash_bytes + 8) + 2 * hash_bytes:
            raise Corrupt("pack index is cut short", bytes=len(index))

    def kind_of(self, oid: ObjectId) -> str | None:
        """`commit`, `tree`, `blob` or `tag`; None where the pack does not hold the object. Raises Corrupt."""
        offset = self._offset_of(bytes.fromhex(oid))
        for _ in range(_CHAIN_MAX):
            if offset is None:
                return None
            kind, place = self._entry(offset)
            if kind in KINDS:
                return KINDS[kind]
            if kind == _OFS_DELTA:
                offset -= self._base_distance(place, offset)
            elif kind == _REF_DELTA:
                offset = self._offset_of(self._pack[place : place + self._hash_bytes])
            else:
                break
        raise Corrupt("pack has a damaged entry", oid=oid)

    def _entry(self, offset: int) -> tuple[int, int]:
        """Type of the entry at `offset`, and where its data begins. Raises Corrupt: it lies outside the pack."""
        if not _PACK_HEADER <= offset < len(self._pack):
            raise Corrupt("pack has an entry outside of it", offset=offset)
        byte = self._pack[offset]
        kind = byte >> 4 & 7
        while byte & 0x80:
            offset += 1
            byte = self._pack[offset]
        return kind, offset + 1

    def _base_distance(self, place: int, distance_max: int) -> int:
        byte = self._pack[place]
        distance = byte & 0x7F
        while byte & 0x80:
            place += 1
            byte = self._pack[place]
            distance = (distance + 1) << 7 | byte & 0x7F
            if distance > distance_max:
                raise Corrupt("pack has a delta on nothing", place=place)
        return distance

    def _offset_of(self, name: bytes) -> int | None:
        length = self._hash_bytes
        low = 0 if name[0] == 0 else struct.unpack_from(">I", self._index, _FANOUT + 4 * (name[0] - 1))[0]
        high = struct.unpack_from(">I", self._index, _FANOUT + 4 * name[0])[0]
        while low < high:
            middle = (low + high) // 2
            found = self._index[_NAMES + middle * length : _NAMES + (middle + 1) * length]
            if found == name:
                return self._offset_at(middle)
            if found < name:
                low = middle + 1
            else:
                high = middle
        return None

    def _offset_at(self, number: int) -> int:
        offsets = _NAMES + self._count * (self._hash_bytes + 4)
        offset: int = struct.unpack_from(">I", self._index, offsets + 4 * number)[0]
        if offset >> 31:
            large = offsets + 4 * self._count + 8 * (offset & 0x7FFFFFFF)
            offset = struct.unpack_from(">Q", self._index, large)[0]
        return offset


def pack_names(index: Path, hash_bytes: int) -> Iterator[bytes]:
    """The ids of all objects of a pack, in order, out of its index. Raises Corrupt where it is damaged."""
    with index.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if len(data) < _NAMES or data[:8] != _MAGIC:
            raise Corrupt("pack index is cut short or of an unknown version", path=index.name)
        count = struct.unpack_from(">I", data, _FANOUT + 255 * 4)[0]
        if len(data) < _NAMES + count * (hash_bytes + 8) + 2 * hash_bytes:
            raise Corrupt("pack index is cut short", path=index.name)
        for at in range(_NAMES, _NAMES + count * hash_bytes, hash_bytes):
            yield data[at : at + hash_bytes]


@contextmanager
def open_pack(pack: Path, index: Path, hash_bytes: int) -> Iterator[PackFile]:
    """Map a pack and its index. Raises Corrupt where they are damaged; both were checked when they came in."""
    try:
        with (
            pack.open("rb") as pack_file,
            index.open("rb") as index_file,
            mmap.mmap(pack_file.fileno(), 0, access=mmap.ACCESS_READ) as pack_map,
            mmap.mmap(index_file.fileno(), 0, access=mmap.ACCESS_READ) as index_map,
        ):
            if index_map[:8] != _MAGIC:
                raise Corrupt("pack index has an unknown version", path=index.name)
            yield PackFile(pack_map, index_map, hash_bytes)
    except (ValueError, IndexError, struct.error) as error:
        raise Corrupt("pack or index is cut short", path=pack.name) from error
