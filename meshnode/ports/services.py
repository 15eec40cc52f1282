"""What the engine offers to the servers: writes, reads, routing, the cluster, its own doings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from meshnode.base.errors import MeshError
from meshnode.base.ids import Generation, NodeId, PartitionId, RefName, RefValue, RepositoryId, RepositoryName, RoundId
from meshnode.core.cluster import ClusterSettings
from meshnode.core.nodes import Node, NodeState, OnlineNode
from meshnode.core.partition import Partition
from meshnode.core.record import Record
from meshnode.core.round import ReplicaKey
from meshnode.ports.replicas import RefsSnapshot
from meshnode.ports.transport import Consistency


@dataclass(frozen=True, kw_only=True, slots=True)
class RefChange:
    """One wish of an API write. `expected` None: whatever is there; "" : must not exist. `new` "" : delete."""

    name: RefName
    expected: RefValue | str | None
    new: RefValue | str


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteResult:
    """A write that is published."""

    record: Record
    round_id: RoundId
    generation: Generation
    """The generation the write made; `record` may be further on where a repetition was recognised."""
    is_repetition: bool = False


class Writes(Protocol):
    """Writes with this node as coordinator. Each is one round; an error with `nothing_written` promises so."""

    async def create(
        self,
        name: RepositoryName,
        *,
        object_format: str,
        default_branch: RefName,
        request_key: str,
        actor: str,
        replication_factor: int = 0,
    ) -> WriteResult:
        """Create an empty repository, in a partition with a factor of its own where one is given (0: none).

        Raises:
            RepositoryExists.
            InvalidRequest: fewer nodes than that can have replicas, or the factor is not 0 to 9.
            ReplicaBehind: this node has no partition for it; another may.
        """
        ...

    async def fork(self, source: RepositoryName, name: RepositoryName, *, request_key: str, actor: str) -> WriteResult:
        """Create a repository with the source's references. Raises RepositoryNotFound, RepositoryExists."""
        ...

    async def rename(
        self, name: RepositoryName, new_name: RepositoryName, *, request_key: str, actor: str
    ) -> WriteResult:
        """Give a repository another name. Raises RepositoryNotFound, RepositoryExists."""
        ...

    async def delete(self, name: RepositoryName, *, request_key: str, actor: str) -> WriteResult:
        """Delete a repository. Raises RepositoryNotFound."""
        ...

    async def update_refs(
        self, name: RepositoryName, changes: Sequence[RefChange], *, request_key: str, actor: str
    ) -> WriteResult:
        """Apply all changes or none. Raises RefConflict, InvalidRequest (missing objects, name conflicts)."""
        ...


@dataclass(frozen=True, kw_only=True)
class ReadView:
    """One repository as this node's replica shows it, checked against the asked consistency level."""

    key: ReplicaKey
    name: RepositoryName
    snapshot: RefsSnapshot
    record: Record | None
    """The record that was read, None where the level needed none."""

    @property
    def generation(self) -> Generation:
        """Where the answer stands."""
        return self.snapshot.generation


class Reads(Protocol):
    """Reads of this node's replica and of the catalog."""

    async def view(self, name: RepositoryName, consistency: Consistency) -> ReadView:
        """Open this node's replica for a read.

        Raises:
            RepositoryNotFound: no such name.
            ReplicaBehind: this replica cannot meet the level (field `generation`).
            CatalogUnavailable: VERIFIED cannot be met just now.
        """
        ...

    def report_damage(self, key: ReplicaKey, reason: str) -> None:
        """Have this node's replica taken out: a read of its objects met damage."""
        ...

    def likely_key(self, name: RepositoryName) -> ReplicaKey | None:
        """Where a view of the name will most likely lead; nothing of it may be told before there is one."""
        ...

    async def find(self, name: RepositoryName) -> Record:
        """The record behind a name, linearizably. Raises RepositoryNotFound."""
        ...

    async def find_by_id(self, repository: RepositoryId) -> Record | None:
        """The record of a repository id, deleted ones included."""
        ...

    async def list_names(self, prefix: str, after: str, limit: int) -> list[RepositoryName]:
        """Names that start with `prefix` and sort after `after`, in byte order."""
        ...


class Router(Protocol):
    """Which nodes may answer, best first. This node's own id is in the list where it qualifies."""

    def is_own_likely(self, name: RepositoryName) -> bool:
        """Whether this node may well answer a read, from memory alone: a hint that saves looking for candidates."""
        ...

    def note_refusal(self, name: RepositoryName, node: NodeId, error: MeshError) -> None:
        """Learn from a candidate that turned a read down; no more than a hint for the next ones."""
        ...

    async def read_candidates(self, name: RepositoryName, consistency: Consistency) -> list[NodeId]:
        """Nodes with an eligible replica. Raises RepositoryNotFound, CatalogUnavailable."""
        ...

    async def write_candidates(self, name: RepositoryName) -> list[NodeId]:
        """Nodes that may coordinate a write; for a name that does not exist, those of its future partition."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RepairProgress:
    """One repair on this node."""

    key: ReplicaKey
    phase: str
    percent: int
    """0 to 100; -1 where it cannot be told."""
    source: NodeId | None


class Membership(Protocol):
    """The cluster as this node sees it, from caches that follow the catalog."""

    def settings(self) -> ClusterSettings:
        """What is fixed of the cluster."""
        ...

    def nodes(self) -> Mapping[NodeId, Node]:
        """Every node in the catalog."""
        ...

    def online(self) -> Mapping[NodeId, OnlineNode]:
        """Nodes whose lease is alive."""
        ...

    def partition(self, partition: PartitionId) -> Partition:
        """A partition's replica list."""
        ...

    def suspect(self, node: NodeId) -> None:
        """Note that a node did not answer just now; candidates sort it last for a second."""
        ...

    async def set_state(self, node: NodeId, state: NodeState) -> Node:
        """Want another state for a node. Raises NotFound, Fenced."""
        ...

    async def refresh(self) -> None:
        """Read everything again now."""
        ...


class Activity(Protocol):
    """What this node is doing."""

    def is_ready(self) -> bool:
        """Start-up checks are done and no stop is under way."""
        ...

    def is_stopping(self) -> bool:
        """A stop is under way: everything new is refused, except from nodes that finish what they began."""
        ...

    def is_draining(self) -> bool:
        """New work is refused, by a stop or because the node's wanted state says so."""
        ...

    def resting_ms(self) -> int:
        """How long an operator has wanted this node out of service; 0 where nobody does."""
        ...

    def is_drained(self) -> bool:
        """New work is refused, and none is under way any more."""
        ...

    def repairs(self) -> list[RepairProgress]:
        """Repairs running now."""
        ...

    def requests_in_flight(self) -> int:
        """Requests being served."""
        ...

    def consistent_since_ms(self, key: ReplicaKey) -> int:
        """Wall clock from which this replica has been consistent without a break; 0 where it is not."""
        ...
