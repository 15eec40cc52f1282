"""Calls a cluster: any node, again where that is safe, never an older answer than one seen before.

    read    every node in turn, twice, with a pause between; long answers only until their first message
    write   the same, under one request key: a repetition of a write that took effect is answered as done
    upload  again only where the messages can be read again (a list, not an iterator)

What the last node said is raised in the end; where a write was sent and nobody said what became of it, that is
OutcomeUnknown, never a plain failure.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError, Message

from meshnode.auth.channel import CallFailed, SignedChannel
from meshnode.base.errors import (
    DeadlineExceeded,
    MeshError,
    OutcomeUnknown,
    Overloaded,
    PeerUnavailable,
    ReplicaBehind,
)
from meshnode.client.nodes import Nodes
from meshnode.client.positions import Positions
from meshnode.wire.status import error_from_call, is_turned_away, promises_nothing_written, retry_after_ms

CALL_MS: Final = 30_000
"""For one answer, all attempts together."""
STREAM_MS: Final = 3_600_000
"""For a long answer or an upload."""
PASSES_MAX: Final = 3
"""How often all nodes are asked."""
PAUSE_MS: Final = 200
"""Before the second pass; four times as long before the third. A node that was killed is replaced within 2 s."""

M = TypeVar("M", bound=Message)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """What a caller must know of a method."""

    path: str
    is_write: bool
    holder: tuple[str, ...]
    """Where in the request the fields below are: nowhere special, or in its header."""
    name_field: str
    """The field with the repository's name; "" for none."""
    has_request_key: bool
    has_consistency: bool


class Caller:
    """Signed calls with the retries that are safe."""

    def __init__(self, nodes: Nodes, positions: Positions) -> None:
        self._nodes = nodes
        self._positions = positions

    async def unary(self, method: Method, request: Message, answer: type[M], *, timeout_ms: int = CALL_MS) -> M:
        """One question, one answer. Raises MeshError."""
        prepared = self._prepared(method, request)

        async def ask(channel: SignedChannel, left_ms: int) -> M:
            body = await channel.unary(method.path, prepared.SerializeToString(), timeout_ms=left_ms)
            return _decoded(answer, body)

        response = await self._passes(method, prepared, ask, timeout_ms)
        self._note(method, prepared, response)
        return response

    async def upload(
        self,
        method: Method,
        requests: Iterable[Message] | AsyncIterator[Message],
        answer: type[M],
        *,
        timeout_ms: int = STREAM_MS,
    ) -> M:
        """Many messages, one answer. A list or tuple is sent again where that is safe. Raises MeshError."""
        messages = [*requests] if isinstance(requests, list | tuple) else None
        first: Message | None = None
        if messages:
            first = messages[0] = self._prepared(method, messages[0])
        source: AsyncIterator[Message] | None = None if messages is not None else _iterated(requests)
        is_spent = False

        async def ask(channel: SignedChannel, left_ms: int) -> M:
            nonlocal is_spent
            if is_spent:
                raise OutcomeUnknown("the upload was sent once and cannot be read again")
            is_spent = source is not None
            sent = _serialised(messages if source is None else source)
            async with channel.stream(method.path, sent, timeout_ms=left_ms) as stream:
                answers = [message async for message in stream]
            if len(answers) != 1:
                raise PeerUnavailable("node gave a senseless answer", messages=len(answers))
            return _decoded(answer, answers[0])

        response = await self._passes(method, first, ask, timeout_ms)
        if first is not None:
            self._note(method, first, response)
        return response

    async def stream(
        self,
        method: Method,
        request: Message | Iterable[Message] | AsyncIterator[Message],
        answer: type[M],
        *,
        timeout_ms: int = STREAM_MS,
    ) -> AsyncIterator[M]:
        """A long answer, message by message; another node is asked only before the first. Raises MeshError."""
        prepared = self._prepared(method, request) if isinstance(request, Message) else None
        has_begun = False
        attempts = _Attempts(self._nodes, timeout_ms)
        async for channel, left_ms in attempts:
            sent = _first_of(request) if prepared is None else prepared.SerializeToString()
            try:
                async with channel.stream(method.path, sent, timeout_ms=left_ms) as messages:
                    async for body in messages:
                        message = _decoded(answer, body)
                        if not has_begun and prepared is not None:
                            self._note(method, prepared, message)
                        has_begun = True
                        yield message
                return
            except CallFailed as failed:
                error = attempts.last = error_from_call(failed, self._nodes.node_of(channel))
                if has_begun or prepared is None or not _is_worth_another_node(method, error):
                    raise error from failed
                self._soften(method, prepared, error)
        raise attempts.outcome()

    async def _passes(
        self,
        method: Method,
        prepared: Message | None,
        ask: Callable[[SignedChannel, int], Awaitable[T]],
        timeout_ms: int,
    ) -> T:
        attempts = _Attempts(self._nodes, timeout_ms)
        may_have_written = False
        async for channel, left_ms in attempts:
            try:
                return await ask(channel, left_ms)
            except CallFailed as failed:
                error = error_from_call(failed, self._nodes.node_of(channel))
            except MeshError as raised:
                error = raised
            attempts.last = error
            may_have_written |= method.is_write and not promises_nothing_written(error)
            if not _is_worth_another_node(method, error):
                break
            if prepared is not None:
                self._soften(method, prepared, error)
        last = attempts.outcome()
        if may_have_written and not isinstance(last, OutcomeUnknown):
            raise OutcomeUnknown("the write was sent and no node said what became of it", last=str(last)) from last
        raise last

    def _prepared(self, method: Method, request: Message) -> Message:
        """A copy of the request with what makes it safe to repeat and never answered from the past."""
        copy = type(request)()
        copy.CopyFrom(request)
        holder = _holder(method, copy)
        if method.has_request_key and not holder.request_key:
            holder.request_key = uuid.uuid4().hex
        if method.has_consistency and method.name_field:
            self._positions.demand(getattr(holder, method.name_field), holder.consistency)
        return copy

    def _soften(self, method: Method, prepared: Message, error: MeshError) -> None:
        """After no replica had got as far as was seen before, ask what the catalog says: the name may be another's."""
        if isinstance(error, ReplicaBehind) and method.has_consistency and method.name_field:
            holder = _holder(method, prepared)
            self._positions.forget(getattr(holder, method.name_field), holder.consistency)

    def _note(self, method: Method, prepared: Message, response: Message) -> None:
        if method.name_field:
            self._positions.note(getattr(_holder(method, prepared), method.name_field), response)


class _Attempts:
    """Channels to ask, one after the other, each with the milliseconds it may take."""

    def __init__(self, nodes: Nodes, timeout_ms: int) -> None:
        self._nodes = nodes
        self._timeout_ms = timeout_ms
        self.last: MeshError | None = None
        """What the last attempt came to; written by whoever attempts."""

    async def __aiter__(self) -> AsyncIterator[tuple[SignedChannel, int]]:
        loop = asyncio.get_running_loop()
        expires_at = loop.time() + self._timeout_ms / 1000
        for number in range(PASSES_MAX):
            if number:
                left_s = max(expires_at - loop.time(), 0)
                await asyncio.sleep(min(left_s, _pause_ms(number, self.last) / 1000))
            for channel in self._nodes.in_order():
                left_ms = int((expires_at - loop.time()) * 1000)
                if left_ms <= 0:
                    return
                yield channel, left_ms
                self._nodes.put_last(channel)

    def outcome(self) -> MeshError:
        """What all attempts together came to."""
        return self.last or DeadlineExceeded("no time for a single attempt", timeout_ms=self._timeout_ms)


def _holder(method: Method, request: Message) -> Any:
    holder: Any = request
    for field in method.holder:
        holder = getattr(holder, field)
    return holder


def _is_worth_another_node(method: Method, error: MeshError) -> bool:
    if isinstance(error, OutcomeUnknown):
        return method.has_request_key
    if isinstance(error, PeerUnavailable):
        return not method.is_write or method.has_request_key or promises_nothing_written(error)
    return is_turned_away(error)


def _pause_ms(number: int, last: MeshError | None) -> float:
    if isinstance(last, Overloaded):
        return float(retry_after_ms(last))
    return PAUSE_MS * 4.0 ** (number - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - spreads callers, guards nothing


def _decoded(kind: type[M], body: bytes) -> M:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise PeerUnavailable("answer cannot be decoded", expected=kind.DESCRIPTOR.full_name) from error


async def _iterated(messages: Iterable[Message] | AsyncIterator[Message]) -> AsyncIterator[Message]:
    if isinstance(messages, AsyncIterator):
        async for message in messages:
            yield message
        return
    for message in messages:
        yield message


def _first_of(request: Message | Iterable[Message] | AsyncIterator[Message]) -> AsyncIterator[bytes]:
    assert not isinstance(request, Message)
    return _serialised(_iterated(request))


async def _serialised(messages: Sequence[Message] | AsyncIterator[Message] | None) -> AsyncIterator[bytes]:
    async with aclosing(_iterated(messages or [])) as each:  # type: ignore[type-var]
        async for message in each:
            yield message.SerializeToString()
