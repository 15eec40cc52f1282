"""One signed gRPC stream, seen from the caller: bytes out, bytes in, a verdict at the end.

    stream = channel.stream(method, messages, timeout_ms=...)
    async with stream:                     # or aclose() at the end
        async for message in stream: ...   # raises after the last message if the answer is not the peer's

Rule: what was iterated is believed only when the iteration has ended without an error; until then it is the peer's
word without its signature, and nothing irreversible may be done with it. Nothing is sent before the first
`started()` or the first step of the iteration, because the request is signed with its first message.

A request of several messages is fed by one task while the answer is read. It belongs to the stream: whichever way the
stream ends, the task is cancelled and awaited, and `messages` is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self, cast

import grpc

from meshnode.auth.answers import (
    CallFailed,
    Trust,
    closed_meanwhile,
    fail_call,
    is_cancelled_from_outside,
    trailing_of,
)
from meshnode.auth.responses import MessageTrace
from meshnode.base.errors import InvalidRequest
from meshnode.ports import Clock


class SignedStream:
    """An async iterator over the answer's messages. For one reader."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        trust: Trust,
        method: str,
        messages: AsyncIterator[bytes] | bytes,
        *,
        timeout_ms: int,
        metadata: tuple[tuple[str, str], ...],
        clock: Clock,
    ) -> None:
        """Made by `SignedChannel.stream`."""
        self._channel = channel
        self._trust = trust
        self._method = method
        self._messages = messages
        self._clock = clock
        self._deadline_ms = clock.monotonic_ms() + timeout_ms
        self._metadata = metadata
        self._call: grpc.aio.StreamStreamCall[Any, Any] | grpc.aio.UnaryStreamCall[Any, Any] | None = None
        self._feeder: asyncio.Task[None] | None = None
        self._jti = ""
        self._ahead: bytes | None = None
        self._request = MessageTrace()
        self._response = MessageTrace()
        self._source_error: Exception | None = None
        self._is_request_complete = False
        self._is_over = False

    async def started(self) -> dict[str, str | bytes]:
        """Begin, and wait for the server's initial metadata: it has taken the request, or refused it.

        Raises:
            CallFailed: the call has failed already. Otherwise a failure comes with the iteration.
        """
        call = await self._begin()
        try:
            initial = trailing_of(await call.initial_metadata())
        except asyncio.CancelledError:
            await self._break_off()
            raise
        if call.done() and await call.code() is not grpc.StatusCode.OK:
            self._ahead = await anext(self)
        return initial

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next message of the answer.

        Raises:
            StopAsyncIteration: the answer is complete and the peer's signature under it verified.
            CallFailed: an error status, a broken connection, the deadline, or an answer that is not the peer's.
            Exception: what iterating over the request's messages raised; the call is cancelled then.
        """
        if self._ahead is not None:
            message, self._ahead = self._ahead, None
            return message
        if self._is_over:
            raise StopAsyncIteration
        call = await self._begin()
        try:
            if self._response.count == 1:
                # The status of a short answer comes with its message, and gRPC tells it once all messages were taken.
                # Where it is known, `read` asks for no further message: the answer to that takes 50 us more.
                await asyncio.sleep(0)
            answer = await call.read()
        except grpc.aio.AioRpcError as error:
            await self._break_off()
            if self._source_error is not None:
                raise self._source_error from error
            raise fail_call(self._trust, self._jti, error, request=self._request, response=self._response) from error
        except asyncio.CancelledError:
            await self._break_off()
            if is_cancelled_from_outside():
                raise
            if self._source_error is not None:
                raise self._source_error from None
            raise closed_meanwhile() from None
        if not isinstance(answer, bytes):
            await self._finish()
            raise StopAsyncIteration
        self._response.note(answer)
        return answer

    async def aclose(self) -> None:
        """Cancel what is still running, and wait until nothing of it is left. Idempotent."""
        await self._break_off()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _begin(self) -> grpc.aio.StreamStreamCall[Any, Any] | grpc.aio.UnaryStreamCall[Any, Any]:
        if self._call is not None:
            return self._call
        if self._is_over:
            raise InvalidRequest("stream is closed", method=self._method)
        try:
            first = await self._first_message()
        except BaseException:
            await self._break_off()
            raise
        left_ms = self._deadline_ms - self._clock.monotonic_ms()
        if left_ms <= 0:
            await self._break_off()
            raise CallFailed(
                grpc.StatusCode.DEADLINE_EXCEEDED, "deadline passed before the first message", {}, was_answered=False
            )
        signed, metadata = self._trust.sign(self._method, first, self._metadata)
        self._jti = signed.jti
        timeout_s = left_ms / 1000
        if isinstance(self._messages, bytes):  # all of it goes out at once; on the wire it looks the same
            self._request.note(first)
            self._is_request_complete = True
            ask: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream(self._method)
            self._call = ask(first, timeout=timeout_s, metadata=metadata)
        else:
            open_call: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = self._channel.stream_stream(self._method)
            call = open_call(timeout=timeout_s, metadata=metadata)
            self._feeder = asyncio.create_task(self._feed(call, first), name=f"feed {self._method}")
            self._call = call
        return self._call

    async def _first_message(self) -> bytes:
        if isinstance(self._messages, bytes):
            return self._messages
        try:
            return await anext(self._messages)
        except StopAsyncIteration:
            raise InvalidRequest("request stream has no message", method=self._method) from None

    async def _feed(self, call: grpc.aio.StreamStreamCall[Any, Any], first: bytes) -> None:
        assert not isinstance(self._messages, bytes)
        is_open = await self._send(call, first)
        try:
            while is_open:
                is_open = await self._send(call, await anext(self._messages))
        except StopAsyncIteration:
            pass
        except Exception as error:  # noqa: BLE001 - the source's, handed to the reader, who raises it
            self._source_error = error
            call.cancel()
            return
        if is_open:
            self._is_request_complete = True
            with contextlib.suppress(grpc.aio.InternalError):  # the call has ended
                await call.done_writing()

    async def _send(self, call: grpc.aio.StreamStreamCall[Any, Any], message: bytes) -> bool:
        """Send a message; False where the call has ended, however that is: the reader learns how.

        Not by `call.write`: where the peer refuses while a message is on its way, that puts INTERNAL in the place
        of the status that is about to arrive, and the peer's own signed reason is lost.
        Source: https://github.com/grpc/grpc/issues/36066 (open with grpcio 1.85).
        """
        self._request.note(message)  # before it is sent: the peer never sees more than is noted
        try:
            await call.wait_for_connection()
            await cast("Any", call)._cython_call.send_serialized_message(message)  # noqa: SLF001
        except (grpc.aio.AioRpcError, grpc.aio.InternalError):
            return False
        return True

    async def _finish(self) -> None:
        assert self._call is not None
        call = self._call
        trailing = trailing_of(await call.trailing_metadata())
        detail = await call.details() or ""
        is_request_complete = self._is_request_complete
        await self._break_off()
        if self._source_error is not None:
            raise self._source_error
        if not is_request_complete:
            raise CallFailed(
                grpc.StatusCode.UNAUTHENTICATED,
                "peer answered before it had the whole request",
                trailing,
                was_answered=False,
            )
        self._trust.check_ok(self._jti, detail, trailing, request=self._request, response=self._response)

    async def _break_off(self) -> None:
        self._is_over = True
        if self._call is not None:
            self._call.cancel()
        if self._feeder is not None and not self._feeder.done():
            self._feeder.cancel()
            await asyncio.wait([self._feeder])
        close = getattr(self._messages, "aclose", None)
        if close is not None:
            await close()
