"""The nodes a client may ask: their addresses, the keys their answers must be signed with, channels to them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import grpc

from meshnode.auth.channel import SignedChannel
from meshnode.auth.keys import PublicKey
from meshnode.auth.pinned import open_pinned_channel
from meshnode.auth.tokens import TokenSigner
from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import NodeId, parse_node_id
from meshnode.core.decoding import Fields
from meshnode.engine.system import SystemClock


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeAddress:
    """One node: where it listens and whose key its answers are believed under."""

    node: str
    url: str
    """gRPC: `http://host:port` (loopback, or a network you trust) or `https://host:port`."""
    public_key: str
    """PEM."""
    other_keys: tuple[str, ...] = ()
    """PEM of other keys that will do, while the node's key is being replaced."""


def read_cluster_file(path: Path) -> list[NodeAddress]:
    """The nodes in a `cluster.json` (`meshnode up`, `meshnode init-cluster`). Raises InvalidRequest."""
    try:
        entries = map(Fields, Fields(json.loads(path.read_bytes())).items("nodes"))
        return [
            NodeAddress(
                node=entry.parsed("node", parse_node_id),
                url=f"http://{entry.text('grpc')}",
                public_key=entry.text("public_key"),
                other_keys=entry.optional_texts("other_keys"),
            )
            for entry in entries
        ]
    except (OSError, ValueError, KeyError, TypeError, RecursionError, InvalidRequest) as error:
        raise InvalidRequest("not a cluster file", file=str(path), cause=str(error)) from error


class Nodes:
    """Channels to nodes, opened when needed, asked in an order that avoids the ones that failed last."""

    def __init__(
        self,
        addresses: Sequence[NodeAddress],
        signer: TokenSigner,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        """`credentials` are for `https://` addresses. Raises InvalidRequest."""
        if not addresses:
            raise InvalidRequest("a client needs the address of at least one node")
        self._signer = signer
        self._credentials = credentials
        self._clock = SystemClock()
        self._addresses = [(_target(address, credentials), _checked(address)) for address in addresses]
        random.shuffle(self._addresses)  # spreads clients over nodes
        self._channels: dict[NodeId, SignedChannel] = {}

    def in_order(self) -> Iterator[SignedChannel]:
        """Every node's channel, those that failed last at the end."""
        for target, address in list(self._addresses):
            yield self._channel(target, address)

    def put_last(self, channel: SignedChannel) -> None:
        """Ask this one after all others next time."""
        node = self.node_of(channel)
        self._addresses.sort(key=lambda entry: entry[1].node == node)

    def node_of(self, channel: SignedChannel) -> NodeId:
        """Whose channel it is."""
        return next(node for node, known in self._channels.items() if known is channel)

    async def close(self) -> None:
        """Close all channels. Idempotent."""
        channels, self._channels = list(self._channels.values()), {}
        for channel in channels:
            await channel.close()

    def _channel(self, target: str, address: NodeAddress) -> SignedChannel:
        node = parse_node_id(address.node)
        channel = self._channels.get(node)
        if channel is None:
            channel = self._channels[node] = open_pinned_channel(
                target,
                node,
                (address.public_key, *address.other_keys),
                signer=self._signer,
                credentials=self._credentials if address.url.startswith("https://") else None,
                clock=self._clock,
            )
        return channel


def _target(address: NodeAddress, credentials: grpc.ChannelCredentials | None) -> str:
    not_an_address = InvalidRequest("address must be http://host:port or https://host:port", url=address.url)
    try:
        parts = urlsplit(address.url)
        port = parts.port
    except ValueError as error:  # brackets without an end, or a port that is no number below 65536
        raise not_an_address from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port or parts.path not in {"", "/"}:
        raise not_an_address
    if parts.scheme == "https" and credentials is None:
        raise InvalidRequest("an https address needs credentials", url=address.url)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{port}"


def _checked(address: NodeAddress) -> NodeAddress:
    parse_node_id(address.node)
    for key in (address.public_key, *address.other_keys):
        PublicKey.parse(key)
    return address
