"""The messages of one call, both ways: counted, traced for the signatures, sent as fast as the client takes them.

    bytes -> checked, where it is the first -> traced -> parsed -> servicer -> serialised -> traced -> bytes

Rule: what is traced is what is on the wire, byte for byte; the trailer's signature covers it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc
from google.protobuf.message import Message

from meshnode.auth.responses import MessageTrace
from meshnode.base.errors import InvalidRequest, InvariantViolated
from meshnode.rpc.call import Answer, closing
from meshnode.rpc.method import Method
from meshnode.wire.message import parse
from meshnode.wire.transport import CONTINUE_KEY

Context = grpc.aio.ServicerContext[Any, Any]

FIRST_MESSAGE_MS: Final = 300
"""How long a refused stream's first message is waited for; it is sent together with the headers."""


class CallMessages:
    """What was read and written of one call."""

    def __init__(self, method: Method, context: Context, request: MessageTrace) -> None:
        self._method = method
        self._context = context
        self._is_rest_wanted = False
        self._sending = asyncio.Lock()
        self.request = request
        self.response = MessageTrace()
        self.first_answer: Answer | None = None
        self.bytes_in = 0
        self.bytes_out = 0

    async def requests(
        self, check: Callable[[bytes], None] | None, begin: Callable[[Message], Awaitable[None]]
    ) -> AsyncGenerator[Message, None]:
        """The messages of the request; `check` sees the first one's bytes, then `begin` what they say."""
        while (body := await self._context.read()) is not grpc.aio.EOF:
            self.bytes_in += len(body)
            if self.request.count == 0 and check is not None:
                check(body)
            self.request.note(body)
            message = parse(self._method.input, body)
            if self.request.count == 1:
                await begin(message)
            yield message
            if self.request.count == 1:
                await self.want_rest()

    async def want_rest(self) -> None:
        """Tell the caller to send what follows the first message; once, and not where it is answered already."""
        # A servicer may read the request in another task than the one that answers.
        async with self._sending:
            if not self._is_rest_wanted and self.response.count == 0:
                self._is_rest_wanted = True
                await self._context.send_initial_metadata(((CONTINUE_KEY, "1"),))

    async def answer(self, answers: AsyncIterator[Answer] | Awaitable[Answer]) -> None:
        """Send what the servicer gives, one message after the other, as fast as the client takes them."""
        if not self._method.is_answer_streaming:
            assert isinstance(answers, Awaitable)
            await self._write(await answers)
            return
        assert isinstance(answers, AsyncIterator)
        async with closing(answers):
            async for answer in answers:
                await self._write(answer)

    async def answer_but_last(self, answers: AsyncIterator[Answer]) -> bytes:
        """Send what the servicer gives, all but the last message, which is to be sent with the status."""
        held: Answer | None = None
        async with closing(answers):
            async for answer in answers:
                if held is not None:
                    await self._write(held)
                held = answer
        if held is None:
            raise InvariantViolated("an answer has no message", method=self._method.path)
        return self.note_answer(held)

    def note_answer(self, answer: Answer) -> bytes:
        """Count a message of the answer; its bytes."""
        if self.first_answer is None:
            self.first_answer = answer
        body = serialise(answer)
        self.response.note(body)
        self.bytes_out += len(body)
        return body

    async def drain(self, requests: AsyncIterator[Message]) -> None:
        """Read what is left of the request: an OK answer says that all of it was seen.

        Raises:
            InvalidRequest: there was no message at all.
        """
        async for _ in requests:
            pass
        if self.request.count == 0:
            raise InvalidRequest("request has no message", method=self._method.path)

    async def take_first(self) -> None:
        """Read the message that is surely on its way before the call is refused.

        A client of grpc.aio whose write is cut off by the refusal reports the cut, not the refusal.
        """
        if not self._method.is_streaming or self.request.count:
            return
        try:
            async with asyncio.timeout(FIRST_MESSAGE_MS / 1000):
                await self._context.read()
        except TimeoutError:
            return

    async def _write(self, answer: Answer) -> None:
        async with self._sending:
            await self._context.write(self.note_answer(answer))


def serialise(answer: Answer) -> bytes:
    """An answer's bytes."""
    return answer if isinstance(answer, bytes) else answer.SerializeToString()
