"""Between nodes: rounds, votes, repair; the calling side and the called."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from meshnode.base.ids import Generation, NodeId, ObjectId, RefsDigest, RoundId
from meshnode.core.round import ReplicaKey, Round
from meshnode.ports.packs import PackFix
from meshnode.ports.replicas import RefsSnapshot, ReplicaState


class VoteKind(Enum):
    """A participant's answer to Prepare."""

    GRANTED = "granted"
    STORED = "stored"
    """Kept in the journal, but this replica has not applied the base yet: not a vote."""
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True, slots=True)
class Vote:
    """A participant's answer to Prepare, with the generation it has applied."""

    kind: VoteKind
    generation: Generation
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaDescription:
    """A replica's account of itself, for verify, repair and rebuild."""

    node: NodeId
    generation: Generation
    round_id: RoundId | None
    refs_digest: RefsDigest
    digest_on_disk: RefsDigest | None = None
    object_digest: str = ""
    problems: tuple[str, ...] = ()
    ref_count: int = 0
    size_bytes: int = 0
    consistent_since_ms: int = 0
    """Wall clock from which it has been consistent without a break; 0 where it is not or cannot tell."""
    activity: str = ""
    """What the node is doing about the replica; "" for nothing."""
    prepared: tuple[RoundId, ...] | None = None
    """Rounds in the journal, voted for and neither committed nor aborted; None: not looked at."""


@dataclass(frozen=True, slots=True)
class StageChunk:
    """Raw pack bytes, at most 512 KiB."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StageFix:
    """The raw pack is complete; this is how it becomes the final one."""

    fix: PackFix


@dataclass(frozen=True, slots=True)
class StageIndex:
    """Bytes of the index, at most 512 KiB; `fix.index_bytes` in all."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StagePrepare:
    """Last message: the objects are complete, vote on the round."""

    round: Round


StageMessage = StageChunk | StageFix | StageIndex | StagePrepare


@dataclass(frozen=True, kw_only=True, slots=True)
class StageOpen:
    """What a prepare stream begins with."""

    key: ReplicaKey
    round_id: RoundId
    object_format: str
    coordinator: NodeId


class Peers(Protocol):
    """The other nodes, for replication. Every method may raise PeerUnavailable."""

    async def prepare(self, node: NodeId, opening: StageOpen, messages: AsyncIterator[StageMessage]) -> Vote:
        """Stream objects and the round; the participant's vote. A stream that breaks off is no vote."""
        ...

    async def commit(self, node: NodeId, key: ReplicaKey, round_id: RoundId, generation: Generation) -> Generation:
        """Tell a participant that its round is published; the generation it has applied then."""
        ...

    async def abort(self, node: NodeId, key: ReplicaKey, round_id: RoundId) -> None:
        """Tell a participant that its round will never be published."""
        ...

    async def describe(self, node: NodeId, key: ReplicaKey, *, deep: bool) -> ReplicaDescription | None:
        """The replica's account of itself; `deep` also recomputes digests and runs fsck. None: no replica."""
        ...

    async def history(self, node: NodeId, key: ReplicaKey, after: Generation) -> list[Round]:
        """`ReplicaReader.history` of the peer, the next rounds that fit in one answer."""
        ...

    async def snapshot(self, node: NodeId, key: ReplicaKey) -> tuple[ReplicaState, RefsSnapshot]:
        """State and references of the peer's replica at one generation."""
        ...

    def fetch_objects(
        self, node: NodeId, key: ReplicaKey, wants: Sequence[ObjectId], haves: Sequence[ObjectId]
    ) -> AsyncIterator[bytes]:
        """`PackStore.pack_objects` of the peer."""
        ...


class Replication(Protocol):
    """This node as a participant: what ReplicationService serves. The mirror image of `Peers`."""

    async def prepare(self, opening: StageOpen, messages: AsyncIterator[StageMessage]) -> Vote:
        """Receive objects, then vote on the round; a stream that ends early leaves nothing behind."""
        ...

    async def commit(self, key: ReplicaKey, round_id: RoundId, generation: Generation) -> Generation:
        """Apply a published round; the generation applied then. Idempotent."""
        ...

    async def abort(self, key: ReplicaKey, round_id: RoundId) -> None:
        """Drop a round that will never be published. Idempotent."""
        ...

    async def describe(self, key: ReplicaKey, *, deep: bool) -> ReplicaDescription | None:
        """This node's replica in its own words."""
        ...

    async def history(self, key: ReplicaKey, after: Generation) -> list[Round]:
        """Applied rounds after a generation, without a gap."""
        ...

    async def snapshot(self, key: ReplicaKey) -> tuple[ReplicaState, RefsSnapshot]:
        """State and references at one generation. Raises ReplicaBehind where this replica is not consistent."""
        ...

    def fetch_objects(
        self, key: ReplicaKey, wants: Sequence[ObjectId], haves: Sequence[ObjectId]
    ) -> AsyncIterator[bytes]:
        """Stream a pack for a peer's repair."""
        ...
