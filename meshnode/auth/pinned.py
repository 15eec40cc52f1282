"""Opens a channel to a node that is known before any catalog says so: by its address and its public keys.

Rule: an answer is believed under the keys given here and under no other, whatever the cluster lists meanwhile.
"""

from __future__ import annotations

from typing import Final

import grpc

from meshnode.auth.channel import SignedChannel
from meshnode.auth.registry import KeyRegistry, node_issuer
from meshnode.auth.tokens import TokenSigner
from meshnode.base.ids import NodeId
from meshnode.core.nodes import Node, NodeState
from meshnode.ports import Clock

CONNECT_MS: Final = 2_000
"""A node that does not accept a connection within this is passed over, and the next one asked."""


def open_pinned_channel(
    target: str,
    node: NodeId,
    public_keys: tuple[str, ...],
    *,
    signer: TokenSigner,
    credentials: grpc.ChannelCredentials | None,
    clock: Clock,
) -> SignedChannel:
    """A channel to `node` at `target` (host:port) that believes its answers under `public_keys` (PEM) only.

    Nothing is sent yet; `credentials` None means plaintext. Must be called inside a running loop.
    """
    entry = Node(
        node=node,
        grpc_url=target,
        http_url="",
        zone="",
        weight=0,
        state=NodeState.AVAILABLE,
        public_keys=public_keys,
    )
    registry = KeyRegistry()
    registry.replace([entry], [])
    return SignedChannel(
        target,
        audience=node,
        signer=signer,
        registry=registry,
        expected_issuer=node_issuer(node),
        credentials=credentials,
        clock=clock,
        connect_ms=CONNECT_MS,
    )
