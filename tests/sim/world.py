"""A simulated cluster: production engines over a network, disks and a catalog that fail as a plan says.

One world is one run. Nodes are processes that die and come back on the same disk; `heal` ends every fault, after
which `unfinished` must become empty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from meshnode.base.ids import NodeId, PartitionId
from meshnode.catalog.memory import MemoryCatalog
from meshnode.config import LimitSettings, PushSettings, RebalanceSettings, ReplicationSettings
from meshnode.core import keys
from meshnode.core.cluster import ClusterSettings, encode_settings
from meshnode.core.moves import is_moving
from meshnode.core.nodes import Node, NodeState, decode_node, encode_node
from meshnode.core.partition import Partition, decode_partition, encode_partition
from meshnode.core.read_replicas import partition_with_read_replicas, plan_read_replicas
from meshnode.core.record import RepositoryState
from meshnode.core.refs import digest_of
from meshnode.core.targets import partition_with_target
from meshnode.engine.meter import NullMeter
from meshnode.engine.node import NodeEngine
from meshnode.engine.node import World as Adapters
from meshnode.git.memory import MemoryUpkeep
from meshnode.git.receive_pack import ReceivePackProtocol
from meshnode.ports import Compare, Put
from tests.sim.auditor import Auditor
from tests.sim.catalog_faults import CatalogFaults
from tests.sim.disks import open_disk
from tests.sim.memory_cluster import _unused_fetch, _unused_remote
from tests.sim.network import Network, SimPeers
from tests.sim.plan import CALM, Plan
from tests.sim.power import SimDisk
from tests.sim.process import NodeClock, Process
from tests.sim.story import Story
from tests.sim.virtual_time import SeededEntropy, VirtualClock

PARTITIONS = 3
SETTINGS = ReplicationSettings(
    prepared_age_ms=1_500, prepare_ms=4_000, publish_ms=5_000, repair_sweep_ms=2_000, lease_ms=3_000
)

MOVES = RebalanceSettings(interval_ms=700, drop_after_ms=1_500, usage_interval_ms=86_400_000)

Plant = Callable[[NodeEngine], None]
"""Puts a bug into an engine that was just assembled."""


def no_bug(_engine: NodeEngine) -> None:
    """Leave the engine as it is."""


class World:
    """Everything of one run but its clients and faults."""

    def __init__(self, plan: Plan, story: Story, plant: Plant = no_bug) -> None:
        self.plan = plan
        self.story = story
        self.clock = VirtualClock()
        self.catalog = MemoryCatalog(clock=self.clock)
        self.media = {NodeId(name): SimDisk(Random(f"disk {name} {plan.seed}")) for name in plan.nodes}
        self.disks = {name: medium.memory for name, medium in self.media.items()}
        self.auditor = Auditor(self.catalog, self.disks, story)
        self.network = Network(Random(f"network {plan.seed}"), story)
        self.auditor.count = self.network.count
        self.network.aborted = self.auditor.note_abort
        self.network.committed = self.auditor.note_commit
        self.entropy = SeededEntropy(plan.seed)
        self.processes: dict[NodeId, Process] = {}
        self.catalog_faults: dict[NodeId, CatalogFaults] = {}
        self.clocks: dict[NodeId, NodeClock] = {}
        self._states = dict.fromkeys(self.disks, NodeState.AVAILABLE)
        self.clock_offsets = dict.fromkeys(self.disks, 0)
        self._plant = plant
        self._assembled: dict[NodeId, NodeEngine] = {}
        self._graves: dict[NodeId, asyncio.Task[None]] = {}

    # ------------------------------------------------------------ life and death

    async def begin(self) -> None:
        """Write the cluster into the catalog and start every node."""
        names = list(self.disks)
        settings = ClusterSettings(cluster_id="c", partition_count=PARTITIONS, replication_factor=self.plan.factor)
        writes = [Put(keys.CLUSTER, encode_settings(settings))]
        writes += [Put(keys.node_key(name), encode_node(_entry_of(name))) for name in names]
        for number in range(PARTITIONS):
            replicas = tuple(names[(number + offset) % len(names)] for offset in range(self.plan.factor))
            placed = Partition(partition=PartitionId(number), replicas=replicas)
            writes.append(Put(keys.partition_key(placed.partition), encode_partition(placed)))
        await self.catalog.transact([], writes)
        self.auditor.look([write.key for write in writes])
        for name in names:
            await self.start(name)

    async def start(self, name: NodeId) -> None:
        """Start a node on its disk; nothing happens where it runs."""
        running = self.processes.get(name)
        if running is not None and running.is_alive:
            return
        if (grave := self._graves.get(name)) is not None:
            await asyncio.shield(grave)
            if (again := self.processes.get(name)) is not None and again.is_alive:
                return
        process = Process(name, Random(f"process {name} {self.plan.seed}"))
        process.on_death = lambda: self._on_death(process)
        process.on_full = lambda: self._on_full(name)
        self.processes[name] = self.network.processes[name] = process
        self.story.tell(name, "starts")
        process.spawn(self._live(process))

    async def _live(self, process: Process) -> None:
        engine = self._assemble(process)
        self._assembled[process.name] = engine
        await engine.recover()
        self.auditor.check_serving(process.name)
        process.engine = engine
        await engine.serve()
        process.served.set()
        self.story.tell(process.name, "serves")

    def _assemble(self, process: Process) -> NodeEngine:
        name = process.name
        clock = self.clocks[name] = NodeClock(process)
        self.step_clock(name)
        faults = CatalogFaults(process, self.network, self.catalog, self.auditor)
        self.catalog_faults[name] = faults
        engine = NodeEngine(
            own=name,
            version="sim",
            world=Adapters(
                disk=open_disk(process, self.media[name], self.auditor),
                upkeep=MemoryUpkeep(),
                catalog=self.catalog.client(faults),
                clock=clock,
                entropy=self.entropy,
                push_protocol=ReceivePackProtocol(PushSettings(), "sim"),
                fetch_protocol=_unused_fetch(),
                meter=NullMeter(),
                make_peers=lambda _membership: (SimPeers(self.network, process), _unused_remote()),
            ),
            replication=SETTINGS,
            limits=LimitSettings(queue_wait_ms=5_000),
            rebalance=MOVES,
        )
        self._plant(engine)
        return engine

    def _on_death(self, process: Process) -> None:
        self.story.tell(process.name, "dies")
        engine = self._assembled.pop(process.name, None)
        self._graves[process.name] = asyncio.get_running_loop().create_task(process.bury(engine))

    def _on_full(self, name: NodeId) -> None:
        self.story.tell(name, "has no room left")
        self.network.count("disk full at a step")
        self.disks[name].is_full = True

    def lose_disk(self, name: NodeId) -> None:
        """Put a new, empty disk into a dead node."""
        keys, rounds = self.media[name].lose_everything()
        self.auditor.note_lost(name, keys, rounds)
        self.network.count("replicas lost with a disk", len(keys))
        self.story.tell(name, f"gets an empty disk for one with {len(keys)} replicas")

    def cut_power(self, name: NodeId) -> None:
        """End a node's process, and let its disk forget what was not synced."""
        self.processes[name].die()
        back = self.media[name].cut_power()
        if back:
            self.network.count("dropped records back after a power cut", back)
            self.story.tell(name, f"finds {back} dropped journal records again")

    async def set_state(self, name: NodeId, state: NodeState) -> None:
        """Be the operator who wants another state for a node, and tries again where another one was faster."""
        key = keys.node_key(name)
        while True:
            (entry,) = await self.catalog.get([key])
            known = _entry_of(name) if entry is None else decode_node(entry.value)  # one that was removed comes back
            revision = 0 if entry is None else entry.revision
            wanted = replace(known, state=state)
            if await self.catalog.transact([Compare(key, revision)], [Put(key, encode_node(wanted))]) is not None:
                self._states[name] = state
                return

    async def move(self, number: PartitionId, wanted: Sequence[NodeId]) -> None:
        """Be the operator who wants a partition's replicas elsewhere."""
        key = keys.partition_key(number)
        (entry,) = await self.catalog.get([key])
        assert entry is not None
        partition = partition_with_target(decode_partition(entry.value), tuple(wanted))
        if await self.catalog.transact([Compare(key, entry.revision)], [Put(key, encode_partition(partition))]):
            self.auditor.look([key])

    async def set_read_replicas(self, number: PartitionId, wanted: int) -> None:
        """Be the operator who wants read replicas of a partition, as many as there are nodes for."""
        key = keys.partition_key(number)
        (entry,) = await self.catalog.get([key])
        assert entry is not None
        partition, known = decode_partition(entry.value), await self._nodes()
        chosen = plan_read_replicas(partition, known, {}, wanted=wanted)
        partition = partition_with_read_replicas(partition, chosen, wanted=wanted, known=known)
        self.story.tell("***", f"partition {number} is to have read replicas at {' '.join(chosen) or 'no node'}")
        if await self.catalog.transact([Compare(key, entry.revision)], [Put(key, encode_partition(partition))]):
            self.auditor.look([key])

    async def _nodes(self) -> dict[NodeId, Node]:
        entries = await self.catalog.range(keys.NODES, after="", limit=100)
        return {node.node: node for node in (decode_node(entry.value) for entry in entries)}

    def step_clock(self, name: NodeId) -> None:
        """Have a node's wall clock show what `clock_offsets` says from now on."""
        if name in self.clocks:
            self.clocks[name].offset_ms = self.clock_offsets[name]

    def is_alive(self, name: str) -> bool:
        """Whether a node has a process, paused or starting included."""
        process = self.processes.get(NodeId(name))
        return process is not None and process.is_alive

    async def heal(self) -> None:
        """End what is wrong with network, catalog, disks and processes; dead nodes are to be started by the caller."""
        self.network.mend_all()
        self.network.weather = CALM
        for process in self.processes.values():
            process.steps_until_death = process.steps_until_full = 0
            process.is_tearing = False
            process.resume()
        for faults in self.catalog_faults.values():
            faults.is_stormy = False
        for name, disk in self.disks.items():
            disk.is_full = False
            pace = self.media[name].pace
            pace.slow, pace.is_crawling = 0.0, False
            await self.set_state(name, NodeState.DRAINING if name == self.plan.drained else NodeState.AVAILABLE)

    async def end(self) -> None:
        """Take everything away."""
        self.story.is_over = True
        for process in self.processes.values():
            process.die()
        for grave in self._graves.values():
            await grave
        await self.network.close()

    # ------------------------------------------------------------ how it must end

    def unfinished(self) -> str:
        """What is not as it must be once no fault is left; "" where nothing is."""
        for number, partition in self.auditor.partitions.items():
            if is_moving(partition) or partition.leaving:
                return f"partition {number} still moves: {partition}"
            takers = {name for name, state in self._states.items() if state is NodeState.AVAILABLE}
            spare = len(takers - set(partition.accountable) - set(partition.read_replicas))
            if spare and len(partition.read_replicas) < partition.read_replicas_wanted:
                return f"partition {number} lacks read replicas: {partition}"
        for repository, truth in self.auditor.truths.items():
            record = truth.record
            what = f"{record.name} {repository[:6]}"
            partition = self.auditor.partitions[record.partition]
            if wrong := self.auditor.home_of_family(record):
                return wrong
            if record.state is RepositoryState.ACTIVE and record.inconsistent.intersection(partition.accountable):
                return f"{what} goes without {sorted(record.inconsistent)}"
            for name in partition.members:
                replica = self.disks[name].replicas.get(record.key)
                if record.state is not RepositoryState.ACTIVE:
                    if replica is not None and not replica.state.is_deleted:
                        return f"{name} keeps {what}, which is {record.state.value}"
                    continue
                if replica is None or replica.state.generation != record.generation:
                    return f"{name} has not got {what} at generation {record.generation}"
                if digest_of(replica.refs) != record.refs_digest:
                    return f"I9: references of {what} at {name} are not those of the record"
        for name, disk in self.disks.items():
            for key, replica in disk.replicas.items():
                if name not in self.auditor.partition_of(key).members:
                    return f"{name} keeps a replica of {key.repository[:6]}, whose partition it has left"
                if replica.state.prepared or replica.packs:
                    return f"{name} keeps a round of {key.repository[:6]} open"
                if key.repository not in self.auditor.truths:
                    return f"{name} keeps a replica of {key.repository[:6]}, which never was"
        for name, process in self.processes.items():
            if process.engine is None:
                return f"{name} does not serve"
            known = process.engine.membership
            if known.partitions() != self.auditor.partitions:
                return f"{name} has not heard where partitions are"
            if {node: entry.state for node, entry in known.nodes().items()} != self._states:
                return f"{name} has not heard what is wanted of nodes"
            if process.engine.slots.waiting() or process.engine.activity.repairs():
                return f"{name} is still busy"
        return ""

    async def check_objects(self) -> None:
        """Every reference of every replica leads to an object that is there, and no quarantine is left."""
        for name, process in self.processes.items():
            assert process.engine is not None
            disk = process.engine.world.disk
            for key in await disk.store.list_replicas():
                for problem in await disk.reader.fsck(key):
                    self.auditor.violate(f"I1: {name} {key.repository[:6]}: {problem}")
            for key, round_id in getattr(disk.packs, "_inner")._quarantines._packs:  # noqa: B009
                self.auditor.violate(f"{name} keeps a quarantine of {key.repository[:6]} for {round_id[:6]}")


def _entry_of(name: NodeId) -> Node:
    """A node as the catalog lists it at first."""
    return Node(
        node=name,
        grpc_url=name,
        http_url=name,
        zone="z",
        weight=1,
        state=NodeState.AVAILABLE,
        public_keys=(),
    )
