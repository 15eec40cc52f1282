"""Packs on their way in, in memory: quarantines that do not outlive the process, and what fills them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import Corrupt, InvalidRequest, Overloaded
from meshnode.base.ids import ObjectId, RoundId
from meshnode.core.round import ReplicaKey
from meshnode.ports import PackFix

Place = tuple[ReplicaKey, RoundId]
_OBJECT = re.compile(rb"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{40})(?![0-9a-f])")
_HEADER_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class MemoryPack:
    """A complete pack: its bytes, and the objects it brings."""

    data: bytes

    @property
    def pack_id(self) -> str:
        """SHA-1 of the bytes."""
        return hashlib.sha1(self.data, usedforsecurity=False).hexdigest()

    @property
    def index(self) -> bytes:
        """The index that goes with the bytes and no others."""
        return b"index of " + self.pack_id.encode()

    @property
    def objects(self) -> frozenset[ObjectId]:
        """Every hex word of an object id's length."""
        return frozenset(ObjectId(word.decode()) for word in _OBJECT.findall(self.data))


class MemoryQuarantines:
    """Complete packs that no round has claimed yet."""

    def __init__(self) -> None:
        self._packs: dict[Place, MemoryPack] = {}

    def keep(self, place: Place, pack: MemoryPack) -> None:
        """Note that the pack at `place` is complete."""
        self._packs[place] = pack

    def complete_pack(self, key: ReplicaKey, round_id: RoundId) -> MemoryPack:
        """The pack of a round. Raises Corrupt where it is not complete."""
        pack = self._packs.get((key, round_id))
        if pack is None:
            raise Corrupt("quarantine holds no complete pack", round=round_id, repository=key.repository)
        return pack

    def drop(self, key: ReplicaKey, round_id: RoundId) -> None:
        """Remove a round's quarantine; nothing happens where there is none."""
        self._packs.pop((key, round_id), None)


class _Arrival:
    """Bytes that arrive within a bound."""

    def __init__(self, check_space: Callable[[], None], pack_bytes_max: int) -> None:
        self.data = bytearray()
        self.is_closed = False
        self._check_space = check_space
        self._pack_bytes_max = pack_bytes_max

    def take(self, chunk: bytes) -> None:
        if self.is_closed:
            raise InvalidRequest("pack is closed")
        self._check_space()
        if len(self.data) + len(chunk) > self._pack_bytes_max:
            raise Overloaded("pack is too large", bytes_max=self._pack_bytes_max)
        self.data += chunk


class MemoryIngest:
    """`PackIngest` in memory."""

    def __init__(
        self,
        quarantines: MemoryQuarantines,
        place: Place,
        *,
        objects_here: Callable[[], set[ObjectId]],
        check_space: Callable[[], None],
        pack_bytes_max: int,
        object_format: str,
    ) -> None:
        self._quarantines = quarantines
        self._place = place
        self._objects_here = objects_here
        self._arrival = _Arrival(check_space, pack_bytes_max)
        self._pack: MemoryPack | None = None
        self.object_format = object_format

    async def write(self, chunk: bytes) -> None:
        """Take bytes of the pack. Raises Overloaded."""
        self._arrival.take(chunk)

    async def finish(self) -> PackFix | None:
        """Complete the pack; None for the empty one."""
        self._arrival.take(b"")
        data = bytes(self._arrival.data)
        if not data:
            return None
        self._pack = MemoryPack(data)
        self._quarantines.keep(self._place, self._pack)
        return PackFix(
            pack_id=self._pack.pack_id,
            header=data[:_HEADER_BYTES],
            body_end=len(data),
            tail=b"",
            index_bytes=len(self._pack.index),
        )

    async def index(self) -> AsyncIterator[bytes]:
        """The pack's index, in one chunk."""
        if self._pack is not None:
            yield self._pack.index

    async def check_connected(
        self, tips: Collection[ObjectId], *, commits: Collection[ObjectId] = (), is_for_others: bool = True
    ) -> None:
        """Check that every tip is in the pack or the replica. Raises InvalidRequest."""
        del is_for_others  # objects lead nowhere here, so none is left out of a pack
        objects = self._objects_here() | (self._pack.objects if self._pack else frozenset())
        for oid in sorted({*tips, *commits}):
            if oid not in objects:
                raise InvalidRequest("object is missing", oid=oid)

    async def close(self) -> None:
        """Drop what is not complete."""
        self._arrival.is_closed = True


class MemoryReceive:
    """`PackReceive` in memory."""

    def __init__(
        self,
        quarantines: MemoryQuarantines,
        place: Place,
        *,
        check_space: Callable[[], None],
        pack_bytes_max: int,
        object_format: str,
    ) -> None:
        self._quarantines = quarantines
        self._place = place
        self._arrival = _Arrival(check_space, pack_bytes_max)
        self._pack: MemoryPack | None = None
        self._index = bytearray()
        self.object_format = object_format

    async def write(self, chunk: bytes) -> None:
        """Take bytes of the pack. Raises Overloaded."""
        self._arrival.take(chunk)

    async def finish(self, fix: PackFix) -> None:
        """Complete the pack as `fix` says. Raises Corrupt."""
        self._arrival.take(b"")
        raw = bytes(self._arrival.data)
        pack = MemoryPack(fix.header + raw[_HEADER_BYTES : fix.body_end] + fix.tail)
        if len(raw) < fix.body_end or pack.pack_id != fix.pack_id:
            raise Corrupt("pack does not match its trailer", pack=fix.pack_id[:64])
        self._pack = pack

    async def write_index(self, chunk: bytes) -> None:
        """Take bytes of the index."""
        self._index += chunk

    async def finish_index(self) -> None:
        """Check the index against the pack. Raises Corrupt."""
        if self._pack is None or bytes(self._index) != self._pack.index:
            raise Corrupt("index does not match its pack")
        self._quarantines.keep(self._place, self._pack)

    async def close(self) -> None:
        """Drop what is not complete."""
        self._arrival.is_closed = True
