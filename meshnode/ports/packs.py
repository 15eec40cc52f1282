"""Objects on their way in and out of this node's disk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from meshnode.base.ids import ObjectId, RoundId
from meshnode.core.round import ReplicaKey


@dataclass(frozen=True, kw_only=True, slots=True)
class PackFix:
    """How a raw pack stream becomes the indexed pack: `index-pack --fix-thin` rewrites the header's object
    count, appends missing bases and a new trailer. `header + raw[12:body_end] + tail` is the final pack.
    """

    pack_id: str
    header: bytes
    """12 bytes."""
    body_end: int
    tail: bytes
    """Appended bases and the trailer; usually just the trailer."""
    index_bytes: int
    """Length of the index that is shipped after this."""


class PackIngest(Protocol):
    """A pack on its way in at the coordinator: bytes go to git, which indexes and checks them."""

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes of the raw pack stream; waits while git is behind.

        Raises:
            InvalidRequest: git refused the pack (the message is git's); Overloaded: too large, disk full.
        """
        ...

    async def finish(self) -> PackFix | None:
        """End of the stream: index, complete thin packs, check objects; None for a pack of no objects.

        Raises:
            InvalidRequest: truncated, corrupt, missing bases, or an object fails the configured checks.
        """
        ...

    def index(self) -> AsyncIterator[bytes]:
        """The index that `finish` made, in chunks of at most 512 KiB."""
        ...

    async def check_connected(
        self, tips: Collection[ObjectId], *, commits: Collection[ObjectId] = (), is_for_others: bool = True
    ) -> None:
        """Check that everything reachable from `tips` is in the quarantine or the repository.

        `is_for_others`: the pack goes to other replicas, so what it leaves out must be reachable from references; an
        object that lies here by chance would be missing there.

        Those of the tips that are in `commits` (branch tips) must be commits: git refuses anything else below
        refs/heads/, and after the commit point it would be too late to find out.

        Raises:
            InvalidRequest: an object is missing, or one of `commits` is none; field `oid` where git names it.
        """
        ...

    async def close(self) -> None:
        """Stop what runs; the quarantine is kept for `ReplicaStore.prepare` if `finish` succeeded, else removed."""
        ...


class PackReceive(Protocol):
    """A pack on its way in at a participant: bytes go to a file, the coordinator's index is checked against it."""

    async def write(self, chunk: bytes) -> None:
        """Append bytes of the raw pack stream."""
        ...

    async def finish(self, fix: PackFix) -> None:
        """Complete the pack as `fix` says. Raises Corrupt where the trailer does not match the bytes."""
        ...

    async def write_index(self, chunk: bytes) -> None:
        """Append bytes of the index."""
        ...

    async def finish_index(self) -> None:
        """Check the index against the pack (its trailers) and make both durable. Raises Corrupt."""
        ...

    async def close(self) -> None:
        """Close files; the quarantine is removed unless both are complete."""
        ...


class PackStore(Protocol):
    """Objects in and out."""

    async def open_ingest(self, key: ReplicaKey, round_id: RoundId, object_format: str) -> PackIngest:
        """Start a quarantine that git indexes into. For a repository in creation it needs no directory yet."""
        ...

    async def open_receive(self, key: ReplicaKey, round_id: RoundId, object_format: str) -> PackReceive:
        """Start a quarantine that receives a pack and its index as bytes."""
        ...

    def pack_objects(
        self, key: ReplicaKey, wants: Sequence[ObjectId], haves: Sequence[ObjectId]
    ) -> AsyncIterator[bytes]:
        """Stream a (thin) pack of what is reachable from `wants` and not from those `haves` that exist here."""
        ...

    async def missing(self, key: ReplicaKey, oids: Sequence[ObjectId]) -> list[ObjectId]:
        """Those of `oids` that this replica does not have as objects (a missing replica has none)."""
        ...

    async def is_ancestor(
        self, key: ReplicaKey, ancestor: ObjectId, descendant: ObjectId, *, round_id: RoundId | None = None
    ) -> bool:
        """Whether a commit is reachable from another one, which may be in the quarantine of `round_id`.

        Raises Corrupt where git cannot read one of them.
        """
        ...

    async def check_tips(
        self, key: ReplicaKey, tips: Collection[ObjectId], *, commits: Collection[ObjectId] = ()
    ) -> None:
        """`PackIngest.check_connected` for a write that brings no pack."""
        ...
