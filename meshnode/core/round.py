"""A write round: everything a participant must know to vote on it and, later, to apply it without asking.

A round is written to the journal of every voter before it votes, so it holds names and values, never objects
of the running program. `base_generation` and `base_round_id` together name the state it starts from.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meshnode.base.ids import Generation, NodeId, PartitionId, RefsDigest, RepositoryId, RepositoryName, RoundId
from meshnode.core.refs import RefEdit


class WriteKind(Enum):
    """What a round does to its repository."""

    CREATE = "create"
    UPDATE = "update"
    RENAME = "rename"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class ReplicaKey:
    """Where a replica lives on its node's disk, for good."""

    home: PartitionId
    """The partition that the repository's fork root was created in. Its family may live in another one since (ADR 19);
    directories, and what forks share, stay."""
    repository: RepositoryId


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """One write, as every voter keeps it in its journal."""

    round_id: RoundId
    repository: RepositoryId
    home: PartitionId
    """Where its replicas lie on disk (`ReplicaKey`); which partition it lives in is the record's business."""
    kind: WriteKind
    base_generation: Generation
    base_round_id: RoundId | None
    edits: tuple[RefEdit, ...]
    refs_digest: RefsDigest
    """Digest of the references after the edits."""
    name: RepositoryName
    """The repository's name after the round."""
    object_format: str
    coordinator: NodeId
    request_key: str
    """Same for a request and its repetitions; "" means the write cannot be recognised again."""
    actor: str
    """Who asked, for the log."""
    fork_root: RepositoryId
    fork_parent: RepositoryId | None = None
    """CREATE only: share objects with this repository of the same home."""
    fork_generation: Generation | None = None
    """CREATE only: the parent's replica must have applied this generation before it can vote."""
    has_pack: bool = False
    """Whether objects travel with the round (the quarantine of a voter then holds exactly one pack)."""
    created_at_ms: int = 0
    """Wall clock at the coordinator, for people; nothing is decided by it."""

    @property
    def key(self) -> ReplicaKey:
        """The replica this round writes to."""
        return ReplicaKey(self.home, self.repository)

    @property
    def generation(self) -> Generation:
        """The generation this round makes."""
        return Generation(self.base_generation + 1)
