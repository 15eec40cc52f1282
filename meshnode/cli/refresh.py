"""`meshnode cluster refresh`: bring `cluster.json` to what the cluster says of its nodes.

Commands find a cluster by the nodes in `cluster.json`. Nodes that joined are not in it, those that were removed still
are: when the last of those it names is gone, nobody is left who could be asked and believed.

Rule: what is written comes from a node that the file itself makes believed. Addresses that are there stay: the operator's
machine may reach a node under another one than the nodes do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import click

from meshnode.base.ids import parse_node_id
from meshnode.cli.client import run_client
from meshnode.cli.find_node import read_nodes
from meshnode.cli.layout import ClusterFile, ClusterNode, require_cluster_file, write_cluster_file
from meshnode.cli.outcome import CommandError, ExitCode
from meshnode.cli.output import print_facts, print_json
from meshnode.cli.target import Target, json_option, target_options
from meshnode.v1 import cluster_pb2


@click.command()
@target_options
@json_option
def refresh(target: Target, *, is_json: bool) -> None:
    """Write the nodes that the cluster has now into cluster.json, so that commands find it when the first ones are gone."""
    layout = target.layout
    if layout is None:
        raise click.UsageError("name the directory of cluster.json with --data, not nodes with --server")
    if require_cluster_file(layout).base_port is not None:
        raise CommandError(
            "this directory is a cluster on this machine, and its file is kept by `meshnode up`",
            data=str(layout.data),
            advice="nodes that joined it from elsewhere are found without",
            exit_code=ExitCode.REFUSED,
        )
    listed = run_client(target, read_nodes)
    with layout.lock():
        before = require_cluster_file(layout)
        after = replace(before, nodes=plan_refresh(before, listed))
        if after != before:
            write_cluster_file(layout, after)
    report = _compare(before, after)
    if is_json:
        print_json({"nodes": [entry.node for entry in after.nodes], **report})
        return
    print_facts([("nodes", ", ".join(entry.node for entry in after.nodes))])
    print_facts([(what, ", ".join(nodes)) for what, nodes in report.items() if nodes])


def plan_refresh(cluster: ClusterFile, listed: Sequence[cluster_pb2.Node]) -> tuple[ClusterNode, ...]:
    """The nodes to write: those listed, known ones first and with their addresses. Raises CommandError: none is listed."""
    by_id = {entry.id: entry for entry in listed if entry.public_keys}
    if not by_id:
        raise CommandError(
            "the cluster lists no node with a key",
            advice="nothing was written; look at `meshnode node list`",
            exit_code=ExitCode.REFUSED,
        )
    known = {entry.node: entry for entry in cluster.nodes}
    order = [*(node for node in known if node in by_id), *sorted(node for node in by_id if node not in known)]
    return tuple(_entry(by_id[node], known.get(parse_node_id(node))) for node in order)


def _entry(listed: cluster_pb2.Node, known: ClusterNode | None) -> ClusterNode:
    return ClusterNode(
        node=parse_node_id(listed.id),
        grpc=listed.grpc_url if known is None else known.grpc,
        http=listed.http_url if known is None else known.http,
        public_key=listed.public_keys[0],
        zone=listed.zone if known is None else known.zone,
        other_keys=tuple(listed.public_keys[1:]),
    )


def _compare(before: ClusterFile, after: ClusterFile) -> dict[str, list[str]]:
    old, new = {one.node: one for one in before.nodes}, {one.node: one for one in after.nodes}
    return {
        "added": [node for node in new if node not in old],
        "dropped": [node for node in old if node not in new],
        "other_keys": [node for node in new if node in old and new[node].public_keys != old[node].public_keys],
    }
