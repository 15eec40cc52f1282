"""A real gRPC server over fakes, and callers with keys of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from meshnode.auth.channel import SignedChannel
from meshnode.auth.invitations import CatalogAccess
from meshnode.auth.keys import PrivateKey
from meshnode.auth.registry import KeyRegistry, application_issuer, node_issuer
from meshnode.auth.replay import ReplayCache
from meshnode.auth.tokens import RequestVerifier, ResponseSigner, TokenSigner, replay_window_ms
from meshnode.base.ids import NodeId
from meshnode.catalog.memory import MemoryCatalog
from meshnode.config import AuthSettings, LimitSettings, ReplicationSettings
from meshnode.config.live import LiveSettings
from meshnode.config.loading import parse_settings
from meshnode.core.applications import Application, Role
from meshnode.core.nodes import Node
from meshnode.engine.applications import ApplicationOrders
from meshnode.engine.audit import AuditTrail
from meshnode.engine.hot import HotCounter
from meshnode.engine.joining import Joining
from meshnode.engine.pack_admission import PackAdmission
from meshnode.engine.records import Records
from meshnode.engine.repository_configs import RepositoryConfigs
from meshnode.engine.settings_orders import SettingsOrders
from meshnode.engine.supervisor import Supervisor
from meshnode.ports import Clock, Entropy
from meshnode.rpc.accounts import Accounts
from meshnode.rpc.acts import Acts
from meshnode.rpc.admission import Admission
from meshnode.rpc.census import Census
from meshnode.rpc.cluster import ClusterServicer
from meshnode.rpc.cluster_applications import ApplicationsServicer
from meshnode.rpc.cluster_audit import ClusterAuditServicer
from meshnode.rpc.cluster_hot import ClusterHotServicer
from meshnode.rpc.cluster_join import JoinServicer
from meshnode.rpc.cluster_keys import KeysServicer
from meshnode.rpc.cluster_replicas import ClusterReplicas
from meshnode.rpc.cluster_settings import ClusterSettingsServicer
from meshnode.rpc.forward import Forwarder, UnaryForwarding
from meshnode.rpc.forward_stream import StreamForwarder
from meshnode.rpc.key_search import KeySearch
from meshnode.rpc.maintenance import MaintenanceServicer
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
from tests.unit.rpc.fakes import (
    FakeActivity,
    FakeFactors,
    FakeLosses,
    FakeMembership,
    FakeMoves,
    FakeReadReplicas,
    FakeReads,
    FakeReplication,
    FakeRotations,
    FakeRouter,
    FakeScrubs,
    FakeTransport,
    FakeUpkeeping,
    FakeWrites,
    SystemClock,
    SystemEntropy,
    node_entry,
)
from tests.unit.rpc.git_parts import git_api
from tests.unit.wire.samples import N1, N2, N3

M = TypeVar("M", bound=Message)

CATALOG_ACCESS = CatalogAccess(url="etcd://e1:2379", prefix="/mesh/", is_tls=True, username="mesh")
APPLICATIONS = {"reader": Role.READER, "writer": Role.WRITER, "operator": Role.ADMINISTRATOR}


@cache
def key_of(caller: str) -> PrivateKey:
    """A key for a caller, made once for all tests of a run."""
    assert caller
    return PrivateKey.generate()


def issuer_of(name: str) -> str:
    """The issuer of an application or node by its short name."""
    return application_issuer(name) if name in APPLICATIONS else node_issuer(NodeId(name))


OWN_SETTINGS = """
[node]
id = "n1"
data = "/tmp/n1"
[catalog]
url = "sqlite:///tmp/catalog.db"
[upkeep]
slots = 3
"""


@dataclass
class Site:
    """Everything around one server, to be changed before it starts or while it runs."""

    own: NodeId = N1
    clock: Clock = field(default_factory=SystemClock)
    entropy: Entropy = field(default_factory=SystemEntropy)
    activity: FakeActivity = field(default_factory=FakeActivity)
    membership: FakeMembership = field(default_factory=FakeMembership)
    moves: FakeMoves = field(init=False)
    read_replicas: FakeReadReplicas = field(default_factory=FakeReadReplicas)
    factors: FakeFactors = field(default_factory=FakeFactors)
    router: FakeRouter = field(default_factory=FakeRouter)
    reads: FakeReads = field(default_factory=FakeReads)
    writes: FakeWrites = field(default_factory=FakeWrites)
    replication: FakeReplication = field(default_factory=lambda: FakeReplication(node=N1))
    peers: object = None
    remote: UnaryForwarding | None = None
    transport: FakeTransport = field(default_factory=FakeTransport)
    scrubs: FakeScrubs = field(default_factory=FakeScrubs)
    losses: FakeLosses = field(default_factory=FakeLosses)
    upkeeper: FakeUpkeeping = field(default_factory=FakeUpkeeping)
    catalog: MemoryCatalog = field(default_factory=MemoryCatalog)
    rotations: FakeRotations = field(default_factory=FakeRotations)
    listed_later: tuple[list[Node], list[Application]] | None = None
    """Who is known once the list is read again."""
    key_searches: int = 0
    joins: list[str] = field(default_factory=list)
    """How joins ended."""
    auth: AuthSettings = field(default_factory=AuthSettings)
    live: LiveSettings = field(default_factory=lambda: LiveSettings(parse_settings(OWN_SETTINGS, {})))
    observer: Observer = field(default_factory=lambda: Observer(N1))
    calls_max: int = 100
    unary_ms_max: int = 5_000
    stream_ms_max: int = 5_000
    address: str = "127.0.0.1:0"
    registry: KeyRegistry = field(default_factory=KeyRegistry)
    port: int = 0

    def __post_init__(self) -> None:
        self.moves = FakeMoves(self.membership)
        nodes: list[Node] = [node_entry(node, keys=(key_of(node).public_pem,)) for node in (N1, N2, N3)]
        applications = [
            Application(application=name, role=role, public_keys=(key_of(name).public_pem,))
            for name, role in APPLICATIONS.items()
        ]
        assert self.registry.replace(nodes, applications) == ()
        self.supervisor = Supervisor()
        self.hot = HotCounter(self.own, self.clock)
        self.audit = AuditTrail(catalog=self.catalog, clock=self.clock, supervisor=self.supervisor)
        self.admission = Admission(self.activity, calls_max=self.calls_max)

    def servicers(self) -> Mapping[str, object]:
        """Every service, over the fakes."""
        accounts = Accounts(
            own=self.own,
            replication=self.replication,
            peers=self.peers,  # type: ignore[arg-type]
            activity=self.activity,
            patience_ms=0,
        )
        forwarder = Forwarder(
            own=self.own,
            router=self.router,
            membership=self.membership,
            remote=self.remote,  # type: ignore[arg-type]
            clock=self.clock,
            entropy=self.entropy,
        )
        repository = RepositoryServicer(
            own=self.own,
            reads=self.reads,
            writes=self.writes,
            membership=self.membership,
            forwarder=forwarder,
            accounts=accounts,
            verifier=Verifier(reads=self.reads, membership=self.membership, accounts=accounts, clock=self.clock),
            outcomes=OutcomeFinder(
                own=self.own,
                reads=self.reads,
                replication=self.replication,
                peers=self.peers,  # type: ignore[arg-type]
                membership=self.membership,
                accounts=accounts,
            ),
        )
        api = git_api(
            own=self.own,
            membership=self.membership,
            reads=self.reads,
            forwarder=forwarder,
            streams=StreamForwarder(
                own=self.own,
                router=self.router,
                membership=self.membership,
                remote=self.remote,  # type: ignore[arg-type]
                clock=self.clock,
                entropy=self.entropy,
            ),
            clock=self.clock,
        )
        census = Census(catalog=self.catalog, membership=self.membership, clock=self.clock)
        listings = api.ref_listings()
        return {
            **api.servicers(),
            "mesh.v1.RepositoryService": Parts(
                repository,
                api.repository_contents(),
                api.repository_imports(),
                RepositoryConfigServicer(
                    own=self.own,
                    configs=RepositoryConfigs(catalog=self.catalog, records=Records(self.catalog, self.supervisor)),
                ),
            ),
            "mesh.v1.RefService": Parts(
                RefServicer(own=self.own, reads=self.reads, writes=self.writes, forwarder=forwarder, listings=listings),
                listings,
            ),
            "mesh.v1.TransportService": TransportServicer(self.transport, PackAdmission(LimitSettings())),
            "mesh.v1.ReplicationService": ReplicationServicer(replication=self.replication, accounts=accounts),
            "mesh.v1.ClusterService": Parts(
                ClusterServicer(
                    own=self.own,
                    census=census,
                    membership=self.membership,
                    activity=self.activity,
                    moves=self.moves,
                    ways=Ways(
                        catalog=self.catalog,
                        membership=self.membership,
                        clock=self.clock,
                        settings=ReplicationSettings(),
                    ),
                ),
                ApplicationsServicer(
                    ApplicationOrders(catalog=self.catalog, membership=self.membership, clock=self.clock)
                ),
                ClusterAuditServicer(self.audit),
                ClusterHotServicer(
                    own=self.own,
                    hot=self.hot,
                    reads=self.reads,
                    membership=self.membership,
                    remote=self.remote,  # type: ignore[arg-type]
                    clock=self.clock,
                ),
                ClusterSettingsServicer(
                    own=self.own,
                    orders=SettingsOrders(catalog=self.catalog, membership=self.membership, clock=self.clock),
                    live=self.live,
                ),
                JoinServicer(joins=self.joining(), access=CATALOG_ACCESS, clock=self.clock),
                ClusterReplicas(self.read_replicas, self.factors),
                KeysServicer(own=self.own, rotations=self.rotations),
            ),
            "mesh.v1.MaintenanceService": MaintenanceServicer(
                own=self.own,
                reads=self.reads,
                membership=self.membership,
                scrubs=self.scrubs,
                losses=self.losses,
                upkeeper=self.upkeeper,
                remote=self.remote,  # type: ignore[arg-type]
                clock=self.clock,
                patience_ms=0,
            ),
        }

    async def look_for_keys(self) -> None:
        """Believe the keys that are listed meanwhile."""
        self.key_searches += 1
        if self.listed_later is not None:
            assert self.registry.replace(*self.listed_later) == ()

    def joining(self) -> Joining:
        """Invitations and joins, over the site's catalog."""
        return Joining(
            catalog=self.catalog,
            membership=self.membership,
            clock=self.clock,
            skew_ms=self.auth.skew_ms,
            count=self.joins.append,
        )

    def pipeline(self) -> Pipeline:
        """The steps around every call."""
        return Pipeline(
            own=self.own,
            verifier=RequestVerifier(
                self.registry,
                frozenset({self.own, "c" * 32}),
                self.clock,
                ReplayCache(replay_window_ms(self.auth.skew_ms), 10_000),
                self.auth,
            ),
            keys=KeySearch(self.look_for_keys, self.clock),
            signer=ResponseSigner(node_issuer(self.own), key_of(self.own), self.clock),
            admission=self.admission,
            clock=self.clock,
            entropy=self.entropy,
            observer=self.observer,
            acts=Acts(own=self.own, audit=self.audit, clock=self.clock, entropy=self.entropy),
            limits=LimitSettings(
                unary_ms_max=self.unary_ms_max, fetch_ms_max=self.stream_ms_max, push_ms_max=self.stream_ms_max
            ),
            is_open_introspection=self.auth.is_open_introspection,
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Site]:
        """Serve on a free port of the loopback."""
        server = RpcServer(
            servicers=self.servicers(),
            pipeline=self.pipeline(),
            activity=self.activity,
            clock=self.clock,
            address=self.address,
            credentials=None,
        )
        await server.start()
        self.port = server.port
        try:
            yield self
        finally:
            await server.stop(0)
            await self.supervisor.close()

    def channel(self, caller: str) -> SignedChannel:
        """A signed channel of `caller` to this server; close it."""
        return SignedChannel(
            f"127.0.0.1:{self.port}",
            audience=self.own,
            signer=self.signer(caller),
            registry=self.registry,
            expected_issuer=node_issuer(self.own),
            credentials=None,
            clock=self.clock,
            connect_ms=1_000,
        )

    def signer(self, caller: str) -> TokenSigner:
        """What signs the requests of `caller`."""
        return TokenSigner(issuer_of(caller), key_of(caller), self.clock)

    @asynccontextmanager
    async def calling(self, caller: str) -> AsyncIterator[Caller]:
        """Serve, and call as `caller`."""
        async with self.serving():
            async with self.connected(caller) as connected:
                yield connected

    @asynccontextmanager
    async def connected(self, caller: str) -> AsyncIterator[Caller]:
        """Call the server that runs as `caller`."""
        channel = self.channel(caller)
        try:
            yield Caller(channel)
        finally:
            await channel.close()

    @asynccontextmanager
    async def raw(self) -> AsyncIterator[Any]:
        """A bare channel that signs nothing."""
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            yield channel


@dataclass
class Caller:
    """Calls methods by their short path, `RefService/ListRefs`."""

    channel: SignedChannel

    async def call(
        self,
        path: str,
        request: Message,
        answer: type[M],
        *,
        timeout_ms: int = 5_000,
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> M:
        """One unary call."""
        body = await self.channel.unary(
            f"/mesh.v1.{path}", request.SerializeToString(), timeout_ms=timeout_ms, metadata=metadata
        )
        return answer.FromString(body)

    async def stream(self, path: str, body: bytes | AsyncIterator[bytes], *, timeout_ms: int = 5_000) -> list[bytes]:
        """One call with streams, `path` in full: the messages of its answer."""
        async with self.channel.stream(path, body, timeout_ms=timeout_ms) as stream:
            return [message async for message in stream]
