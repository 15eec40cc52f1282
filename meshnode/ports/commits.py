"""Commits of a replica: what they say, which ones a walk finds, and how they hang together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from meshnode.base.ids import ObjectId
from meshnode.base.paths import TreePath
from meshnode.core.round import ReplicaKey


class SignatureKind(Enum):
    """What a signature looks like; nobody verified it."""

    NONE = "none"
    PGP = "pgp"
    SSH = "ssh"
    X509 = "x509"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who made an object, and when; text in the object's own encoding."""

    name: bytes
    email: bytes
    time_s: int
    """Seconds since 1970; 0 where there is no date that can be read."""
    timezone: str
    """As stored, "+0100"; "" where there is none."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit as it is stored."""

    oid: ObjectId
    tree: ObjectId
    parents: tuple[ObjectId, ...]
    author: Identity
    committer: Identity
    message: bytes
    """Cut where the reader asked for less than `message_size` bytes."""
    message_size: int
    encoding: str
    """What the commit says its text is in; "" for UTF-8."""
    signature: SignatureKind


class WalkOrder(Enum):
    """The orders of git-rev-list(1)."""

    DEFAULT = ""
    TOPOLOGICAL = "--topo-order"
    DATE = "--date-order"
    AUTHOR_DATE = "--author-date-order"


class MergeBaseKind(Enum):
    """What `Ancestry.merge_bases` looks for, as options of git-merge-base(1)."""

    BEST = ""
    ALL = "--all"
    OCTOPUS = "--octopus"


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which commits a walk finds; fields mean what the options of git-log(1) mean. Equal ones select equally."""

    include: tuple[ObjectId, ...]
    """At least one."""
    exclude: tuple[ObjectId, ...] = ()
    paths: tuple[TreePath, ...] = ()
    follow: bool = False
    """Needs exactly one path."""
    full_history: bool = False
    author: str = ""
    committer: str = ""
    messages: tuple[str, ...] = ()
    """Patterns are one line each."""
    is_extended: bool = False
    ignore_case: bool = False
    all_messages: bool = False
    invert_messages: bool = False
    since_s: int | None = None
    until_s: int | None = None
    first_parent: bool = False
    parents_min: int = 0
    parents_max: int | None = None


@dataclass(frozen=True, slots=True)
class Divergence:
    """Commits that only the one side has, and only the base."""

    ahead: int
    behind: int


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature and what it signs; nobody verified it."""

    kind: SignatureKind
    text: bytes
    """As the signing program gave it; b"" where there is none."""
    payload: bytes
    """The bytes that were signed."""


@dataclass(frozen=True, slots=True)
class CommitStats:
    """What a commit changed against its first parent."""

    additions: int
    deletions: int
    files: int
    """Binary files are counted here only."""


class Commits(Protocol):
    """Reads commits. Raises Corrupt where an object cannot be parsed."""

    async def read(
        self, key: ReplicaKey, oids: Sequence[ObjectId], *, message_bytes_max: int, bytes_max: int
    ) -> list[Commit]:
        """The commits, in order, as many as `bytes_max` has room for and at least one; messages cut.

        Raises:
            NotFound: no such commit (field `oid`).
            TooLarge: what comes before a commit's message is over 256 KiB.
        """
        ...


class CommitWalks(Protocol):
    """Walks history. Raises DeadlineExceeded, and InvalidRequest for a pattern that git refuses (field `complaint`)."""

    async def find(
        self, key: ReplicaKey, selection: Selection, *, order: WalkOrder, is_reversed: bool, skip: int, limit: int
    ) -> list[ObjectId]:
        """At most `limit` commits after the first `skip`; reversed means that the last one comes first."""
        ...

    async def count(self, key: ReplicaKey, selection: Selection, *, limit: int) -> int:
        """How many there are, counted up to `limit`; 0: all of them."""
        ...


class Ancestry(Protocol):
    """How commits hang together. Every id must be that of a commit of the repository."""

    async def is_ancestor(self, key: ReplicaKey, ancestor: ObjectId, descendant: ObjectId) -> bool:
        """Whether `ancestor` is reachable from `descendant`, or the same."""
        ...

    async def merge_bases(self, key: ReplicaKey, kind: MergeBaseKind, oids: Sequence[ObjectId]) -> list[ObjectId]:
        """Best common ancestors; empty where there are none."""
        ...

    async def divergence(
        self, key: ReplicaKey, base: ObjectId, oids: Sequence[ObjectId]
    ) -> Mapping[ObjectId, Divergence]:
        """How far each of `oids` is ahead of and behind `base`."""
        ...

    async def merged(self, key: ReplicaKey, base: ObjectId, oids: Collection[ObjectId]) -> set[ObjectId]:
        """Those of `oids` that are reachable from `base`."""
        ...

    async def containing(self, key: ReplicaKey, commit: ObjectId, oids: Collection[ObjectId]) -> set[ObjectId]:
        """Those of `oids` from which `commit` is reachable."""
        ...


class CommitDetails(Protocol):
    """What is to be said of single commits beside their content. Every id must be that of a commit."""

    async def signatures(self, key: ReplicaKey, oids: Sequence[ObjectId], *, bytes_max: int) -> list[Signature]:
        """The signature of each commit, in order.

        Raises:
            TooLarge: together they hold more than `bytes_max`.
        """
        ...

    async def stats(self, key: ReplicaKey, oids: Sequence[ObjectId]) -> Mapping[ObjectId, CommitStats]:
        """What each commit changed. Raises DeadlineExceeded."""
        ...
