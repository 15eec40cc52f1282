"""Git objects made beside a replica: what they are made of, and the workshop where they are built."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from meshnode.base.ids import ObjectId
from meshnode.core.round import ReplicaKey
from meshnode.ports.merges import Merges
from meshnode.ports.objects import ObjectKind
from meshnode.ports.patches import Patches


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Who did something, and when."""

    name: str
    email: str
    seconds: int
    """Since 1970."""
    offset_minutes: int = 0
    """East of UTC."""


class FileMode(Enum):
    """What a file is, by the mode git stores."""

    REGULAR = "100644"
    EXECUTABLE = "100755"
    SYMLINK = "120000"


class ActionKind(Enum):
    """What is done to one path."""

    CREATE = "create"
    """A file that must not exist."""
    UPDATE = "update"
    """A file that must exist."""
    PUT = "put"
    """A file, whether it exists or not."""
    MOVE = "move"
    """A file or a directory to a path that must not exist."""
    DELETE = "delete"
    """A file that must exist; with `is_recursive` a directory with all below it too."""
    CHMOD = "chmod"
    """A regular file that must exist, executable or not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeAction:
    """One change of a tree. Actions are done in order, each sees what those before it left."""

    kind: ActionKind
    path: bytes
    source: bytes = b""
    """MOVE: the path before."""
    mode: FileMode | None = None
    """None: as it was, REGULAR for a new file."""
    blob: ObjectId | None = None
    """The content: needed by CREATE, UPDATE and PUT, possible with MOVE of a file."""
    expected: ObjectId | None = None
    """The blob that `path` (MOVE: `source`) must hold before."""
    is_recursive: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class NewCommit:
    """A commit to be written. An author or committer in bytes is the line of another commit, taken over as it is."""

    tree: ObjectId
    parents: Sequence[ObjectId]
    author: Person | bytes
    committer: Person | bytes
    message: bytes
    """A line feed is added where it does not end in one."""
    is_message_kept: bool = False
    """The message is another commit's and stays as it is, empty or not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewTag:
    """An annotated tag to be written."""

    target: ObjectId
    kind: ObjectKind
    name: str
    """Without refs/tags/."""
    tagger: Person
    message: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitFacts:
    """What a commit says, in UTF-8 where it names an encoding that is known."""

    oid: ObjectId
    tree: ObjectId
    parents: tuple[ObjectId, ...]
    author: bytes
    message: bytes


class Workshop(Protocol):
    """A place beside one replica: sees the replica's objects, keeps new ones to itself, and goes with all it holds.

    Every method may raise Overloaded (a limit, no space left), DeadlineExceeded and Corrupt.
    """

    @property
    def merges(self) -> Merges:
        """Merges in this workshop."""
        ...

    @property
    def patches(self) -> Patches:
        """Patches in this workshop."""
        ...

    async def add_blob(self, content: AsyncIterator[bytes]) -> ObjectId:
        """Write a blob as it arrives. Raises Overloaded: over the limit of one file or of the whole workshop."""
        ...

    async def edit_tree(self, base: ObjectId | None, actions: Sequence[TreeAction]) -> ObjectId:
        """Write the tree that `actions` make of the tree `base` (None: an empty one).

        Raises:
            InvalidRequest: a path git cannot or must not hold, or an action that does not fit what is there.
            NotFound: a path that must exist does not. RefConflict: one that must not does, or holds another blob.
        """
        ...

    async def write_commit(self, commit: NewCommit) -> ObjectId:
        """Write a commit. Raises InvalidRequest for an identity or a message that git refuses."""
        ...

    async def write_tag(self, tag: NewTag) -> ObjectId:
        """Write a tag object. Raises as `write_commit`."""
        ...

    async def read_commit(self, oid: ObjectId) -> CommitFacts:
        """A commit of the replica or of this workshop. Raises NotFound."""
        ...

    def pack(self, tip: ObjectId, haves: Sequence[ObjectId]) -> AsyncIterator[bytes]:
        """A thin pack of what `tip` reaches and `haves`, commits of the replica, do not."""
        ...


class Workshops(Protocol):
    """Workshops on this node's disk."""

    def open(self, key: ReplicaKey, object_format: str) -> AbstractAsyncContextManager[Workshop]:
        """An empty workshop, removed soon after its end however that comes about.

        Raises:
            Overloaded: too many workshops are open, or no space left.
        """
        ...
