"""Compressed bodies: exactly what gzip holds or a refusal, in pieces and growth within bounds, however they come."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from typing import Any, cast

from aiohttp import web
from hypothesis import strategies as st

from meshnode.http.bounds import HttpBounds
from meshnode.http.request_body import RequestBody
from meshnode.http.status import Refused
from tests.fuzz.inputs import cuttings, finish_in_loop

BOUNDS = HttpBounds(piece_bytes=64, inflate_free_bytes=512, inflate_ratio_max=20)
BYTES_MAX = 3_000

_PLAIN = st.binary(max_size=300) | st.integers(0, 6_000).map(bytes) | st.binary(max_size=30).map(lambda data: data * 40)
EXAMPLES = st.tuples(_PLAIN, st.sampled_from([0, 1, 9]), st.sampled_from([b"", b"", b"\0", b"tail"])).map(
    lambda drawn: gzip.compress(drawn[0], drawn[1], mtime=0) + drawn[2]
)


class _Request:
    """What `RequestBody` needs of a request whose body is compressed and comes in these pieces."""

    version = (1, 1)
    content_length = None
    transport = None

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.headers = {"Content-Encoding": "gzip"}
        self.content = self
        self._pieces = [piece for piece in pieces if piece]

    async def read(self, length: int) -> bytes:
        if not self._pieces:
            return b""
        piece, rest = self._pieces[0][:length], self._pieces[0][length:]
        self._pieces[:1] = [rest] if rest else []
        return piece

    def is_eof(self) -> bool:
        return not self._pieces


def check_http_body(data: bytes) -> None:
    expected = _gunzip(data)
    outcomes = [finish_in_loop(_read(pieces)) for pieces in cuttings(data)]
    for body, status in outcomes:
        assert len(body) <= BYTES_MAX
        if expected is None:
            assert status in {400, 413}
        elif status:
            assert status == 413
            assert len(expected) > BYTES_MAX or len(expected) > BOUNDS.inflate_free_bytes
        else:
            assert body == expected


async def _read(pieces: Sequence[bytes]) -> tuple[bytes, int]:
    body = RequestBody(cast("web.BaseRequest", cast("Any", _Request(pieces))), bytes_max=BYTES_MAX, bounds=BOUNDS)
    result = b""
    try:
        async for piece in body:
            assert 0 < len(piece) <= BOUNDS.piece_bytes
            result += piece
    except Refused as error:
        return result, error.status
    return result, 0


def _gunzip(data: bytes) -> bytes | None:
    """The content of exactly one gzip member; None for anything else."""
    inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        plain = inflater.decompress(data)
    except zlib.error:
        return None
    return plain if inflater.eof and not inflater.unused_data else None
