"""Request bodies over real sockets: framing, compression, bounds, and every way to end early."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import AsyncIterator

import pytest

from meshnode.config import PushSettings
from meshnode.http.bounds import HttpBounds
from tests.unit.http.fakes import (
    FETCH,
    LAST_CHUNK,
    PUSH,
    FakeTransport,
    ask,
    chunk,
    config,
    post,
    serving,
    until,
    wire,
)

PAYLOAD = os.urandom(700_000)


async def test_a_body_of_known_length_arrives_whole() -> None:
    async with serving(FakeTransport()) as server:
        assert (await ask(server, post(PUSH, len(PAYLOAD)), PAYLOAD)).body == PAYLOAD


async def test_a_chunked_body_arrives_whole() -> None:
    async with serving(FakeTransport()) as server:
        parts = [chunk(PAYLOAD[start : start + 65_000]) for start in range(0, len(PAYLOAD), 65_000)]
        assert (await ask(server, post(PUSH), *parts, LAST_CHUNK)).body == PAYLOAD


async def test_an_empty_body_is_an_empty_body() -> None:
    async with serving(FakeTransport()) as server:
        reply = await ask(server, post(PUSH, 0))
        assert (reply.status, reply.body) == (200, b"")


async def test_pieces_are_bounded_whatever_the_client_sends() -> None:
    sizes: list[int] = []

    async def measure(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        sizes.extend([len(piece) async for piece in body])
        yield b"ok"

    async with serving(FakeTransport(measure)) as server:
        await ask(server, post(PUSH), chunk(PAYLOAD), LAST_CHUNK)
        await ask(server, post(PUSH, Content_Encoding="gzip"), chunk(gzip.compress(PAYLOAD)), LAST_CHUNK)
    assert sum(sizes) == 2 * len(PAYLOAD)
    assert min(sizes) > 0
    assert max(sizes) <= 256 << 10


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
async def test_a_compressed_body_is_decompressed(encoding: str) -> None:
    data = b"0032have 1234567890123456789012345678901234567890\n" * 20_000
    packed = zlib.compress(data, 1, 31)
    async with serving(FakeTransport()) as server:
        assert (await ask(server, post(FETCH, len(packed), Content_Encoding=encoding), packed)).body == data


async def test_a_compressed_body_may_come_byte_by_byte_and_leave_in_small_pieces() -> None:
    data = b"have " * 1_000
    pieces = [chunk(bytes([byte])) for byte in gzip.compress(data)]
    async with serving(FakeTransport(), bounds=HttpBounds(piece_bytes=16)) as server:
        assert (await ask(server, post(FETCH, Content_Encoding="gzip"), *pieces, LAST_CHUNK)).body == data


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (gzip.compress(PAYLOAD, mtime=0)[:-1], "ends early"),
        (b"", "ends early"),
        (b"not gzip at all", "not gzip"),
        (gzip.compress(b"0000", mtime=0) + b"0000", "bytes follow"),
        (gzip.compress(b"0000", mtime=0) + gzip.compress(b"0000", mtime=0), "bytes follow"),
    ],
)
async def test_a_damaged_compressed_body_is_refused(body: bytes, words: str) -> None:
    transport = FakeTransport()

    async def swallow(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for _ in body:
            pass
        yield b"done"

    transport.script = swallow
    async with serving(transport) as server:
        reply = await ask(server, post(FETCH, len(body), Content_Encoding="gzip"), body)
    assert reply.status == 400
    assert words in reply.text
    assert transport.ends == ["Refused"]


async def test_a_decompression_bomb_is_refused_long_before_it_is_big() -> None:
    seen = 0

    async def count(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        nonlocal seen
        async for piece in body:
            seen += len(piece)
        yield b"done"

    bomb = gzip.compress(bytes(50 << 20))
    async with serving(FakeTransport(count)) as server:
        reply = await ask(server, post(FETCH, len(bomb), Content_Encoding="gzip"), bomb)
    assert reply.status == 413
    assert "grows too much" in reply.text
    assert seen <= 8 << 20


async def test_a_fetch_request_over_the_bound_is_refused_as_it_comes() -> None:
    async def count(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for _ in body:
            pass
        yield b"done"

    async with serving(FakeTransport(count), bounds=HttpBounds(fetch_request_bytes_max=1_000)) as server:
        known = await ask(server, post(FETCH, 1_001), bytes(1_001))
        chunked = await ask(server, post(FETCH), chunk(bytes(1_001)), LAST_CHUNK)
        packed = gzip.compress(bytes(1_001))
        compressed = await ask(server, post(FETCH, len(packed), Content_Encoding="gzip"), packed)
        exact = await ask(server, post(FETCH), chunk(bytes(1_000)), LAST_CHUNK)
    assert [known.status, chunked.status, compressed.status, exact.status] == [413, 413, 413, 200]


async def test_a_push_may_bring_a_pack_and_its_commands_and_no_more() -> None:
    transport = FakeTransport()
    settings = config(push=PushSettings(pack_bytes_max=1_000, commands_max=1))
    async with serving(transport, settings, bounds=HttpBounds(command_bytes_max=10)) as server:
        assert (await ask(server, post(PUSH, 1_010), bytes(1_010))).status == 200
        refused = await ask(server, post(PUSH, 1_011), bytes(1_011))
    assert refused.status == 413
    assert "1010 bytes" in refused.text
    assert len(transport.requests) == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Type": "application/json"}, 415),
        ({"Content_Type": "application/x-git-upload-pack-request"}, 415),
        ({"Content_Encoding": "br"}, 415),
        ({"Expect": "the-unexpected"}, 417),
    ],
)
async def test_a_body_of_another_kind_is_refused_before_any_work(headers: dict[str, str], status: int) -> None:
    transport = FakeTransport()
    async with serving(transport) as server:
        reply = await ask(server, post(PUSH, 4, **headers), b"0000")
    assert reply.status == status
    assert reply.headers["content-type"].startswith("text/plain")
    assert transport.requests == []


async def test_the_client_is_told_to_go_on_when_the_body_is_wanted() -> None:
    async with serving(FakeTransport()) as server, wire(server) as connection:
        await connection.send(post(PUSH, 5, Expect="100-continue"))
        status, _ = await connection.head()
        assert status == 100
        await connection.send(b"hello")
        reply = await connection.reply()
    assert (reply.status, reply.body) == (200, b"hello")


async def test_a_client_that_waits_is_refused_without_its_body() -> None:
    async with serving(FakeTransport(), config(anonymous="read")) as server, wire(server) as connection:
        await connection.send(post(PUSH, 1 << 30, Expect="100-continue"))
        reply = await connection.reply()
    assert reply.status == 401
    assert reply.headers["connection"] == "close"


async def test_a_stalled_body_is_given_up() -> None:
    transport = FakeTransport()
    async with serving(transport, bounds=HttpBounds(idle_ms=50, discard_ms=50)) as server, wire(server) as connection:
        await connection.send(post(PUSH), chunk(b"half"))
        assert (await connection.head())[0] == 200
        assert await connection.chunk() == b"half"
        assert await connection.is_closed()
    assert transport.ends == ["Refused"]


async def test_a_body_that_stalls_before_the_answer_began_is_refused_with_a_status() -> None:
    bounds = HttpBounds(idle_ms=50, discard_ms=50)
    async with serving(FakeTransport(), bounds=bounds) as server:
        reply = await ask(server, post(PUSH, 10))
    assert reply.status == 408
    assert "stalled" in reply.text


async def test_a_malformed_chunk_is_no_clean_end() -> None:
    """The parser stops there without telling the reader, so this ends as a body that stalls."""
    transport = FakeTransport()
    async with serving(transport, bounds=HttpBounds(idle_ms=100)) as server, wire(server) as connection:
        await connection.send(post(PUSH), chunk(b"half"))
        await connection.head()
        assert await connection.chunk() == b"half"
        await connection.send(b"this is no size\r\n")
        await until(lambda: transport.ends != [])
        assert await connection.is_closed()
    assert transport.ends == ["Refused"]


async def test_a_client_that_goes_away_in_its_body_leaves_nothing_running() -> None:
    transport = FakeTransport()
    async with serving(transport) as server:
        async with wire(server) as connection:
            await connection.send(post(PUSH), chunk(b"half"))
            await connection.head()
            connection.reset()
        await until(lambda: transport.ends != [] and server.requests_in_flight == 0)
        assert server.admission.running == 0
    assert transport.ends[0] in {"CancelledError", "Refused"}


async def test_a_client_is_slowed_down_to_the_readers_pace() -> None:
    """The body is far larger than all buffers; while nobody reads, the client cannot send it."""
    taken = 0
    wanted: list[int] = []

    async def wait(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        nonlocal taken
        taken += len(await anext(body))
        yield b"first"
        await until(lambda: wanted != [])
        async for piece in body:
            taken += len(piece)
        yield b"rest"

    size = 64 << 20
    async with serving(FakeTransport(wait)) as server, wire(server) as connection:
        await connection.send(post(PUSH, size))
        connection.writer.write(bytes(size))
        await connection.head()
        assert await connection.chunk() == b"first"
        assert connection.writer.transport.get_write_buffer_size() > size // 2
        wanted.append(1)
        assert await connection.chunk() == b"rest"
    assert taken == size
