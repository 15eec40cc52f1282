"""A pack from another node: kept only if bytes, completion and index agree with each other; nothing stays of others."""

from __future__ import annotations

import hashlib
import shutil
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from hypothesis import strategies as st

from meshnode.base.errors import Corrupt, InvalidRequest, Overloaded
from meshnode.git.journal import find_complete_pack, pack_id_of
from meshnode.git.quarantine import Quarantine
from meshnode.git.receive import GitReceive
from meshnode.ports import PackFix
from tests.fuzz.inputs import Draw, cuttings, damaged, directory, finish_in_loop
from tests.unit.wire.samples import KEY, ROUND_ID

BYTES_MAX = 2_000
EXAMPLES = st.binary(max_size=40)


class _Replicas:
    """What a quarantine needs of the node it is on."""

    def __init__(self, path: Path) -> None:
        self._path: Path | None = path

    def quarantine(self, *_: object) -> Path | None:
        return self._path

    def end_quarantine(self, *_: object) -> None:
        self._path = None


def check_pack_receive(data: bytes) -> None:
    draw = Draw(data)
    object_format = draw.pick(("sha1", "sha256"))
    raw, fix, index = _made(draw, object_format)
    good = (raw, fix, index)
    match draw.number(6):
        case 0:
            raw = damaged(raw, draw)
        case 1:
            index = damaged(index, draw)
            fix = replace(fix, index_bytes=len(index) if draw.is_true() else fix.index_bytes)
        case 2:
            fix = replace(fix, tail=damaged(fix.tail, draw))
        case 3:
            fix = replace(fix, header=damaged(fix.header, draw), pack_id=draw.pick((fix.pack_id, "", "../x", "0" * 40)))
        case 4:
            fix = replace(fix, body_end=draw.number(len(raw) + 64))
        case _:
            pass
    path = directory("receive") / "quarantine"
    shutil.rmtree(path, ignore_errors=True)
    (path / "objects" / "pack").mkdir(parents=True)
    quarantine = Quarantine(cast("Any", _Replicas(path)), KEY, ROUND_ID, object_format, path, path)
    is_kept = finish_in_loop(_receive(quarantine, raw, fix, index))
    assert is_kept == path.exists()
    if (raw, fix, index) == good:
        assert is_kept
    if is_kept:
        found = find_complete_pack(path)
        assert found is not None
        pack = found[0].read_bytes()
        length = hashlib.new(object_format).digest_size
        assert hashlib.new(object_format, pack[:-length]).digest() == pack[-length:]
        assert pack == fix.header + raw[12 : fix.body_end] + fix.tail
        assert pack_id_of(found[1], object_format) == pack[-length:].hex() == fix.pack_id
        assert found[1].read_bytes() == index


async def _receive(quarantine: Quarantine, raw: bytes, fix: PackFix, index: bytes) -> bool:
    receive = GitReceive(quarantine, BYTES_MAX)
    try:
        for piece in list(cuttings(raw))[1]:
            await receive.write(piece)
        await receive.finish(fix)
        for piece in list(cuttings(index))[1]:
            await receive.write_index(piece)
        await receive.finish_index()
    except (Corrupt, InvalidRequest, Overloaded):
        return False
    finally:
        await receive.close()
    return True


def _made(draw: Draw, object_format: str) -> tuple[bytes, PackFix, bytes]:
    """A pack stream as a client sent it, what the coordinator's git made of it, and the index."""
    length = hashlib.new(object_format).digest_size
    is_thin = draw.is_true()
    body = draw.take(60)
    sent = b"PACK" + struct.pack(">II", 2, 1) + body
    raw = sent + hashlib.new(object_format, sent).digest()
    header = b"PACK" + struct.pack(">II", 2, 2 if is_thin else 1)
    whole = header + body + (b"base" if is_thin else b"")
    trailer = hashlib.new(object_format, whole).digest()
    count = 2 if is_thin else 1
    start = b"\377tOc\0\0\0\2" + struct.pack(">256I", *[count] * 256) + bytes((length + 8) * count) + trailer
    index = start + hashlib.new(object_format, start).digest()
    fix = PackFix(
        pack_id=trailer.hex(), header=header, body_end=12 + len(body), tail=whole[12 + len(body) :] + trailer,
        index_bytes=len(index),
    )  # fmt: skip
    return raw, fix, index
