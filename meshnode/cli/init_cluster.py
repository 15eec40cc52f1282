"""`meshnode init-cluster`: prepare a cluster whose nodes run elsewhere (containers, other machines).

It makes keys, settings and `cluster.json` below one directory and fills the catalog; it starts nothing. Run
again, it changes nothing, so an init container may run it at every start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import click

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import parse_node_id
from meshnode.cli.blueprint import REPLICATION_FACTOR, ClusterBlueprint, NodeBlueprint, make_cluster_files
from meshnode.cli.launch import check_catalog_free, fill_catalog
from meshnode.cli.layout import Layout, read_cluster_file
from meshnode.cli.output import progress
from meshnode.config import NodeSettings
from meshnode.wire.joining import check_zone

_HTTP_PORT: Final = 80


class NodeWish(NamedTuple):
    """A node as the command line names it."""

    name: str
    grpc: str
    """host:port"""
    http: str
    """URL"""
    zone: str


class _NodeType(click.ParamType[NodeWish]):
    """`n1=grpc-host:port,http://host:port,zone`; the zone may be left out."""

    name = "node"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> NodeWish:
        """Split and check. Fails with a usage error."""
        name, separator, places = str(value).partition("=")
        grpc, comma, rest = places.partition(",")
        http, has_zone, zone = rest.partition(",")
        host, colon, port = grpc.rpartition(":")
        url = urlsplit(http)
        if not (separator and comma and host and colon and port.isdecimal()) or url.scheme not in {"http", "https"}:
            self.fail(f"{value!r} is not NODE=HOST:PORT,http://HOST:PORT or NODE=HOST:PORT,URL,ZONE", param, ctx)
        try:
            parse_node_id(name)
            if not url.hostname or (url.port or _HTTP_PORT) < 1:
                self.fail(f"{http!r} has no host and port", param, ctx)
            if has_zone and not check_zone(zone):
                self.fail("the zone has no name", param, ctx)
        except (InvalidRequest, ValueError) as error:
            self.fail(str(error), param, ctx)
        return NodeWish(name, grpc, http.rstrip("/"), zone or NodeSettings.zone)


@click.command("init-cluster")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Directory for cluster.json, operator.pem and NODE/meshnode.toml, NODE/node.pem.",
)
@click.option("--catalog", "catalog_url", required=True, metavar="etcd://HOST:PORT,...", help="Coordination store.")
@click.option(
    "--node",
    "nodes",
    type=_NodeType(),
    multiple=True,
    required=True,
    metavar="NODE=HOST:PORT,URL[,ZONE]",
    help="A node: id, gRPC address and HTTP URL under which others reach it, failure domain. Repeat for each.",
)
@click.option("--factor", type=click.IntRange(1, 9), help="Replicas per partition.  [default: 3, fewer nodes: all]")
@click.option(
    "--data-path", type=click.Path(path_type=Path), help="Data directory as each node sees it.  [OUTPUT/NODE]"
)
@click.option(
    "--tls-path",
    default="",
    metavar="DIR",
    help="Directory with node.crt, node.key and ca.crt as each node sees it: gRPC with mutual TLS.",
)
@click.option(
    "--allow-plaintext", is_flag=True, help="Let gRPC listen without TLS: the network is protected otherwise."
)
@click.option("--create-on-push", is_flag=True, help="Let a first push create its repository.")
@click.option("--open-introspection", is_flag=True, help="Let gRPC health and reflection answer without a token.")
def init_cluster(
    output: Path,
    catalog_url: str,
    nodes: tuple[NodeWish, ...],
    factor: int | None,
    data_path: Path | None,
    *,
    tls_path: str,
    allow_plaintext: bool,
    create_on_push: bool,
    open_introspection: bool,
) -> None:
    """Prepare a cluster whose nodes run elsewhere: keys, settings, catalog. Starts nothing."""
    if len({node.name for node in nodes}) != len(nodes):
        raise click.UsageError("--node names a node twice")
    if factor is not None and factor > len(nodes):
        raise click.UsageError(f"--factor {factor} needs as many nodes, not {len(nodes)}")
    if not tls_path and not allow_plaintext:
        raise click.UsageError("name the nodes' TLS files with --tls-path DIR, or pass --allow-plaintext")
    layout = Layout(output.absolute())
    blueprint = ClusterBlueprint(
        nodes=tuple(_plan_node(layout, node, data_path) for node in nodes),
        catalog_url=catalog_url,
        replication_factor=factor or min(len(nodes), REPLICATION_FACTOR),
        base_port=None,
        is_create_on_push=create_on_push,
        is_open_introspection=open_introspection,
        is_plaintext_allowed=allow_plaintext,
        tls_path=tls_path,
    )
    with layout.lock(), progress(f"preparing {layout.data}"):
        existing = read_cluster_file(layout)
        if existing is None:
            check_catalog_free(blueprint)
        cluster = make_cluster_files(layout, blueprint, existing)
        written = fill_catalog(layout, cluster, command="init-cluster")
    click.echo(f"cluster {cluster.cluster_id}: {len(cluster.nodes)} nodes, {written} catalog keys written")


def _plan_node(layout: Layout, node: NodeWish, data_path: Path | None) -> NodeBlueprint:
    node_id = parse_node_id(node.name)
    return NodeBlueprint(
        node=node_id,
        listen_grpc=f"0.0.0.0:{node.grpc.rpartition(':')[2]}",
        listen_http=f"0.0.0.0:{urlsplit(node.http).port or _HTTP_PORT}",
        grpc=node.grpc,
        http=node.http,
        zone=node.zone,
        data=data_path or layout.node_directory(node_id),
    )
