"""`meshnode cluster` and `meshnode node`: the cluster's health, its nodes and their wanted states."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import click

from meshnode.base.errors import PeerUnavailable
from meshnode.cli.audit import audit
from meshnode.cli.client import ClusterClient, ask, run_client
from meshnode.cli.find_node import find_endpoint, no_such_node, read_nodes
from meshnode.cli.hot import hot
from meshnode.cli.invite import invitations, invite
from meshnode.cli.join import join
from meshnode.cli.keys import rotate_key, show_keys
from meshnode.cli.moves import (
    describe_moves,
    factor,
    moves_fact,
    partitions,
    print_moves,
    print_warnings,
    rebalance,
    remove,
)
from meshnode.cli.outcome import CommandError, ExitCode
from meshnode.cli.output import print_facts, print_json, print_table, yes_no
from meshnode.cli.refresh import refresh
from meshnode.cli.round_trips import describe_round_trip, print_round_trips
from meshnode.cli.settings import settings
from meshnode.cli.target import Target, json_option, target_options
from meshnode.v1 import cluster_pb2

_SERVICE: Final = "/mesh.v1.ClusterService/"
_ACTIVITY_MS: Final = 5_000
_POLL_S: Final = 0.5
_STATES: Final = {
    cluster_pb2.NODE_STATE_AVAILABLE: "available",
    cluster_pb2.NODE_STATE_DRAINING: "draining",
    cluster_pb2.NODE_STATE_DISABLED: "disabled",
    cluster_pb2.NODE_STATE_DELETING: "deleting",
}
_COLUMNS: Final = ("node", "state", "online", "zone", "weight", "gRPC", "HTTP", "version")


@click.group()
def cluster() -> None:
    """Look at the cluster as a whole, and say where replicas are to be."""


for command in (audit, factor, hot, partitions, rebalance, refresh, settings):
    cluster.add_command(command)


@click.group()
def node() -> None:
    """List nodes, inspect, drain, disable, enable and remove them; let new ones in."""


for command in (remove, invite, invitations, join, rotate_key, show_keys):
    node.add_command(command)


@cluster.command()
@target_options
@json_option
def status(target: Target, *, is_json: bool) -> None:
    """Show settings, nodes, and how many repositories are repairing or read-only."""
    answer = ask(target, _SERVICE + "GetStatus", cluster_pb2.GetStatusRequest(), cluster_pb2.GetStatusResponse)
    nodes = [_describe(entry) for entry in answer.nodes]
    if is_json:
        print_json(
            {
                "cluster_id": answer.cluster_id,
                "format_version": answer.format_version,
                "partitions": answer.partitions,
                "replication_factor": answer.replication_factor,
                "repositories": answer.repositories,
                "repositories_repairing": answer.repositories_repairing,
                "repositories_read_only": answer.repositories_read_only,
                "complete": answer.complete,
                "moves": describe_moves(answer.moves),
                "nodes": nodes,
                "round_trips": [describe_round_trip(trip) for trip in answer.round_trips],
                "warnings": list(answer.warnings),
            }
        )
        return
    more = "" if answer.complete else " or more"
    print_facts(
        [
            ("cluster", answer.cluster_id),
            ("partitions", f"{answer.partitions}, replication factor {answer.replication_factor}"),
            ("nodes", f"{len(nodes)}, {sum(1 for entry in nodes if entry['online'])} online"),
            ("repositories", f"{answer.repositories}{more}"),
            ("repairing", f"{answer.repositories_repairing}{more}"),
            ("read-only", f"{answer.repositories_read_only}{more}"),
            ("moving", moves_fact(answer.moves)),
        ]
    )
    _print_nodes(nodes)
    print_round_trips(answer.round_trips)
    print_moves(answer.moves)
    print_warnings(answer.warnings)


@node.command("list")
@target_options
@json_option
def list_nodes(target: Target, *, is_json: bool) -> None:
    """List the nodes in the catalog."""
    answer = ask(target, _SERVICE + "ListNodes", cluster_pb2.ListNodesRequest(), cluster_pb2.ListNodesResponse)
    nodes = [_describe(entry) for entry in answer.nodes]
    if is_json:
        print_json(nodes)
    else:
        _print_nodes(nodes)


@node.command()
@click.argument("name")
@target_options
@json_option
def show(target: Target, name: str, *, is_json: bool) -> None:
    """Show a node and, where it can be asked itself, what it is doing."""

    async def read(client: ClusterClient) -> tuple[dict[str, Any], dict[str, Any]]:
        found = next((entry for entry in await read_nodes(client) if entry.id == name), None)
        if found is None:
            raise no_such_node(name)
        return _describe(found), await _read_activity(client, target, name)

    described, activity = run_client(target, read)
    if is_json:
        print_json({**described, "activity": activity})
        return
    print_facts([(key.replace("_", " "), _text(value)) for key, value in described.items()])
    print_facts([(key.replace("_", " "), _text(value)) for key, value in activity.items() if key != "repairs"])
    if activity.get("repairs"):
        print_table(
            ["repository", "phase", "done", "from"],
            [
                [
                    repair["repository_id"],
                    repair["phase"],
                    "-" if repair["percent"] < 0 else f"{repair['percent']} %",
                    repair["source"],
                ]
                for repair in activity["repairs"]
            ],
        )


@node.command()
@click.argument("name")
@click.option(
    "--wait", "wait_s", type=click.IntRange(0, 86_400), default=0, help="Wait so many seconds until it is done."
)
@target_options
@json_option
def drain(target: Target, name: str, *, wait_s: int, is_json: bool) -> None:
    """Let a node finish its work and give it nothing new; it still votes and keeps its replicas current."""
    _set_state(target, name, cluster_pb2.NODE_STATE_DRAINING, is_json=is_json and not wait_s)
    if wait_s:
        _wait_until_drained(target, name, wait_s, is_json=is_json)


@node.command()
@click.argument("name")
@target_options
@json_option
def disable(target: Target, name: str, *, is_json: bool) -> None:
    """Give a node no work of any kind, not even to store what is written; it is repaired when it is enabled again."""
    _set_state(target, name, cluster_pb2.NODE_STATE_DISABLED, is_json=is_json)


@node.command()
@click.argument("name")
@target_options
@json_option
def enable(target: Target, name: str, *, is_json: bool) -> None:
    """Give a drained or disabled node work again."""
    _set_state(target, name, cluster_pb2.NODE_STATE_AVAILABLE, is_json=is_json)


def _set_state(target: Target, name: str, state: cluster_pb2.NodeState, *, is_json: bool) -> None:
    request = cluster_pb2.SetNodeStateRequest(node=name, state=state)
    answer = ask(target, _SERVICE + "SetNodeState", request, cluster_pb2.SetNodeStateResponse, is_write=True)
    described = _describe(answer.node)
    if is_json:
        print_json(described)
    else:
        click.echo(f"{described['node']} is now {described['state']}")


def _wait_until_drained(target: Target, name: str, wait_s: int, *, is_json: bool) -> None:
    async def wait(client: ClusterClient) -> dict[str, Any]:
        deadline = time.monotonic() + wait_s
        while True:
            activity = await _read_activity(client, target, name)
            if activity.get("drained"):
                return activity
            if time.monotonic() >= deadline:
                raise CommandError(
                    "the node still has work",
                    node=name,
                    requests_in_flight=activity.get("requests_in_flight", 0),
                    reason=activity.get("reason", ""),
                    advice="it takes nothing new; wait longer, or look with `meshnode node show`",
                    exit_code=ExitCode.UNREACHABLE,
                )
            await asyncio.sleep(_POLL_S)

    activity = run_client(target, wait)
    if is_json:
        print_json({"node": name, "state": "draining", "activity": activity})
    else:
        click.echo(f"{name} has no work left")


async def _read_activity(client: ClusterClient, target: Target, name: str) -> dict[str, Any]:
    try:
        endpoint = await find_endpoint(client, target, name)
        answer = await client.call_node(
            endpoint,
            _SERVICE + "GetNodeActivity",
            cluster_pb2.GetNodeActivityRequest(),
            cluster_pb2.GetNodeActivityResponse,
            timeout_ms=_ACTIVITY_MS,
        )
    except PeerUnavailable as error:
        return {"reachable": False, "reason": str(error)}
    return {
        "reachable": True,
        "ready": answer.ready,
        "draining": answer.draining,
        "drained": answer.drained,
        "requests_in_flight": answer.requests_in_flight,
        "repairs": [
            {
                "repository_id": repair.repository_id,
                "phase": repair.phase,
                "percent": repair.percent,
                "source": repair.source,
            }
            for repair in answer.repairs
        ],
    }


def _describe(entry: cluster_pb2.Node) -> dict[str, Any]:
    return {
        "node": entry.id,
        "state": _STATES.get(entry.state, "unknown"),
        "online": entry.online,
        "zone": entry.zone,
        "weight": entry.weight,
        "grpc": entry.grpc_url,
        "http": entry.http_url,
        "version": entry.version,
        "key_ids": list(entry.key_ids),
    }


def _print_nodes(nodes: list[dict[str, Any]]) -> None:
    print_table(
        _COLUMNS,
        [[_text(value) for key, value in entry.items() if key != "key_ids"] for entry in nodes],
        empty="no nodes",
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return yes_no(value)
    return ", ".join(value) if isinstance(value, list) else str(value)
