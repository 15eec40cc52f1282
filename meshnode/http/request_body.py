"""Takes a request's body off the connection: in pieces, decompressed, within bounds, and never sooner than asked.

    socket -> (gunzip) -> pieces of 256 KiB -> Transport

Reading is what lets more bytes in, so a slow reader slows the client down. A client that sent
`Expect: 100-continue` is told to go on when the first piece is wanted, which is after everything that can be
refused without the body was checked. Every way a body can end early raises, so half a push is never a whole one.

Source: RFC 9110 section 10.1.1; http-backend.c (inflate_request).
"""

from __future__ import annotations

import asyncio
import zlib
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from meshnode.base.errors import InvalidRequest, MeshError
from meshnode.http.bounds import HttpBounds
from meshnode.http.status import Refused

_GZIP: Final = frozenset({"gzip", "x-gzip"})
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS

_BROKEN: Final = (web.RequestPayloadError, web.PayloadAccessError, HttpProcessingError, ConnectionError)
"""How aiohttp says that a body broke off or was malformed."""


class RequestBody:
    """An asynchronous iterator over a request's body; one reader, once."""

    def __init__(self, request: web.BaseRequest, *, bytes_max: int, bounds: HttpBounds) -> None:
        """Look at the headers only.

        Raises:
            Refused: 413 (too long by its own account), 415 (unknown encoding), 417 (unknown expectation).
        """
        self._request = request
        self._bytes_max = bytes_max
        self._bounds = bounds
        self._inflater = _open_inflater(request)
        self._is_continue_due = _is_continue_due(request)
        self._is_ended = False
        self.bytes_received = 0
        """Bytes off the connection, as they came."""
        self.bytes_passed = 0
        """Bytes given to the reader."""
        self.failure: MeshError | None = None
        """Why reading ended early; it is raised again to whoever goes on."""
        if (request.content_length or 0) > bytes_max:
            raise self._too_large()

    def __aiter__(self) -> RequestBody:
        return self

    async def __anext__(self) -> bytes:
        """The next piece, at most 256 KiB and never empty.

        Raises:
            Refused: 400 broken off or malformed, 408 nothing came for `idle_ms`, 413 over the bound.
        """
        if self.failure is not None:
            raise self.failure
        if self._is_ended:
            raise StopAsyncIteration
        try:
            piece = await (self._receive() if self._inflater is None else self._inflate(self._inflater))
            self.bytes_passed += len(piece)
            if self.bytes_passed > self._bytes_max:
                raise self._too_large()
        except MeshError as error:
            self.failure = error
            raise
        if not piece:
            self._is_ended = True
            raise StopAsyncIteration
        return piece

    def close(self) -> None:
        """Refuse every later read: the request is answered."""
        if self.failure is None:
            self.failure = InvalidRequest("the request is over")

    def forgo_continue(self) -> None:
        """Never send `100 Continue` from here on: the real answer has begun."""
        self._is_continue_due = False

    async def _inflate(self, inflater: zlib._Decompress) -> bytes:
        while not inflater.eof:
            held = inflater.unconsumed_tail or await self._receive()
            if not held:
                raise Refused(400, "the compressed body ends early")
            try:
                piece = inflater.decompress(held, self._bounds.piece_bytes)
            except zlib.error as error:
                raise Refused(400, "the body is not gzip") from error
            self._check_ratio(self.bytes_passed + len(piece))
            if piece:
                return piece
        if inflater.unused_data or await self._receive():
            raise Refused(400, "bytes follow the compressed body")
        return b""

    def _check_ratio(self, bytes_out: int) -> None:
        bounds = self._bounds
        if bytes_out > bounds.inflate_free_bytes and bytes_out > bounds.inflate_ratio_max * self.bytes_received:
            raise Refused(413, "the compressed body grows too much")

    async def _receive(self) -> bytes:
        """The next bytes off the connection, b"" at the end."""
        await self._send_continue()
        try:
            async with asyncio.timeout(self._bounds.idle_ms / 1_000):
                piece = await self._request.content.read(self._bounds.piece_bytes)
        except TimeoutError as error:
            raise Refused(408, "the request's body stalled") from error
        except _BROKEN as error:
            raise Refused(400, "the request's body broke off or is malformed") from error
        self.bytes_received += len(piece)
        return piece

    async def _send_continue(self) -> None:
        if self._is_continue_due:
            self._is_continue_due = False
            writer = self._request.writer
            try:
                await writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            except ConnectionError as error:
                raise Refused(400, "the client went away") from error
            writer.output_size = 0  # aiohttp reads "an answer has begun" from it

    def _too_large(self) -> Refused:
        return Refused(413, f"the request is larger than the {self._bytes_max} bytes allowed")


async def discard(request: web.BaseRequest, bounds: HttpBounds) -> bool:
    """Read the rest of a request's body away, within bounds; whether its end was reached.

    A connection that is closed with unread bytes is reset, and a reset takes the answer with it.
    """
    count = 0
    try:
        async with asyncio.timeout(bounds.discard_ms / 1_000):
            while not is_read(request) and count < bounds.discard_bytes_max:
                count += len(await request.content.read(bounds.piece_bytes))
    except (TimeoutError, *_BROKEN):
        return False
    return is_read(request)


def is_read(request: web.BaseRequest) -> bool:
    """Whether all of the body has come."""
    return request.content.is_eof()


def _open_inflater(request: web.BaseRequest) -> zlib._Decompress | None:
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding == "identity":
        return None
    if encoding in _GZIP:
        return zlib.decompressobj(_GZIP_WINDOW)
    raise Refused(415, "content-encoding must be gzip", headers={"Accept-Encoding": "gzip"})


def _is_continue_due(request: web.BaseRequest) -> bool:
    expectation = request.headers.get("Expect")
    if expectation is None or request.version < (1, 1):
        return False
    if expectation.strip().lower() != "100-continue":
        raise Refused(417, "only 100-continue can be expected")
    return True
