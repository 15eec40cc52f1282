"""Takes a streaming call to the node that can answer it: the same candidates in the same order as `rpc/forward.py`.

    long answers   another candidate is asked only while no message of the answer has been passed on
    uploads        another candidate is asked only while nothing but the first message has been sent: the node that
                   takes the request says "go on" first (`wire.transport.CONTINUE_KEY`)

After that nobody else can be given the same stream, and what went wrong is the caller's to know.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf.message import Message

from meshnode.auth.answers import CallFailed
from meshnode.auth.stream import SignedStream
from meshnode.base.errors import (
    DeadlineExceeded,
    InvalidRequest,
    MeshError,
    OutcomeUnknown,
    PeerUnavailable,
    ReadOnly,
    ReplicaBehind,
)
from meshnode.base.ids import NodeId, RepositoryName, parse_repository_name
from meshnode.ports import Clock, Entropy, Membership, Router
from meshnode.rpc.call import Answer, Call, closing, first_message, forwarding_metadata
from meshnode.rpc.forward import ELSEWHERE_READ, ELSEWHERE_WRITE, Route, is_read_here_first, is_worth_elsewhere
from meshnode.telemetry.logs import bind
from meshnode.wire.reads import consistency_of, request_key_of
from meshnode.wire.status import error_from_call, promises_nothing_written
from meshnode.wire.transport import CONTINUE_KEY

LocalStream = Callable[[Any, Call], AsyncIterator[Answer]]
LocalUpload = Callable[[Any, AsyncIterator[Any], Call], Coroutine[Any, Any, Answer]]


class StreamForwarding(Protocol):
    """What opens a stream to another node: `peer.grpc.GrpcPeers`."""

    async def open_stream(
        self,
        node: NodeId,
        method: str,
        messages: AsyncIterator[bytes] | bytes,
        timeout_ms: int,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> SignedStream:
        """A signed stream; the caller closes it. Raises PeerUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Upload:
    """A streamed request."""

    first: Message
    """The first message."""
    header: Any
    """The part of `first` with the repository's name and a `request_key`, which is filled in where it is empty."""
    rest: AsyncIterator[Any]
    """The messages after it."""


class StreamForwarder:
    """Routes streaming calls of one node."""

    def __init__(
        self,
        *,
        own: NodeId,
        router: Router,
        membership: Membership,
        remote: StreamForwarding,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._own = own
        self._router = router
        self._membership = membership
        self._remote = remote
        self._clock = clock
        self._entropy = entropy

    async def answers(self, route: Route, request: Any, call: Call, local: LocalStream) -> AsyncGenerator[Answer, None]:
        """A long answer to one request: from here by `local`, or from another node.

        Raises:
            MeshError: what the last candidate said.
        """
        name = _noted(route, request, call)
        if call.is_forwarded:
            async with closing(local(request, call)) as here:
                async for answer in here:
                    yield answer
            return
        consistency = consistency_of(request.consistency)
        body = request.SerializeToString()
        candidates = [self._own] if is_read_here_first(self._router, name, consistency) else []
        is_hint = bool(candidates)
        while True:
            if not candidates:
                is_hint = False
                candidates = await self._router.read_candidates(name, consistency)
                if not candidates:
                    raise ReplicaBehind("no replica can answer at this consistency level just now", repository=name)
            node, *candidates = candidates
            if node == self._own:
                call.facts.pop("forwarded_to", None)
            source = local(request, call) if node == self._own else self._pass_on(node, body, call, len(candidates) + 1)
            has_begun = False
            try:
                async with closing(source) as parts:
                    async for part in parts:
                        has_begun = True
                        yield part
                return
            except MeshError as error:
                self._note_failure(name, node, error)
                is_last = not candidates and not is_hint
                if has_begun or is_last or not is_worth_elsewhere(error, ELSEWHERE_READ):
                    raise

    async def upload(self, route: Route, upload: Upload, call: Call, local: LocalUpload) -> Answer:
        """The one answer to a stream of messages.

        Raises:
            MeshError: what the last candidate said, or OutcomeUnknown where one may have written.
        """
        header = upload.header
        name = _noted(route, header, call)
        if call.is_forwarded:
            return await local(upload.first, upload.rest, call)
        if not request_key_of(header.request_key):
            header.request_key = self._entropy.new_id()
        call.facts["request_key"] = header.request_key
        candidates = await self._router.write_candidates(name)
        if not candidates:
            raise ReadOnly("no node can coordinate a write just now", repository=name)
        source = _Source(upload)
        for position, node in enumerate(candidates):
            try:
                if node == self._own:
                    call.facts.pop("forwarded_to", None)
                    return await local(upload.first, source.local(), call)
                return await self._hand_over(node, source, call)
            except MeshError as error:
                self._note_failure(name, node, error)
                is_last = position + 1 == len(candidates)
                if source.is_touched and node != self._own and not promises_nothing_written(error):
                    if isinstance(error, OutcomeUnknown):
                        raise
                    raise OutcomeUnknown(
                        "the request was sent and its answer was lost; repeat it with the same request key",
                        request_key=header.request_key,
                        node=node,
                    ) from error
                if source.is_touched or is_last or not is_worth_elsewhere(error, ELSEWHERE_WRITE):
                    raise
        raise AssertionError("a pass over candidates returns or raises")

    async def _pass_on(self, node: NodeId, body: bytes, call: Call, left: int) -> AsyncGenerator[Answer, None]:
        """The answer of `node`; its first message must come in time for the candidates after it to have their share.

        Raises:
            PeerUnavailable: it did not.
        """
        stream = await self._open(node, body, call)
        first_ms = (call.deadline_ms - self._clock.monotonic_ms()) // left
        async with stream:
            try:
                try:
                    async with asyncio.timeout(None if left == 1 else first_ms / 1_000) as waiting:
                        first = await anext(stream, None)
                except TimeoutError as error:
                    if not waiting.expired():
                        raise
                    raise PeerUnavailable(
                        "node did not begin to answer in time", node=node, time_ms=first_ms
                    ) from error
                if first is None:
                    return
                yield first
                async for message in stream:
                    yield message
            except CallFailed as failed:
                raise error_from_call(failed, node) from failed

    async def _hand_over(self, node: NodeId, source: _Source, call: Call) -> bytes:
        held = source.remote()
        stream = await self._open(node, held, call)
        async with stream:
            try:
                if CONTINUE_KEY in await stream.started():
                    source.release()
                answers = [message async for message in stream]
            except CallFailed as failed:
                raise error_from_call(failed, node) from failed
        if len(answers) != 1:
            raise PeerUnavailable("node gave a senseless answer", node=node, messages=len(answers))
        return answers[0]

    async def _open(self, node: NodeId, messages: AsyncIterator[bytes] | bytes, call: Call) -> SignedStream:
        left_ms = call.deadline_ms - self._clock.monotonic_ms()
        if left_ms <= 0:
            raise DeadlineExceeded("no time left to ask another node", node=node)
        call.facts["forwarded_to"] = node
        return await self._remote.open_stream(node, call.method.path, messages, left_ms, forwarding_metadata(call))

    def _note_failure(self, name: RepositoryName, node: NodeId, error: MeshError) -> None:
        self._router.note_refusal(name, node, error)
        if isinstance(error, PeerUnavailable) and node != self._own:
            self._membership.suspect(node)


class _Source:
    """The messages of an upload: the first as often as wanted, the rest once, when somebody takes the request."""

    def __init__(self, upload: Upload) -> None:
        self._first = upload.first
        self._rest = upload.rest
        self._released = asyncio.Event()
        self.is_touched = False

    def release(self) -> None:
        """Let the rest go."""
        self._released.set()

    async def local(self) -> AsyncIterator[Message]:
        """The rest, for a servicer of this node."""
        self.is_touched = True
        async for message in self._rest:
            yield message

    async def remote(self) -> AsyncIterator[bytes]:
        """All messages as bytes, for another node; what one node was promised is not sent to the next."""
        released = self._released = asyncio.Event()
        yield self._first.SerializeToString()
        await released.wait()
        self.is_touched = True
        async for message in self._rest:
            yield message.SerializeToString()


async def upload_of(requests: AsyncIterator[Any]) -> Upload:
    """A streamed request whose first message is its header. Raises InvalidRequest."""
    first = await first_message(requests)
    if first.WhichOneof("part") != "header":
        raise InvalidRequest("the first message must be the header")
    return Upload(first=first, header=first.header, rest=requests)


def _noted(route: Route, request: Any, call: Call) -> Any:
    name = parse_repository_name(getattr(request, route.name_field))
    call.facts["repository"] = name
    bind(repository=name)
    return name
