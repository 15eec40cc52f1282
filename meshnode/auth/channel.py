"""Calls another node over gRPC: signs each request, believes no answer that is not signed.

    SignedChannel.unary(method, body) -> bytes
    SignedChannel.stream(method, messages) -> SignedStream, an async iterator of bytes (auth/stream.py)

Messages are raw bytes: what is signed is what travels. Rule: `CallFailed.was_answered` is True only where the
peer's own signature stands under the failure; anything else is a broken way there, and what the peer did is unknown.
gRPC's own retries are off: who may repeat what is decided above.
Source: https://grpc.github.io/grpc/core/group__grpc__arg__keys.html for the options.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

import grpc

from meshnode.auth.answers import CallFailed, Trust, closed_meanwhile, fail_call, is_cancelled_from_outside, trailing_of
from meshnode.auth.registry import KeyRegistry
from meshnode.auth.stream import SignedStream
from meshnode.auth.tokens import MessageTrace, TokenSigner
from meshnode.base.errors import InvalidRequest
from meshnode.ports import Clock

__all__ = ["MESSAGE_BYTES_MAX", "CallFailed", "SignedChannel", "SignedStream", "server_options"]

MESSAGE_BYTES_MAX: Final = 8 << 20
"""Chunks are at most 1 MiB; pages of references may be larger."""

KEEPALIVE_MS: Final = 5_000
"""How long a connection with calls may be silent before it is probed."""

KEEPALIVE_TIMEOUT_MS: Final = 3_000
"""How long a probe may stay unanswered before the connection is given up."""

BACKOFF_MS_MIN: Final = 100
BACKOFF_MS_MAX: Final = 1_000
"""A restarted peer must be found again within a second."""


def server_options() -> list[tuple[str, int]]:
    """Options for a gRPC server that `SignedChannel` calls: the same limits, and its keep-alives are welcome."""
    return [
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.so_reuseport", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
        ("grpc.keepalive_time_ms", 4 * KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.max_pings_without_data", 0),
    ]


def channel_options(connect_ms: int) -> list[tuple[str, int]]:
    """Options of a channel to a peer."""
    return [
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.enable_retries", 0),
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", BACKOFF_MS_MIN),
        # The name misleads: this is how long one attempt to connect may take.
        ("grpc.min_reconnect_backoff_ms", connect_ms),
        ("grpc.max_reconnect_backoff_ms", BACKOFF_MS_MAX),
        # A container that starts again may have another address; gRPC would ask for it only every 30 s.
        ("grpc.dns_min_time_between_resolutions_ms", BACKOFF_MS_MAX),
    ]


class SignedChannel:
    """A connection to one node. It connects by itself, again and again, whenever there is a call to make."""

    def __init__(
        self,
        target: str,
        *,
        audience: str,
        signer: TokenSigner,
        registry: KeyRegistry,
        expected_issuer: str,
        credentials: grpc.ChannelCredentials | None,
        clock: Clock,
        connect_ms: int,
    ) -> None:
        """Prepare calls to `target` (host:port); nothing is sent yet. Must be called inside a running loop.

        `audience` goes into requests (the node's id or the cluster's), `expected_issuer` must sign the answers
        (`node:<id>`). `credentials` None means plaintext. A connection not accepted within `connect_ms` fails
        the calls that wait for it.
        """
        options = channel_options(connect_ms)
        self._clock = clock
        self._trust = Trust(audience=audience, signer=signer, registry=registry, expected_issuer=expected_issuer)
        self._channel = (
            grpc.aio.insecure_channel(target, options=options)
            if credentials is None
            else grpc.aio.secure_channel(target, credentials, options=options)
        )
        self.target = target

    async def unary(
        self, method: str, body: bytes, *, timeout_ms: int, metadata: Sequence[tuple[str, str]] = ()
    ) -> bytes:
        """Call `method` ("/mesh.v1.RefService/ListRefs") with one message; its answer.

        Raises:
            CallFailed: an error status, no way there, deadline over, or an answer that is not the peer's.
        """
        check_timeout(timeout_ms)
        request, all_metadata = self._trust.sign(method, body, metadata)
        open_call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(method)
        call = open_call(body, timeout=timeout_ms / 1000, metadata=all_metadata)
        sent = MessageTrace.of(body)
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            raise fail_call(self._trust, request.jti, error, request=sent, response=MessageTrace()) from error
        except asyncio.CancelledError:
            if is_cancelled_from_outside():
                raise
            raise closed_meanwhile() from None
        trailing = trailing_of(await call.trailing_metadata())
        detail = await call.details() or ""
        self._trust.check_ok(request.jti, detail, trailing, request=sent, response=MessageTrace.of(answer))
        return answer

    def stream(
        self,
        method: str,
        messages: AsyncIterator[bytes] | bytes,
        *,
        timeout_ms: int,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> SignedStream:
        """Prepare a call with a stream in at least one direction; see SignedStream for when it begins.

        `messages` is the single request message, or all of them (at least one); the stream closes it.
        `timeout_ms` counts from now on.
        """
        check_timeout(timeout_ms)
        return SignedStream(
            self._channel,
            self._trust,
            method,
            messages,
            timeout_ms=timeout_ms,
            metadata=tuple(metadata),
            clock=self._clock,
        )

    async def close(self) -> None:
        """Break off what is running and close the connection. Idempotent."""
        await self._channel.close()


def check_timeout(timeout_ms: int) -> None:
    """Check that a call has an end. Raises InvalidRequest."""
    if timeout_ms <= 0:
        raise InvalidRequest("call needs a timeout above zero", timeout_ms=timeout_ms)
