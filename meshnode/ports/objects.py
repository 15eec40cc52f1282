"""Git objects of a replica on this node's disk, and the names people give them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from enum import Enum
from typing import Final, NamedTuple, Protocol

from meshnode.base.ids import ObjectId
from meshnode.base.paths import TreePath
from meshnode.core.round import ReplicaKey
from meshnode.ports.replicas import RefsSnapshot


class ObjectKind(Enum):
    """The four kinds of Git objects, by the names git gives them."""

    COMMIT = "commit"
    TREE = "tree"
    BLOB = "blob"
    TAG = "tag"


class ObjectInfo(NamedTuple):
    """What can be said of an object without reading it."""

    oid: ObjectId
    kind: ObjectKind
    size: int
    """Bytes of its content."""


class RawObject(NamedTuple):
    """An object with its content, without git's header."""

    info: ObjectInfo
    data: bytes


class Ahead(NamedTuple):
    """Names that will be asked for next, as in `Objects.look_up`."""

    infos: Sequence[str] = ()
    contents: Sequence[str] = ()


NOTHING_AHEAD: Final = Ahead()


class TreeAhead(NamedTuple):
    """Paths in a tree that will be asked for once the tree is known."""

    entries: Sequence[TreePath] = ()
    """Of which kind and size will be asked."""
    trees: Sequence[TreePath] = ()
    """Directories whose content will be."""


class BegunLookUp(Protocol):
    """Names that git was asked for before anybody knows whether the answer may be told."""

    async def finish(self) -> None:
        """Wait until the answer is in memory, as far as there is one. Idempotent; raises nothing of its own."""
        ...

    async def drop(self) -> None:
        """Leave the answer, where it was not waited for. Idempotent."""
        ...


class Objects(Protocol):
    """Objects of replicas, read as they are: no replace references, no grafts.

    Every method may raise Corrupt (git could not read the repository), Overloaded and DeadlineExceeded.
    """

    async def look_up(
        self, key: ReplicaKey, names: Sequence[str], *, ahead: Ahead = NOTHING_AHEAD
    ) -> list[ObjectInfo | None]:
        """Kind and size of each name, in order; None for one that leads nowhere.

        Where git must be asked at all, it is asked for `ahead` in the same round trip, so that the questions that follow
        find their answers in memory. Whatever is wrong with those names is for those questions to say.

        A name is an object id with an optional gitrevisions(7) suffix ("<oid>^{commit}", "<oid>:path"); bytes of a
        path that are not UTF-8 are surrogate escapes.

        Raises:
            InvalidRequest: an abbreviated id that fits several objects (field `name`), a NUL in a name, or over 4 KiB.
        """
        ...

    def begin(self, key: ReplicaKey, names: Sequence[str], *, ahead: Ahead = NOTHING_AHEAD) -> BegunLookUp | None:
        """Ask for what `look_up` will be asked, without waiting; None where that is not faster.

        Only what starts from a whole object id finds its answer in memory later.
        """
        ...

    async def read(self, key: ReplicaKey, names: Sequence[str], *, bytes_max: int) -> list[RawObject | None]:
        """Content of each name, in order; None for one that leads nowhere.

        Raises:
            InvalidRequest: as `look_up`. TooLarge: together they hold more than `bytes_max`.
        """
        ...

    def memory(self, key: ReplicaKey) -> Callable[[ObjectId], RawObject | None]:
        """What finds objects whose content is in memory; nothing is asked. To be used before the loop runs again."""
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

    def begin(
        self, key: ReplicaKey, revision: str, kind: ObjectKind | None = None, *, ahead: TreeAhead | None = None
    ) -> BegunLookUp | None:
        """Ask for what `resolve` will be asked, without waiting, where that can be told without a snapshot."""
        ...

    async def resolve(
        self,
        key: ReplicaKey,
        snapshot: RefsSnapshot,
        revision: str,
        kind: ObjectKind | None = None,
        *,
        ahead: TreeAhead | None = None,
    ) -> ObjectInfo:
        """Find the object that `revision` names, peeled to `kind` where one is wanted.

        `ahead`: what will be asked for in the tree that it leads to, so that one round trip can do (`Objects.look_up`).

        Takes object ids, unique abbreviations of at least four digits, reference names in full or short, and the
        suffixes `^`, `~` and `:path` of gitrevisions(7). "" means HEAD.

        Raises:
            NotFound: it leads nowhere (field `revision`).
            InvalidRequest: malformed, ambiguous (field `candidates`), or not of the wanted kind (field `kind`).
            Corrupt: a reference leads to an object that is missing.
        """
        ...
