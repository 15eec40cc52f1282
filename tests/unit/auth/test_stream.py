"""Signed streams over a real gRPC server: bound at both ends, and nothing left behind however they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import grpc
import pytest

from meshnode.auth.channel import CallFailed, SignedStream
from meshnode.base.errors import InvalidRequest
from tests.unit.auth.echo import Echo, channel_to, running

SOON_MS = 20_000


class Source:
    """Request messages, and whether their iterator was closed."""

    def __init__(self, *messages: bytes, then: Exception | asyncio.Event | None = None) -> None:
        self._messages = messages
        self._then = then
        self.is_closed = False

    async def messages(self) -> AsyncIterator[bytes]:
        try:
            for message in self._messages:
                yield message
            if isinstance(self._then, Exception):
                raise self._then
            if self._then is not None:
                await self._then.wait()
        finally:
            self.is_closed = True


async def collect(stream: SignedStream) -> list[bytes]:
    return [message async for message in stream]


async def begin_and_read(stream: SignedStream) -> bytes:
    await stream.started()
    return await anext(stream)


def feeders() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("feed ")]


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_an_answer_that_is_complete_before_it_is_read_loses_nothing(count: int) -> None:
    """A call whose status is known is asked for no further message, so none may be left then."""
    messages = [b"%d" % number for number in range(count)]
    async with running(Echo()) as target, channel_to(target) as channel:

        async def let_all_arrive() -> None:
            """Another call there and back on the same connection: what was sent before it is here when it ends."""
            assert await collect(channel.stream("/echo/Echo", b"other", timeout_ms=SOON_MS)) == [b"other"]

        stream = channel.stream("/echo/Echo", Source(*messages).messages(), timeout_ms=SOON_MS)
        await stream.started()
        found: list[bytes] = []
        await let_all_arrive()
        async for message in stream:
            found.append(message)
            await let_all_arrive()
        assert found == messages


async def test_messages_go_both_ways_in_order() -> None:
    messages = [b"%d" % number * 1000 for number in range(50)]
    source = Source(*messages)
    async with running(Echo()) as target, channel_to(target) as channel:
        stream = channel.stream("/echo/Echo", source.messages(), timeout_ms=SOON_MS)
        assert await collect(stream) == messages
    assert source.is_closed
    assert feeders() == []


async def test_many_messages_may_have_one_answer() -> None:
    async with running(Echo()) as target, channel_to(target) as channel:
        stream = channel.stream("/echo/Last", Source(b"a", b"b", b"c").messages(), timeout_ms=SOON_MS)
        assert await collect(stream) == [b"c"]


async def test_single_message_needs_no_iterator() -> None:
    async with running(Echo()) as target, channel_to(target) as channel:
        stream = channel.stream("/echo/Echo", b"only", timeout_ms=SOON_MS)
        assert await collect(stream) == [b"only"]
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_started_returns_the_servers_metadata_before_any_answer() -> None:
    hold = asyncio.Event()
    source = Source(b"first", then=hold)
    async with running(Echo()) as target, channel_to(target) as channel:
        async with channel.stream("/echo/Last", source.messages(), timeout_ms=SOON_MS) as stream:
            assert (await stream.started())["mesh-position"] == "7"
            hold.set()
            assert await collect(stream) == [b"first"]


async def test_nothing_is_sent_before_the_stream_is_begun() -> None:
    source = Source(b"first")
    async with running(Echo()) as target, channel_to(target) as channel:
        stream = channel.stream("/echo/Echo", source.messages(), timeout_ms=SOON_MS)
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        with pytest.raises(InvalidRequest, match="closed"):
            await stream.started()


async def test_request_without_messages_is_refused() -> None:
    async with running(Echo()) as target, channel_to(target) as channel:
        with pytest.raises(InvalidRequest, match="no message"):
            await collect(channel.stream("/echo/Echo", Source().messages(), timeout_ms=SOON_MS))


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("/echo/Unsigned", "not signed"),
        ("/echo/Append", "not those that were signed"),
        ("/echo/Forget", "not those that were signed"),
        ("/echo/Forge", "another request"),
        ("/echo/OtherRequest", "something else"),
    ],
)
async def test_answer_that_was_tampered_with_raises_after_the_last_message(method: str, reason: str) -> None:
    async with running(Echo()) as target, channel_to(target) as channel:
        stream = channel.stream(method, Source(b"a", b"b").messages(), timeout_ms=SOON_MS)
        assert [await anext(stream), await anext(stream)] == [b"a", b"b"]
        with pytest.raises(CallFailed, match=reason) as failure:
            await collect(stream)
    assert failure.value.code is grpc.StatusCode.UNAUTHENTICATED
    assert not failure.value.was_answered


async def test_ok_before_the_whole_request_was_read_is_refused() -> None:
    source = Source(b"a", then=asyncio.Event())
    async with running(Echo()) as target, channel_to(target) as channel:
        with pytest.raises(CallFailed, match="before it had the whole request"):
            await collect(channel.stream("/echo/Impatient", source.messages(), timeout_ms=SOON_MS))
    assert source.is_closed
    assert feeders() == []


@pytest.mark.parametrize("method", ["/echo/RefuseAtOnce", "/echo/RefuseOnTheWay"])
async def test_refusal_ends_a_request_that_is_still_being_sent(method: str) -> None:
    source = Source(b"a", b"b", then=asyncio.Event())
    async with running(Echo()) as target, channel_to(target) as channel:
        with pytest.raises(CallFailed) as failure:
            await collect(channel.stream(method, source.messages(), timeout_ms=SOON_MS))
    assert failure.value.code is grpc.StatusCode.NOT_FOUND
    assert failure.value.was_answered
    assert source.is_closed
    assert feeders() == []


async def test_refusal_reaches_whoever_waits_for_the_start() -> None:
    source = Source(b"a", then=asyncio.Event())
    async with running(Echo()) as target, channel_to(target) as channel:
        stream = channel.stream("/echo/RefuseAtOnce", source.messages(), timeout_ms=SOON_MS)
        with pytest.raises(CallFailed) as failure:
            await begin_and_read(stream)
    assert failure.value.was_answered
    assert source.is_closed


async def test_message_before_a_failure_is_not_lost_to_whoever_waits_for_the_start() -> None:
    async with running(Echo()) as target, channel_to(target) as channel:
        async with channel.stream("/echo/OneThenRefuse", b"a", timeout_ms=SOON_MS) as stream:
            await stream.started()
            assert await anext(stream) == b"a"
            with pytest.raises(CallFailed) as failure:
                await anext(stream)
    assert failure.value.was_answered


@pytest.mark.parametrize("sent", [(), (b"a", b"b")], ids=["before the first message", "on the way"])
async def test_error_of_the_source_comes_out_and_the_call_is_cancelled(sent: tuple[bytes, ...]) -> None:
    echo = Echo()
    source = Source(*sent, then=KeyError("lost"))
    async with running(echo) as target, channel_to(target) as channel:
        with pytest.raises(KeyError, match="lost"):
            await collect(channel.stream("/echo/Last", source.messages(), timeout_ms=SOON_MS))
        if sent:
            await asyncio.wait_for(echo.ended.wait(), 10)
    assert source.is_closed
    assert feeders() == []


async def test_closing_a_stream_cancels_it_at_the_server_and_closes_its_source() -> None:
    echo = Echo()
    source = Source(b"a", then=asyncio.Event())
    async with running(echo) as target, channel_to(target) as channel:
        stream = channel.stream("/echo/Echo", source.messages(), timeout_ms=SOON_MS)
        assert await anext(stream) == b"a"
        await stream.aclose()
        await stream.aclose()
        await asyncio.wait_for(echo.ended.wait(), 10)
    assert source.is_closed
    assert feeders() == []


async def test_stream_closed_by_another_task_fails_its_reader_and_cancels_nobody() -> None:
    echo = Echo()
    source = Source(b"a", then=asyncio.Event())
    async with running(echo) as target, channel_to(target) as channel:
        stream = channel.stream("/echo/Last", source.messages(), timeout_ms=SOON_MS)
        reader = asyncio.create_task(collect(stream))
        await asyncio.wait_for(echo.reached.wait(), 10)
        await stream.aclose()
        with pytest.raises(CallFailed, match="closed while") as failure:
            await reader
    assert failure.value.code is grpc.StatusCode.CANCELLED
    assert not reader.cancelled()
    assert source.is_closed
    assert feeders() == []


async def test_cancelled_reader_leaves_nothing_behind() -> None:
    echo = Echo()
    source = Source(b"a", then=asyncio.Event())
    async with running(echo) as target, channel_to(target) as channel:
        stream = channel.stream("/echo/Last", source.messages(), timeout_ms=SOON_MS)
        reader = asyncio.create_task(collect(stream))
        await asyncio.wait_for(echo.reached.wait(), 10)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        await asyncio.wait_for(echo.ended.wait(), 10)
        assert source.is_closed
        assert feeders() == []


async def test_server_that_goes_away_on_the_way_is_a_broken_connection() -> None:
    source = Source(b"a", then=asyncio.Event())
    async with AsyncExitStack() as stack:
        async with running(Echo()) as target:
            channel = await stack.enter_async_context(channel_to(target))
            stream = channel.stream("/echo/Echo", source.messages(), timeout_ms=SOON_MS)
            assert await anext(stream) == b"a"
        with pytest.raises(CallFailed) as failure:
            await collect(stream)
    assert failure.value.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    assert not failure.value.was_answered
    assert source.is_closed


async def test_deadline_ends_a_stream_that_stands_still() -> None:
    source = Source(b"a", then=asyncio.Event())
    async with running(Echo()) as target, channel_to(target) as channel:
        with pytest.raises(CallFailed) as failure:
            await collect(channel.stream("/echo/Echo", source.messages(), timeout_ms=300))
    assert failure.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert not failure.value.was_answered
    assert source.is_closed


async def test_reader_that_is_slow_holds_the_source_back() -> None:
    drawn = 0

    async def plenty() -> AsyncIterator[bytes]:
        nonlocal drawn
        for _ in range(200):
            drawn += 1
            yield b"x" * (1 << 18)

    async with running(Echo()) as target, channel_to(target) as channel:
        async with channel.stream("/echo/Echo", plenty(), timeout_ms=SOON_MS) as stream:
            await stream.started()
            before = -1
            while before != drawn:
                before = drawn
                await asyncio.sleep(0.1)
            assert drawn < 200
            assert len(await collect(stream)) == 200
