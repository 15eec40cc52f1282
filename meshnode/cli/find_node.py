"""Finds a node that a command must ask itself: where it is, and under which keys its answer is to be believed.

    pinned (cluster.json, --server-key) and listed --> the pinned address, the listed keys
    listed only (it joined later)                  --> the listed address and keys
    pinned only (nobody else can be asked)         --> as it is pinned

Rule: a list of nodes is believed because a node that is pinned signed it; so a node that is not pinned is found without
trust on first use, and one whose key was replaced since is found under its new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from meshnode.base.errors import MeshError
from meshnode.base.ids import parse_node_id
from meshnode.cli.client import ClusterClient
from meshnode.cli.outcome import CommandError, ExitCode
from meshnode.cli.target import Endpoint, Target
from meshnode.v1 import cluster_pb2

_METHOD: Final = "/mesh.v1.ClusterService/ListNodes"
_LIST_MS: Final = 5_000


async def read_nodes(client: ClusterClient) -> Sequence[cluster_pb2.Node]:
    """The nodes of the catalog, as a node that is believed tells of them. Raises MeshError, as `ClusterClient.call`."""
    request = cluster_pb2.ListNodesRequest()
    answer = await client.call(_METHOD, request, cluster_pb2.ListNodesResponse, timeout_ms=_LIST_MS)
    return answer.nodes


async def find_endpoint(client: ClusterClient, target: Target, name: str) -> Endpoint:
    """Where to ask the node `name`.

    Raises:
        CommandError: the cluster has no such node, or nobody can be asked about it.
        MeshError: what a node answered.
    """
    pinned = next((entry for entry in target.endpoints if entry.node == name), None)
    try:
        nodes = await read_nodes(client)
    except MeshError:
        if pinned is None:
            raise
        return pinned
    listed = next((entry for entry in nodes if entry.id == name), None)
    if listed is not None and not listed.public_keys and pinned is not None:
        return pinned
    if listed is None or not listed.public_keys:
        raise no_such_node(name)
    first = target.endpoints[0] if pinned is None else pinned
    return Endpoint(
        node=parse_node_id(listed.id),
        address=listed.grpc_url if pinned is None else pinned.address,
        public_key=listed.public_keys[0],
        other_keys=tuple(listed.public_keys[1:]),
        credentials=first.credentials,
    )


def no_such_node(name: str) -> CommandError:
    """The catalog does not list it."""
    return CommandError(
        "the cluster has no such node",
        node=name,
        advice="`meshnode node list` shows the nodes",
        exit_code=ExitCode.NOT_FOUND,
    )
