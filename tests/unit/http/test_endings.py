"""However a request ends, nothing is left running, and no half of an answer looks like the whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from functools import partial

import pytest

from meshnode.base.errors import Overloaded
from meshnode.config import LimitSettings
from meshnode.http.bounds import HttpBounds
from tests.unit.http.fakes import (
    FETCH,
    PUSH,
    REFS,
    FakeTransport,
    ask,
    config,
    get,
    hold,
    post,
    serving,
    until,
    wire,
    within,
)

# ---------------------------------------------------------------- endings


@pytest.mark.parametrize("protocol", ["HTTP/1.1", "HTTP/1.0"])
async def test_an_answer_that_breaks_off_never_looks_complete(protocol: str) -> None:
    async def fail(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for _ in body:
            pass
        yield b"half"
        raise Overloaded("gave out")

    async with serving(FakeTransport(fail)) as server:
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await ask(server, post(FETCH, 4).replace("HTTP/1.1", protocol), b"0000")


async def test_a_client_that_goes_away_in_its_answer_leaves_nothing_running() -> None:
    transport = FakeTransport(hold)
    async with serving(transport) as server:
        async with wire(server) as connection:
            await connection.send(post(FETCH, 4), b"0000")
            assert (await connection.head())[0] == 200
            assert await connection.chunk() == b"first"
            connection.reset()
        await until(lambda: server.requests_in_flight == 0)
        assert server.admission.running == 0
    assert transport.ends == ["CancelledError"]


async def test_a_client_that_goes_away_while_bytes_flow_ends_the_flow() -> None:
    async def flood(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for _ in body:
            pass
        while True:
            yield bytes(100_000)

    transport = FakeTransport(flood)
    async with serving(transport) as server:
        async with wire(server) as connection:
            await connection.send(post(FETCH, 4), b"0000")
            for _ in range(3):
                await within(connection.reader.readexactly(100_000))
            connection.reset()
        await until(lambda: server.requests_in_flight == 0)
    assert transport.ends[0] in {"CancelledError", "GeneratorExit"}


async def test_a_reader_that_takes_nothing_is_given_up() -> None:
    produced = 0

    async def flood(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        nonlocal produced
        async for _ in body:
            pass
        while True:
            produced += 1 << 20
            yield bytes(1 << 20)

    transport = FakeTransport(flood)
    async with serving(transport, bounds=HttpBounds(idle_ms=200)) as server, wire(server) as connection:
        connection.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await connection.send(post(FETCH, 4), b"0000")
        await until(lambda: transport.ends != [])
    assert transport.ends == ["GeneratorExit"]
    assert produced < 256 << 20


def _is_past(due: float) -> bool:
    return asyncio.get_running_loop().time() >= due


async def test_a_reader_that_takes_a_little_now_and_then_is_kept() -> None:
    """One piece of 16 MiB needs much longer than `idle_ms` here, but bytes are taken all the time."""
    size = 16 << 20

    async def big(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for _ in body:
            pass
        yield bytes(size)

    bounds = HttpBounds(idle_ms=400, piece_bytes=size)
    transport = FakeTransport(big)
    async with serving(transport, bounds=bounds) as server, wire(server) as connection:
        await connection.send(post(FETCH, 4), b"0000")
        await connection.head()
        await within(connection.reader.readuntil(b"\r\n"))
        loop = asyncio.get_running_loop()
        started, taken = loop.time(), 0
        while taken < size:
            await until(partial(_is_past, started + 1.2 * taken / size))
            part = min(256 << 10, size - taken)
            await within(connection.reader.readexactly(part))
            taken += part
        assert loop.time() - started > 2 * bounds.idle_ms / 1_000
    assert transport.ends == ["end"]


async def test_a_request_that_takes_too_long_is_answered_and_stopped() -> None:
    async def never(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        assert body
        await asyncio.Event().wait()
        yield b""

    transport = FakeTransport(never)
    async with serving(transport, config(limits=LimitSettings(fetch_ms_max=20, push_ms_max=20))) as server:
        fetch = await ask(server, post(FETCH, 0))
        push = await ask(server, post(PUSH, 0))
    assert [fetch.status, push.status] == [504, 504]
    assert "the request took too long" in fetch.text
    assert "fetch to see whether it took effect" in push.text
    assert transport.ends == ["CancelledError", "CancelledError"]


async def test_a_connection_without_a_request_is_closed() -> None:
    async with serving(FakeTransport(), bounds=HttpBounds(header_ms=50)) as server:
        async with wire(server) as silent:
            assert await silent.is_closed()
        async with wire(server) as slow:
            await slow.send(b"GET / HTTP/1.1\r\nHost: te")
            assert await slow.is_closed()
        async with wire(server) as resting:
            await resting.send(get("/healthz"))
            assert (await resting.reply()).status == 200
            assert await resting.is_closed()


# ---------------------------------------------------------------- places


async def test_packs_beyond_the_limit_wait_and_then_are_refused() -> None:
    limits = LimitSettings(packs_per_repository=1, queue_per_repository=1, queue_wait_ms=60_000)
    transport = FakeTransport(hold)
    async with serving(transport, config(limits=limits)) as server, wire(server) as first, wire(server) as second:
        await first.send(post(FETCH, 4), b"0000")
        await first.head()
        await second.send(post(FETCH, 4), b"0000")
        await until(lambda: server.requests_in_flight == 2)
        refused = await ask(server, post(FETCH, 4), b"0000")
        assert refused.status == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert (await ask(server, get(REFS))).status == 200
        assert len(transport.requests) == 2
        first.reset()
        assert (await second.head())[0] == 200


async def test_a_client_that_waits_for_a_place_is_not_told_to_go_on() -> None:
    limits = LimitSettings(packs_per_repository=1, queue_wait_ms=20)
    async with serving(FakeTransport(hold), config(limits=limits)) as server, wire(server) as first:
        await first.send(post(FETCH, 4), b"0000")
        await first.head()
        refused = await ask(server, post(PUSH, 1 << 30, Expect="100-continue"))
    assert refused.status == 429


async def test_a_full_node_refuses_requests_at_the_door() -> None:
    async with serving(FakeTransport(hold), bounds=HttpBounds(requests_max=1)) as server, wire(server) as first:
        await first.send(post(FETCH, 4), b"0000")
        await first.head()
        refused = await ask(server, get(REFS))
        assert (await ask(server, get("/healthz"))).status == 200
    assert refused.status == 503
    assert "retry-after" in refused.headers


async def test_a_reader_that_is_given_up_alarms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def big(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for _ in body:
            pass
        yield bytes(64 << 20)

    bounds = HttpBounds(idle_ms=100, piece_bytes=64 << 20)
    async with serving(FakeTransport(big), bounds=bounds) as server, wire(server) as connection:
        connection.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await connection.send(post(FETCH, 4), b"0000")
        await until(lambda: server.requests_in_flight == 1)
        await until(lambda: server.requests_in_flight == 0)
    loud = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.name for record in loud] == ["meshnode.access"]  # the request failed; that is all
