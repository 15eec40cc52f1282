"""Drops this node's copies of partitions it has left, when nobody reads them any more.

    replica on disk, partition's members without this node --> quiet long enough? --> under the replica's lock: read
    partition and record again --> still out, and the record has a quorum without us? --> drop
    nothing of the partition left here --> off its `leaving` list

Rule: the partition is read under the replica's lock, after which nothing that this copy once promised counts any
more: whoever joins again is listed in every record first. A copy stays where a record believes in fewer replicas
than a quorum; it may be all that helps.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from meshnode.base.errors import CatalogUnavailable, Corrupt, MeshError, NotFound, OutcomeUnknown, RepositoryNotFound
from meshnode.base.ids import NodeId, PartitionId
from meshnode.config import RebalanceSettings
from meshnode.core.keys import partition_key
from meshnode.core.moves import partition_dropped
from meshnode.core.partition import decode_partition, encode_partition
from meshnode.core.quorum import has_quorum
from meshnode.core.record import RepositoryState, consistent_nodes
from meshnode.core.round import ReplicaKey
from meshnode.engine.activity import NodeActivity
from meshnode.engine.intervals import elapse
from meshnode.engine.membership import ClusterMembership
from meshnode.engine.records import RecordAt, Records
from meshnode.engine.replicas import Replicas
from meshnode.engine.supervisor import Supervisor
from meshnode.ports import Catalog, Clock, Compare, Put

log = logging.getLogger("meshnode.engine")


@dataclass(kw_only=True)
class Departure:
    """Looks after copies that are no replicas any more."""

    own: NodeId
    catalog: Catalog
    records: Records
    membership: ClusterMembership
    replicas: Replicas
    activity: NodeActivity
    clock: Clock
    supervisor: Supervisor
    settings: RebalanceSettings
    _out_since_ms: dict[PartitionId, int] = field(default_factory=dict)

    def start(self) -> None:
        """Begin to look."""
        self.supervisor.keep("departure", self._run_forever)

    async def _run_forever(self) -> None:
        while True:
            await elapse(self.clock, lambda: max(100, self.settings.drop_after_ms // 4))
            try:
                await self.run_once()
            except (CatalogUnavailable, OutcomeUnknown) as error:
                log.warning("departure_postponed", extra={"error": str(error)})
            except MeshError:
                log.exception("departure_failed")

    async def run_once(self) -> int:
        """Drop what may be dropped now; how many copies went."""
        kept: dict[PartitionId, list[ReplicaKey]] = {}
        for key in await self.replicas.disk.store.list_replicas():
            kept.setdefault(self.records.partition_of(key), []).append(key)
        dropped = 0
        for number in self._left_partitions(kept):
            keys = kept.get(number, [])
            if keys and not self._is_out_long_enough(number):
                continue
            gone = 1
            while keys and gone:  # a fork goes before the parent whose objects it reads
                here = len(keys)
                keys = [key for key in keys if not await self._drop(key)]
                gone = here - len(keys)
                dropped += gone
            if not keys:
                await self._sign_off(number)
        return dropped

    def _left_partitions(self, kept: dict[PartitionId, list[ReplicaKey]]) -> list[PartitionId]:
        """Partitions that this node is not in, as far as is known here, and has a copy of or is leaving."""
        out = []
        for number, partition in sorted(self.membership.partitions().items()):
            if self.own in partition.members:
                self._out_since_ms.pop(number, None)
            elif number in kept or self.own in partition.leaving:
                out.append(number)
        return out

    def _is_out_long_enough(self, number: PartitionId) -> bool:
        now_ms = self.clock.monotonic_ms()
        return now_ms - self._out_since_ms.setdefault(number, now_ms) >= self.settings.drop_after_ms

    async def _drop(self, key: ReplicaKey) -> bool:
        """Drop one copy, unless it is in use, still needed, or not out after all."""
        quiet_since_ms = self.replicas.readers.quiet_since_ms(key)
        if quiet_since_ms is None:
            return False
        if quiet_since_ms and self.clock.monotonic_ms() - quiet_since_ms < self.settings.drop_after_ms:
            return False
        async with self.replicas.locks.hold(key):
            try:
                at = await self.records.read(key)
            except RepositoryNotFound:
                return False
            if self.own in at.partition.members or not _may_go(at):
                return False
            try:
                is_gone = await self.replicas.disk.store.drop(key)
            except Corrupt as damage:
                log.warning("copy_not_dropped", extra={"repository": key.repository, "error": str(damage)})
                return False
        if is_gone:
            self.activity.note_inconsistent(key)
            self.replicas.readers.forget(key)
            log.info("copy_dropped", extra={"repository": key.repository, "partition": at.partition.partition})
        return is_gone

    async def _sign_off(self, number: PartitionId) -> None:
        (entry,) = await self.catalog.get([partition_key(number)])
        if entry is None:
            raise NotFound("no such partition", partition=number)
        partition = decode_partition(entry.value)
        if self.own not in partition.leaving:
            return
        wanted = partition_dropped(partition, self.own)
        try:
            revision = await self.catalog.transact(
                [Compare(entry.key, entry.revision)], [Put(entry.key, encode_partition(wanted))]
            )
        except OutcomeUnknown:
            return
        if revision is not None:
            self._out_since_ms.pop(number, None)
            log.info("partition_left", extra={"partition": number, "node": self.own})


def _may_go(at: RecordAt) -> bool:
    """Whether nothing needs the copy: there is a record, and what it says is on a quorum of replicas."""
    record = at.record
    if record is None:
        return False
    if record.state is not RepositoryState.ACTIVE:
        return True
    return has_quorum(consistent_nodes(record, at.partition), at.partition.replicas)
