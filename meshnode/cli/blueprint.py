"""Makes a cluster's files - keys, settings, `cluster.json` - and turns `cluster.json` into catalog entries.

    keys (kept where they exist) -> cluster.json -> settings of each node (kept where they exist)

Rule: running it again on the same directory changes nothing and completes what an interruption left out. A key
that `cluster.json` knows and the directory no longer holds is refused, never quietly made anew: the catalog and
every other node believe the old one.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from meshnode.auth.keys import load_or_create_private_key, load_private_key
from meshnode.base.ids import NodeId
from meshnode.cli.layout import (
    LOOPBACK,
    OPERATOR,
    ClusterFile,
    ClusterNode,
    Layout,
    local_node_id,
    local_ports,
    replace_file,
    write_cluster_file,
)
from meshnode.cli.outcome import CommandError, ExitCode
from meshnode.config import (
    AuthSettings,
    CatalogSettings,
    Config,
    ListenSettings,
    NodeSettings,
    PushSettings,
    TlsSettings,
    parse_config,
    render_config,
)
from meshnode.core.applications import Application, Role
from meshnode.core.cluster import ClusterSettings
from meshnode.core.nodes import Node, NodeState

PARTITION_COUNT: Final = 256
"""Fixed for a cluster's life; 256 spread repositories evenly over a few dozen nodes and cost 5 catalog pages."""
REPLICATION_FACTOR: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeBlueprint:
    """One node to be: where it listens and where others find it."""

    node: NodeId
    listen_grpc: str
    listen_http: str
    grpc: str
    """host:port under which others reach it."""
    http: str
    """URL under which clients reach it."""
    data: Path
    """Its data directory as the node itself sees it."""
    zone: str = NodeSettings.zone


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterBlueprint:
    """A cluster to be."""

    nodes: tuple[NodeBlueprint, ...]
    catalog_url: str
    replication_factor: int
    base_port: int | None
    is_create_on_push: bool = False
    anonymous_http: str = "none"
    is_open_introspection: bool = False
    is_plaintext_allowed: bool = False
    tls_path: str = ""
    """Directory with node.crt, node.key and ca.crt as each node sees it; "" means no TLS."""


def plan_local_cluster(layout: Layout, *, node_count: int, base_port: int, catalog_url: str) -> ClusterBlueprint:
    """The cluster that `up` makes: nodes n1..nN on loopback, open to whoever is on this machine."""
    nodes = []
    for number in range(1, node_count + 1):
        node = local_node_id(number)
        grpc_port, http_port = local_ports(base_port, number)
        nodes.append(
            NodeBlueprint(
                node=node,
                listen_grpc=f"{LOOPBACK}:{grpc_port}",
                listen_http=f"{LOOPBACK}:{http_port}",
                grpc=f"{LOOPBACK}:{grpc_port}",
                http=f"http://{LOOPBACK}:{http_port}",
                data=layout.node_directory(node),
            )
        )
    return ClusterBlueprint(
        nodes=tuple(nodes),
        catalog_url=catalog_url,
        replication_factor=min(node_count, REPLICATION_FACTOR),
        base_port=base_port,
        is_create_on_push=True,
        anonymous_http="write",
        is_open_introspection=True,
    )


def plan_settings(blueprint: ClusterBlueprint) -> dict[NodeId, str]:
    """The text of each node's settings file."""
    return {node.node: render_config(_config_of(blueprint, node)) for node in blueprint.nodes}


def make_cluster_files(layout: Layout, blueprint: ClusterBlueprint, existing: ClusterFile | None) -> ClusterFile:
    """Make every file of the cluster that is not there; what `cluster.json` says then.

    Takes up to half a second for each key that is made.

    Raises:
        CommandError: `existing` is another cluster than the blueprint, or a key file is gone or another one.
        InvalidRequest: a key file cannot be used.
        ConfigError: a node would not accept its settings; nothing was made.
    """
    settings = plan_settings(blueprint)
    for node, text in settings.items():
        parse_config(text, {}, source=f"settings of {node}")
    if existing is None:
        existing = _make_cluster_file(layout, blueprint)
    else:
        check_same(existing, blueprint)
        _check_keys(layout, existing)
    load_or_create_private_key(layout.operator_key)
    for node, text in settings.items():
        if not layout.config_file(node).exists():
            replace_file(layout.config_file(node), text)
    return existing


def check_same(cluster: ClusterFile, blueprint: ClusterBlueprint, *, may_grow: bool = False) -> None:
    """Check that a directory's cluster is the one that is asked for; with `may_grow`, or lacks only its last nodes.

    Raises:
        CommandError: it is not.
    """
    places = _places(blueprint)[: len(cluster.nodes) if may_grow else None]
    differences = [
        (what, found, wanted)
        for what, found, wanted in (
            ("nodes", [(node.node, node.grpc, node.http, node.zone) for node in cluster.nodes], places),
            ("catalog", cluster.catalog_url, blueprint.catalog_url),
            ("replication factor", cluster.replication_factor, blueprint.replication_factor),
        )
        if found != wanted
    ]
    if differences:
        what, found, wanted = differences[0]
        raise CommandError(
            f"the directory holds a cluster with other {what}",
            found=str(found),
            wanted=str(wanted),
            advice="leave the options out to use it as it is, or name another directory with --data",
            exit_code=ExitCode.REFUSED,
        )


def plan_growth(layout: Layout, blueprint: ClusterBlueprint, existing: ClusterFile) -> ClusterFile:
    """The cluster with the nodes that it lacks; of these the keys are made, and nothing else is written.

    Raises:
        CommandError: `existing` is not the beginning of the blueprint. InvalidRequest: a key file cannot be used.
    """
    check_same(existing, blueprint, may_grow=True)
    added = blueprint.nodes[len(existing.nodes) :]
    return replace(existing, nodes=(*existing.nodes, *(_make_node(layout, node) for node in added)))


def settings_of(cluster: ClusterFile) -> ClusterSettings:
    """The catalog's settings of a cluster."""
    return ClusterSettings(
        cluster_id=cluster.cluster_id,
        partition_count=cluster.partition_count,
        replication_factor=cluster.replication_factor,
    )


def nodes_of(cluster: ClusterFile) -> list[Node]:
    """The catalog's entries of a new cluster's nodes."""
    return [
        Node(
            node=entry.node,
            grpc_url=entry.grpc,
            http_url=entry.http,
            zone=entry.zone,
            weight=100,
            state=NodeState.AVAILABLE,
            public_keys=entry.public_keys,
        )
        for entry in cluster.nodes
    ]


def operator_of(layout: Layout) -> Application:
    """The catalog's entry of the application whose key lies in the directory. Raises InvalidRequest: no key."""
    key = load_private_key(layout.operator_key)
    return Application(application=OPERATOR, role=Role.ADMINISTRATOR, public_keys=(key.public_pem,))


def _places(blueprint: ClusterBlueprint) -> list[tuple[NodeId, str, str, str]]:
    return [(node.node, node.grpc, node.http, node.zone) for node in blueprint.nodes]


def _make_cluster_file(layout: Layout, blueprint: ClusterBlueprint) -> ClusterFile:
    cluster = ClusterFile(
        cluster_id=secrets.token_hex(16),
        catalog_url=blueprint.catalog_url,
        partition_count=PARTITION_COUNT,
        replication_factor=blueprint.replication_factor,
        base_port=blueprint.base_port,
        nodes=tuple(_make_node(layout, node) for node in blueprint.nodes),
    )
    write_cluster_file(layout, cluster)
    return cluster


def _make_node(layout: Layout, node: NodeBlueprint) -> ClusterNode:
    key = load_or_create_private_key(layout.key_file(node.node))
    return ClusterNode(node=node.node, grpc=node.grpc, http=node.http, public_key=key.public_pem, zone=node.zone)


def _check_keys(layout: Layout, cluster: ClusterFile) -> None:
    for entry in cluster.nodes:
        path = layout.key_file(entry.node)
        if not path.exists() or load_private_key(path).public_pem not in entry.public_keys:
            raise CommandError(
                "the key file of a node is not the one the cluster knows",
                node=entry.node,
                file=str(path),
                advice="put the old file back, or make a new cluster in another directory",
                exit_code=ExitCode.REFUSED,
            )


def _config_of(blueprint: ClusterBlueprint, node: NodeBlueprint) -> Config:
    return Config(
        node=NodeSettings(id=node.node, data=node.data, zone=node.zone),
        listen=ListenSettings(grpc=node.listen_grpc, http=node.listen_http, grpc_url=node.grpc, http_url=node.http),
        catalog=CatalogSettings(url=blueprint.catalog_url),
        tls=_tls_of(blueprint),
        auth=AuthSettings(
            anonymous_http=blueprint.anonymous_http, is_open_introspection=blueprint.is_open_introspection
        ),
        push=PushSettings(is_create_on_push=blueprint.is_create_on_push),
    )


def _tls_of(blueprint: ClusterBlueprint) -> TlsSettings:
    if not blueprint.tls_path:
        return TlsSettings(is_plaintext_allowed=blueprint.is_plaintext_allowed)
    path = blueprint.tls_path.rstrip("/")
    return TlsSettings(cert_file=f"{path}/node.crt", key_file=f"{path}/node.key", ca_file=f"{path}/ca.crt")
