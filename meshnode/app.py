"""Composition root: the only place that names an adapter; start and stop order.

    key -> catalog -> stores -> engine.recover() -> gRPC and HTTP listen -> engine.serve()
    SIGTERM: engine.drain() -> HTTP and gRPC finish what is in flight -> engine.close() -> catalog, peers

HTTP listens from the beginning, so that `/healthz` answers and `/readyz` says what is missing while replicas are
checked; git requests are refused until then.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import uvloop

from meshnode import __version__
from meshnode.auth.channel import SignedChannel
from meshnode.auth.identity import (
    Belonging,
    Identity,
    check_belonging,
    check_listed,
    choose_key,
    read_belonging,
    write_belonging,
)
from meshnode.auth.invitations import CatalogAccess
from meshnode.auth.key_files import KeyFiles
from meshnode.auth.keys import PrivateKey
from meshnode.auth.registry import KeyRegistry
from meshnode.auth.replay import ReplayCache
from meshnode.auth.responses import ResponseSigner
from meshnode.auth.tls import channel_credentials, server_credentials
from meshnode.auth.tokens import RequestVerifier, TokenSigner, replay_window_ms
from meshnode.auth.users import UserVerifier
from meshnode.base.errors import CatalogUnavailable, InvalidRequest, MeshError
from meshnode.base.ids import PartitionId, RepositoryId, parse_node_id
from meshnode.catalog.metered import MeteredCatalog
from meshnode.catalog.open import open_catalog
from meshnode.config import Config, Loaded
from meshnode.config.live import LiveSettings
from meshnode.core.keys import CLUSTER, Application, Node, decode_node, decode_settings, node_key
from meshnode.engine.applications import ApplicationOrders
from meshnode.engine.disk_note import DiskNote
from meshnode.engine.hot import HotCounter
from meshnode.engine.joining import Joining
from meshnode.engine.key_rotation import KeyRotation
from meshnode.engine.node import NodeEngine, World
from meshnode.engine.operations import ApiOperations
from meshnode.engine.pack_admission import PackAdmission
from meshnode.engine.participant import Disk
from meshnode.engine.recipes import RecipeBook
from meshnode.engine.round_trips import RoundTrips
from meshnode.engine.settings_orders import SettingsOrders
from meshnode.engine.slots import KeyedLocks
from meshnode.engine.system import SystemClock, SystemEntropy
from meshnode.engine.usage import disk_space_of
from meshnode.git.command import GitCommands
from meshnode.git.commit_sources import open_commits
from meshnode.git.contents import GitContents
from meshnode.git.diff_processes import DiffProcesses
from meshnode.git.diffs import GitDiffs
from meshnode.git.disk import on_disk
from meshnode.git.family_marks import add_family_marks
from meshnode.git.layout import Layout
from meshnode.git.merges import GitMerges
from meshnode.git.object_pool import ObjectPool
from meshnode.git.patches import GitPatches
from meshnode.git.previews import GitMergePreviews
from meshnode.git.queries import Queries
from meshnode.git.range_diff import DEADLINE_MS, NICENESS
from meshnode.git.read_replica_marks import write_read_replica_marks
from meshnode.git.receive_pack import ReceivePackProtocol
from meshnode.git.revisions import GitRevisions
from meshnode.git.settings_note import write_settings_note
from meshnode.git.shared_answers import SharedAnswers
from meshnode.git.store import open_stores
from meshnode.git.trees import GitTrees
from meshnode.git.unpacker import GitUnpacker
from meshnode.git.upload_pack import UploadPackProtocol
from meshnode.git.workshop import GitWorkshops
from meshnode.http.server import HttpServer
from meshnode.peer.grpc import GrpcPeers
from meshnode.peer.transport import GrpcTransport
from meshnode.ports import Catalog, Membership, Peers, RemoteTransport, Revisions
from meshnode.rpc.accounts import Accounts
from meshnode.rpc.acts import Acts
from meshnode.rpc.admission import Admission
from meshnode.rpc.answer_cache import AnswerCache
from meshnode.rpc.census import Census
from meshnode.rpc.cluster import ClusterServicer
from meshnode.rpc.cluster_applications import ApplicationsServicer
from meshnode.rpc.cluster_audit import ClusterAuditServicer
from meshnode.rpc.cluster_hot import ClusterHotServicer
from meshnode.rpc.cluster_join import JoinServicer
from meshnode.rpc.cluster_keys import KeysServicer
from meshnode.rpc.cluster_replicas import ClusterReplicas
from meshnode.rpc.cluster_settings import ClusterSettingsServicer
from meshnode.rpc.forward import Forwarder
from meshnode.rpc.forward_stream import StreamForwarder
from meshnode.rpc.git_api import GitApi
from meshnode.rpc.key_search import KeySearch
from meshnode.rpc.maintenance import MaintenanceServicer
from meshnode.rpc.object_reads import ObjectReads
from meshnode.rpc.observer import Observer
from meshnode.rpc.outcome import OutcomeFinder
from meshnode.rpc.parts import Parts
from meshnode.rpc.pipeline import Pipeline
from meshnode.rpc.ref import RefServicer
from meshnode.rpc.replication import ReplicationServicer
from meshnode.rpc.repository import RepositoryServicer
from meshnode.rpc.repository_config import RepositoryConfigServicer
from meshnode.rpc.server import RpcServer
from meshnode.rpc.transport import TransportServicer
from meshnode.rpc.verify import Verifier
from meshnode.rpc.ways import Ways
from meshnode.telemetry.access import AccessLog
from meshnode.telemetry.logs import configure_logging
from meshnode.telemetry.metrics import Metrics

log = logging.getLogger("meshnode.app")

EXIT_OK: Final = 0
EXIT_REFUSED: Final = 5
"""The node may not start as it is: another key, id or cluster than the catalog's, or an entry that is gone."""
CATALOG_PAUSE_S: Final = 0.5
SWITCH_INTERVAL_S: Final = 0.0005
"""Threads that sign, read the catalog's file or the disk wait up to one interval for the interpreter whenever the
loop is busy: at Python's 5 ms, a call that takes 0.3 ms took 19 ms (measured)."""
GARBAGE_AFTER: Final = (20_000, 20, 10)
"""Objects that outlive their making before Python looks for cycles among the youngest, and how many looks make one at the
older ones. At its 700 a listing of 8,000 entries sets off a dozen looks. Cycles are few: exceptions and their frames."""
REPLAY_ENTRIES_MAX: Final = 1_000_000
"""At 1,700 signed calls a second (measured) the window holds about 500,000."""
AGENT: Final = f"meshnode/{__version__}"


def run_node(loaded: Loaded) -> int:
    """Run a node until SIGTERM or SIGINT; the process's exit code."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*GARBAGE_AFTER)
    settings = LiveSettings(loaded)
    configure_logging(settings.config.log.level, file=settings.config.log.file)
    try:
        return asyncio.Runner(loop_factory=uvloop.new_event_loop).run(serve(settings))
    except MeshError as error:
        log.error("node_refused", extra={"error": str(error)})  # noqa: TRY400 - a fact for the operator, no defect
        print(f"meshnode: {error}", file=sys.stderr)  # noqa: T201 - whoever started it in a terminal
        return EXIT_REFUSED


async def serve(settings: LiveSettings) -> int:
    """Start everything, wait for a signal, stop everything."""
    config = settings.config
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        catalog = await open_catalog(config.catalog)
        stack.push_async_callback(catalog.close)
        identity = await wait_for_identity(config, catalog, stopping)
        if identity is None:
            return EXIT_OK
        node = RunningNode(settings, identity, catalog)
        stack.push_async_callback(node.close)
        await node.start(stopping)
        # What is there now stays: modules, classes, descriptors. Each look at all of it would stop the loop for 50 ms.
        gc.collect()
        gc.freeze()
        if not stopping.is_set():
            log.info(
                "node_ready", extra={"node": identity.node, "grpc": config.listen.grpc, "http": config.listen.http}
            )
        await stopping.wait()
        log.info("node_stopping", extra={"node": identity.node})
        await node.drain()
    log.info("node_stopped", extra={"node": identity.node})
    return EXIT_OK


async def wait_for_identity(config: Config, catalog: Catalog, stopping: asyncio.Event) -> Identity | None:
    """`identify`, waiting for a catalog that does not answer yet; None where a stop is wanted meanwhile."""
    while not stopping.is_set():
        try:
            return await identify(config, catalog)
        except CatalogUnavailable as error:
            log.warning("start_waits_for_catalog", extra={"error": str(error)})
            await asyncio.sleep(CATALOG_PAUSE_S)
    return None


async def identify(config: Config, catalog: Catalog) -> Identity:
    """This node as its disk and the catalog know it, both of one mind (`auth/identity.py`).

    Raises:
        InvalidRequest: there is no cluster in the catalog, this node was never added to it, or its key is missing.
        Forbidden: the directory is another node's or cluster's, the node was removed, or has another key.
        CatalogUnavailable: it cannot be told now.
    """
    own, data = parse_node_id(config.node.id), config.node.data
    settings, entry = await catalog.get([CLUSTER, node_key(own)])
    if settings is None:
        raise InvalidRequest("the catalog holds no cluster; create one first (meshnode up, or init-cluster)")
    expected = Belonging(node=own, cluster_id=decode_settings(settings.value).cluster_id)
    found = read_belonging(data)
    check_belonging(found, expected, data)
    listed = check_listed(own, None if entry is None else decode_node(entry.value), is_known_here=found is not None)
    files = KeyFiles(Path(config.auth.key_file) if config.auth.key_file else data / "node.pem")
    key = choose_key(listed, files)
    if found is None:
        write_belonging(data, expected)
    return Identity(node=own, cluster_id=expected.cluster_id, key=key, files=files)


class RunningNode:
    """A node's engine and servers."""

    def __init__(self, settings: LiveSettings, identity: Identity, catalog: Catalog) -> None:
        config = settings.config
        self._settings = settings
        self._config = config
        self._identity = identity
        self._clock = SystemClock()
        self._registry = KeyRegistry()
        self._signer = TokenSigner(identity.issuer, identity.key, self._clock)
        self._responses = ResponseSigner(identity.issuer, identity.key, self._clock)
        self._metrics = Metrics(node=identity.node, version=__version__)
        self._hot = HotCounter(identity.node, self._clock)
        self._access = AccessLog(self._metrics, self._hot.note)
        self._packs = PackAdmission(config.limits)
        self._commands = GitCommands()
        layout = Layout(config.node.data)
        self._queries = Queries(self._commands, layout)
        self._objects = ObjectPool(self._commands, layout)
        self._diffs = DiffProcesses(self._commands, layout, deadline_ms=DEADLINE_MS, niceness=NICENESS)
        stores = open_stores(config.node.data, self._commands, config.push, config.replication)
        self._replicas = stores.replicas
        self._workshops = GitWorkshops(stores.replicas, self._objects, config.operations, GitMerges, GitPatches)
        self._peers: GrpcPeers | None = None
        self.engine = NodeEngine(
            own=identity.node,
            version=__version__,
            world=World(
                disk=Disk(store=stores.store, reader=stores.reader, packs=stores.packs),
                upkeep=stores.upkeep,
                catalog=MeteredCatalog(catalog, self._metrics.catalog_request),
                clock=self._clock,
                entropy=SystemEntropy(),
                push_protocol=ReceivePackProtocol(config.push, AGENT),
                fetch_protocol=UploadPackProtocol(
                    self._commands,
                    layout.repository,
                    config.limits,
                    AGENT,
                    SharedAnswers(config.node.data, config.limits.clone_cache_bytes, self._metrics.count_clone),
                ),
                make_peers=self._make_peers,
                disk_space=disk_space_of(config.node.data),
                note_read_replicas=self._note_read_replicas,
                note_families=self._note_families,
                on_keys=self._on_keys,
                on_settings=self._on_settings,
                meter=self._metrics,
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
        self._rotation = KeyRotation(
            own=identity.node,
            catalog=self.engine.world.catalog,
            clock=self._clock,
            supervisor=self.engine.supervisor,
            files=identity.files,
            use_key=self._use_key,
            in_use=identity.key.key_id,
        )
        self._rpc: RpcServer | None = None
        self._http: HttpServer | None = None

    async def start(self, stopping: asyncio.Event) -> None:
        """Check the replicas, listen, announce. Returns early where a stop is wanted meanwhile."""
        config, engine = self._config, self.engine
        audiences = frozenset({self._identity.node, self._identity.cluster_id})
        users = UserVerifier(self._registry, audiences, self._clock)
        self._http = HttpServer(
            engine.transport,
            engine.activity,
            self._metrics,
            users,
            config,
            self._identity.node,
            admission=self._packs,
            access=self._access,
        )
        engine.activity.count_with(lambda: self._http.requests_in_flight if self._http else 0)
        engine.activity.wait_for(lambda: self._http.git_requests_in_flight if self._http else 0)
        await self._http.start()
        recovery = engine.supervisor.spawn("recovery", engine.recover())
        waiting = engine.supervisor.spawn("recovery-stop", stopping.wait())
        await asyncio.wait({recovery, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not recovery.done():
            recovery.cancel()
            return
        recovery.result()
        self._rpc = self._make_rpc(audiences)
        await self._rpc.start()
        await engine.serve()
        self._make_round_trips().start()
        self._rotation.start()

    async def drain(self) -> None:
        """Finish what is in flight, take nothing new."""
        grace_ms = self._config.limits.drain_ms
        self.engine.activity.note_stopping()
        if self._http is not None:
            await self._http.stop(grace_ms)
        await self.engine.drain()
        if self._rpc is not None:
            await self._rpc.stop(grace_ms)

    async def close(self) -> None:
        """Let go of everything; also after a start that failed."""
        if self._http is not None:
            await self._http.stop(0)
        if self._rpc is not None:
            await self._rpc.stop(0)
        await self.engine.close()
        await self._objects.close()
        await self._diffs.close()
        await self._workshops.close()
        if self._peers is not None:
            await self._peers.close()

    # ------------------------------------------------------------ parts

    def _make_rpc(self, audiences: frozenset[str]) -> RpcServer:
        config, engine, own = self._config, self.engine, self._identity.node
        assert self._peers is not None
        admission = Admission(engine.activity)
        engine.activity.count_with(lambda: admission.running)
        engine.activity.wait_for(lambda: admission.working)
        accounts = Accounts(own=own, replication=engine.participant, peers=engine.peers, activity=engine.activity)
        forwarder = Forwarder(
            own=own,
            router=engine.router,
            membership=engine.membership,
            remote=self._peers,
            clock=self._clock,
            entropy=SystemEntropy(),
        )
        outcomes = OutcomeFinder(
            own=own,
            reads=engine.reads,
            replication=engine.participant,
            peers=engine.peers,
            membership=engine.membership,
            accounts=accounts,
        )
        verifier = Verifier(reads=engine.reads, membership=engine.membership, accounts=accounts, clock=self._clock)
        census = Census(catalog=engine.world.catalog, membership=engine.membership, clock=self._clock)
        servicers: dict[str, object] = {
            "mesh.v1.RepositoryService": RepositoryServicer(
                own=own,
                reads=engine.reads,
                writes=engine.writes,
                membership=engine.membership,
                forwarder=forwarder,
                accounts=accounts,
                verifier=verifier,
                outcomes=outcomes,
            ),
            "mesh.v1.TransportService": TransportServicer(engine.transport, self._packs),
            "mesh.v1.ReplicationService": ReplicationServicer(replication=engine.participant, accounts=accounts),
            "mesh.v1.ClusterService": Parts(
                ClusterServicer(
                    own=own,
                    census=census,
                    membership=engine.membership,
                    activity=engine.activity,
                    moves=engine.moves,
                    ways=Ways(
                        catalog=engine.world.catalog,
                        membership=engine.membership,
                        clock=self._clock,
                        settings=config.replication,
                    ),
                ),
                ApplicationsServicer(
                    ApplicationOrders(catalog=engine.world.catalog, membership=engine.membership, clock=self._clock)
                ),
                ClusterAuditServicer(engine.audit),
                ClusterHotServicer(
                    own=own,
                    hot=self._hot,
                    reads=engine.reads,
                    membership=engine.membership,
                    remote=self._peers,
                    clock=self._clock,
                ),
                self._make_cluster_settings(),
                self._make_joins(),
                ClusterReplicas(engine.read_replicas, engine.factors),
                KeysServicer(own=own, rotations=self._rotation),
            ),
            "mesh.v1.MaintenanceService": MaintenanceServicer(
                own=own,
                reads=engine.reads,
                membership=engine.membership,
                scrubs=engine.scrubber,
                losses=engine.losses,
                upkeeper=engine.upkeeper,
                remote=self._peers,
                clock=self._clock,
            ),
        }
        trees = GitTrees(self._objects, self._queries)
        commits = open_commits(self._objects, self._queries, trees)
        revisions = GitRevisions(self._objects)
        git_api = GitApi(
            object_reads=ObjectReads(
                own=own,
                reads=engine.reads,
                objects=self._objects,
                revisions=revisions,
                cache=AnswerCache(),
            ),
            forwarder=forwarder,
            streams=StreamForwarder(
                own=own,
                router=engine.router,
                membership=engine.membership,
                remote=self._peers,
                clock=self._clock,
                entropy=SystemEntropy(),
            ),
            events=engine.feed,
            contents=GitContents(self._queries),
            replicas=engine.world.disk.reader,
            clock=self._clock,
            trees=trees,
            diffs=GitDiffs(self._objects, self._queries, self._diffs),
            commits=commits,
            previews=GitMergePreviews(self._objects, commits.ancestry, self._workshops),
            operations=self._make_operations(revisions),
            imports=engine.imports,
            unpacker=GitUnpacker(self._replicas, config.push),
            membership=engine.membership,
        )
        servicers.update(git_api.servicers())
        listings = git_api.ref_listings()
        refs = RefServicer(own=own, reads=engine.reads, writes=engine.writes, forwarder=forwarder, listings=listings)
        servicers["mesh.v1.RefService"] = Parts(refs, listings)
        repository = "mesh.v1.RepositoryService"
        servicers[repository] = Parts(
            servicers[repository],
            git_api.repository_contents(),
            git_api.repository_imports(),
            RepositoryConfigServicer(own=own, configs=engine.configs),
        )
        replay = ReplayCache(replay_window_ms(config.auth.skew_ms), REPLAY_ENTRIES_MAX)
        pipeline = Pipeline(
            own=own,
            verifier=RequestVerifier(self._registry, audiences, self._clock, replay, config.auth),
            keys=KeySearch(engine.membership.refresh_keys, self._clock),
            signer=self._responses,
            admission=admission,
            clock=self._clock,
            entropy=SystemEntropy(),
            observer=Observer(own, self._access),
            acts=Acts(own=own, audit=engine.audit, clock=self._clock, entropy=SystemEntropy()),
            limits=config.limits,
            is_open_introspection=config.auth.is_open_introspection,
        )
        return RpcServer(
            servicers=servicers,
            pipeline=pipeline,
            activity=engine.activity,
            clock=self._clock,
            address=config.listen.grpc,
            credentials=server_credentials(config.tls),
        )

    def _use_key(self, key: PrivateKey) -> None:
        self._signer.use_key(key)
        self._responses.use_key(key)

    def _make_joins(self) -> JoinServicer:
        config, engine = self._config, self.engine
        joining = Joining(
            catalog=engine.world.catalog,
            membership=engine.membership,
            clock=self._clock,
            skew_ms=config.auth.skew_ms,
            count=self._metrics.count_join,
        )
        access = CatalogAccess(
            url=config.catalog.url,
            prefix=config.catalog.prefix,
            is_tls=bool(config.catalog.ca_file),
            username=config.catalog.username,
        )
        return JoinServicer(joins=joining, access=access, clock=self._clock)

    def _make_round_trips(self) -> RoundTrips:
        assert self._peers is not None
        return RoundTrips(
            own=self._identity.node,
            membership=self.engine.membership,
            catalog=self.engine.world.catalog,
            ping=self._peers.ping,
            clock=self._clock,
            entropy=SystemEntropy(),
            supervisor=self.engine.supervisor,
            settings=self._config.replication,
            metrics=self._metrics,
        )

    def _make_operations(self, revisions: Revisions) -> ApiOperations:
        config, engine = self._config, self.engine
        return ApiOperations(
            writer=engine.writer,
            workshops=self._workshops,
            recipes=RecipeBook(revisions=revisions, settings=config.operations),
            supervisor=engine.supervisor,
            places=KeyedLocks(config.limits),
            on_damaged=engine.reads.report_damage,
        )

    def _make_cluster_settings(self) -> ClusterSettingsServicer:
        engine, live = self.engine, self._settings
        orders = SettingsOrders(catalog=engine.world.catalog, membership=engine.membership, clock=self._clock)
        return ClusterSettingsServicer(own=self._identity.node, orders=orders, live=live)

    def _make_peers(self, membership: Membership) -> tuple[Peers, RemoteTransport]:
        credentials = channel_credentials(self._config.tls)

        def open_channel(node: Node) -> SignedChannel:
            return SignedChannel(
                node.grpc_url,
                audience=node.node,
                signer=self._signer,
                registry=self._registry,
                expected_issuer=f"node:{node.node}",
                credentials=credentials,
                clock=self._clock,
                connect_ms=self._config.replication.connect_ms,
            )

        self._peers = GrpcPeers(self._identity.node, membership, open_channel)
        return self._peers, GrpcTransport(self._peers, self._config.limits)

    def _on_settings(self, entry: bytes | None) -> None:
        self._settings.take(entry)
        if entry is not None:
            self._settings_note.note(entry)
        self._metrics.set_settings_version(self._settings.now.shared.version)

    async def _note_settings(self, entry: bytes) -> None:
        await on_disk(write_settings_note, self._config.node.data, entry)

    async def _note_read_replicas(self, partitions: frozenset[PartitionId]) -> None:
        await on_disk(write_read_replica_marks, self._config.node.data, partitions)

    async def _note_families(self, families: Mapping[RepositoryId, PartitionId]) -> None:
        await on_disk(add_family_marks, self._config.node.data, families)

    def _on_keys(self, nodes: Sequence[Node], applications: Sequence[Application]) -> None:
        for refused in self._registry.replace(nodes, applications):
            log.error("key_refused", extra={"reason": refused})
