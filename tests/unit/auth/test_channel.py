"""Signed unary calls over a real gRPC server."""

from __future__ import annotations

import asyncio
import socket

import grpc
import pytest

from meshnode.auth.channel import CallFailed, SignedChannel
from meshnode.base.errors import InvalidRequest
from tests.unit.auth.echo import Echo, channel_to, running

SOON_MS = 20_000


async def fail(target: str, method: str, *, timeout_ms: int = SOON_MS) -> CallFailed:
    """Call a method that must fail."""
    async with channel_to(target) as channel:
        with pytest.raises(CallFailed) as failure:
            await channel.unary(method, b"question", timeout_ms=timeout_ms)
    return failure.value


async def until_answered(channel: SignedChannel, body: bytes) -> bytes:
    """Call again while nobody is there; gRPC tries to connect at most once a second."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await channel.unary("/echo/Echo", body, timeout_ms=SOON_MS)
            except CallFailed:
                await asyncio.sleep(0.02)


async def test_answer_comes_back_when_both_ends_are_believed() -> None:
    echo = Echo()
    async with running(echo) as target, channel_to(target) as channel:
        assert await channel.unary("/echo/Echo", b"question", timeout_ms=SOON_MS) == b"question"
        assert await channel.unary("/echo/Echo", b"", timeout_ms=SOON_MS, metadata=[("mesh-x", "1")]) == b""
        large = b"x" * (7 << 20)
        assert await channel.unary("/echo/Echo", large, timeout_ms=SOON_MS) == large
    assert echo.seen[0] == b"question"


async def test_many_calls_share_one_channel() -> None:
    async with running(Echo()) as target, channel_to(target) as channel:
        bodies = [b"%d" % number for number in range(30)]
        answers = await asyncio.gather(*(channel.unary("/echo/Echo", body, timeout_ms=SOON_MS) for body in bodies))
    assert answers == bodies


async def test_signed_refusal_is_the_peers_answer() -> None:
    async with running(Echo()) as target:
        failure = await fail(target, "/echo/RefuseOnTheWay")
    assert (failure.code, failure.detail) == (grpc.StatusCode.NOT_FOUND, "no such thing")
    assert failure.was_answered
    assert failure.trailing["mesh-error-bin"] == b'{"type":"NotFound"}'


async def test_unsigned_refusal_is_not_the_peers_answer() -> None:
    async with running(Echo()) as target:
        failure = await fail(target, "/echo/UnsignedRefusal")
    assert failure.code is grpc.StatusCode.NOT_FOUND
    assert not failure.was_answered


async def test_refusal_signed_by_another_node_is_not_the_peers_answer() -> None:
    async with running(Echo(identity="n1")) as target:
        failure = await fail(target, "/echo/RefuseOnTheWay")
    assert failure.code is grpc.StatusCode.NOT_FOUND
    assert not failure.was_answered


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("/echo/Unsigned", "not signed"),
        ("/echo/OtherRequest", "something else"),
        ("/echo/Forge", "another request"),
        ("/echo/Forget", "not those that were signed"),
    ],
)
async def test_answer_that_is_not_for_this_request_is_refused(method: str, reason: str) -> None:
    async with running(Echo()) as target:
        failure = await fail(target, method)
    assert failure.code is grpc.StatusCode.UNAUTHENTICATED
    assert reason in failure.detail
    assert not failure.was_answered


async def test_answer_of_an_impostor_is_refused() -> None:
    async with running(Echo(identity="n1")) as target:
        failure = await fail(target, "/echo/Echo")
    assert "not signed by the node that was asked" in failure.detail
    assert not failure.was_answered


async def test_request_for_another_audience_is_refused_by_the_server() -> None:
    async with running(Echo()) as target, channel_to(target, audience="n3") as channel:
        with pytest.raises(CallFailed, match="another audience"):
            await channel.unary("/echo/Echo", b"question", timeout_ms=SOON_MS)


async def test_method_that_the_server_does_not_have_is_no_answer_of_its_own() -> None:
    async with running(Echo()) as target:
        failure = await fail(target, "/other/Method")
    assert failure.code is grpc.StatusCode.UNIMPLEMENTED
    assert not failure.was_answered


async def test_server_that_is_not_there_fails_soon() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        failure = await asyncio.wait_for(fail(f"127.0.0.1:{unused.getsockname()[1]}", "/echo/Echo"), 10)
    assert failure.code is grpc.StatusCode.UNAVAILABLE
    assert not failure.was_answered


async def test_server_that_never_accepts_fails_within_the_time_to_connect() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # the kernel completes the handshake; nobody ever speaks HTTP/2
        target = f"127.0.0.1:{silent.getsockname()[1]}"
        async with channel_to(target, connect_ms=200) as channel:
            call = channel.unary("/echo/Echo", b"question", timeout_ms=60_000)
            with pytest.raises(CallFailed) as failure:
                await asyncio.wait_for(call, 20)
    assert failure.value.code is grpc.StatusCode.UNAVAILABLE


async def test_server_that_goes_away_during_a_call_is_a_broken_connection() -> None:
    echo = Echo()
    async with running(echo) as target:
        call = asyncio.create_task(fail(target, "/echo/Hang"))
        await asyncio.wait_for(echo.reached.wait(), 10)
    failure = await asyncio.wait_for(call, 10)
    assert failure.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    assert not failure.was_answered


async def test_restarted_server_is_found_again() -> None:
    async with running(Echo()) as target, channel_to(target) as channel:
        assert await channel.unary("/echo/Echo", b"1", timeout_ms=SOON_MS) == b"1"
    async with channel_to(target) as channel:
        with pytest.raises(CallFailed):
            await channel.unary("/echo/Echo", b"2", timeout_ms=SOON_MS)
        async with running(Echo(), address=target):
            assert await until_answered(channel, b"3") == b"3"


async def test_call_past_its_deadline_fails_without_an_answer() -> None:
    echo = Echo()
    async with running(echo) as target:
        failure = await fail(target, "/echo/Hang", timeout_ms=200)
        await asyncio.wait_for(echo.ended.wait(), 10)
    assert failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert not failure.was_answered


async def test_cancelled_call_is_cancelled_at_the_server() -> None:
    echo = Echo()
    async with running(echo) as target, channel_to(target) as channel:
        call = asyncio.create_task(channel.unary("/echo/Hang", b"question", timeout_ms=SOON_MS))
        await asyncio.wait_for(echo.reached.wait(), 10)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(echo.ended.wait(), 10)


async def test_closing_the_channel_fails_the_calls_that_run_and_cancels_nobody() -> None:
    echo = Echo()
    async with running(echo) as target, channel_to(target) as channel:
        call = asyncio.create_task(channel.unary("/echo/Hang", b"question", timeout_ms=SOON_MS))
        await asyncio.wait_for(echo.reached.wait(), 10)
        await channel.close()
        with pytest.raises(CallFailed) as failure:
            await call
        await channel.close()
    assert not failure.value.was_answered
    assert not call.cancelled()


async def test_call_without_an_end_is_not_made() -> None:
    async with channel_to("127.0.0.1:1") as channel:
        with pytest.raises(InvalidRequest, match="timeout"):
            await channel.unary("/echo/Echo", b"", timeout_ms=0)
        with pytest.raises(InvalidRequest, match="timeout"):
            channel.stream("/echo/Echo", b"", timeout_ms=-1)
