"""What a node consists of below its servers: keys, counts, git on its disk, and the engine over them; opened together.

The engine tells what it hears of the cluster to the parts that follow it: keys, settings, and notes on the disk for a
start without the catalog.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from meshnode import __version__
from meshnode.auth.channel import SignedChannel
from meshnode.auth.identity import Identity
from meshnode.auth.keys import PrivateKey
from meshnode.auth.registry import KeyRegistry
from meshnode.auth.responses import ResponseSigner
from meshnode.auth.tls import channel_credentials
from meshnode.auth.tokens import TokenSigner
from meshnode.base.ids import PartitionId, RepositoryId
from meshnode.catalog.metered import MeteredCatalog
from meshnode.config.live import LiveSettings
from meshnode.core.applications import Application
from meshnode.core.nodes import Node
from meshnode.engine.disk_note import DiskNote
from meshnode.engine.hot import HotCounter
from meshnode.engine.key_rotation import KeyRotation
from meshnode.engine.node import NodeEngine, World
from meshnode.engine.pack_admission import PackAdmission
from meshnode.engine.replicas import Disk
from meshnode.engine.system import SystemClock, SystemEntropy
from meshnode.engine.usage import disk_space_of
from meshnode.git.command import GitCommands
from meshnode.git.diff_processes import DiffProcesses
from meshnode.git.disk import on_disk
from meshnode.git.family_marks import add_family_marks
from meshnode.git.layout import Layout
from meshnode.git.merges import GitMerges
from meshnode.git.object_pool import ObjectPool
from meshnode.git.patches import GitPatches
from meshnode.git.queries import Queries
from meshnode.git.range_diff import DEADLINE_MS, NICENESS
from meshnode.git.read_replica_marks import write_read_replica_marks
from meshnode.git.receive_pack import ReceivePackProtocol
from meshnode.git.settings_note import write_settings_note
from meshnode.git.shared_answers import SharedAnswers
from meshnode.git.store import open_stores
from meshnode.git.upload_pack import UploadPackProtocol
from meshnode.git.workshop import GitWorkshops
from meshnode.peer.grpc import GrpcPeers
from meshnode.peer.transport import GrpcTransport
from meshnode.ports import Catalog, Membership, Peers, RemoteTransport
from meshnode.telemetry.access import AccessLog
from meshnode.telemetry.metrics import Metrics

log = logging.getLogger("meshnode.app")

AGENT: Final = f"meshnode/{__version__}"


class NodeParts:
    """The parts that the servers of a node share."""

    def __init__(self, settings: LiveSettings, identity: Identity, catalog: Catalog) -> None:
        config = settings.config
        self.settings = settings
        self.config = config
        self.identity = identity
        self.clock = SystemClock()
        self.registry = KeyRegistry()
        self._signer = TokenSigner(identity.issuer, identity.key, self.clock)
        self.responses = ResponseSigner(identity.issuer, identity.key, self.clock)
        self.metrics = Metrics(node=identity.node, version=__version__)
        self.hot = HotCounter(identity.node, self.clock)
        self.access = AccessLog(self.metrics, self.hot.note)
        self.packs = PackAdmission(config.limits)
        commands = GitCommands()
        layout = Layout(config.node.data)
        self.queries = Queries(commands, layout)
        self.objects = ObjectPool(commands, layout)
        self.diffs = DiffProcesses(commands, layout, deadline_ms=DEADLINE_MS, niceness=NICENESS)
        stores = open_stores(config.node.data, commands, config.push, config.replication)
        self.replicas = stores.replicas
        self.workshops = GitWorkshops(stores.replicas, self.objects, config.operations, GitMerges, GitPatches)
        self.peers: GrpcPeers  # made while the engine is: it has the membership that knows where they are
        self.engine = NodeEngine(
            own=identity.node,
            version=__version__,
            world=World(
                disk=Disk(store=stores.store, reader=stores.reader, packs=stores.packs),
                upkeep=stores.upkeep,
                catalog=MeteredCatalog(catalog, self.metrics.catalog_request),
                clock=self.clock,
                entropy=SystemEntropy(),
                push_protocol=ReceivePackProtocol(config.push, AGENT),
                fetch_protocol=UploadPackProtocol(
                    commands,
                    layout.repository,
                    config.limits,
                    AGENT,
                    SharedAnswers(config.node.data, config.limits.clone_cache_bytes, self.metrics.count_clone),
                ),
                make_peers=self._make_peers,
                disk_space=disk_space_of(config.node.data),
                note_read_replicas=self._note_read_replicas,
                note_families=self._note_families,
                on_keys=self._on_keys,
                on_settings=self._on_settings,
                meter=self.metrics,
            ),
            replication=config.replication,
            limits=config.limits,
            scrub=config.scrub,
            upkeep=config.upkeep,
            rebalance=config.rebalance,
        )
        self._settings_note: DiskNote[bytes] = DiskNote(
            name="cluster-settings", supervisor=self.engine.supervisor, write=self._note_settings
        )
        self.rotation = KeyRotation(
            own=identity.node,
            catalog=self.engine.world.catalog,
            clock=self.clock,
            supervisor=self.engine.supervisor,
            files=identity.files,
            use_key=self._use_key,
            in_use=identity.key.key_id,
        )

    async def close(self) -> None:
        """Let go of everything."""
        await self.engine.close()
        await self.objects.close()
        await self.diffs.close()
        await self.workshops.close()
        await self.peers.close()

    def _use_key(self, key: PrivateKey) -> None:
        self._signer.use_key(key)
        self.responses.use_key(key)

    def _make_peers(self, membership: Membership) -> tuple[Peers, RemoteTransport]:
        credentials = channel_credentials(self.config.tls)

        def open_channel(node: Node) -> SignedChannel:
            return SignedChannel(
                node.grpc_url,
                audience=node.node,
                signer=self._signer,
                registry=self.registry,
                expected_issuer=f"node:{node.node}",
                credentials=credentials,
                clock=self.clock,
                connect_ms=self.config.replication.connect_ms,
            )

        self.peers = GrpcPeers(self.identity.node, membership, open_channel)
        return self.peers, GrpcTransport(self.peers, self.config.limits)

    def _on_settings(self, entry: bytes | None) -> None:
        self.settings.take(entry)
        if entry is not None:
            self._settings_note.note(entry)
        self.metrics.set_settings_version(self.settings.now.shared.version)

    async def _note_settings(self, entry: bytes) -> None:
        await on_disk(write_settings_note, self.config.node.data, entry)

    async def _note_read_replicas(self, partitions: frozenset[PartitionId]) -> None:
        await on_disk(write_read_replica_marks, self.config.node.data, partitions)

    async def _note_families(self, families: Mapping[RepositoryId, PartitionId]) -> None:
        await on_disk(add_family_marks, self.config.node.data, families)

    def _on_keys(self, nodes: Sequence[Node], applications: Sequence[Application]) -> None:
        for refused in self.registry.replace(nodes, applications):
            log.error("key_refused", extra={"reason": refused})
