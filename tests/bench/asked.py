"""How calls of the Git API are measured: from the request message to the last answer message, both as objects, on a loop
that is running already, as it is in an application; by turns of `IN_A_ROW`, because a service is asked all day.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from google.protobuf.message import Message

from meshnode.auth.channel import SignedChannel
from tests.e2e.api.caller import Api

M = TypeVar("M", bound=Message)

IN_A_ROW: Final = 10
"""Calls, or git processes, of one turn: short answers are measured warm."""


def call(api: Api, method: str, request: Message, answer: type[M]) -> tuple[float, M]:
    """A unary call of the first node, by full method: seconds and answer."""

    async def run(channel: SignedChannel) -> tuple[float, M]:
        begin = time.perf_counter()
        body = await channel.unary(method, request.SerializeToString(), timeout_ms=60_000)
        found = answer.FromString(body)
        return time.perf_counter() - begin, found

    return api.run(run, 1)


def stream(api: Api, method: str, request: Message, answer: type[M]) -> tuple[float, list[M]]:
    """The same of a method whose answer is a stream: seconds, and all messages."""

    async def run(channel: SignedChannel) -> tuple[float, list[M]]:
        begin = time.perf_counter()
        async with channel.stream(method, request.SerializeToString(), timeout_ms=60_000) as messages:
            found = [answer.FromString(message) async for message in messages]
        return time.perf_counter() - begin, found

    return api.run(run, 1)


def seconds_of(work: Callable[[], object]) -> float:
    """How long something takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
