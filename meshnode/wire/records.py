"""Turns catalog entries (record, node) into the messages clients see, and wanted node states back.

A message shows what the record believes and what this node observes (leases), side by side and never mixed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from meshnode.auth.keys import PublicKey
from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import NodeId
from meshnode.core.nodes import Node, NodeState, OnlineNode
from meshnode.core.partition import Partition
from meshnode.core.record import Record, consistent_nodes
from meshnode.ports import ReplicaDescription
from meshnode.v1 import cluster_pb2, common_pb2
from meshnode.wire.reads import object_format_number

_STATES: Final = {
    NodeState.AVAILABLE: cluster_pb2.NODE_STATE_AVAILABLE,
    NodeState.DRAINING: cluster_pb2.NODE_STATE_DRAINING,
    NodeState.DISABLED: cluster_pb2.NODE_STATE_DISABLED,
    NodeState.DELETING: cluster_pb2.NODE_STATE_DELETING,
}
_STATE_OF: Final[Mapping[int, NodeState]] = {number: state for state, number in _STATES.items()}


def repository_message(
    record: Record,
    partition: Partition | None,
    online: Collection[NodeId],
    accounts: Mapping[NodeId, ReplicaDescription | str] | None = None,
) -> common_pb2.Repository:
    """A repository as clients see it.

    `partition` None leaves the replicas out. `accounts` holds what each member said of itself, or why it did not.
    """
    message = common_pb2.Repository(
        name=record.name,
        id=record.repository,
        partition=record.partition,
        generation=record.generation,
        object_format=object_format_number(record.object_format),
        fork_parent_id=record.fork_parent or "",
        refs_digest=record.refs_digest,
        round_id=record.round_id or "",
    )
    if partition is None:
        return message
    believed = set(consistent_nodes(record, partition))
    for node in partition.members:
        replica = message.replicas.add(node=node, consistent=node in believed, online=node in online)
        replica.read_replica = node not in partition.accountable
        account = (accounts or {}).get(node)
        if isinstance(account, str):
            replica.activity = account
        elif account is not None:
            replica.generation = account.generation
            if replica.read_replica:
                replica.consistent = account.generation >= record.generation
            replica.consistent_since_s = account.consistent_since_ms // 1_000
            replica.activity = account.activity or ("consistent" if replica.consistent else "waiting for repair")
    return message


def node_message(node: Node, online: OnlineNode | None) -> cluster_pb2.Node:
    """A node as operators see it; `online` None: its lease has ended."""
    return cluster_pb2.Node(
        id=node.node,
        grpc_url=node.grpc_url,
        http_url=node.http_url,
        zone=node.zone,
        weight=node.weight,
        state=_STATES[node.state],
        online=online is not None,
        key_ids=[key_id_of(pem) for pem in node.public_keys],
        version=online.version if online is not None else "",
        public_keys=node.public_keys,
    )


def node_state_of(number: int) -> NodeState:
    """Check a wanted node state. Raises InvalidRequest."""
    state = _STATE_OF.get(number)
    if state is None:
        raise InvalidRequest("unknown node state", state=number)
    return state


def key_id_of(pem: str) -> str:
    """The id under which a public key is known; "unreadable" for what is not a key."""
    try:
        return PublicKey.parse(pem).key_id
    except InvalidRequest:
        return "unreadable"
