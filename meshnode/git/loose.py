"""Loose objects of a workshop, written and read without a git process.

They are never synced: what is worth keeping leaves a workshop as a pack.

Source: gitformat-loose(5) (git's object-file.c), git-hash-object(1).
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, Final

from meshnode.base.errors import Corrupt
from meshnode.base.ids import ObjectId
from meshnode.git.disk import read_file
from meshnode.ports import ObjectKind

_LEVEL: Final = 1
"""Packing deflates anew anyway."""
_PIECE_BYTES: Final = 256 << 10


def hash_of(object_format: str) -> Callable[[bytes], hashlib._Hash]:
    """The hash of an object format."""
    return hashlib.sha256 if object_format == "sha256" else hashlib.sha1


def object_id(object_format: str, kind: ObjectKind, data: bytes) -> ObjectId:
    """The id of an object that is held in memory; nothing is written."""
    return ObjectId(hash_of(object_format)(_header(kind, len(data)) + data).hexdigest())


def write_loose(objects: Path, object_format: str, contents: Iterable[tuple[ObjectKind, bytes]]) -> list[ObjectId]:
    """Write objects held in memory; their ids, in order."""
    written: list[ObjectId] = []
    for kind, data in contents:
        whole = _header(kind, len(data)) + data
        oid = ObjectId(hash_of(object_format)(whole).hexdigest())
        path = _path(objects, oid)
        if not path.exists():
            _put(path, zlib.compress(whole, _LEVEL))
        written.append(oid)
    return written


def write_loose_blob(objects: Path, object_format: str, source: BinaryIO, size: int) -> ObjectId:
    """Write a blob of `size` bytes from a file, piece by piece."""
    header = _header(ObjectKind.BLOB, size)
    digest = hash_of(object_format)(header)
    squeeze = zlib.compressobj(_LEVEL)
    temporary = objects / "large.tmp"
    with temporary.open("wb") as file:
        file.write(squeeze.compress(header))
        while piece := source.read(_PIECE_BYTES):
            digest.update(piece)
            file.write(squeeze.compress(piece))
        file.write(squeeze.flush())
    oid = ObjectId(digest.hexdigest())
    path = _path(objects, oid)
    path.parent.mkdir(exist_ok=True)
    temporary.rename(path)
    return oid


def read_loose(objects: Path, oid: ObjectId) -> tuple[ObjectKind, bytes] | None:
    """An object that lies here loose, None for another. Raises Corrupt."""
    packed = read_file(_path(objects, oid))
    if packed is None:
        return None
    try:
        header, _, data = zlib.decompress(packed).partition(b"\0")
        return ObjectKind(header.partition(b" ")[0].decode()), data
    except (zlib.error, ValueError) as error:
        raise Corrupt("loose object is damaged", oid=oid) from error


def _header(kind: ObjectKind, size: int) -> bytes:
    return b"%b %d\0" % (kind.value.encode(), size)


def _path(objects: Path, oid: ObjectId) -> Path:
    return objects / oid[:2] / oid[2:]


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f"tmp-{path.name}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
