"""A pack and its index as damage leaves them: a kind of object, none, or Corrupt; never a loop, never another's bytes."""

from __future__ import annotations

import struct
from hashlib import sha1
from pathlib import Path

from hypothesis import strategies as st

from meshnode.base.errors import Corrupt
from meshnode.base.ids import ObjectId
from meshnode.git.journal import pack_id_of
from meshnode.git.packs import KINDS, open_pack
from tests.fuzz.inputs import Draw, damaged, directory

OIDS = tuple(ObjectId(sha1(bytes([place])).hexdigest()) for place in range(6))
OTHER = ObjectId("ff" * 20)
EXAMPLES = st.binary(max_size=60)


def check_pack_index(data: bytes) -> None:
    draw = Draw(data)
    pack, index, offsets = _made(draw)
    if draw.number(4) > 0:
        pack = damaged(pack, draw)
    is_index_damaged = draw.number(3) == 2
    if is_index_damaged:
        index = damaged(index, draw)
    paths = (directory("pack") / "x.pack", directory("pack") / "x.idx")
    for path, content in zip(paths, (pack, index), strict=True):
        path.write_bytes(content)
    kinds = [_kind(paths, oid) for oid in (*OIDS, OTHER)]
    if is_index_damaged:
        assert set(kinds) <= {*KINDS.values(), None, "corrupt"}
    else:
        assert kinds == [*(_followed(pack, offsets, oid) for oid in OIDS), None if pack else "corrupt"]


def _kind(paths: tuple[Path, Path], oid: ObjectId) -> str | None:
    try:
        assert len(pack_id_of(paths[1], "sha1")) == 40
        with open_pack(*paths, 20) as opened:
            return opened.kind_of(oid)
    except Corrupt:
        return "corrupt"


def _followed(pack: bytes, offsets: dict[ObjectId, int], oid: ObjectId) -> str | None:
    """The kind of an object, read step by step without ever leaving the pack."""
    offset: int | None = offsets[oid]
    seen: set[int] = set()
    while offset is not None:
        if offset in seen or not 12 <= offset < len(pack):
            return "corrupt"
        seen.add(offset)
        kind = pack[offset] >> 4 & 7
        place = offset
        while place < len(pack) and pack[place] & 0x80:
            place += 1
        place += 1
        if kind in KINDS:
            return KINDS[kind] if place <= len(pack) else "corrupt"
        if kind == 7:
            named = pack[place : place + 20]
            if not named:
                return "corrupt"
            offset = offsets.get(ObjectId(named.hex()))
        elif kind == 6:
            distance = 0
            while True:
                if place >= len(pack):
                    return "corrupt"
                distance = distance << 7 | pack[place] & 0x7F
                place += 1
                if not pack[place - 1] & 0x80:
                    break
                distance += 1
            offset -= distance
        else:
            return "corrupt"
    return None


def _made(draw: Draw) -> tuple[bytes, bytes, dict[ObjectId, int]]:
    """A pack of six objects: whole ones, and deltas on the ones before, by distance and by name."""
    pack = bytearray(b"PACK" + struct.pack(">II", 2, len(OIDS)))
    offsets: dict[ObjectId, int] = {}
    for place, oid in enumerate(OIDS):
        base = draw.number(place) if place else 0
        kind = draw.pick((1, 2, 3, 4, 6, 7)) if place else 1
        offsets[oid] = len(pack)
        pack += bytes([kind << 4 | 0x85, 0x01]) if draw.is_true() else bytes([kind << 4 | 5])
        if kind == 6:
            pack += _distance(offsets[oid] - offsets[OIDS[base]])
        elif kind == 7:
            pack += bytes.fromhex(OIDS[base])
        pack += bytes(draw.number(200))
    names = sorted(OIDS)
    fanout = [sum(1 for oid in names if int(oid[:2], 16) <= byte) for byte in range(256)]
    index = (
        b"\377tOc\0\0\0\2" + struct.pack(">256I", *fanout) + b"".join(map(bytes.fromhex, names)) + bytes(4 * len(names))
    )
    if draw.is_true():
        index += struct.pack(f">{len(names)}I", *(offsets[oid] for oid in names))
    else:
        index += struct.pack(f">{len(names)}I", *(1 << 31 | place for place in range(len(names))))
        index += struct.pack(f">{len(names)}Q", *(offsets[oid] for oid in names))
    return bytes(pack) + bytes(20), index + bytes(40), offsets


def _distance(number: int) -> bytes:
    """As git writes an offset to a delta's base. Source: gitformat-pack(5)."""
    result = [number & 0x7F]
    while number := number >> 7:
        number -= 1
        result.append(0x80 | number & 0x7F)
    return bytes(reversed(result))
