"""`meshnode up`, `down`, `start` and `stop`: a cluster of nodes on this machine.

What serves a settings file is `serve_command`, unless the context's object says otherwise.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

import click

from meshnode.cli.blueprint import (
    ClusterBlueprint,
    check_same,
    make_cluster_files,
    plan_growth,
    plan_local_cluster,
)
from meshnode.cli.catalog import check_catalog_not_lost
from meshnode.cli.launch import (
    check_catalog_free,
    deferring_signals,
    fill_catalog,
    read_removed,
    start_nodes,
    stop_started,
    terminating_like_ctrl_c,
    wait_until_ready,
    watch_nodes,
)
from meshnode.cli.layout import (
    BASE_PORT,
    LOCAL_NODES_MAX,
    PORTS_PER_NODE,
    ClusterFile,
    ClusterNode,
    Layout,
    read_cluster_file,
    require_cluster_file,
    write_cluster_file,
)
from meshnode.cli.outcome import CommandError, ExitCode
from meshnode.cli.output import print_facts, print_note, print_table, progress
from meshnode.cli.process import (
    NodeCommand,
    StartedNode,
    check_ports_free,
    find_process,
    serve_command,
    stop_processes,
)
from meshnode.cli.target import data_option, default_data

_NODES: Final = 3
_SQLITE: Final = "sqlite"


@click.command()
@click.option(
    "--nodes",
    type=click.IntRange(1, LOCAL_NODES_MAX),
    help="How many nodes, n1..nN; a removed one does not count, and its id is not given again.  [default: 3]",
)
@click.option(
    "--base-port",
    type=click.IntRange(1, 65_535),
    help=f"gRPC of node k on P+10*(k-1), HTTP on P+3+10*(k-1).  [default: {BASE_PORT}]",
)
@click.option("--catalog", metavar="sqlite|etcd://HOST:PORT,...", help="Coordination store.  [default: sqlite]")
@click.option("--detach", is_flag=True, help="Return when every node is ready; `meshnode down` stops them.")
@data_option
@click.pass_obj
def up(
    command: NodeCommand | None,
    *,
    layout: Layout,
    nodes: int | None,
    base_port: int | None,
    catalog: str | None,
    detach: bool,
) -> None:
    """Make and start a cluster on this machine.

    Run again on the same directory, it starts what does not run; with more --nodes, it adds nodes. Anonymous pushes and clones are allowed, on
    loopback only, and a first push creates its repository.
    """
    started: list[StartedNode] = []
    with terminating_like_ctrl_c():
        try:
            with layout.lock():
                existing = _without_removed(layout, read_cluster_file(layout))
                blueprint = _plan(layout, existing, nodes, base_port, catalog)
                cluster = _prepare(layout, blueprint, existing)
                with deferring_signals():
                    started = start_nodes(layout, cluster.nodes, command=command or serve_command)
            with progress(f"waiting for {len(cluster.nodes)} nodes"):
                wait_until_ready(layout, cluster.nodes, started)
        except BaseException:
            stop_started(layout, started)
            raise
        _print_cluster(layout, cluster)
        if detach:
            return
        print_note("Ctrl-C stops all nodes")
        watch_nodes(started, print_note)
        print_note("stopping")
        _stop(layout, cluster.nodes)
        print_note(f"stopped; the data is in {layout.data}, `meshnode up{_data_option(layout)}` goes on with it")


@click.command()
@data_option
def down(layout: Layout) -> None:
    """Stop all nodes of a local cluster; the data stays."""
    cluster = _require_local(layout)
    left = [entry for entry in cluster.removed if find_process(layout, entry.node) is not None]
    _stop(layout, [*cluster.nodes, *left])


@click.command()
@click.argument("node")
@data_option
@click.pass_obj
def start(command: NodeCommand | None, *, layout: Layout, node: str) -> None:
    """Start one node of a local cluster and wait until it is ready."""
    cluster = _require_local(layout)
    entry = cluster.find(node)
    started: list[StartedNode] = []
    with terminating_like_ctrl_c():
        try:
            with layout.lock(), deferring_signals():
                started = start_nodes(layout, [entry], command=command or serve_command)
            with progress(f"waiting for {node}"):
                wait_until_ready(layout, [entry], started)
        except BaseException:
            stop_started(layout, started)
            raise
    click.echo(f"{node} is {'running' if started else 'already running'} (pid {find_process(layout, entry.node)})")


@click.command()
@click.argument("node")
@data_option
def stop(layout: Layout, node: str) -> None:
    """Stop one node of a local cluster; it stays down until `meshnode start`."""
    cluster = _require_local(layout)
    removed = next((entry for entry in cluster.removed if entry.node == node), None)
    _stop(layout, [removed or cluster.find(node)])


def _without_removed(layout: Layout, existing: ClusterFile | None) -> ClusterFile | None:
    """The directory's cluster without the nodes that were removed from it: the catalog is the truth about these.

    `cluster.json` remembers them, so that nobody gets their ids and ports. Raises MeshError: the catalog cannot be read.
    """
    if existing is None or existing.base_port is None or not existing.nodes:
        return existing
    if not any(layout.config_file(entry.node).exists() for entry in existing.nodes):
        return existing  # making it was interrupted before there was anything to remove
    removed = set(read_removed(layout, existing))
    if not removed or len(removed) == len(existing.nodes):
        return existing
    cluster = replace(
        existing,
        nodes=tuple(entry for entry in existing.nodes if entry.node not in removed),
        removed=(*existing.removed, *(entry for entry in existing.nodes if entry.node in removed)),
    )
    write_cluster_file(layout, cluster)
    names = ", ".join(sorted(removed))
    print_note(f"{names} was removed from the cluster and is not started (stop what runs with `meshnode stop`)")
    return cluster


def _plan(
    layout: Layout, existing: ClusterFile | None, nodes: int | None, base_port: int | None, catalog: str | None
) -> ClusterBlueprint:
    """What is asked for; options that are left out are those of the directory's cluster, else the defaults."""
    if existing is not None and existing.base_port is None:
        raise _not_local(layout)
    sqlite_url = f"sqlite://{quote(str(layout.sqlite_file))}"
    if existing is None:
        count, port, url = nodes or _NODES, base_port or BASE_PORT, sqlite_url
    else:
        count = (nodes or len(existing.nodes)) + len(existing.removed)
        port = base_port or existing.base_port or BASE_PORT
        url = existing.catalog_url
    if catalog is not None:
        url = sqlite_url if catalog == _SQLITE else catalog
    if not url.startswith(("sqlite://", "etcd://")):
        raise click.UsageError(f"--catalog must be sqlite or etcd://host:port,host:port, not {url!r}")
    if port + PORTS_PER_NODE * count > 65_535:
        raise click.UsageError(f"--base-port {port} leaves no room for {count} nodes below 65535")
    blueprint = plan_local_cluster(layout, node_count=count, base_port=port, catalog_url=url)
    if existing is None:
        return blueprint
    removed = {entry.node for entry in existing.removed}
    left = tuple(node for node in blueprint.nodes if node.node not in removed)
    return replace(blueprint, nodes=left, replication_factor=existing.replication_factor)


def _prepare(layout: Layout, blueprint: ClusterBlueprint, existing: ClusterFile | None) -> ClusterFile:
    """Make files and catalog entries. For a new cluster, ports and catalog are tried before they are written down."""
    if existing is None:
        check_ports_free([ClusterNode(node=n.node, grpc=n.grpc, http=n.http, public_key="") for n in blueprint.nodes])
        check_catalog_free(blueprint)
    else:
        check_same(existing, blueprint, may_grow=True)
        check_catalog_not_lost(layout, existing)
        if len(blueprint.nodes) > len(existing.nodes):
            existing = _grow(layout, blueprint, existing)
    with progress(f"preparing {layout.data}"):
        cluster = make_cluster_files(layout, blueprint, existing)
        fill_catalog(layout, cluster, command="up")
    return cluster


def _grow(layout: Layout, blueprint: ClusterBlueprint, existing: ClusterFile) -> ClusterFile:
    """Add the nodes that are asked for beyond those there are.

    The catalog comes first: it refuses an id that a machine has taken by `node join`, and then `cluster.json` stays.
    """
    new = blueprint.nodes[len(existing.nodes) :]
    check_ports_free([ClusterNode(node=n.node, grpc=n.grpc, http=n.http, public_key="") for n in new])
    names = ", ".join(node.node for node in new)
    with progress(f"adding {names}"):
        grown = plan_growth(layout, blueprint, existing)
        fill_catalog(layout, grown, command="up", added=[node.node for node in new])
        write_cluster_file(layout, grown)
    print_note(f"{names} will get replicas with `meshnode cluster rebalance{_data_option(layout)}`")
    return grown


def _stop(layout: Layout, entries: Sequence[ClusterNode]) -> None:
    with progress("waiting for requests in flight"):
        results = stop_processes(layout, [entry.node for entry in entries])
    for node, result in results.items():
        click.echo(f"{node} {result}")


def _data_option(layout: Layout) -> str:
    """What to add to a command line so that it finds this cluster."""
    return "" if layout.data == default_data().absolute() else f" --data {shlex.quote(str(layout.data))}"


def _require_local(layout: Layout) -> ClusterFile:
    cluster = require_cluster_file(layout)
    if cluster.base_port is None:
        raise _not_local(layout)
    return cluster


def _not_local(layout: Layout) -> CommandError:
    return CommandError(
        "the nodes of this cluster run elsewhere",
        data=str(layout.data),
        advice="start and stop them where they run; `meshnode serve --config FILE` runs one",
        exit_code=ExitCode.REFUSED,
    )


def _program() -> str:
    """How this command is typed: by its name where the shell finds it, else by where it lies."""
    if shutil.which("meshnode"):
        return "meshnode"
    beside = Path(sys.executable).with_name("meshnode")
    return os.path.relpath(beside) if beside.exists() else f"{sys.executable} -m meshnode"


def _print_cluster(layout: Layout, cluster: ClusterFile) -> None:
    first = cluster.nodes[0]
    print_table(
        ["node", "HTTP (git)", "gRPC", "pid"],
        [[node.node, node.http, node.grpc, str(find_process(layout, node.node) or "-")] for node in cluster.nodes],
    )
    method = "mesh.v1.RepositoryService/List"
    here = _data_option(layout)
    program = _program()
    token = f'"authorization: Bearer $({program} token create{here} | tail -n 1)"'
    print_facts(
        [
            ("push", f"git push {first.http}/demo/requests.git main"),
            ("clone", f"git clone {cluster.nodes[-1].http}/demo/requests.git"),
            ("look", f"{program} repo show demo/requests{here}"),
            ("services", f"grpcurl -plaintext {first.grpc} list"),
            ("call", f"grpcurl -plaintext -H {token} {first.grpc} {method}"),
        ]
    )
