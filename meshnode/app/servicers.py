"""Makes what this node serves over gRPC: for each service its servicers, each with the parts that it needs."""

from __future__ import annotations

from meshnode.app.git_api import make_git_api
from meshnode.app.parts import NodeParts
from meshnode.auth.invitations import CatalogAccess
from meshnode.engine.applications import ApplicationOrders
from meshnode.engine.joining import Joining
from meshnode.engine.settings_orders import SettingsOrders
from meshnode.engine.system import SystemEntropy
from meshnode.rpc.accounts import Accounts
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
from meshnode.rpc.maintenance import MaintenanceServicer
from meshnode.rpc.outcome import OutcomeFinder
from meshnode.rpc.parts import Parts
from meshnode.rpc.ref import RefServicer
from meshnode.rpc.replication import ReplicationServicer
from meshnode.rpc.repository import RepositoryServicer
from meshnode.rpc.repository_config import RepositoryConfigServicer
from meshnode.rpc.transport import TransportServicer
from meshnode.rpc.verify import Verifier
from meshnode.rpc.ways import Ways


def make_servicers(parts: NodeParts) -> dict[str, object]:
    """The servicers by full service name."""
    engine, own = parts.engine, parts.identity.node
    accounts = Accounts(own=own, replication=engine.participant, peers=engine.peers, activity=engine.activity)
    forwarder = Forwarder(
        own=own,
        router=engine.router,
        membership=engine.membership,
        remote=parts.peers,
        clock=parts.clock,
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
    verifier = Verifier(reads=engine.reads, membership=engine.membership, accounts=accounts, clock=parts.clock)
    git_api = make_git_api(parts, forwarder)
    listings = git_api.ref_listings()
    return {
        "mesh.v1.RepositoryService": Parts(
            RepositoryServicer(
                own=own,
                reads=engine.reads,
                writes=engine.writes,
                membership=engine.membership,
                forwarder=forwarder,
                accounts=accounts,
                verifier=verifier,
                outcomes=outcomes,
            ),
            git_api.repository_contents(),
            git_api.repository_imports(),
            RepositoryConfigServicer(own=own, configs=engine.configs),
        ),
        "mesh.v1.TransportService": TransportServicer(engine.transport, parts.packs),
        "mesh.v1.ReplicationService": ReplicationServicer(replication=engine.participant, accounts=accounts),
        "mesh.v1.ClusterService": _make_cluster(parts),
        "mesh.v1.MaintenanceService": MaintenanceServicer(
            own=own,
            reads=engine.reads,
            membership=engine.membership,
            scrubs=engine.scrubber,
            losses=engine.losses,
            upkeeper=engine.upkeeper,
            remote=parts.peers,
            clock=parts.clock,
        ),
        **git_api.servicers(),
        "mesh.v1.RefService": Parts(
            RefServicer(own=own, reads=engine.reads, writes=engine.writes, forwarder=forwarder, listings=listings),
            listings,
        ),
    }


def _make_cluster(parts: NodeParts) -> Parts:
    engine, own = parts.engine, parts.identity.node
    census = Census(catalog=engine.world.catalog, membership=engine.membership, clock=parts.clock)
    return Parts(
        ClusterServicer(
            own=own,
            census=census,
            membership=engine.membership,
            activity=engine.activity,
            moves=engine.moves,
            ways=Ways(
                catalog=engine.world.catalog,
                membership=engine.membership,
                clock=parts.clock,
                settings=parts.config.replication,
            ),
        ),
        ApplicationsServicer(
            ApplicationOrders(catalog=engine.world.catalog, membership=engine.membership, clock=parts.clock)
        ),
        ClusterAuditServicer(engine.audit),
        ClusterHotServicer(
            own=own,
            hot=parts.hot,
            reads=engine.reads,
            membership=engine.membership,
            remote=parts.peers,
            clock=parts.clock,
        ),
        _make_cluster_settings(parts),
        _make_joins(parts),
        ClusterReplicas(engine.read_replicas, engine.factors),
        KeysServicer(own=own, rotations=parts.rotation),
    )


def _make_joins(parts: NodeParts) -> JoinServicer:
    config, engine = parts.config, parts.engine
    joining = Joining(
        catalog=engine.world.catalog,
        membership=engine.membership,
        clock=parts.clock,
        skew_ms=config.auth.skew_ms,
        count=parts.metrics.count_join,
    )
    access = CatalogAccess(
        url=config.catalog.url,
        prefix=config.catalog.prefix,
        is_tls=bool(config.catalog.ca_file),
        username=config.catalog.username,
    )
    return JoinServicer(joins=joining, access=access, clock=parts.clock)


def _make_cluster_settings(parts: NodeParts) -> ClusterSettingsServicer:
    engine, live = parts.engine, parts.settings
    orders = SettingsOrders(catalog=engine.world.catalog, membership=engine.membership, clock=parts.clock)
    return ClusterSettingsServicer(own=parts.identity.node, orders=orders, live=live)
