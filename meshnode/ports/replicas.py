"""Replicas on this node's disk: their states, and what can be asked of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from meshnode.base.ids import Generation, ObjectId, RefName, RefsDigest, RefValue, RepositoryName, RoundId
from meshnode.core.round import ReplicaKey, Round


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaState:
    """What a replica's own files say of it."""

    key: ReplicaKey
    name: RepositoryName
    generation: Generation
    """The last generation applied; 0 for one that is being created or filled."""
    round_id: RoundId | None
    refs_digest: RefsDigest
    object_format: str
    is_deleted: bool
    prepared: tuple[Round, ...] = ()
    """Rounds in the journal, oldest first: voted for, not yet committed or aborted."""
    fork_parent: str | None = None


@dataclass(frozen=True, kw_only=True)
class RefsSnapshot:
    """A replica's references at one generation. Never changed after it is made; share it freely."""

    generation: Generation
    refs: Mapping[RefName, RefValue]
    """Every reference, `HEAD` included."""
    peeled: Mapping[RefName, ObjectId]
    """For references to annotated tags: what they lead to."""
    object_format: str = "sha1"
    names: Sequence[RefName] = field(default=())
    """Names below `refs/` in byte order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """What a replica's files say now, nothing cached."""

    state: ReplicaState | None
    """None: there is no replica."""
    refs_digest: RefsDigest | None
    """Of the references as they are; None without a replica."""
    problems: tuple[str, ...] = ()
    """What git says of the replica's own objects and of what its references reach; empty without `is_deep`."""


class ReplicaStore(Protocol):
    """Replicas on this node's disk: states and the durable steps between them."""

    async def list_replicas(self) -> list[ReplicaKey]:
        """Every replica directory, deleted ones that still hold objects for forks included."""
        ...

    async def load(self, key: ReplicaKey) -> ReplicaState | None:
        """The replica's state, None where there is no directory. Cached; the cache follows the methods below.

        Raises:
            Corrupt: its state or journal cannot be read back.
        """
        ...

    async def prepare(self, round_: Round) -> None:
        """Make the round's quarantined objects and its journal record durable. Idempotent.

        For a CREATE the directory comes into being here, without references.

        Raises:
            Corrupt: the round says `has_pack` and the quarantine holds no complete pack.
            Overloaded: no space left on the device.
        """
        ...

    async def apply(self, round_: Round, *, is_published: bool = True) -> ReplicaState:
        """Move a prepared round's objects in, update references and HEAD, append to the history, record the
        generation, drop the journal record: durable on return, replayable after a crash at any point.

        Applying what is applied already changes nothing. A DELETE removes references and, unless forks need
        them, objects. A RENAME changes the self-description.

        Raises:
            Corrupt: the round is not in the journal, or an old value on disk is neither `old` nor `new`.
            InvariantViolated: I6, the replica is not at the round's base.
        """
        ...

    async def discard(self, key: ReplicaKey, round_id: RoundId) -> None:
        """Drop a round's journal record and quarantine; a CREATE's directory goes with it. Idempotent."""
        ...

    async def replace(
        self,
        state: ReplicaState,
        refs: Mapping[RefName, RefValue],
        quarantine: RoundId | None,
        *,
        history: Sequence[Round] = (),
    ) -> None:
        """Make the replica exactly `refs` at `state.generation`: what a sync ends with.

        The pack of `quarantine` is moved in first. The directory is created where it is missing; `state.prepared`
        is ignored: journal records at or below the new base are dropped, later ones stay. `history` holds the
        rounds that led to `state.generation`, without a gap and the last one making it; they are kept as applied
        ones, for peers and for recognising repetitions. Without any, the replica's history begins anew.
        """
        ...

    async def rebase(self, state: ReplicaState) -> None:
        """Give a replica another position with the references it has: an operator made it the truth.

        One durable step decides; until then it is at its old position. History and journal of the old line go.

        Raises:
            RepositoryNotFound: no replica here.
            InvariantViolated: I4, the position would go back, or `state` has other references.
        """
        ...

    async def set_aside(self, key: ReplicaKey, reason: str) -> str:
        """Move a damaged replica's directory out of the way and keep it; returns where it is now."""
        ...

    async def drop(self, key: ReplicaKey) -> bool:
        """Remove a replica of a partition that this node has left, durably; False where a fork here still reads its
        objects. Unlike a delete it leaves no tombstone: the repository lives on elsewhere.
        """
        ...

    async def purge(self, key: ReplicaKey) -> None:
        """Remove quarantines and temporary files that no journal record names (start-up, client gone)."""
        ...


class ReplicaReader(Protocol):
    """What can be asked of a replica on this node's disk."""

    async def snapshot(self, key: ReplicaKey) -> RefsSnapshot:
        """The references of the last applied generation, from memory where possible."""
        ...

    async def history(self, key: ReplicaKey, after: Generation, limit: int = 200) -> list[Round]:
        """Applied rounds with generations after+1, after+2, ... without a gap; empty where `after` is older
        than what is kept (then only a full sync helps) or nothing is newer.
        """
        ...

    async def find_request(self, key: ReplicaKey, request_key: str) -> Round | None:
        """The applied round with this request key among the last ones kept, newest first."""
        ...

    async def digest_on_disk(self, key: ReplicaKey) -> RefsDigest:
        """The digest of the references as files say it now, nothing cached."""
        ...

    async def fsck(self, key: ReplicaKey) -> list[str]:
        """`git fsck` of the replica; its complaints, empty for none."""
        ...

    async def inspect(self, key: ReplicaKey, *, is_deep: bool) -> Inspection:
        """Read the files as if for the first time; `is_deep` also checks every byte of the replica's own objects.

        Unlike `fsck`, damage in a parent's directory is no problem of its fork. For state and references the caller
        holds off changes; objects are checked while writes go on.

        Raises:
            Corrupt: state, history, journal or references cannot be read back.
        """
        ...

    async def size_bytes(self, key: ReplicaKey) -> int:
        """Bytes of the replica's directory on disk."""
        ...

    async def object_digest(self, key: ReplicaKey) -> str:
        """Order-free hash over the ids of all objects reachable from the references, to compare replicas."""
        ...
