"""Which nodes may answer a request, best first. Implements `ports.Router`.

Reads: consistent replicas and read replicas that are ONLINE and AVAILABLE; this node first if it is one of them (a hop
saved), the others in random order. Writes: consistent replicas in one order that is the same for everyone, so that pushes to
one repository queue in one place; a preference only, the record's compare-and-set makes it safe.
A read replica that is still being filled comes last for a while (`engine/read_refusals.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from meshnode.base.errors import CatalogUnavailable, MeshError, ReadOnly, ReplicaBehind, RepositoryNotFound
from meshnode.base.ids import NodeId, RepositoryName
from meshnode.core.partition import Partition
from meshnode.core.record import consistent_nodes
from meshnode.engine.membership import ClusterMembership
from meshnode.engine.read_refusals import ReadRefusals
from meshnode.engine.records import Records
from meshnode.ports import Clock, Consistency, ConsistencyLevel, Entropy


@dataclass(kw_only=True)
class CandidateRouter:
    """Implements `ports.Router`."""

    own: NodeId
    records: Records
    membership: ClusterMembership
    entropy: Entropy
    clock: Clock
    _refusals: ReadRefusals = field(init=False)

    def __post_init__(self) -> None:
        self._refusals = ReadRefusals(clock=self.clock)

    async def read_candidates(self, name: RepositoryName, consistency: Consistency) -> list[NodeId]:
        """Nodes with an eligible replica, this one first.

        Raises:
            ReplicaBehind: none is online.
        """
        if consistency.level is not ConsistencyLevel.VERIFIED:
            return await self._unverified_candidates(name)
        record = await self.records.find(name)
        partition = self.membership.partition(record.partition)
        nodes = dict.fromkeys([*consistent_nodes(record, partition), *partition.read_replicas])
        candidates = self._shuffled(self.membership.ordered(list(nodes)))
        if not candidates:
            raise ReplicaBehind("no consistent replica is online; try again", generation=record.generation)
        return self._unfilled_last(name, candidates)

    def note_refusal(self, name: RepositoryName, node: NodeId, error: MeshError) -> None:
        """Ask a read replica last for a while that turned a read down because it is still being filled."""
        placed = self._last_known_place(name)
        if placed is not None and node in placed.read_replicas:
            self._refusals.note(name, node, error)

    def is_own_likely(self, name: RepositoryName) -> bool:
        """Whether this node is in service, held a replica when the name was last looked up, and did not turn a read down
        since because it is being filled; nothing is asked.
        """
        placed = self._last_known_place(name)
        return (
            placed is not None
            and self.own in placed.members
            and self.own in self.membership.ordered([self.own])
            and not self._refusals.is_backed_off(name, self.own)
        )

    def _last_known_place(self, name: RepositoryName) -> Partition | None:
        """The partition that the name led to when it was last looked up, where this node has heard of it."""
        partition = self.records.last_known_partition(name)
        return None if partition is None else self.membership.partitions().get(partition)

    async def _unverified_candidates(self, name: RepositoryName) -> list[NodeId]:
        try:
            record = await self.records.find(name)
        except CatalogUnavailable:
            others = [node for node in self.membership.nodes() if node != self.own]
            return [self.own, *others]
        members = self.membership.partition(record.partition).members
        return self._unfilled_last(name, self._shuffled(self.membership.ordered(members))) or [self.own]

    async def write_candidates(self, name: RepositoryName) -> list[NodeId]:
        """Nodes that may lead a write, the preferred one first.

        Raises:
            ReadOnly: none is online.
        """
        try:
            record = await self.records.find(name)
        except RepositoryNotFound:
            nodes: Iterable[NodeId] = self.membership.nodes()
            seed = str(name)
        else:
            nodes = consistent_nodes(record, self.membership.partition(record.partition))
            seed = record.repository
        ranked = sorted(nodes, key=lambda node: hashlib.sha256(f"{seed}\0{node}".encode()).digest())
        candidates = self.membership.ordered(ranked)
        if not candidates:
            raise ReadOnly("no consistent replica is online to lead the write; try again")
        return candidates

    def _unfilled_last(self, name: RepositoryName, nodes: list[NodeId]) -> list[NodeId]:
        return sorted(nodes, key=lambda node: self._refusals.is_backed_off(name, node))

    def _shuffled(self, nodes: list[NodeId]) -> list[NodeId]:
        """Random order among those that answered lately; this node first where it is one of them."""
        steady = [node for node in nodes if not self.membership.is_suspect(node)]
        for last in range(len(steady) - 1, 0, -1):
            other = self.entropy.below(last + 1)
            steady[last], steady[other] = steady[other], steady[last]
        ordered = steady + [node for node in nodes if node not in steady]
        return sorted(ordered, key=lambda node: node != self.own)
