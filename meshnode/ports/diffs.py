"""What changed between two trees, as replicas on this node's disk hold them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from meshnode.base.ids import ObjectId
from meshnode.base.paths import TreePath
from meshnode.core.round import ReplicaKey


class Detection(Enum):
    """Which files are looked for under other names."""

    NONE = "none"
    RENAMES = "renames"
    COPIES = "copies"
    COPIES_OF_ALL = "copies of all"


class Whitespace(Enum):
    """Which white space does not count."""

    NONE = "none"
    AT_EOL = "at eol"
    CHANGE = "change"
    ALL = "all"


class DiffAlgorithm(Enum):
    """How lines are matched, by git's names."""

    MYERS = "myers"
    MINIMAL = "minimal"
    PATIENCE = "patience"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffOptions:
    """How two trees are compared."""

    detection: Detection = Detection.RENAMES
    similarity_min: int = 50
    """Percent."""
    detection_limit: int = 1_000
    """Files added and removed that are compared for renames that are not exact."""
    whitespace: Whitespace = Whitespace.NONE
    ignore_cr_at_eol: bool = False
    ignore_blank_lines: bool = False
    context_lines: int = 3
    function_context: bool = False
    algorithm: DiffAlgorithm = DiffAlgorithm.MYERS
    paths: tuple[TreePath, ...] = ()
    """Only these; none: all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffLimits:
    """How much of a diff is wanted."""

    files_max: int = 3_000
    lines_max: int = 50_000
    bytes_max: int = 10 << 20
    file_lines_max: int = 5_000
    file_bytes_max: int = 512 << 10


class DiffLimit(Enum):
    """The limit that ended a diff."""

    FILES = "files"
    LINES = "lines"
    BYTES = "bytes"


class ChangeKind(Enum):
    """What happened to a file, by git's letters."""

    ADDED = "A"
    DELETED = "D"
    MODIFIED = "M"
    RENAMED = "R"
    COPIED = "C"
    TYPE_CHANGED = "T"


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """One file that is not the same on both sides."""

    kind: ChangeKind
    old_path: bytes
    """b"" where it was added."""
    new_path: bytes
    """b"" where it was deleted."""
    old_mode: int
    new_mode: int
    old_oid: str
    """"" where there is none."""
    new_oid: str
    similarity: int = 0


@dataclass(slots=True)
class Hunk:
    """Lines that belong together; the first byte of each says to which side."""

    old_start: int
    old_lines: int
    new_start: int
    new_lines: int
    section: bytes
    lines: list[bytes] = field(default_factory=list)
    is_continued: bool = False
    """These lines go on where the hunk before ended; the numbers are 0."""


@dataclass(frozen=True, slots=True)
class FileEnd:
    """What was found out about one file."""

    is_binary: bool = False
    is_truncated: bool = False
    additions: int = 0
    deletions: int = 0
    is_counted: bool = True


@dataclass(slots=True)
class DiffPart:
    """Something of one file."""

    index: int
    file: ChangedFile | None = None
    """First part only."""
    hunks: list[Hunk] = field(default_factory=list)
    end: FileEnd | None = None
    """Last part only."""


@dataclass(frozen=True, slots=True)
class DiffSummary:
    """What a diff came to."""

    files: int
    files_reported: int
    additions: int
    deletions: int
    is_truncated: bool
    limit: DiffLimit | None


class Relation(Enum):
    """How two commits of two series are related, by git's signs."""

    EQUAL = "="
    CHANGED = "!"
    DROPPED = "<"
    ADDED = ">"


@dataclass(frozen=True, slots=True)
class CommitPair:
    """A commit and what became of it in another version of its series."""

    relation: Relation
    old_number: int
    """From 1; 0 where there is none."""
    old_oid: str
    new_number: int
    new_oid: str
    subject: bytes
    patch: bytes
    is_truncated: bool


class BegunDiff(Protocol):
    """A commit's own change, which git may be at work on before anybody knows whether it may be told."""

    def output(self) -> AsyncGenerator[bytes, None]:
        """What git writes; for whoever began it."""
        ...

    async def drop(self) -> None:
        """End it, where its output was not taken. Idempotent."""
        ...


class Diffs(Protocol):
    """Diffs of trees, named by their own ids.

    Every method may raise Corrupt, Overloaded, DeadlineExceeded, and InvalidRequest where git refuses.
    """

    def begin(self, key: ReplicaKey, commit: ObjectId, options: DiffOptions, *, is_counted: bool) -> BegunDiff | None:
        """Ask for what a commit changed in its first parent, or in the empty tree where it has none, without waiting.

        `compare`, or `count` where `is_counted`, takes it with the trees that this commit turned out to mean. None where
        that is not faster.
        """
        ...

    def compare(
        self,
        key: ReplicaKey,
        old: ObjectId,
        new: ObjectId,
        options: DiffOptions,
        limits: DiffLimits,
        *,
        begun: BegunDiff | None = None,
    ) -> AsyncIterator[list[DiffPart] | DiffSummary]:
        """Changed files with hunks, in portions of about 256 KiB; the summary comes last.

        `begun` is the same diff where it was begun, with these options.
        """
        ...

    def count(
        self,
        key: ReplicaKey,
        old: ObjectId,
        new: ObjectId,
        options: DiffOptions,
        limits: DiffLimits,
        *,
        begun: BegunDiff | None = None,
    ) -> AsyncIterator[list[DiffPart] | DiffSummary]:
        """As `compare`, with counts instead of hunks; only `files_max` of the limits matters."""
        ...

    def patch(
        self, key: ReplicaKey, old: ObjectId, new: ObjectId, options: DiffOptions, *, binary: bool
    ) -> AsyncIterator[bytes]:
        """The patch as text, in chunks of at most 256 KiB."""
        ...

    def changed_paths(
        self, key: ReplicaKey, pairs: Sequence[tuple[ObjectId, ObjectId]], options: DiffOptions
    ) -> AsyncIterator[tuple[int, list[ChangedFile]]]:
        """Files that changed in each pair of trees: the pair's index and some of its files, at most 1,000 at once.

        Each pair comes at least once, in order. Only detection and paths of the options matter.
        """
        ...

    def range_diff(
        self, key: ReplicaKey, old: tuple[ObjectId, ObjectId], new: tuple[ObjectId, ObjectId], *, creation_factor: int
    ) -> AsyncIterator[CommitPair]:
        """Two series of commits, each from a base (not part of it) to a tip, commit by commit.

        Raises:
            TooLarge: a series has over 500 commits.
        """
        ...

    async def patch_id(self, key: ReplicaKey, old: ObjectId, new: ObjectId) -> str:
        """The stable patch id; "" where the trees are equal."""
        ...
