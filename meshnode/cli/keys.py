"""`meshnode node rotate-key` and `keys`: give a node another key, and see which one its answers are believed under.

Rule: what `cluster.json` pins is changed with the keys it names: both while both are believed, then the new one alone.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any, Final

import click

from meshnode.base.errors import MeshError
from meshnode.base.ids import parse_node_id
from meshnode.cli.client import ClusterClient, run_client
from meshnode.cli.find_node import find_endpoint
from meshnode.cli.invite import Duration
from meshnode.cli.layout import ClusterNode, require_cluster_file, write_cluster_file
from meshnode.cli.outcome import CommandError, ExitCode
from meshnode.cli.output import print_facts, print_json, print_note, progress
from meshnode.cli.target import Target, json_option, target_options
from meshnode.core.rotation import ANNOUNCE_S_MIN, OVERLAP_MS_MIN
from meshnode.v1 import cluster_keys_pb2

_SERVICE: Final = "/mesh.v1.ClusterService/"
_POLL_S: Final = 1.0
_SLACK_S: Final = 30.0
"""Beyond the times that the node itself names."""


@click.command("rotate-key")
@click.argument("name")
@click.option(
    "--announce",
    "announce_s",
    type=Duration(),
    default=f"{ANNOUNCE_S_MIN}s",
    show_default=True,
    help="How long the new key is listed before it is used; longer than clients with a list of their own need.",
)
@click.option("--finish", is_flag=True, help="Let the old key go as soon as that is safe, and wait for it.")
@target_options
@json_option
def rotate_key(target: Target, name: str, *, announce_s: int, finish: bool, is_json: bool) -> None:
    """Give a node another key while calls go on; the old one is believed for an hour after the new one is used."""
    parse_node_id(name)
    keys = run_client(target, lambda client: _rotate(client, target, name, announce_s, is_finish=finish))
    if is_json:
        print_json(describe(keys))
        return
    _print(keys)
    if target.layout is None and len(keys.keys) > 1:
        print_note(
            "believe both keys until the old one is gone: put the new one below the old in the --server-key file"
        )


@click.command("keys")
@click.argument("name")
@target_options
@json_option
def show_keys(target: Target, name: str, *, is_json: bool) -> None:
    """Show the public keys that a node is believed under; any node answers for any other."""
    keys = run_client(target, lambda client: _read(client, name))
    if is_json:
        print_json(describe(keys))
    else:
        _print(keys)
        for key in keys.keys:
            click.echo(key.public_key.rstrip())


def describe(keys: cluster_keys_pb2.NodeKeys) -> dict[str, Any]:
    """A node's keys as JSON tells them."""
    return {
        "node": keys.node,
        "keys": [{"key_id": key.key_id, "public_key": key.public_key} for key in keys.keys],
        "switch_at_ms": keys.switch_at_ms,
        "drop_at_ms": keys.drop_at_ms,
    }


def remember_keys(target: Target, keys: cluster_keys_pb2.NodeKeys) -> None:
    """Pin these keys in the `cluster.json` that the command found its cluster by."""
    if target.layout is None:
        return
    with target.layout.lock():
        cluster = require_cluster_file(target.layout)
        nodes = tuple(_with_keys(entry, keys) if entry.node == keys.node else entry for entry in cluster.nodes)
        if nodes != cluster.nodes:
            write_cluster_file(target.layout, replace(cluster, nodes=nodes))


def _with_keys(entry: ClusterNode, keys: cluster_keys_pb2.NodeKeys) -> ClusterNode:
    first, *others = [key.public_key for key in keys.keys]
    return replace(entry, public_key=first, other_keys=tuple(others))


async def _rotate(
    client: ClusterClient, target: Target, name: str, announce_s: int, *, is_finish: bool
) -> cluster_keys_pb2.NodeKeys:
    """Ask the node itself: it alone can make its key."""
    endpoint = await find_endpoint(client, target, name)
    request = cluster_keys_pb2.RotateNodeKeyRequest(
        node=endpoint.node, announce_s=0 if is_finish else announce_s, finish=is_finish
    )
    answer = await client.call_node(
        endpoint, _SERVICE + "RotateNodeKey", request, cluster_keys_pb2.RotateNodeKeyResponse
    )
    remember_keys(target, answer.keys)
    if not is_finish:
        return answer.keys
    with progress("waiting until the old key is not needed any more"):
        keys = await _wait_for_one(client, answer.keys)
    remember_keys(target, keys)
    return keys


async def _wait_for_one(client: ClusterClient, keys: cluster_keys_pb2.NodeKeys) -> cluster_keys_pb2.NodeKeys:
    """Ask any node until one key is left: the node itself may by then sign with one that is not pinned here."""
    left_ms = max(keys.switch_at_ms, keys.drop_at_ms, int(time.time() * 1_000)) + OVERLAP_MS_MIN - time.time() * 1_000
    deadline = time.monotonic() + left_ms / 1_000 + _SLACK_S
    while len(keys.keys) > 1:
        if time.monotonic() > deadline:
            raise CommandError(
                "the old key is still listed",
                node=keys.node,
                advice="look at the node's log for key_rotation; the same command may be run again",
                exit_code=ExitCode.UNREACHABLE,
            )
        await asyncio.sleep(_POLL_S)
        try:
            keys = await _read(client, keys.node)
        except MeshError as error:
            print_note(str(error))
    return keys


async def _read(client: ClusterClient, node: str) -> cluster_keys_pb2.NodeKeys:
    answer = await client.call(
        _SERVICE + "GetNodeKeys",
        cluster_keys_pb2.GetNodeKeysRequest(node=node),
        cluster_keys_pb2.GetNodeKeysResponse,
    )
    return answer.keys


def _print(keys: cluster_keys_pb2.NodeKeys) -> None:
    second = "new, not used yet" if keys.switch_at_ms else "old, still believed"
    facts = [("node", keys.node), ("signs with", keys.keys[0].key_id)]
    facts += [(second, key.key_id) for key in keys.keys[1:]]
    if keys.switch_at_ms:
        facts.append(("used from", _when(keys.switch_at_ms)))
    if keys.drop_at_ms:
        facts.append(("believed until", _when(keys.drop_at_ms)))
    print_facts(facts)


def _when(time_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_ms / 1_000))
