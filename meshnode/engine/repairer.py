"""Makes one replica of this node agree with its record. `core/repair.py` plans the steps, this walks them.

    read record --> settle the journal --> plan --> exclude | fetch | rejoin --> read again ...

A replica under repair is a learner: coordinators send it every write, its journal keeps what it cannot apply
yet. So each pass only has to reach some generation of the recent past; the journal carries it on from there, and
it rejoins by its acknowledgement inside a write or, when nothing is written, by a compare-and-set. Which replica
is repaired when: `engine/repair_queue.py`.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

from meshnode.base.errors import (
    CatalogUnavailable,
    Corrupt,
    MeshError,
    OutcomeUnknown,
    PeerUnavailable,
    ReplicaBehind,
    RepositoryNotFound,
)
from meshnode.base.ids import NodeId
from meshnode.core.keys import partition_key, record_key
from meshnode.core.partition import Partition
from meshnode.core.record import (
    Record,
    RepositoryState,
    encode_record,
    is_on_line,
    record_excluding,
    record_rejoined,
)
from meshnode.core.repair import RepairStep, plan_repair
from meshnode.core.round import ReplicaKey
from meshnode.engine.activity import NodeActivity
from meshnode.engine.membership import ClusterMembership
from meshnode.engine.meter import Meter
from meshnode.engine.records import RecordAt, Records, listing_mark
from meshnode.engine.replicas import Replicas, position_of
from meshnode.engine.sync import Synchroniser
from meshnode.ports import Catalog, Compare, Put, RepairProgress, ReplicaState

log = logging.getLogger("meshnode.engine")

STEPS_MAX: Final = 100
"""Steps of one turn; a replica that needs more goes to the end of the queue."""


class Repairer:
    """Walks the steps of one replica at a time, for whoever decides which one."""

    def __init__(
        self,
        *,
        own: NodeId,
        catalog: Catalog,
        records: Records,
        membership: ClusterMembership,
        replicas: Replicas,
        synchroniser: Synchroniser,
        activity: NodeActivity,
        meter: Meter,
    ) -> None:
        self._own = own
        self._catalog = catalog
        self._records = records
        self._membership = membership
        self._replicas = replicas
        self._synchroniser = synchroniser
        self._activity = activity
        self._meter = meter

    async def repair(self, key: ReplicaKey, reason: str) -> bool:
        """Walk the steps for one replica; False means: try again later."""
        for _ in range(STEPS_MAX):
            if self._activity.is_damaged(key):
                return False  # on its way out: it must neither rejoin nor be built upon
            at = await self._records.read(key)
            if at.record is None or self._is_on_hold(at.partition):
                return True
            state = await self._settled_state(key, at.record)
            plan = plan_repair(
                own=self._own,
                position=None if state is None else position_of(state),
                digest=None if state is None else state.refs_digest,
                record=at.record,
                partition=at.partition,
                online=[node for node in self._membership.online() if not self._membership.is_suspect(node)],
            )
            match plan.step:
                case RepairStep.NOTHING:
                    if self._own in at.partition.members:
                        self._activity.note_consistent(key)
                    return True
                case RepairStep.EXCLUDE_SELF:
                    if await self._overtaken(key, at.record):
                        continue
                    log.warning("replica_excluded", extra={"repository": key.repository, "reason": plan.reason})
                    self._activity.note_inconsistent(key)
                    await self._replace(at, record_excluding(at.record, self._own))
                case RepairStep.REJOIN:
                    await self._rejoin(key, at, state)
                case RepairStep.WAIT:
                    self._show(key, None, "waiting for a consistent replica")
                    return False
                case RepairStep.FETCH:
                    if self._own not in at.partition.accountable and await self._overtaken(key, at.record):
                        continue
                    self._show(key, plan.sources[0], f"repairing: {plan.reason}")
                    log.info("repair_step", extra={"repository": key.repository, "reason": reason, "plan": plan.reason})
                    await self._fetch(key, at.record, state, plan.sources)
        return False

    def _is_on_hold(self, partition: Partition) -> bool:
        """Whether this node is out of service, or only being moved to while moves are paused; a later sweep goes on."""
        is_paused = self._own in partition.joining and self._membership.are_moves_paused()
        return is_paused or self._membership.is_disabled(self._own)

    async def set_aside(self, key: ReplicaKey, reason: str) -> str:
        """Move a damaged replica out of the way; it is kept for whoever wants to know what happened."""
        async with self._replicas.locks.hold(key):
            try:
                kept = await self._replicas.disk.store.set_aside(key, reason)
            except RepositoryNotFound:
                kept = ""
        self._activity.note_set_aside(key)
        self._meter.count_repair("set aside")
        log.error("replica_set_aside", extra={"repository": key.repository, "kept": kept, "reason": reason})
        return kept

    async def exclude(self, key: ReplicaKey, reason: str) -> None:
        """List this node as inconsistent in a record, before anything of the replica is served.

        Where it is listed already, whatever is still on its way to take it off the list is fenced off.

        Raises:
            CatalogUnavailable: it is not known to be listed.
        """
        self._activity.note_inconsistent(key)
        for _ in range(STEPS_MAX):
            at = await self._records.read(key)
            if at.record is None or self._own not in at.partition.accountable:
                return  # of a read replica no record says anything
            log.warning("replica_excluded", extra={"repository": key.repository, "reason": reason})
            if await self._replace(at, record_excluding(at.record, self._own)):
                return
        raise CatalogUnavailable("the record keeps changing, or nobody knows", repository=key.repository)

    async def _settled_state(self, key: ReplicaKey, record: Record) -> ReplicaState | None:
        """The replica's state after its journal has been held against the record; damage is set aside."""
        try:
            return await self._replicas.settle(key, record)
        except Corrupt as damage:
            await self.set_aside(key, str(damage))
            return None

    async def _overtaken(self, key: ReplicaKey, seen: Record) -> bool:
        """Whether the replica is merely ahead of the record that was read: a commit came in between."""
        state = await self._replicas.disk.store.load(key)
        if state is None or state.generation <= seen.generation:
            return False
        now = await self._records.find_by_id(key.repository)
        return now is not None and is_on_line(now, state.generation, state.round_id)

    async def _fetch(
        self, key: ReplicaKey, record: Record, state: ReplicaState | None, sources: tuple[NodeId, ...]
    ) -> None:
        if record.state is RepositoryState.DELETED:
            await self._synchroniser.bury(key, record)
            return
        error: MeshError | None = None
        for source in sources:
            try:
                await self._synchroniser.run(key, source, state, partial(self._show, key, source))
            except (PeerUnavailable, ReplicaBehind, RepositoryNotFound, Corrupt) as failure:
                log.info("repair_source_failed", extra={"peer": source, "error": str(failure)})
                if isinstance(failure, PeerUnavailable):
                    self._membership.suspect(source)
                error = failure
            else:
                return
        if error is not None:
            raise error

    async def _rejoin(self, key: ReplicaKey, at: RecordAt, state: ReplicaState | None) -> None:
        assert at.record is not None
        if state is not None and not state.is_deleted:
            async with self._replicas.locks.hold(key):
                now = await self._replicas.disk.store.load(key)
                if now is None or now.generation != at.record.generation:
                    return
                digest = await self._replicas.disk.reader.digest_on_disk(key)
            if digest != at.record.refs_digest:
                latest = (await self._records.read(key)).record
                if latest is None or not may_be_half_applied(now, latest):
                    await self.set_aside(key, "references on disk do not match the record")
                return
        if await self._replace(at, record_rejoined(at.record, self._own)):
            self._activity.note_consistent(key)
            self._meter.count_repair("rejoined")
            log.info("replica_rejoined", extra={"repository": key.repository, "generation": at.record.generation})

    async def _replace(self, at: RecordAt, record: Record) -> bool:
        """Put a record at an unchanged generation; False where another write was faster or it is not known."""
        key = record_key(record.repository)
        try:
            revision = await self._catalog.transact(
                [
                    Compare(key, at.record_revision),
                    Compare(partition_key(record.partition), at.partition_revision),
                ],
                [Put(key, encode_record(record)), *listing_mark(at.record, record, at.partition)],
            )
        except OutcomeUnknown as error:
            log.info("record_update_unknown", extra={"repository": record.repository, "error": str(error)})
            return False
        return revision is not None

    def _show(self, key: ReplicaKey, source: NodeId | None, phase: str) -> None:
        self._activity.note_repair(RepairProgress(key=key, phase=phase, percent=-1, source=source))


def may_be_half_applied(state: ReplicaState, record: Record) -> bool:
    """Whether a round in the journal explains references of no generation: repair ends it, or fetches everything.

    Only a published round is ever begun, so the record is past the replica's position.
    """
    return bool(state.prepared) and state.generation < record.generation
