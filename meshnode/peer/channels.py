"""Keeps one signed channel to each node, dialled again when the catalog gives the node another address.

A channel connects by itself and again after a break; it is made on first use and closed with this.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from meshnode.auth.stream import SignedStream
from meshnode.base.errors import PeerUnavailable
from meshnode.base.ids import NodeId
from meshnode.core.nodes import Node
from meshnode.ports import Membership


class Channel(Protocol):
    """`auth.channel.SignedChannel`."""

    async def unary(
        self, method: str, body: bytes, *, timeout_ms: int, metadata: Sequence[tuple[str, str]] = ()
    ) -> bytes:
        """Call with one message. Raises CallFailed."""
        ...

    def stream(
        self,
        method: str,
        messages: AsyncIterator[bytes] | bytes,
        *,
        timeout_ms: int,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> SignedStream:
        """Prepare a call with streams."""
        ...

    async def close(self) -> None:
        """Break off what is running and close the connection."""
        ...


ChannelFactory = Callable[[Node], Channel]
"""Makes a channel to a node's `grpc_url` that believes that node's answers only."""


@dataclass(slots=True)
class _Dialled:
    url: str
    channel: Channel


class Channels:
    """Channels by node."""

    def __init__(self, membership: Membership, factory: ChannelFactory) -> None:
        self._membership = membership
        self._factory = factory
        self._dialled: dict[NodeId, _Dialled] = {}
        self._is_closed = False

    async def to(self, node: NodeId) -> Channel:
        """The channel to `node`.

        Raises:
            PeerUnavailable: the catalog does not list the node, or this is closed; nothing was sent.
        """
        entry = self._membership.nodes().get(node)
        if entry is None or self._is_closed:
            await self._drop(node)
            raise PeerUnavailable("node cannot be called", node=node, is_listed=entry is not None, is_untouched=True)
        dialled = self._dialled.get(node)
        if dialled is not None and dialled.url == entry.grpc_url:
            return dialled.channel
        fresh = _Dialled(entry.grpc_url, self._factory(entry))
        await self._drop(node, successor=fresh)
        return fresh.channel

    async def close(self) -> None:
        """Close every channel. Idempotent."""
        self._is_closed = True
        for node in list(self._dialled):
            await self._drop(node)

    async def _drop(self, node: NodeId, successor: _Dialled | None = None) -> None:
        old = self._dialled.pop(node, None)
        if successor is not None:
            self._dialled[node] = successor
        if old is not None:
            await old.channel.close()
