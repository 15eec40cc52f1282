"""Directories and files of a tree, as replicas on this node's disk hold them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import NamedTuple, Protocol

from meshnode.base.ids import ObjectId
from meshnode.base.paths import TreePath
from meshnode.core.round import ReplicaKey


class EntryKind(Enum):
    """What an entry of a tree is, by its mode."""

    FILE = "file"
    EXECUTABLE = "executable"
    SYMLINK = "symlink"
    DIRECTORY = "directory"
    SUBMODULE = "submodule"

    @staticmethod
    @lru_cache(64)  # asked several times of every entry, and there are five modes
    def of(mode: int) -> EntryKind:
        """The kind of entry that git takes a mode for."""
        kind = _KINDS.get(mode & 0o170000, EntryKind.SUBMODULE)
        return EntryKind.EXECUTABLE if kind is EntryKind.FILE and mode & 0o100 else kind

    @property
    def is_blob(self) -> bool:
        """Whether its object is a blob of the same repository."""
        return self is not EntryKind.DIRECTORY and self is not EntryKind.SUBMODULE


_KINDS = {0o100000: EntryKind.FILE, 0o120000: EntryKind.SYMLINK, 0o040000: EntryKind.DIRECTORY}


@dataclass(frozen=True, slots=True)
class LfsPointer:
    """Content that is kept elsewhere."""

    oid: str
    """Hex SHA-256 of it."""
    size: int
    """Bytes of it."""


class TreeEntry(NamedTuple):
    """One entry of a tree."""

    path: TreePath
    """From the tree that was asked."""
    mode: int
    oid: ObjectId
    size: int = 0
    """Bytes, where asked for and a blob."""
    lfs: LfsPointer | None = None
    """Where asked for and one."""

    @property
    def kind(self) -> EntryKind:
        """What it is."""
        return EntryKind.of(self.mode)


class TreeRun(NamedTuple):
    """Entries of one directory that follow each other in a listing, as trees hold them."""

    directory: bytes
    """What their paths begin with: b"" or the directory's path and a slash."""
    rows: list[tuple[bytes, bytes, bytes]]
    """Mode in octal digits, name, raw object id."""


class KnownPart(NamedTuple):
    """All that is below one directory, as the caller has kept it from an earlier listing."""

    entries: int
    path_bytes: int
    """Of their paths, from the tree that is listed."""
    content: bytes | memoryview
    """The caller's own."""


class WholePart(NamedTuple):
    """A directory of which a page holds all that is below it: `runs[start:end]`."""

    oid: bytes
    """Raw."""
    path: bytes
    start: int
    end: int
    entries: int
    path_bytes: int


KnownParts = Callable[[bytes, bytes], KnownPart | None]
"""What the caller has kept of a directory: by its raw object id and its path from the tree that is listed."""


@dataclass(frozen=True, slots=True)
class TreePage:
    """A part of a listing."""

    runs: list[TreeRun | KnownPart]
    """Known parts only where the caller said what it knows."""
    next_at: tuple[int, ...] | None
    """Where the next part begins; None: there is none."""
    sizes: Mapping[bytes, int]
    """Bytes of blobs by raw object id, where asked for."""
    pointers: Mapping[bytes, LfsPointer]
    """Those among the files, by raw object id, where asked for."""
    whole: list[WholePart]
    """The directories that the caller may keep, but for known ones and the tree itself."""

    def rows(self) -> list[TreeRun]:
        """What is no known part."""
        return [run for run in self.runs if isinstance(run, TreeRun)]

    def entries(self) -> list[TreeEntry]:
        """One by one; a listing that only becomes a message is cheaper without (`wire/trees.py`)."""
        return [
            TreeEntry(TreePath(directory + name), int(mode, 8), ObjectId(oid.hex()))
            for directory, rows in self.rows()
            for mode, name, oid in rows
        ]


@dataclass(frozen=True, slots=True)
class Attribute:
    """What .gitattributes files say of a path."""

    name: str
    value: bytes
    """"set", "unset", "unspecified" or the value."""


class Trees(Protocol):
    """Trees of replicas. Nothing follows symbolic links. Trees are named by their own ids.

    Every method may raise Corrupt, TooLarge (a tree over 32 MiB, too deep, too much at once), Overloaded,
    DeadlineExceeded and InvalidRequest (an object that is no well-formed tree).
    """

    async def page(
        self,
        key: ReplicaKey,
        tree: ObjectId,
        at: Sequence[int],
        *,
        recursive: bool,
        entries_max: int,
        bytes_max: int,
        sizes: bool = False,
        lfs: bool = False,
        known: KnownParts | None = None,
    ) -> TreePage:
        """Entries in tree order from `at` on, which is () or what an earlier page of the same listing gave.

        Ends after `entries_max` entries or when their paths hold `bytes_max` bytes, but has at least one. `sizes` asks
        for sizes of blobs, `lfs` for the pointers among files, and with them for sizes. A recursive listing takes the
        directories that are `known` as they are, where they fit as a whole.

        Raises:
            InvalidRequest: `at` is no place in this tree.
        """
        ...

    async def find(self, key: ReplicaKey, tree: ObjectId, paths: Sequence[TreePath]) -> list[TreeEntry | None]:
        """The entry at each path, in order; None where nothing is. The root is a directory with path b""."""
        ...

    async def describe(self, key: ReplicaKey, entries: Sequence[TreeEntry], *, lfs: bool) -> list[TreeEntry]:
        """The entries with the sizes of blobs, and with the pointers among them where `lfs`."""
        ...

    async def attributes(
        self, key: ReplicaKey, tree: ObjectId, paths: Sequence[TreePath], names: Sequence[str]
    ) -> list[list[Attribute]]:
        """Attributes of each path, in order; `names` empty means all that are specified.

        Raises:
            InvalidRequest: not a name of an attribute (field `name`).
        """
        ...
