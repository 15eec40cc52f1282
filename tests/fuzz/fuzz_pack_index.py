"""A pack and its index as damage leaves them: a kind of object, none, or Corrupt; never a loop, never another's bytes."""

from __future__ import annotations

import struct
from hashlib import sha1

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
    pack, index = _made(draw)
    is_damaged = draw.number(4) > 0
    if is_damaged:
        pack = damaged(pack, draw)
    if draw.number(3) == 2:
        index = damaged(index, draw)
        is_damaged = True
    paths = (directory("pack") / "x.pack", directory("pack") / "x.idx")
    for path, content in zip(paths, (pack, index), strict=True):
        path.write_bytes(content)
    try:
        assert len(pack_id_of(paths[1], "sha1")) == 40
        with open_pack(*paths, 20) as opened:
            kinds = [opened.kind_of(oid) for oid in (*OIDS, OTHER)]
    except Corrupt:
        return
    assert all(kind is None or kind in KINDS.values() for kind in kinds)
    assert is_damaged or None not in kinds[:-1]
    assert is_damaged or kinds[-1] is None


def _made(draw: Draw) -> tuple[bytes, bytes]:
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
    return bytes(pack) + bytes(20), index + bytes(40)


def _distance(number: int) -> bytes:
    """As git writes an offset to a delta's base. Source: gitformat-pack(5)."""
    result = [number & 0x7F]
    while number := number >> 7:
        number -= 1
        result.append(0x80 | number & 0x7F)
    return bytes(reversed(result))
