"""A replica's content as a whole: archives, bundles, searches, counts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from meshnode.base.ids import ObjectId, RefName
from meshnode.base.paths import TreePath
from meshnode.core.round import ReplicaKey


class ArchiveFormat(Enum):
    """What `git archive` writes, by the names git gives it."""

    TAR = "tar"
    TAR_GZ = "tar.gz"
    ZIP = "zip"


@dataclass(frozen=True, kw_only=True, slots=True)
class ContentSearch:
    """What to look for in the files of a tree."""

    pattern: bytes
    """Without a line break."""
    is_regex: bool = False
    """Extended regular expression instead of plain text."""
    ignore_case: bool = False
    whole_word: bool = False
    paths: Sequence[TreePath] = ()
    """Only below these; none: everywhere."""
    context_lines: int = 0
    limit_per_file: int = 0
    """0: none."""


@dataclass(frozen=True, slots=True)
class ContentMatch:
    """A line of a file."""

    path: bytes
    line_number: int
    column: int
    """Byte at which the first match begins, from 1; 0 for a line of context."""
    line: bytes
    """Without its end, at most 4,096 bytes."""
    is_cut: bool = False
    """The line is longer."""


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A file or symbolic link of a tree; submodules are none."""

    path: bytes
    oid: ObjectId
    size: int
    is_link: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectCounts:
    """Objects of a replica's own directory."""

    loose: int
    packed: int
    packs: int
    loose_bytes: int
    pack_bytes: int


class Contents(Protocol):
    """Questions about whole trees and replicas. Every method may raise Corrupt, Overloaded and DeadlineExceeded."""

    def archive(
        self, key: ReplicaKey, treeish: ObjectId, archive_format: ArchiveFormat, prefix: str, paths: Sequence[TreePath]
    ) -> AsyncIterator[bytes]:
        """The archive's bytes. `paths` exist in the tree; none: all of it. `prefix` was checked by the caller."""
        ...

    def bundle(
        self,
        key: ReplicaKey,
        references: Sequence[tuple[RefName, ObjectId]],
        known: Collection[ObjectId],
        object_format: str,
    ) -> AsyncIterator[bytes]:
        """A bundle of `references`, which exist, without what is reachable from `known`, which exist too."""
        ...

    def search(self, key: ReplicaKey, tree: ObjectId, search: ContentSearch) -> AsyncIterator[ContentMatch]:
        """Matching lines and their context, in order of paths and lines.

        Raises:
            InvalidRequest: the expression is none.
        """
        ...

    def files(self, key: ReplicaKey, tree: ObjectId) -> AsyncIterator[TreeFile]:
        """Every file below a tree, in git's order."""
        ...

    async def count_objects(self, key: ReplicaKey) -> ObjectCounts:
        """What lies on disk."""
        ...
