"""Sends answers: whole ones at once, git's in pieces, each at the pace of its reader.

An answer whose body breaks off is never ended properly: the connection is aborted, so that no client takes the
first half for the whole. Where only the end of the connection would end the body (HTTP/1.0), it is reset.

A reader is slow for as long as it takes bytes; one that takes none for `idle_ms` is given up. What the kernel
still holds counts as not taken, otherwise its buffer of some megabytes would hide both.

Source: RFC 9112 section 8; http-backend.c (hdr_nocache); tcp(7) (SIOCOUTQ).
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from meshnode.base.errors import DeadlineExceeded
from meshnode.base.ids import NodeId
from meshnode.http.bounds import HttpBounds
from meshnode.http.request_body import discard, is_read
from meshnode.http.status import Answer

NO_CACHE: Final[Mapping[str, str]] = {
    "Expires": "Fri, 01 Jan 1980 00:00:00 GMT",
    "Pragma": "no-cache",
    "Cache-Control": "no-cache, max-age=0, must-revalidate",
}

SERVER: Final = "meshnode"

_SMALL_BODY_BYTES: Final = 1 << 20
"""A refused body of a known length up to this is read first, so that the connection can be used again."""

_LOOKS: Final = 4
"""How often in `idle_ms` a waiting writer looks whether the reader took something."""

_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER for 0 seconds: closing drops what is not sent and resets the connection."""


class ReplyWriter:
    """The answer to one request."""

    def __init__(self, request: web.BaseRequest, *, own: NodeId, bounds: HttpBounds) -> None:
        self._request = request
        self._own = own
        self._bounds = bounds
        self.response: web.StreamResponse = web.StreamResponse()
        self.bytes_out = 0
        self.is_started = False
        self.is_aborted = False

    @property
    def is_client_gone(self) -> bool:
        """Whether nobody is left to answer."""
        transport = self._request.transport
        return transport is None or transport.is_closing()

    async def start(self, headers: Mapping[str, str]) -> None:
        """Begin a streamed answer with status 200."""
        self.response = web.StreamResponse(status=200, headers={**NO_CACHE, "Server": SERVER, **headers})
        if self._request.version < (1, 1):
            self.response.force_close()
        self.is_started = True
        await self.response.prepare(self._request)

    async def write(self, chunk: bytes) -> None:
        """Send a chunk; returns when the reader has room for more.

        Raises:
            DeadlineExceeded: the reader took nothing for `idle_ms`.
            ConnectionError: the reader is gone.
        """
        size = self._bounds.piece_bytes
        view = memoryview(chunk)
        for offset in range(0, len(chunk), size):
            piece = view[offset : offset + size]
            async with self._patience():
                await self.response.write(piece)
            self.bytes_out += len(piece)

    async def finish(self) -> None:
        """End a streamed answer; then read away what is left of the request, or close. Raises as `write`."""
        async with self._patience():
            await self.response.write_eof()
        if not is_read(self._request) and not await discard(self._request, self._bounds):
            self.response.force_close()

    async def send_whole(self, answer: Answer) -> None:
        """Send a text answer, in such a way that a client that is still sending gets to see it.

        Raises:
            ConnectionError, DeadlineExceeded: as `write`.
        """
        request = self._request
        if not is_read(request) and self._is_worth_reading():
            await discard(request, self._bounds)
        text = answer.line + "\n"
        headers = {**NO_CACHE, "Server": SERVER, "Mesh-Node": self._own, **answer.headers}
        self.response = web.Response(status=answer.status, text=text, headers=headers, content_type="text/plain")
        if not is_read(request):
            self.response.force_close()
        self.is_started = True
        async with self._patience():
            await self.response.prepare(request)
            await self.response.write_eof()
        self.bytes_out += len(text)
        if not is_read(request):
            await discard(request, self._bounds)

    def abort(self) -> None:
        """Break the connection off, so that what was sent does not look complete."""
        self.is_aborted = True
        transport = self._request.transport
        if transport is None:
            return
        if self._request.version < (1, 1):
            _socket_of(transport).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()

    def _is_worth_reading(self) -> bool:
        length = self._request.content_length
        return length is not None and length <= _SMALL_BODY_BYTES and "Expect" not in self._request.headers

    @asynccontextmanager
    async def _patience(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._bounds.idle_ms / 1_000) as deadline:
                with _Patience(self._request, deadline, self._bounds):
                    yield
        except TimeoutError as error:
            raise DeadlineExceeded("the client takes no byte", idle_ms=self._bounds.idle_ms) from error


class _Patience:
    """Moves a deadline on whenever the reader took some of what waits for it."""

    def __init__(self, request: web.BaseRequest, deadline: asyncio.Timeout, bounds: HttpBounds) -> None:
        self._request = request
        self._deadline = deadline
        self._idle_s = bounds.idle_ms / 1_000
        self._loop = asyncio.get_running_loop()
        self._pending = 0

    def __enter__(self) -> None:
        self._timer = self._loop.call_later(self._idle_s / _LOOKS, self._look)

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        pending = _pending_bytes(self._request.transport)
        if pending < self._pending and not self._deadline.expired():
            self._deadline.reschedule(self._loop.time() + self._idle_s)
        self._pending = pending
        self._timer = self._loop.call_later(self._idle_s / _LOOKS, self._look)


def _pending_bytes(transport: asyncio.Transport | None) -> int:
    """Bytes that were written and that the other side has not acknowledged."""
    if transport is None or transport.is_closing():
        return 0
    held = fcntl.ioctl(_socket_of(transport).fileno(), termios.TIOCOUTQ, bytes(4))
    return transport.get_write_buffer_size() + int(struct.unpack("i", held)[0])


def _socket_of(transport: asyncio.Transport) -> socket.socket:
    found: socket.socket = transport.get_extra_info("socket")
    return found
