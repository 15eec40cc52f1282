"""Decides which replica is repaired when: queue, slots, pauses after failures, and the sweep that misses nothing.

    told (participant, reads, start-up) or swept --> queue, fewest consistent replicas first --> a slot
    --> engine/repairer.py --> done, or again after a pause
    damaged --> listed --> its repair has ended --> set aside --> queue

A replica is in the queue once and under repair once; who asks for it meanwhile has it looked at again afterwards.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
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
from meshnode.core.keys import RECORDS
from meshnode.core.partition import Partition
from meshnode.core.record import Record, RepositoryState, consistent_nodes, decode_record
from meshnode.core.repair import matches
from meshnode.core.round import ReplicaKey
from meshnode.engine.activity import NodeActivity
from meshnode.engine.lane import Lane
from meshnode.engine.membership import ClusterMembership
from meshnode.engine.meter import Meter
from meshnode.engine.records import Records
from meshnode.engine.repairer import Repairer
from meshnode.engine.replicas import Replicas, position_of
from meshnode.engine.supervisor import Supervisor
from meshnode.ports import Catalog, Clock

log = logging.getLogger("meshnode.engine")

RETRY_MS: Final = (250, 500, 1_000, 2_000, 5_000, 10_000)
"""Pauses after turns that failed or found no source."""
PAGE: Final = 500


class RepairQueue:
    """Owns the queue and the slots."""

    def __init__(
        self,
        *,
        own: NodeId,
        catalog: Catalog,
        records: Records,
        membership: ClusterMembership,
        replicas: Replicas,
        repairer: Repairer,
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
        self._repairer = repairer
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

    # ------------------------------------------------------------ turns

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
            is_done = await self._repairer.repair(key, reason)
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

    # ------------------------------------------------------------ damage

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
                await self._repairer.exclude(key, reason)
                while (
                    key in self._running
                ):  # a repair that fetches on top of the damaged objects must not end in its place
                    await self._clock.sleep(RETRY_MS[0])
                kept = await self._repairer.set_aside(key, reason)
                break
            except MeshError as error:  # the catalog is out of reach, or the disk is full
                pause_ms = RETRY_MS[min(failures, len(RETRY_MS) - 1)]
                log.warning("take_out_postponed", extra={"repository": key.repository, "error": str(error)})
                await self._clock.sleep(pause_ms)
        self.enqueue(key, reason)
        return kept
