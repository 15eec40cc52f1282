"""Git objects of a replica on this node's disk, and the names people give them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from meshnode.base.ids import ObjectId
from meshnode.core.round import ReplicaKey
from meshnode.ports.replicas import RefsSnapshot


class ObjectKind(Enum):
    """The four kinds of Git objects, by the names git gives them."""

    COMMIT = "commit"
    TREE = "tree"
    BLOB = "blob"
    TAG = "tag"


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What can be said of an object without reading it."""

    oid: ObjectId
    kind: ObjectKind
    size: int
    """Bytes of its content."""


@dataclass(frozen=True, slots=True)
class RawObject:
    """An object with its content, without git's header."""

    info: ObjectInfo
    data: bytes


class Objects(Protocol):
    """Objects of replicas, read as they are: no replace references, no grafts.

    Every method may raise Corrupt (git could not read the repository), Overloaded and DeadlineExceeded.
    """

    async def look_up(self, key: ReplicaKey, names: Sequence[str]) -> list[ObjectInfo | None]:
        """Kind and size of each name, in order; None for one that leads nowhere.

        A name is an object id with an optional gitrevisions(7) suffix ("<oid>^{commit}", "<oid>:path"); bytes of a
        path that are not UTF-8 are surrogate escapes.

        Raises:
            InvalidRequest: an abbreviated id that fits several objects (field `name`), a NUL in a name, or over 4 KiB.
        """
        ...

    async def read(self, key: ReplicaKey, names: Sequence[str], *, bytes_max: int) -> list[RawObject | None]:
        """Content of each name, in order; None for one that leads nowhere.

        Raises:
            InvalidRequest: as `look_up`. TooLarge: together they hold more than `bytes_max`.
        """
        ...

    def known(self, key: ReplicaKey, oid: ObjectId) -> RawObject | None:
        """The object where its content is in memory; nothing is asked."""
        ...

    def stream(
        self, key: ReplicaKey, oid: ObjectId, *, start: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        """The content from byte `start` on, `length` bytes of it (None: all), in chunks of at most 256 KiB.

        Raises:
            NotFound: no such object.
        """
        ...


class Revisions(Protocol):
    """Turns what people write for an object into its id, against one snapshot of the references."""

    async def resolve(
        self, key: ReplicaKey, snapshot: RefsSnapshot, revision: str, kind: ObjectKind | None = None
    ) -> ObjectInfo:
        """Find the object that `revision` names, peeled to `kind` where one is wanted.

        Takes object ids, unique abbreviations of at least four digits, reference names in full or short, and the
        suffixes `^`, `~` and `:path` of gitrevisions(7). "" means HEAD.

        Raises:
            NotFound: it leads nowhere (field `revision`).
            InvalidRequest: malformed, ambiguous (field `candidates`), or not of the wanted kind (field `kind`).
            Corrupt: a reference leads to an object that is missing.
        """
        ...
