"""Makes this node's replicas agree with their records. `core/repair.py` plans the steps, this walks them.

    told (participant, reads, start-up) or swept --> queue, fewest consistent replicas first
    --> a slot --> read record --> settle the journal --> plan --> exclude | fetch | rejoin --> read again ...

A replica under repair is a learner: coordinators send it every write, its journal keeps what it cannot apply
yet. So each pass only has to reach some generation of the recent past; the journal carries it on from there, and
it rejoins by its acknowledgement inside a write or, when nothing is written, by a compare-and-set.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from functools import partial
from typing import Final

from meshnode.base.errors import (
    CatalogUnavailable,
    Corrupt,
    MeshError,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    PeerUnavailable,
    ReplicaBehind,
    RepositoryNotFound,
)
from meshnode.base.ids import NodeId
from meshnode.config import ReplicationSettings
from meshnode.core.keys import RECORDS, partition_key, record_key
from meshnode.core.partition import Partition
from meshnode.core.record import (
    Record,
    RepositoryState,
    consistent_nodes,
    decode_record,
    encode_record,
    is_on_line,
    record_excluding,
    record_rejoined,
)
from meshnode.core.repair import RepairStep, matches, plan_repair
from meshnode.core.round import ReplicaKey
from meshnode.engine.activity import NodeActivity
from meshnode.engine.lane import Lane
from meshnode.engine.membership import ClusterMembership
from meshnode.engine.meter import Meter
from meshnode.engine.records import RecordAt, Records, listing_mark
from meshnode.engine.replicas import Replicas, position_of
from meshnode.engine.supervisor import Supervisor
from meshnode.engine.sync import Synchroniser
from meshnode.ports import Catalog, Clock, Compare, Put, RepairProgress, ReplicaState

log = logging.getLogger("meshnode.engine")

STEPS_MAX: Final = 100
"""Steps of one turn; a replica that needs more goes to the end of the queue."""
RETRY_MS: Final = (250, 500, 1_000, 2_000, 5_000, 10_000)
"""Pauses after turns that failed or found no source."""
PAGE: Final = 500


class Repairer:
    """Owns the queue and the slots."""

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
        clock: Clock,
        supervisor: Supervisor,
        settings: ReplicationSettings,
        meter: Meter,
    ) -> None:
        self._own = own
        self._catalog = catalog
        self._records = records
        self._membership = membership
        self._replicas = replicas
        self._synchroniser = synchroniser
        self._activity = activity
        self._clock = clock
        self._supervisor = supervisor
        self._settings = settings
        self._meter = meter
        self._queue: asyncio.PriorityQueue[tuple[int, int, ReplicaKey]] = asyncio.PriorityQueue()
        self._order = itertools.count()
        self._slots = Lane(places=lambda: settings.repair_slots, queue_max=lambda: 1, limit="replication.repair_slots")
        self._queued: dict[ReplicaKey, str] = {}
        self._running: set[ReplicaKey] = set()
        self._again: set[ReplicaKey] = set()
        self._failures: dict[ReplicaKey, int] = {}
        self._without_room: set[ReplicaKey] = set()
        """Replicas that found no space left, until their next try."""
        self._sweep_wanted = asyncio.Event()

    # ------------------------------------------------------------ the queue

    def enqueue(self, key: ReplicaKey, reason: str, priority: int = 1) -> None:
        """Have a replica compared with its record; `priority` is the number of its consistent replicas."""
        if key in self._without_room:
            return  # its next try comes; until then each would fetch for nothing
        if key in self._running:
            self._again.add(key)
        elif key not in self._queued:
            self._queued[key] = reason
            self._queue.put_nowait((priority, next(self._order), key))

    def want_sweep(self) -> None:
        """Look at all records soon: the cluster has changed."""
        self._sweep_wanted.set()

    def start(self) -> None:
        """Start to take repairs from the queue, and the sweeper."""
        self._supervisor.keep("repair-queue", self._work_forever)
        self._supervisor.keep("repair-sweep", self._sweep_forever)

    async def _work_forever(self) -> None:
        """Start a repair whenever one is queued and a slot is free; the slot first, so that the order is the last."""
        while True:
            await self._slots.acquire()
            _, _, key = await self._queue.get()
            self._running.add(key)
            self._supervisor.spawn("repair", self._work(key, self._queued.pop(key)))

    async def _work(self, key: ReplicaKey, reason: str) -> None:
        try:
            await self._turn(key, reason)
        finally:
            self._slots.release()
            self._running.discard(key)
            self._activity.note_repair_over(key)
        if key in self._again:
            self._again.discard(key)
            self.enqueue(key, "asked again while it was repaired")

    async def _turn(self, key: ReplicaKey, reason: str) -> None:
        try:
            is_done = await self.repair(key, reason)
        except (CatalogUnavailable, OutcomeUnknown, PeerUnavailable, ReplicaBehind, RepositoryNotFound) as error:
            self._meter.count_repair("postponed")
            log.info("repair_postponed", extra={"repository": key.repository, "reason": reason, "error": str(error)})
            is_done = False
        except Overloaded as error:
            self._meter.count_repair("postponed")
            log.warning("repair_postponed", extra={"repository": key.repository, "reason": reason, "error": str(error)})
            self._without_room.add(key)
            is_done = False
        except MeshError:
            self._meter.count_repair("failed")
            log.exception("repair_failed", extra={"repository": key.repository, "reason": reason})
            is_done = False
        if is_done:
            self._failures.pop(key, None)
            return
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        pause_ms = RETRY_MS[min(failures, len(RETRY_MS) - 1)]
        self._supervisor.spawn("repair-retry", self._enqueue_later(key, pause_ms))

    async def _enqueue_later(self, key: ReplicaKey, pause_ms: int) -> None:
        await self._clock.sleep(pause_ms)
        self._without_room.discard(key)
        self.enqueue(key, "next try")

    # ------------------------------------------------------------ the sweep

    async def _sweep_forever(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._settings.repair_sweep_ms / 1000):
                    await self._sweep_wanted.wait()
            except TimeoutError:
                pass
            self._sweep_wanted.clear()
            try:
                await self.sweep()
            except CatalogUnavailable as error:
                log.warning("sweep_postponed", extra={"error": str(error)})

    async def sweep(self) -> int:
        """Compare every record of this node's partitions with what is here; how many were queued.

        A record or replica that cannot be read keeps none of the others from it.
        """
        after, queued = "", 0
        while True:
            page = await self._catalog.range(RECORDS, after=after, limit=PAGE)
            for entry in page:
                after = entry.key
                try:
                    record = decode_record(entry.value)
                    await self._records.learn(record)
                    partition = self._membership.partition(record.partition)
                except (Corrupt, NotFound) as error:  # of a newer version, or newer than what is known here
                    log.warning("record_passed_over", extra={"key": entry.key, "error": str(error)})
                    continue
                if self._own not in partition.members:
                    continue
                key = record.key
                if not await self._is_settled(key, record):
                    queued += 1
                    self.enqueue(key, "found by the sweep", self._priority(record, partition))
            if len(page) < PAGE:
                return queued

    def _priority(self, record: Record, partition: Partition) -> int:
        """Those that count come before read replicas, whose repair gives no quorum back."""
        consistent = len(consistent_nodes(record, partition))
        return consistent if self._own in partition.accountable else consistent + len(partition.members)

    async def _is_settled(self, key: ReplicaKey, record: Record) -> bool:
        """Whether nothing needs doing; a write that overtakes the sweep's read counts as settled."""
        is_accountable = self._own in self._membership.partition(record.partition).accountable
        if (self._own in record.inconsistent and is_accountable) or record.state is RepositoryState.ABANDONED:
            return record.state is RepositoryState.ABANDONED
        try:
            state = await self._replicas.disk.store.load(key)
        except MeshError:  # damaged, or not to be read: its repair finds out, and the others have theirs
            return False
        if state is None:
            return record.state is RepositoryState.DELETED
        is_settled = state.generation > record.generation or matches(position_of(state), state.refs_digest, record)
        if is_settled:
            self._activity.note_consistent(key)
        return is_settled

    # ------------------------------------------------------------ one replica

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

    def take_out(self, key: ReplicaKey, reason: str) -> asyncio.Task[str] | None:
        """Have a damaged replica listed, kept aside and replaced; until then nothing uses it.

        The task ends with where the damaged copy is kept; None where another call has begun it already.
        """
        if not self._activity.note_damaged(key):
            return None
        log.error("replica_damaged", extra={"repository": key.repository, "reason": reason})
        return self._supervisor.spawn("repair-take-out", self._take_out(key, reason))

    async def _take_out(self, key: ReplicaKey, reason: str) -> str:
        """Try until it is done: while the replica is on its way out, nothing else is done about it."""
        for failures in itertools.count():
            try:
                await self.exclude(key, reason)
                while (
                    key in self._running
                ):  # a repair that fetches on top of the damaged objects must not end in its place
                    await self._clock.sleep(RETRY_MS[0])
                kept = await self.set_aside(key, reason)
                break
            except MeshError as error:  # the catalog is out of reach, or the disk is full
                pause_ms = RETRY_MS[min(failures, len(RETRY_MS) - 1)]
                log.warning("take_out_postponed", extra={"repository": key.repository, "error": str(error)})
                await self._clock.sleep(pause_ms)
        self.enqueue(key, reason)
        return kept

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
