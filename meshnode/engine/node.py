"""One node's engine, put together: what knows what, and the order of starting and stopping.

    start:  membership (read the cluster) -> recovery (nothing is served yet) -> settling, announce -> repairs
    stop:   no new work -> leave the online list -> running pushes end -> tasks cancelled

The same assembly runs in production over real adapters and in tests over memory ones.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import CatalogUnavailable
from meshnode.base.ids import NodeId, PartitionId, RepositoryId
from meshnode.config import LimitSettings, RebalanceSettings, ReplicationSettings, ScrubSettings, UpkeepSettings
from meshnode.core.applications import Application
from meshnode.core.nodes import Node
from meshnode.core.record import Record
from meshnode.core.round import ReplicaKey
from meshnode.engine.activity import NodeActivity
from meshnode.engine.api_writes import ApiWrites
from meshnode.engine.audit import AuditTrail
from meshnode.engine.birthplaces import Birthplaces
from meshnode.engine.departure import Departure
from meshnode.engine.families import Families
from meshnode.engine.family_notes import FamilyNotes
from meshnode.engine.feed import Feed
from meshnode.engine.forgetting import Forgetting
from meshnode.engine.imports import ApiImports
from meshnode.engine.losses import DataLosses
from meshnode.engine.membership import ClusterMembership
from meshnode.engine.meter import Meter
from meshnode.engine.move_orders import MoveOrders
from meshnode.engine.move_steps import MoveSteps
from meshnode.engine.mover import Mover
from meshnode.engine.pace import FillPace
from meshnode.engine.participant import Participant
from meshnode.engine.planner_lease import PlannerLease
from meshnode.engine.read_replica_notes import ReadReplicaNotes
from meshnode.engine.read_replica_orders import ReadReplicaOrders
from meshnode.engine.reader import Reader
from meshnode.engine.records import Records
from meshnode.engine.recovery import CATALOG_PAUSE_MS, Recovery
from meshnode.engine.removal import Removal
from meshnode.engine.repair_queue import RepairQueue
from meshnode.engine.repairer import Repairer
from meshnode.engine.replicas import Disk, Replicas
from meshnode.engine.repository_configs import RepositoryConfigs
from meshnode.engine.repository_factors import RepositoryFactors
from meshnode.engine.rounds import RoundDriver
from meshnode.engine.router import CandidateRouter
from meshnode.engine.scrubber import Scrubber
from meshnode.engine.slots import KeyedLocks
from meshnode.engine.standings import StandingsTable
from meshnode.engine.supervisor import Supervisor
from meshnode.engine.sync import Synchroniser
from meshnode.engine.transport import GitTransport
from meshnode.engine.upkeeper import Upkeeper
from meshnode.engine.usage import DiskSpace, UsageReporter
from meshnode.engine.writer import Writer
from meshnode.ports import (
    Catalog,
    Clock,
    Entropy,
    FetchProtocol,
    Membership,
    Peers,
    PushProtocol,
    RemoteTransport,
    Upkeep,
)

log = logging.getLogger("meshnode.engine")

LED_HERE: Final = ("push", "operation", "writer-api", "round-commit", "round-abort")
"""Tasks of writes that this node leads, by how their names begin. Nothing that runs for ever may begin so: a node would
never be drained, and its stop would wait in vain."""


async def _keep_no_note(_: object) -> None:
    return


@dataclass(frozen=True, kw_only=True)
class World:
    """The adapters an engine stands on."""

    disk: Disk
    upkeep: Upkeep
    catalog: Catalog
    clock: Clock
    entropy: Entropy
    push_protocol: PushProtocol
    fetch_protocol: FetchProtocol
    make_peers: Callable[[Membership], tuple[Peers, RemoteTransport]]
    """Called once, with the membership that knows where nodes are."""
    meter: Meter
    disk_space: DiskSpace | None = None
    """None: what the disk holds is not known."""
    note_read_replicas: Callable[[frozenset[PartitionId]], Awaitable[None]] = _keep_no_note
    """Writes down, for a rebuild of the catalog, which partitions this node has read replicas of."""
    note_families: Callable[[Mapping[RepositoryId, PartitionId]], Awaitable[None]] = _keep_no_note
    """Writes down, for the same, which fork families have a partition for themselves."""
    on_keys: Callable[[Sequence[Node], Sequence[Application]], None] = lambda _nodes, _applications: None
    """Told who is known, at start and after every change."""
    on_settings: Callable[[bytes | None], None] = lambda _: None
    """Told the catalog's entry of shared settings, at start where there is one, and after every change."""


class NodeEngine:
    """Everything of one node between its servers and its adapters."""

    def __init__(
        self,
        *,
        own: NodeId,
        version: str,
        world: World,
        replication: ReplicationSettings,
        limits: LimitSettings,
        scrub: ScrubSettings | None = None,
        upkeep: UpkeepSettings | None = None,
        rebalance: RebalanceSettings | None = None,
    ) -> None:
        self.own = own
        self.world = world
        self._limits = limits
        rebalance = rebalance or RebalanceSettings()
        self.supervisor = Supervisor()
        self.activity = NodeActivity(world.clock, world.meter)
        self.activity.wait_for(lambda: self.supervisor.count(*LED_HERE))
        self.audit = AuditTrail(catalog=world.catalog, clock=world.clock, supervisor=self.supervisor)
        self.records = Records(world.catalog, self.supervisor, on_elsewhere=self._on_elsewhere)
        self.family_notes = FamilyNotes(supervisor=self.supervisor, write=world.note_families)
        self.read_replica_notes = ReadReplicaNotes(own=own, supervisor=self.supervisor, write=world.note_read_replicas)
        self.membership = ClusterMembership(
            own=own,
            version=version,
            catalog=world.catalog,
            clock=world.clock,
            settings=replication,
            supervisor=self.supervisor,
            on_keys=world.on_keys,
            on_change=self._on_cluster_change,
            on_settings=world.on_settings,
        )
        self.peers, self.remote = world.make_peers(self.membership)
        self.replicas = Replicas(
            disk=world.disk,
            catalog=world.catalog,
            records=self.records,
            clock=world.clock,
            supervisor=self.supervisor,
            settings=replication,
            on_repair=self._on_repair,
            activity=self.activity,
        )
        self.participant = Participant(own=own, replicas=self.replicas, on_damaged=self._on_damaged, meter=world.meter)
        self.repairer = Repairer(
            own=own,
            catalog=world.catalog,
            records=self.records,
            membership=self.membership,
            replicas=self.replicas,
            synchroniser=Synchroniser(
                replicas=self.replicas,
                peers=self.peers,
                entropy=world.entropy,
                meter=world.meter,
                pace=FillPace(own, self.membership, self.records, world.clock, rebalance),
            ),
            activity=self.activity,
            meter=world.meter,
        )
        self.repairs = RepairQueue(
            own=own,
            catalog=world.catalog,
            records=self.records,
            membership=self.membership,
            replicas=self.replicas,
            repairer=self.repairer,
            activity=self.activity,
            clock=world.clock,
            supervisor=self.supervisor,
            settings=replication,
            meter=world.meter,
        )
        self.scrubber = Scrubber(
            own=own,
            records=self.records,
            replicas=self.replicas,
            repairs=self.repairs,
            activity=self.activity,
            clock=world.clock,
            supervisor=self.supervisor,
            settings=scrub or ScrubSettings(),
            meter=world.meter,
        )
        self.upkeeper = Upkeeper(
            own=own,
            catalog=world.catalog,
            upkeep=world.upkeep,
            replicas=self.replicas,
            activity=self.activity,
            clock=world.clock,
            supervisor=self.supervisor,
            settings=upkeep or UpkeepSettings(),
        )
        self.losses = DataLosses(
            own=own,
            catalog=world.catalog,
            records=self.records,
            online=self.membership.online,
            peers=self.peers,
            replicas=self.replicas,
            participant=self.participant,
            entropy=world.entropy,
        )
        self.driver = RoundDriver(
            own=own,
            catalog=world.catalog,
            records=self.records,
            peers=self.peers,
            participant=self.participant,
            clock=world.clock,
            supervisor=self.supervisor,
            settings=replication,
            on_unreachable=self.membership.suspect,
            meter=world.meter,
        )
        self.slots = KeyedLocks(limits)
        self.writer = Writer(
            own=own,
            records=self.records,
            membership=self.membership,
            peers=self.peers,
            replicas=self.replicas,
            driver=self.driver,
            slots=self.slots,
            clock=world.clock,
            entropy=world.entropy,
        )
        steps = MoveSteps(world.catalog, self.records)
        self.mover = Mover(
            own=own,
            catalog=world.catalog,
            membership=self.membership,
            steps=steps,
            removal=Removal(catalog=world.catalog, steps=steps),
            lease=PlannerLease(own=own, catalog=world.catalog, lease_ms=replication.lease_ms),
            forgetting=Forgetting(catalog=world.catalog, clock=world.clock),
            clock=world.clock,
            supervisor=self.supervisor,
            settings=rebalance,
        )
        self.moves = MoveOrders(catalog=world.catalog, membership=self.membership, mover=self.mover, clock=world.clock)
        self.read_replicas = ReadReplicaOrders(records=self.records, membership=self.membership, mover=self.mover)
        self.factors = RepositoryFactors(
            records=self.records,
            membership=self.membership,
            orders=self.moves,
            families=Families(catalog=world.catalog),
        )
        places = Birthplaces(
            own=own, catalog=world.catalog, membership=self.membership, orders=self.moves, entropy=world.entropy
        )
        self.writes = ApiWrites(writer=self.writer, places=places)
        self.configs = RepositoryConfigs(catalog=world.catalog, records=self.records)
        self.imports = ApiImports(writes=self.writes, supervisor=self.supervisor)
        self.router = CandidateRouter(
            own=own, records=self.records, membership=self.membership, entropy=world.entropy, clock=world.clock
        )
        self.reads = Reader(
            own=own,
            catalog=world.catalog,
            records=self.records,
            membership=self.membership,
            replicas=self.replicas,
            on_damaged=self._on_damaged,
            meter=world.meter,
        )
        self.transport = GitTransport(
            own=own,
            router=self.router,
            membership=self.membership,
            reader=self.reads,
            writer=self.writer,
            writes=self.writes,
            remote=self.remote,
            push_protocol=world.push_protocol,
            fetch_protocol=world.fetch_protocol,
            supervisor=self.supervisor,
            readers=self.replicas.readers,
        )
        self.departure = Departure(
            own=own,
            catalog=world.catalog,
            records=self.records,
            membership=self.membership,
            replicas=self.replicas,
            activity=self.activity,
            clock=world.clock,
            supervisor=self.supervisor,
            settings=rebalance,
        )
        self.usage = UsageReporter(
            own=own,
            catalog=world.catalog,
            records=self.records,
            replicas=self.replicas,
            clock=world.clock,
            supervisor=self.supervisor,
            settings=rebalance,
            disk_space=world.disk_space,
        )

        self.feed = Feed(
            own=own,
            table=StandingsTable(world.catalog, world.clock, self.supervisor),
            membership=self.membership,
            replicas=self.replicas,
            participant=self.participant,
            peers=self.peers,
        )

    async def recover(self) -> None:
        """Read the cluster and check every replica; nothing may be served before this returns."""
        while True:
            try:
                await self.membership.start()
                break
            except CatalogUnavailable as error:
                log.warning("start_waits_for_catalog", extra={"error": str(error)})
                await self.world.clock.sleep(CATALOG_PAUSE_MS)
        await Recovery(
            own=self.own,
            catalog=self.world.catalog,
            records=self.records,
            membership=self.membership,
            replicas=self.replicas,
            repairer=self.repairer,
            repairs=self.repairs,
            activity=self.activity,
            clock=self.world.clock,
        ).run()

    async def serve(self) -> None:
        """Take work: called when the servers listen."""
        self.replicas.start()
        await self.membership.announce()
        self.repairs.start()
        self.scrubber.start()
        self.upkeeper.start()
        self.mover.start()
        self.departure.start()
        self.usage.start()
        self.activity.note_started()

    async def drain(self) -> None:
        """Take no new work, and wait for the rounds and pushes that run, for at most `limits.drain_ms`."""
        self.activity.note_stopping()
        self.feed.close()
        await self.membership.retire()
        await self.mover.retire()
        try:
            async with asyncio.timeout(self._limits.drain_ms / 1000):
                for kind in (*LED_HERE, "participant-vote", "participant-commit"):
                    await self.supervisor.drain(kind)
        except TimeoutError:
            log.warning("drain_cut_short", extra={"after_ms": self._limits.drain_ms})

    async def close(self) -> None:
        """Cancel what is left and wait for its end."""
        await self.supervisor.close()

    def _on_repair(self, key: ReplicaKey, reason: str) -> None:
        self.repairs.enqueue(key, reason)

    def _on_damaged(self, key: ReplicaKey, reason: str) -> None:
        self.repairs.take_out(key, reason)

    async def _on_elsewhere(self, record: Record) -> None:
        """A record names a partition that its family was not known to live in; it may be new."""
        self.family_notes.note(record)
        await self.membership.hear_of(record.partition)

    def _on_cluster_change(self) -> None:
        is_listed = self.own in self.membership.nodes()
        self.activity.note_resting(is_resting=not is_listed or not self.membership.is_available(self.own))
        self.read_replica_notes.note(list(self.membership.partitions().values()))
        self.repairs.want_sweep()
