"""Starts the production engine on a scenario's disk, beside a catalog that says what the ledger says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from meshnode.catalog.memory import MemoryCatalog
from meshnode.config import LimitSettings, PushSettings, ReplicationSettings
from meshnode.core import keys
from meshnode.core.cluster import ClusterSettings, encode_settings
from meshnode.core.nodes import Node, NodeState, encode_node
from meshnode.core.partition import encode_partition
from meshnode.core.record import Record, RepositoryState, encode_record
from meshnode.core.round import ReplicaKey
from meshnode.engine.meter import NullMeter
from meshnode.engine.node import NodeEngine, World
from meshnode.engine.replicas import Disk
from meshnode.engine.system import SystemClock, SystemEntropy
from meshnode.git.receive_pack import ReceivePackProtocol
from meshnode.peer.memory import MemoryPeers
from meshnode.ports import Put
from tests.crash.ledger import OWN, PARTITION, Ledger
from tests.crash.site import Site
from tests.sim.memory_cluster import _unused_fetch, _unused_remote


class Started:
    """A node whose recovery is done."""

    def __init__(self, engine: NodeEngine, catalog: MemoryCatalog) -> None:
        self.engine = engine
        self._catalog = catalog

    async def record(self, key: ReplicaKey) -> Record | None:
        """The record as it is now."""
        return (await self.engine.records.read(key)).record

    async def settle(self, key: ReplicaKey) -> None:
        """Do what is done about rounds whose coordinator has gone quiet: fence, then drop."""
        state = await self.engine.replicas.disk.store.load(key)
        if state is not None:
            given_up = [round_.round_id for round_ in state.prepared]
            await self.engine.replicas.settle(key, await self.record(key), given_up=given_up)

    async def put(self, record: Record) -> None:
        """Replace a record, as a publish or a rejoin of this node does."""
        await self._catalog.transact([], [Put(keys.record_key(record.repository), encode_record(record))])


@asynccontextmanager
async def started(site: Site) -> AsyncIterator[Started]:
    """Run a node's start on the site's disk, up to where it would serve."""
    catalog = MemoryCatalog(clock=SystemClock())
    await catalog.transact([], _entries(site.ledger))
    stores = site.stores
    engine = NodeEngine(
        own=OWN,
        version="test",
        world=World(
            disk=Disk(store=stores.store, reader=stores.reader, packs=stores.packs),
            catalog=catalog.client(None),
            clock=SystemClock(),
            entropy=SystemEntropy(),
            push_protocol=ReceivePackProtocol(PushSettings(), "test"),
            fetch_protocol=_unused_fetch(),
            meter=NullMeter(),
            upkeep=stores.upkeep,
            make_peers=lambda _membership: (MemoryPeers({}, OWN), _unused_remote()),
        ),
        replication=ReplicationSettings(),
        limits=LimitSettings(),
    )
    try:
        await engine.recover()
        yield Started(engine, catalog)
    finally:
        await engine.close()


def _entries(ledger: Ledger) -> list[Put]:
    settings = ClusterSettings(cluster_id="c", partition_count=8, replication_factor=3)
    puts = [
        Put(keys.CLUSTER, encode_settings(settings)),
        Put(keys.partition_key(PARTITION.partition), encode_partition(PARTITION)),
    ]
    for name in PARTITION.replicas:
        node = Node(
            node=name, grpc_url=name, http_url=name, zone="", weight=1, state=NodeState.AVAILABLE, public_keys=()
        )
        puts.append(Put(keys.node_key(name), encode_node(node)))
    for record in ledger.records.values():
        puts.append(Put(keys.record_key(record.repository), encode_record(record)))
        if record.state is RepositoryState.ACTIVE:
            puts.append(Put(keys.name_key(record.name), record.repository.encode()))
    return puts
