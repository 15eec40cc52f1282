"""What the catalog keeps of a node: how it is reached and believed, what is wanted of it, and that it is up.

    nodes/<node>    Node          from its joining to its removal
    online/<node>   OnlineNode    as long as the node's lease

What is wanted of a node (`state`) is the operators' word, that it is up its own; neither says anything of the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from meshnode.base.ids import NodeId, parse_node_id
from meshnode.core.decoding import decode
from meshnode.core.keys import DECODED_MAX, FORMAT_VERSION, encode_json


class NodeState(Enum):
    """What the operator wants of a node."""

    AVAILABLE = "available"
    DRAINING = "draining"
    DISABLED = "disabled"
    DELETING = "deleting"


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A node as the catalog lists it."""

    node: NodeId
    grpc_url: str
    """host:port that peers dial."""
    http_url: str
    zone: str
    weight: int
    state: NodeState
    public_keys: tuple[str, ...]
    """PEM, the current one first; more than one while a rotation overlaps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OnlineNode:
    """That a node is up; goes away with its lease."""

    node: NodeId
    version: str
    started_at_ms: int


def encode_node(node: Node) -> bytes:
    """The node as JSON."""
    return encode_json(
        {
            "v": FORMAT_VERSION,
            "node": node.node,
            "grpc_url": node.grpc_url,
            "http_url": node.http_url,
            "zone": node.zone,
            "weight": node.weight,
            "state": node.state.value,
            "public_keys": list(node.public_keys),
        }
    )


@lru_cache(DECODED_MAX)
def decode_node(value: bytes) -> Node:
    """The node of its JSON. Raises Corrupt."""
    return decode(
        value,
        "node",
        FORMAT_VERSION,
        lambda fields: Node(
            node=fields.parsed("node", parse_node_id),
            grpc_url=fields.text("grpc_url"),
            http_url=fields.text("http_url"),
            zone=fields.text("zone"),
            weight=fields.number("weight"),
            state=NodeState(fields.text("state")),
            public_keys=fields.texts("public_keys"),
        ),
    )


def encode_online(online: OnlineNode) -> bytes:
    """The liveness entry as JSON."""
    return encode_json(
        {"v": FORMAT_VERSION, "node": online.node, "version": online.version, "started_at_ms": online.started_at_ms}
    )


@lru_cache(DECODED_MAX)
def decode_online(value: bytes) -> OnlineNode:
    """The liveness entry of its JSON. Raises Corrupt."""
    return decode(
        value,
        "online node",
        FORMAT_VERSION,
        lambda fields: OnlineNode(
            node=fields.parsed("node", parse_node_id),
            version=fields.text("version"),
            started_at_ms=fields.number("started_at_ms"),
        ),
    )
