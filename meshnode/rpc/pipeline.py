"""Runs every call through the same steps, so that no servicer can forget one.

    token -> role -> draining, place -> first message parsed -> on record, where it is an administrative act
          -> servicer -> status -> outcome on record -> signed trailer -> log line

Messages are raw bytes here (`rpc/call_messages.py`): what was signed is what is checked. Of `rpc/`, `except Exception`
stands only in this module; an unknown exception becomes INTERNAL and its text stays in the log. Every answer to a known
caller is signed, errors too, so a caller can tell this node's refusal from a broken way. A call whose client went away
is cancelled where it waits, and what it started is closed before its place is free again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import grpc
from google.protobuf.message import Message

from meshnode.auth.responses import RESPONSE_METADATA, MessageTrace, ResponseSigner
from meshnode.auth.tokens import AUTHORIZATION, UnknownKey, VerifiedRequest
from meshnode.base.errors import (
    DeadlineExceeded,
    MeshError,
    OutcomeUnknown,
    Unauthenticated,
)
from meshnode.base.ids import NodeId
from meshnode.config import LimitSettings
from meshnode.ports import Clock, Entropy
from meshnode.rpc.acts import Act, Acts, note_refused
from meshnode.rpc.admission import Admission, check_role
from meshnode.rpc.call import Call, Handler, actor_and_forwarding, peer_of, request_id_of
from meshnode.rpc.call_messages import CallMessages, Context
from meshnode.rpc.key_search import KeySearch
from meshnode.rpc.method import Kind, Method
from meshnode.rpc.observer import Observer, Served
from meshnode.telemetry.access import GitTime, counting_git_time
from meshnode.telemetry.logs import bind
from meshnode.wire.message import parse
from meshnode.wire.status import Status, status_of

Unary = Callable[[bytes, Context], Awaitable[bytes]]
Streaming = Callable[[Any, Context], Awaitable[None]]

ANSWER_HEADSTART: Final = 0.95
"""Share of the caller's deadline after which this node stops, so that its signed answer still arrives."""

OK: Final = Status(grpc.StatusCode.OK, "")


class Verifier(Protocol):
    """What checks tokens: `auth.tokens.RequestVerifier`."""

    def verify(
        self, authorization: str, *, method: str, body: bytes | None, is_replay_refused: bool
    ) -> VerifiedRequest:
        """Check the `authorization` value of a call. Raises Unauthenticated, Overloaded."""
        ...


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The steps around every call of one server."""

    own: NodeId
    verifier: Verifier
    keys: KeySearch
    signer: ResponseSigner
    admission: Admission
    clock: Clock
    entropy: Entropy
    observer: Observer
    acts: Acts
    limits: LimitSettings
    is_open_introspection: bool

    def unary(self, method: Method, run: Handler) -> Unary:
        """The handler of a unary method, from bytes to bytes."""

        async def answer(exchange: _Exchange, request: Message, call: Call) -> bytes:
            return exchange.messages.note_answer(await run(request, call))

        return self._of_one_message(method, answer)

    def answering(self, method: Method, run: Handler) -> Unary:
        """The handler of a method that answers one message with a stream of at least one.

        To gRPC it is a unary one that writes all messages but the last by the way: the last goes out together with the
        status, which a stream's handler cannot do. On the wire there is no difference.
        """

        async def answer(exchange: _Exchange, request: Message, call: Call) -> bytes:
            return await exchange.messages.answer_but_last(run(_only(request), call))

        return self._of_one_message(method, answer)

    def _of_one_message(self, method: Method, answer: Callable[[_Exchange, Message, Call], Awaitable[bytes]]) -> Unary:
        """The handler of a method whose request is one message; `answer` gives the last of the answer's."""

        async def serve(body: bytes, context: Context) -> bytes:
            exchange = _Exchange(self, method, context, MessageTrace.of(body))
            exchange.messages.bytes_in = len(body)
            last = b""
            async with exchange.ending():
                await exchange.authenticate(body)
                with self.admission.enter(exchange.caller, method):
                    call = exchange.call(body)
                    request = parse(method.input, body)
                    await exchange.begin(request)
                    async with exchange.deadline(call):
                        last = await answer(exchange, request, call)
            return last

        return serve

    def streaming(self, method: Method, run: Handler) -> Streaming:
        """The handler of a method that streams in at least one direction."""

        async def serve(_: object, context: Context) -> None:
            exchange = _Exchange(self, method, context, MessageTrace())
            async with exchange.ending():
                await exchange.authenticate(None)
                with self.admission.enter(exchange.caller, method):
                    call = exchange.call(b"")
                    async with exchange.deadline(call), aclosing(exchange.requests()) as requests:
                        await exchange.messages.answer(run(requests, call))
                        await exchange.messages.drain(requests)

        return serve


class _Exchange:
    """One call on its way through the steps."""

    def __init__(self, pipeline: Pipeline, method: Method, context: Context, request: MessageTrace) -> None:
        self._pipeline = pipeline
        self._method = method
        self._context = context
        self.messages = CallMessages(method, context, request)
        self._metadata: dict[str, str | bytes] = {}
        for key, value in context.invocation_metadata() or ():
            self._metadata.setdefault(key, value)
        self._verified: VerifiedRequest | None = None
        self._call: Call | None = None
        self._act: Act | None = None
        self._asked: Message | None = None
        self._git_time = GitTime()
        self._peer = peer_of(context.peer())
        self._request_id = request_id_of(self._metadata, pipeline.entropy.new_id())
        self._started_ms = pipeline.clock.monotonic_ms()
        self._is_on_record = False

    @property
    def caller(self) -> Any:
        """Who calls; None for introspection and joins without a token."""
        return None if self._verified is None else self._verified.caller

    @property
    def _caller_name(self) -> str:
        return "" if self._verified is None else self._verified.caller.issuer

    async def authenticate(self, body: bytes | None) -> None:
        """Check token and role. Raises Unauthenticated, Forbidden, Overloaded.

        A key that is not known may be one that was listed a moment ago: then the list is read once more.
        """
        try:
            self._verify(body)
        except UnknownKey:
            if not await self._pipeline.keys.look():
                raise
            self._verify(body)
        check_role(self.caller, self._method)

    def _verify(self, body: bytes | None) -> None:
        """Check the token.

        Where introspection is open, a token that does not fit is as good as none: a client that sends one token with
        everything, such as grpcurl, asks reflection with the token of the method it is about to call. A method that
        is open to whoever can prove an invitation is no different.
        """
        authorization = self._metadata.get(AUTHORIZATION, "")
        is_open = self._method.is_open or (self._method.is_introspection and self._pipeline.is_open_introspection)
        try:
            if authorization or not is_open:
                self._verified = self._pipeline.verifier.verify(
                    authorization if isinstance(authorization, str) else "",
                    method=self._method.path,
                    body=body,
                    is_replay_refused=self._method.is_replay_refused,
                )
        except Unauthenticated:
            if not is_open:
                raise

    def call(self, body: bytes) -> Call:
        """What the servicer is told."""
        actor, is_forwarded = actor_and_forwarding(self.caller, self._metadata)
        self._call = Call(
            node=self._pipeline.own,
            method=self._method,
            caller=self.caller,
            actor=actor,
            request_id=self._request_id,
            is_forwarded=is_forwarded,
            deadline_ms=self._started_ms + self._time_ms(),
            want_rest=self.messages.want_rest,
            body=body,
        )
        return self._call

    async def begin(self, request: Message) -> None:
        """Take note of what is asked for, on record where it is an administrative act.

        Raises:
            CatalogUnavailable: it cannot be put on record, so it must not begin.
        """
        self._asked = request
        if self._verified is not None and self._call is not None:
            self._act = await self._pipeline.acts.begin(
                request, self._call, key_id=self._verified.key_id, peer=self._peer
            )

    def requests(self) -> AsyncGenerator[Message, None]:
        """The messages of the request; the first is checked against the token."""
        check = None if self._verified is None else self._verified.check_body
        return self.messages.requests(check, self.begin)

    @asynccontextmanager
    async def deadline(self, call: Call) -> AsyncIterator[None]:
        """Stop what runs when the call's time is over."""
        left_ms = max(0, call.deadline_ms - self._pipeline.clock.monotonic_ms())
        try:
            async with asyncio.timeout(left_ms / 1000) as timeout:
                yield
        except TimeoutError as error:
            if not timeout.expired():
                raise
            if self._method.kind is Kind.ACCESSOR:
                raise DeadlineExceeded("request took too long", time_ms=left_ms) from error
            # The servicer was stopped somewhere: whether before or after its commit point is not known here.
            raise OutcomeUnknown("request took too long; its outcome is not known", time_ms=left_ms) from error

    @asynccontextmanager
    async def ending(self) -> AsyncIterator[None]:
        """Turn however the call ends into a status, sign it, and take note."""
        bind(request_id=self._request_id)
        with counting_git_time() as self._git_time:
            async with self._noted():
                yield

    @asynccontextmanager
    async def _noted(self) -> AsyncIterator[None]:
        status = Status(grpc.StatusCode.CANCELLED, "client went away")
        try:
            try:
                yield
                status = OK
            except MeshError as error:
                status = status_of(error)
                if status.code is grpc.StatusCode.INTERNAL:
                    self._pipeline.observer.note_defect(self._method, self._request_id, error)
            except Exception as error:  # noqa: BLE001 - the one place; see the module's rule
                status = status_of(error)
                self._pipeline.observer.note_defect(self._method, self._request_id, error)
            await self._end_act(status)
            await self._close(status)
        finally:
            try:
                await self._end_act(status)
            finally:
                self._note(status)

    async def _end_act(self, status: Status) -> None:
        """Say how an administrative act ended; once, whichever way the call ends."""
        act, self._act = self._act, None
        if act is not None:
            self._is_on_record = True
            await act.end(status)

    async def _close(self, status: Status) -> None:
        if status is not OK and not self._method.is_streaming:
            self.messages.response = MessageTrace()
        trailing = list(status.trailing)
        if self._verified is not None:
            trailing.append((RESPONSE_METADATA, self._sign(self._verified, status)))
        if status is OK:
            self._context.set_trailing_metadata(tuple(trailing))
        else:
            await self.messages.take_first()
            await self._context.abort(status.code, status.detail, tuple(trailing))

    def _sign(self, verified: VerifiedRequest, status: Status) -> str:
        request, response = self.messages.request, self.messages.response
        return self._pipeline.signer.response_token(
            audience=verified.caller.issuer,
            in_reply_to=verified.jti,
            status=status.code.name,
            first=response.first,
            last=response.last,
            count=response.count,
            request_last=request.last,
            request_count=request.count,
            detail=status.detail,
            trailing=status.trailing,
        )

    def _time_ms(self) -> int:
        remaining = self._context.time_remaining()
        limits = self._pipeline.limits
        limit = max(limits.fetch_ms_max, limits.push_ms_max) if self._method.is_streaming else limits.unary_ms_max
        return limit if remaining is None else min(limit, int(remaining * 1000 * ANSWER_HEADSTART))

    def _note(self, status: Status) -> None:
        call = self._call
        is_forwarded = call is not None and call.is_forwarded
        if self._method.is_audited and not self._is_on_record and not is_forwarded:
            note_refused(self._method, status, who=self._caller_name, peer=self._peer)
        # From the loop's next turn: the answer goes out when the handler returns, and need not wait for its line.
        asyncio.get_running_loop().call_soon(
            self._pipeline.observer.note,
            Served(
                method=self._method,
                code=status.code.name,
                detail=status.detail,
                duration_ms=self._pipeline.clock.monotonic_ms() - self._started_ms,
                git_ms=self._git_time.ms,
                caller=self._caller_name,
                actor=self._caller_name if call is None else call.actor,
                peer=self._peer,
                request_id=self._request_id,
                is_forwarded=is_forwarded,
                bytes_in=self.messages.bytes_in,
                bytes_out=self.messages.bytes_out,
                is_aborted=status is not OK and self.messages.response.count > 0,
                request=self._asked,
                answer=self.messages.first_answer,
                facts={} if call is None else call.facts,
            ),
        )


async def _only(request: Message) -> AsyncIterator[Message]:
    """A request of one message as those are given that stream."""
    yield request
