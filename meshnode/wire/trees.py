"""Turns entries of trees between proto and the ports' types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from meshnode.ports import Attribute, EntryKind, LfsPointer, TreeEntry
from meshnode.v1 import tree_pb2

_KINDS: Final = {
    EntryKind.FILE: tree_pb2.ENTRY_KIND_FILE,
    EntryKind.EXECUTABLE: tree_pb2.ENTRY_KIND_EXECUTABLE,
    EntryKind.SYMLINK: tree_pb2.ENTRY_KIND_SYMLINK,
    EntryKind.DIRECTORY: tree_pb2.ENTRY_KIND_DIRECTORY,
    EntryKind.SUBMODULE: tree_pb2.ENTRY_KIND_SUBMODULE,
}


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
