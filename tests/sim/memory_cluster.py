"""A cluster in one process and in virtual time: production engines over memory catalogs, disks and peers.

cluster = MemoryCluster(["n1", "n2", "n3"], seed=1);  await cluster.start()
cluster.cut("n1", "n2")        messages from n1 to n2 are lost
await cluster.crash("n3")      the process is gone, its disk stays
await cluster.restart("n3")
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise

from meshnode.base.errors import MeshError
from meshnode.base.ids import NodeId, ObjectId, PartitionId, RefName, RefValue, RepositoryName
from meshnode.catalog.memory import FaultHook, MemoryCatalog
from meshnode.config import LimitSettings, PushSettings, RebalanceSettings, ReplicationSettings
from meshnode.core import keys
from meshnode.core.cluster import ClusterSettings, encode_settings
from meshnode.core.nodes import Node, NodeState, encode_node
from meshnode.core.partition import Partition, decode_partition, encode_partition
from meshnode.core.record import Record, decode_record
from meshnode.core.refs import digest_of
from meshnode.engine.meter import NullMeter
from meshnode.engine.node import NodeEngine, World
from meshnode.engine.replicas import Disk
from meshnode.git.memory import open_memory_stores
from meshnode.git.memory_disk import MemoryDisk
from meshnode.git.receive_pack import ReceivePackProtocol
from meshnode.git.stores import Step, no_step
from meshnode.peer.memory import Links, MemoryPeers
from meshnode.ports import (
    Consistency,
    FetchProtocol,
    Put,
    RefChange,
    RemoteTransport,
    Replication,
    WriteResult,
)
from tests.sim.virtual_time import SeededEntropy, VirtualClock, run_virtual

MAIN = RefName("refs/heads/main")
PARTITIONS = 4
SETTINGS = ReplicationSettings(prepared_age_ms=2_000, repair_sweep_ms=5_000)
MOVES = RebalanceSettings(interval_ms=500, drop_after_ms=2_000)


class Unused:
    """Stands where a test at this level never comes."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} is not part of the simulation")


@dataclass
class MemoryNode:
    """One node: its disk outlives its process."""

    disk: MemoryDisk
    engine: NodeEngine | None = None
    step: Step = no_step


class MemoryCluster:
    """Nodes, their network and their catalog."""

    def __init__(
        self,
        names: Sequence[str],
        *,
        seed: int = 0,
        factor: int = 3,
        rebalance: RebalanceSettings = MOVES,
        zones: Mapping[str, str] | None = None,
    ) -> None:
        """`zones` None: all nodes in one. Partitions begin on the first `factor` nodes."""
        self.clock = VirtualClock()
        self.catalog = MemoryCatalog(clock=self.clock)
        self.links = Links()
        self.replications: dict[NodeId, Replication] = {}
        self.entropy = SeededEntropy(seed)
        self.nodes = {NodeId(name): MemoryNode(MemoryDisk()) for name in names}
        self.hooks: dict[NodeId, FaultHook] = {}
        self.settings: dict[NodeId, list[bytes | None]] = {}
        """What each node was told of the cluster's settings, in order."""
        self._factor = factor
        self._rebalance = rebalance
        self._zones = zones or {}

    async def start(self) -> None:
        """Write the cluster into the catalog and start every node."""
        names = list(self.nodes)
        writes = [
            Put(
                keys.CLUSTER,
                encode_settings(
                    ClusterSettings(cluster_id="c", partition_count=PARTITIONS, replication_factor=self._factor)
                ),
            )
        ]
        for name in names:
            node = Node(
                node=name,
                grpc_url=name,
                http_url=name,
                zone=self._zones.get(name, "z"),
                weight=1,
                state=NodeState.AVAILABLE,
                public_keys=(),
            )
            writes.append(Put(keys.node_key(name), encode_node(node)))
        for number in range(PARTITIONS):
            placed = Partition(partition=PartitionId(number), replicas=tuple(names[: self._factor]))
            writes.append(Put(keys.partition_key(placed.partition), encode_partition(placed)))
        await self.catalog.transact([], writes)
        for name in names:
            await self.restart(name)

    async def stop(self) -> None:
        """Stop every node."""
        for name in self.nodes:
            await self.crash(name)

    async def restart(self, name: str) -> NodeEngine:
        """Start a node on its disk."""
        own = NodeId(name)
        node = self.nodes[own]
        stores = open_memory_stores(node.disk, step=node.step)
        engine = NodeEngine(
            own=own,
            version="test",
            world=World(
                disk=Disk(store=stores.store, reader=stores.reader, packs=stores.packs),
                upkeep=stores.upkeep,
                catalog=self.catalog.client(self.hooks.get(own)),
                clock=self.clock,
                entropy=self.entropy,
                push_protocol=ReceivePackProtocol(PushSettings(), "test"),
                fetch_protocol=_unused_fetch(),
                meter=NullMeter(),
                make_peers=lambda _membership: (MemoryPeers(self.replications, own, self.links), _unused_remote()),
                on_settings=self.settings.setdefault(own, []).append,
            ),
            replication=SETTINGS,
            limits=LimitSettings(),
            rebalance=self._rebalance,
        )
        node.engine = engine
        await engine.recover()
        self.replications[own] = engine.participant
        await engine.serve()
        return engine

    async def crash(self, name: str) -> None:
        """Take a node's process away at once."""
        own = NodeId(name)
        self.replications.pop(own, None)
        engine, self.nodes[own].engine = self.nodes[own].engine, None
        if engine is not None:
            await engine.close()

    def engine(self, name: str) -> NodeEngine:
        """A running node's engine."""
        engine = self.nodes[NodeId(name)].engine
        assert engine is not None, f"{name} is not running"
        return engine

    def running(self) -> list[NodeId]:
        """Nodes with a process."""
        return [name for name, node in self.nodes.items() if node.engine is not None]

    # ------------------------------------------------------------ what a test asks for

    async def create(self, at: str, name: str) -> WriteResult:
        """Create a repository through a node."""
        return await self.engine(at).writes.create(
            RepositoryName(name), object_format="sha1", default_branch=MAIN, request_key="", actor="t"
        )

    async def set_ref(
        self, at: str, name: str, oid: str, *, ref: str = MAIN, expected: str | None = None, key: str = ""
    ) -> WriteResult:
        """Move a reference through a node; the object appears on all disks first (no pack at this level)."""
        self.plant(oid)
        change = RefChange(name=RefName(ref), expected=expected, new=oid)
        return await self.engine(at).writes.update_refs(RepositoryName(name), [change], request_key=key, actor="t")

    def plant(self, oid: str) -> None:
        """Put an object into every replica of every node."""
        for node in self.nodes.values():
            for one in node.disk.replicas.values():
                one.objects.add(ObjectId(oid))

    async def read(self, at: str, name: str, ref: str = MAIN) -> RefValue | None:
        """A verified read of one reference at one node."""
        return (await self.read_all(at, name)).get(RefName(ref))

    async def read_all(self, at: str, name: str) -> Mapping[RefName, RefValue]:
        """A verified read of every reference at one node."""
        return (await self.engine(at).reads.view(RepositoryName(name), Consistency())).snapshot.refs

    async def record(self, name: str) -> Record:
        """The record, straight from the catalog."""
        entry = (await self.catalog.get([keys.name_key(RepositoryName(name))]))[0]
        assert entry is not None
        found = (await self.catalog.get([keys.RECORDS + entry.value.decode()]))[0]
        assert found is not None
        return decode_record(found.value)

    async def wait_until_consistent(self, name: str, *, within_ms: int = 60_000) -> Record:
        """Wait until every replica is believed and has what the record says; checks I9 on the way."""
        deadline = self.clock.monotonic_ms() + within_ms
        while True:
            with suppress(MeshError):
                record = await self.record(name)
                if not record.inconsistent and self._all_applied(record, await self.partition(record.partition)):
                    return record
            assert self.clock.monotonic_ms() < deadline, f"not consistent in time: {await self.record(name)}"
            await self.clock.sleep(100)

    async def partition(self, number: PartitionId) -> Partition:
        """A partition, straight from the catalog."""
        (entry,) = await self.catalog.get([keys.partition_key(number)])
        assert entry is not None
        return decode_partition(entry.value)

    async def wait_until_replicas(self, name: str, count: int, *, within_ms: int = 120_000) -> Partition:
        """Wait until a repository has `count` consistent replicas and its partition does not move."""
        deadline = self.clock.monotonic_ms() + within_ms
        while True:
            partition = await self.partition((await self.record(name)).partition)
            if len(partition.replicas) == count and not partition.target:
                await self.wait_until_consistent(name)
                return partition
            assert self.clock.monotonic_ms() < deadline, partition
            await self.clock.sleep(200)

    def _all_applied(self, record: Record, partition: Partition) -> bool:
        key = record.key
        states = []
        for name in partition.replicas:
            one = self.nodes[name].disk.replicas.get(key)
            if one is None or one.state.generation != record.generation:
                return False
            if one.state.prepared:
                return False
            states.append(replace(one.state, prepared=()))
            assert digest_of(one.refs) == record.refs_digest, f"I9 at {name}"
        assert all(left.refs_digest == right.refs_digest for left, right in pairwise(states)), "I9"
        return True


def _unused_remote() -> RemoteTransport:
    unused: object = Unused()
    return unused  # type: ignore[return-value]


def _unused_fetch() -> FetchProtocol:
    unused: object = Unused()
    return unused  # type: ignore[return-value]


def play_on_five(story: Callable[[MemoryCluster], Awaitable[None]]) -> None:
    """Run a story on five nodes in virtual time; all four partitions are on n1 to n3."""

    async def run() -> None:
        cluster = MemoryCluster([f"n{number}" for number in range(1, 6)])
        await cluster.start()
        try:
            await story(cluster)
        finally:
            await cluster.stop()

    run_virtual(run())
