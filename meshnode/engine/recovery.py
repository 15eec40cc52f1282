"""Start-up: what was interrupted is finished or undone, and damage is found, before anything is served.

for each replica: leftovers removed -> journal held against the record -> digest on disk against the state
then, where a disk is new or a replica without a record is damaged: rounds that are being decided are fenced off, since
this node may have voted for a CREATE among them, and nothing but its vote told of it
then all records of this node's partitions: a replica that the record believes in and that is not here, or not
at the record's generation, is listed inconsistent first; the repairer fills it afterwards
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeVar

from meshnode.base.errors import (
    CatalogUnavailable,
    Corrupt,
    InvariantViolated,
    MeshError,
    OutcomeUnknown,
    Overloaded,
    RepositoryNotFound,
)
from meshnode.base.ids import NodeId, PartitionId
from meshnode.core.keys import RECORDS, partition_key
from meshnode.core.partition import Partition, decode_partition, encode_partition
from meshnode.core.record import Record, RepositoryState, consistent_nodes, decode_record
from meshnode.core.repair import matches
from meshnode.core.round import ReplicaKey
from meshnode.core.scrub import may_be_taken_out
from meshnode.engine.activity import NodeActivity
from meshnode.engine.membership import ClusterMembership
from meshnode.engine.records import Records
from meshnode.engine.repair_queue import RepairQueue
from meshnode.engine.repairer import Repairer, may_be_half_applied
from meshnode.engine.replicas import Replicas, position_of
from meshnode.engine.survey import read_partitions
from meshnode.ports import Catalog, Clock, Compare, Entry, Put

log = logging.getLogger("meshnode.engine")

CHECKS_AT_ONCE: Final = 8
CATALOG_PAUSE_MS: Final = 500
PAGE: Final = 500
PARTITIONS_AT_ONCE: Final = 50
"""In one transaction; etcd allows 128 operations, compares included."""
DISOWN_TRIES: Final = 20

T = TypeVar("T")


@dataclass(kw_only=True)
class Recovery:
    """Runs once, before the node serves."""

    own: NodeId
    catalog: Catalog
    records: Records
    membership: ClusterMembership
    replicas: Replicas
    repairer: Repairer
    repairs: RepairQueue
    activity: NodeActivity
    clock: Clock
    _unknown: set[PartitionId] = field(default_factory=set, init=False)
    """Homes with a replica that was set aside and that no record knew; it may have been a fork, which lives with its
    family."""
    _unusable: set[ReplicaKey] = field(default_factory=set, init=False)
    """Replicas that cannot be looked at now (a file of somebody else's, a disk too slow): listed, and left to repair."""

    async def run(self) -> None:
        """Check every replica; waits for the catalog as long as it takes, since nothing can be served without.

        Raises:
            MeshError: the catalog's entries cannot be read by this version; nothing was changed.
        """
        keys = await self.replicas.disk.store.list_replicas()
        places = asyncio.Semaphore(CHECKS_AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                for key in keys:
                    group.create_task(self._check_in_turn(key, places))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        await self._patiently(partial(self._disown_votes, is_new=not keys))
        excluded = await self._patiently(self._exclude_missing)
        log.info("recovered", extra={"replicas": len(keys), "excluded": excluded})

    async def _check_in_turn(self, key: ReplicaKey, places: asyncio.Semaphore) -> None:
        async with places:
            await self._check(key)

    async def _check(self, key: ReplicaKey) -> None:
        """Bring one replica to a state that is safe to serve, or out of the record."""
        store = self.replicas.disk.store
        record = await self._read_record(key)
        try:
            await store.purge(key)
            state = await self.replicas.settle(key, record)
            if state is None or not state.generation or record is None:
                return
            if not state.is_deleted:
                digest = await self.replicas.disk.reader.digest_on_disk(key)
                if digest != state.refs_digest and not may_be_half_applied(state, record):
                    raise Corrupt("references on disk do not match the replica's state", repository=key.repository)
        except Corrupt as damage:
            if record is None:
                self._unknown.add(key.home)
            await self._set_aside(key, str(damage))
            return
        except RepositoryNotFound:
            return  # a deleted parent went with its last fork meanwhile; what its record wants is looked at next
        except Overloaded as full:
            log.warning("replica_not_finished", extra={"repository": key.repository, "error": str(full)})
            return
        except InvariantViolated:
            raise
        except MeshError as error:  # no reason to keep the others from being served, nor to call it damaged
            log.error("replica_not_usable", extra={"repository": key.repository, "error": str(error)})  # noqa: TRY400
            self._unusable.add(key)
            return
        if self.own not in record.inconsistent and matches(position_of(state), state.refs_digest, record):
            self.activity.note_consistent(key)

    async def _set_aside(self, key: ReplicaKey, reason: str) -> None:
        """Move a damaged replica out of the way; later where that cannot be done now, and until then nothing uses it."""
        try:
            await self.repairer.set_aside(key, reason)
        except MeshError as error:
            log.warning("replica_not_set_aside", extra={"repository": key.repository, "error": str(error)})
            self.repairs.take_out(key, reason)

    async def _read_record(self, key: ReplicaKey) -> Record | None:
        """What the catalog says. Raises MeshError where that cannot be read: no reason to call the replica damaged."""
        try:
            return (await self._patiently(lambda: self.records.read(key))).record
        except Corrupt as error:
            raise MeshError(
                "the catalog holds what this version cannot read; the replicas here were left alone",
                repository=key.repository,
                detail=str(error),
            ) from error

    async def _disown_votes(self, *, is_new: bool) -> None:
        """Let no round be published any more for which this node may have voted on a disk that it no longer has.

        Two changes of a partition's members refuse what was voted for before them (`core/write.py`). A repository that
        has a record is not meant here, there this node lists itself.
        """
        wanted = [
            partition_key(partition.partition)
            for partition, _ in await read_partitions(self.catalog)
            if self.own in partition.accountable
            and (is_new or partition.partition in self._unknown or (self._unknown and partition.family))
        ]
        for start in range(0, len(wanted), PARTITIONS_AT_ONCE):
            await self._fence_rounds(wanted[start : start + PARTITIONS_AT_ONCE])
        if wanted:
            log.info("votes_disowned", extra={"partitions": len(wanted)})

    async def _fence_rounds(self, keys: list[str]) -> None:
        for _ in range(DISOWN_TRIES):
            entries = [entry for entry in await self.catalog.get(keys) if entry is not None]
            compares = [Compare(entry.key, entry.revision) for entry in entries]
            if await self.catalog.transact(compares, [_fenced(entry) for entry in entries]) is not None:
                return
        raise CatalogUnavailable("partitions keep changing", partitions=len(keys))

    async def _exclude_missing(self) -> int:
        """List this node in every record that believes in a replica that does not match."""
        after, excluded = "", 0
        while True:
            page = await self.catalog.range(RECORDS, after=after, limit=PAGE)
            for entry in page:
                after = entry.key
                record = decode_record(entry.value)
                await self.records.learn(record)
                partition = self.membership.partition(record.partition)
                if self.own not in partition.members or record.state is RepositoryState.ABANDONED:
                    continue
                key = record.key
                if await self._is_good(key, record):
                    continue
                if self.own not in partition.accountable:
                    self.repairs.enqueue(key, "start", 2 * len(partition.members))
                    continue
                if self.own not in record.inconsistent:
                    believed = await self._believed_at(key)
                    await self.repairer.exclude(key, "does not match the record at start")
                    if believed is not None:
                        await self._keep_rolled_back(key, believed, partition)
                    excluded += 1
                elif await self._is_missing(key, record):
                    await self.repairer.exclude(key, "listed, and no replica at start")
                    excluded += 1
                self.repairs.enqueue(key, "start", len(partition.replicas) - len(record.inconsistent))
            if len(page) < PAGE:
                return excluded

    async def _believed_at(self, key: ReplicaKey) -> Record | None:
        """The record that believes in this node's replica, read together with its partition: since the page was read,
        the node may have come to join, and a node that joins is believed by nobody yet.
        """
        at = await self.records.read(key)
        return at.record if at.record is not None and self.own in consistent_nodes(at.record, at.partition) else None

    async def _keep_rolled_back(self, key: ReplicaKey, record: Record, partition: Partition) -> None:
        """Set aside a replica that lost what it had voted for: what else is missing cannot be told.

        What a late Prepare of its CREATE brought back of a deleted repository is no loss; repair buries it.
        """
        if record.state is not RepositoryState.ACTIVE or self.activity.is_damaged(key) or key in self._unusable:
            return
        state = await self.replicas.disk.store.load(key)
        if state is not None and any(known.round_id == record.round_id for known in state.prepared):
            return  # nothing is lost, there was no room to apply it
        is_behind = state is not None and 0 < state.generation < record.generation
        if state is not None and is_behind and may_be_taken_out(self.own, record, partition):
            reason = f"believed at generation {record.generation}, files and journal end at {state.generation}"
            await self._set_aside(key, reason)

    async def _is_missing(self, key: ReplicaKey, record: Record) -> bool:
        """Whether there is nothing here of a repository that lives, or nothing of use: perhaps the disk is a new one.

        Then a rejoin or a publish of before may still be on its way, and must not make the record believe in it.
        """
        if record.state is not RepositoryState.ACTIVE or key in self._unusable:
            return False
        return self.activity.is_damaged(key) or await self.replicas.disk.store.load(key) is None

    async def _is_good(self, key: ReplicaKey, record: Record) -> bool:
        if self.own in record.inconsistent or self.activity.is_damaged(key) or key in self._unusable:
            return False
        state = await self.replicas.disk.store.load(key)
        if state is None:
            return record.state is RepositoryState.DELETED
        if state.generation < record.generation:
            try:
                state = await self.replicas.settle(key, record)
            except Overloaded:  # out of the record until there is room to apply what the journal holds
                return False
            except Corrupt as damage:
                await self._set_aside(key, str(damage))
                return False
        if state is None:
            return record.state is RepositoryState.DELETED
        return matches(position_of(state), state.refs_digest, record)

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work`, again and again while the catalog is out of reach."""
        while True:
            try:
                return await work()
            except (CatalogUnavailable, OutcomeUnknown) as error:
                log.warning("recovery_waits", extra={"error": str(error)})
                await self.clock.sleep(CATALOG_PAUSE_MS)


def _fenced(entry: Entry) -> Put:
    partition = decode_partition(entry.value)
    return Put(entry.key, encode_partition(replace(partition, epoch=partition.epoch + 2)))
