"""Turns entries of trees into their proto, one by one or, where there are thousands, straight into its bytes.

    entries = 1 { path = 1, kind = 2, mode = 3, oid = 4, size = 5, lfs = 6 } | entries = 1 {...} | ...

A listing is made of few different pieces: what is the same for all entries of a mode or of a length is made once, and
an entry takes a fifth of the time that a message of it would. Source: protobuf's "Encoding", wire types 0 and 2.
"""

from __future__ import annotations

from binascii import hexlify
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from meshnode.ports import Attribute, EntryKind, KnownPart, LfsPointer, TreeEntry, TreePage
from meshnode.v1 import tree_pb2

_KINDS: Final = {
    EntryKind.FILE: tree_pb2.ENTRY_KIND_FILE,
    EntryKind.EXECUTABLE: tree_pb2.ENTRY_KIND_EXECUTABLE,
    EntryKind.SYMLINK: tree_pb2.ENTRY_KIND_SYMLINK,
    EntryKind.DIRECTORY: tree_pb2.ENTRY_KIND_DIRECTORY,
    EntryKind.SUBMODULE: tree_pb2.ENTRY_KIND_SUBMODULE,
}

_PATH: Final = b"\x0a"
_KIND: Final = b"\x10"
_MODE: Final = b"\x18"
_OID: Final = b"\x22"
_SIZE: Final = b"\x28"
_LFS: Final = b"\x32"
_ENTRY: Final = b"\x0a"
"""Tags of the fields."""


def entry_message(entry: TreeEntry, prefix: bytes = b"") -> tree_pb2.TreeEntry:
    """An entry, its path below `prefix` ("" or one that ends in a slash)."""
    return tree_pb2.TreeEntry(
        path=prefix + entry.path,
        kind=_KINDS[entry.kind],
        mode=entry.mode,
        oid=entry.oid,
        size=entry.size,
        lfs=lfs_message(entry.lfs),
    )


def lfs_message(pointer: LfsPointer | None) -> tree_pb2.LfsPointer | None:
    """A pointer, or None."""
    return None if pointer is None else tree_pb2.LfsPointer(oid=pointer.oid, size=pointer.size)


def attributes_message(path: bytes, attributes: Sequence[Attribute]) -> tree_pb2.PathAttributes:
    """What is said of one path."""
    return tree_pb2.PathAttributes(
        path=path, attributes=[tree_pb2.Attribute(name=one.name, value=one.value) for one in attributes]
    )


def entries_bytes(page: TreePage, prefix: bytes = b"") -> Iterator[bytes | memoryview]:
    """A listing as the field `entries` of its answer, a piece for each run; paths below `prefix` as `entry_message`.

    A known part has such pieces for its content.
    """
    heads, size_fields = _Heads(), _SizeFields()
    modes = _Modes()
    size_of, pointers = page.sizes.get, page.pointers
    for run in page.runs:
        if isinstance(run, KnownPart):
            yield run.content
            continue
        below, rows = run
        directory = prefix + below
        above = len(directory)
        pieces: list[bytes] = []
        if rows:
            modes = modes.for_ids_of(len(rows[0][2]))
        for raw_mode, name, oid in rows:
            about, about_bytes, is_blob, is_file = modes[raw_mode]
            rest = size_fields[size] if is_blob and (size := size_of(oid)) else b""
            if pointers and is_file and (pointer := pointers.get(oid)) is not None:
                message = tree_pb2.LfsPointer(oid=pointer.oid, size=pointer.size).SerializeToString()
                rest += _LFS + _varint(len(message)) + message
            head = heads[above + len(name), about_bytes + len(rest)]
            pieces += (head, directory, name, about, hexlify(oid), rest)
        yield b"".join(pieces)


class _Mode(NamedTuple):
    """What is the same for all entries of a mode."""

    about: bytes
    """Kind, mode, and what stands before an id."""
    bytes_with_id: int
    """Of `about` and the id."""
    is_blob: bool
    is_file: bool


class _Modes(dict[bytes, _Mode]):
    """Modes by their octal digits, for ids of one size."""

    def __init__(self, oid_bytes: int = 0) -> None:
        self._oid_bytes = oid_bytes

    def for_ids_of(self, oid_bytes: int) -> _Modes:
        """This one, where it is for ids of this size, else another one."""
        return self if oid_bytes == self._oid_bytes else _Modes(oid_bytes)

    def __missing__(self, digits: bytes) -> _Mode:
        mode = int(digits, 8)
        kind = EntryKind.of(mode)
        about = _KIND + _varint(_KINDS[kind]) + (_MODE + _varint(mode) if mode else b"") + _OID
        about += _varint(2 * self._oid_bytes)
        is_file = kind in {EntryKind.FILE, EntryKind.EXECUTABLE}
        result = self[digits] = _Mode(about, len(about) + 2 * self._oid_bytes, kind.is_blob, is_file)
        return result


class _SizeFields(dict[int, bytes]):
    """The field of a size."""

    def __missing__(self, size: int) -> bytes:
        result = self[size] = _SIZE + _varint(size)
        return result


class _Heads(dict[tuple[int, int], bytes]):
    """What stands before a path: by the bytes of the path and of what follows it in the entry."""

    def __missing__(self, lengths: tuple[int, int]) -> bytes:
        path, rest = lengths
        inner = _PATH + _varint(path)
        result = self[lengths] = _ENTRY + _varint(len(inner) + path + rest) + inner
        return result


def _varint(value: int) -> bytes:
    if value < 0x80:
        return value.to_bytes(1, "little")
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
