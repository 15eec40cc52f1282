"""Serves git's smart HTTP over the Transport port: the three requests of gitprotocol-http(5).

    target and headers -> caller -> place in the queue -> Transport -> first chunk -> 200, and the rest as it comes

The order is the rule: what can be refused is refused before the body is asked for, and the status is sent only
when the first chunk of the answer is there, so an error at the start of the work is still a status with a line of
text. After that an error can only break the connection off. However a request ends, the answer's body is closed,
and with it everything that works behind it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from meshnode.base.errors import DeadlineExceeded, MeshError, OutcomeUnknown, Overloaded
from meshnode.base.ids import NodeId
from meshnode.config import Config
from meshnode.engine.pack_admission import NODE_LIMIT, REPOSITORY_LIMIT, PackAdmission
from meshnode.http.access_log import CLIENT_GONE, SERVER_LABEL, AccessLine
from meshnode.http.bounds import HttpBounds
from meshnode.http.identity import REALM, Gate
from meshnode.http.reply import ReplyWriter
from meshnode.http.request_body import RequestBody
from meshnode.http.status import Refused, answer_of
from meshnode.http.target import Step, Target, parse_consistency, parse_protocol_version, parse_target
from meshnode.ports import GitService, Transport, TransportReply, TransportRequest
from meshnode.telemetry.access import AccessLog, counting_git_time
from meshnode.telemetry.logs import bound, logger
from meshnode.telemetry.metrics import Metrics

_LOG: Final = logger("meshnode.http")

GENERATION_HEADER: Final = "Mesh-Generation"
NODE_HEADER: Final = "Mesh-Node"
CONSISTENCY_HEADER: Final = "Mesh-Consistency"


class GitRequests:
    """Answers requests of git's protocol."""

    def __init__(
        self,
        transport: Transport,
        gate: Gate,
        admission: PackAdmission,
        metrics: Metrics,
        *,
        access: AccessLog,
        config: Config,
        own: NodeId,
        bounds: HttpBounds,
    ) -> None:
        self._transport = transport
        self._gate = gate
        self._admission = admission
        self._metrics = metrics
        self._access = access
        self._config = config
        self._own = own
        self._bounds = bounds

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request and write its line to the log; whatever happens, nothing is left running."""
        request_id = uuid.uuid4().hex
        line = AccessLine(peer=request.remote or "", own=self._own, served_by=self._own, request_id=request_id)
        writer = ReplyWriter(request, own=self._own, bounds=self._bounds)
        exchange = _Exchange(request, writer, line)
        with (
            bound(request_id=request_id),
            counting_git_time() as git_time,
            self._metrics.request_in_flight(SERVER_LABEL),
        ):
            try:
                await self._serve(exchange)
                line.status = 200
            except Exception as error:  # noqa: BLE001 - this is the interceptor: every error becomes an answer
                await self._fail(exchange, error)
            except asyncio.CancelledError as error:
                line.cause = line.cause or error
                writer.abort()
                raise
            finally:
                exchange.close()
                line.write(self._access, git_time.ms)
        return writer.response

    async def _serve(self, exchange: _Exchange) -> None:
        request, line = exchange.request, exchange.line
        target = line.target = parse_target(request.method, request.raw_path)
        line.version = parse_protocol_version(request.headers.getall("Git-Protocol", ()), target.service)
        consistency = line.consistency = parse_consistency(request.headers.get(CONSISTENCY_HEADER))
        authorization = request.headers.get("Authorization")
        line.has_token = authorization is not None
        line.actor = self._gate.check_access(authorization, target.name, target.service)
        wanted = TransportRequest(
            name=target.name,
            actor=line.actor,
            version=line.version,
            consistency=consistency,
            may_create=target.service is GitService.RECEIVE_PACK and self._config.push.is_create_on_push,
        )
        if target.step is Step.ADVERTISE:
            async with _within(self._config.limits.fetch_ms_max):
                reply = await self._transport.info_refs(wanted, target.service)
                await _stream(exchange, reply, target, prefix=_service_header(target.service, line.version))
        else:
            await self._exchange(exchange, target, wanted)
        await exchange.writer.finish()

    async def _exchange(self, exchange: _Exchange, target: Target, wanted: TransportRequest) -> None:
        _check_content_type(exchange.request, target.service)
        is_push = target.service is GitService.RECEIVE_PACK
        limits, push = self._config.limits, self._config.push
        body = exchange.body = RequestBody(
            exchange.request,
            bytes_max=push.pack_bytes_max + push.commands_max * self._bounds.command_bytes_max
            if is_push
            else self._bounds.fetch_request_bytes_max,
            bounds=self._bounds,
        )
        limit = _within(limits.push_ms_max, is_write=True) if is_push else _within(limits.fetch_ms_max)
        async with self._admission.place(target.name), limit:
            serve = self._transport.receive_pack if is_push else self._transport.upload_pack
            with self._metrics.pack_in_flight(target.service.value.removeprefix("git-")):
                reply = await serve(wanted, body)
                await _stream(exchange, reply, target)

    async def _fail(self, exchange: _Exchange, error: Exception) -> None:
        """Answer an error, or break off an answer that has begun."""
        writer, line = exchange.writer, exchange.line
        if exchange.body is not None and exchange.body.failure is not None:
            error = exchange.body.failure
        answer = answer_of(error, realm=REALM)
        line.cause = error
        if isinstance(error, Overloaded):
            self._metrics.count_refused(_limit_of(error))
        if answer.is_defect and not (writer.is_client_gone and isinstance(error, ConnectionError)):
            _LOG.exception("git_request_failed", error, facts=error.fields if isinstance(error, MeshError) else {})
        if writer.is_client_gone:
            return
        if writer.is_started:
            line.status = 200
            writer.abort()
            return
        try:
            await writer.send_whole(answer)
            line.status = answer.status
        except (ConnectionError, DeadlineExceeded):
            writer.abort()
            line.status = CLIENT_GONE


class _Exchange:
    """What belongs to one request while it is served."""

    def __init__(self, request: web.BaseRequest, writer: ReplyWriter, line: AccessLine) -> None:
        self.request = request
        self.writer = writer
        self.line = line
        self.body: RequestBody | None = None

    def close(self) -> None:
        """Note the totals; a body that somebody still holds gives nothing more."""
        if self.body is not None:
            self.line.bytes_in = self.body.bytes_received
            self.body.close()
        self.line.bytes_out = self.writer.bytes_out
        self.line.is_aborted = self.writer.is_aborted


async def _stream(exchange: _Exchange, reply: TransportReply, target: Target, *, prefix: bytes = b"") -> None:
    """Send an answer chunk by chunk; its body is closed in any case."""
    writer, line = exchange.writer, exchange.line
    line.generation, line.served_by = reply.generation, reply.node
    chunks = reply.body
    try:
        first = await anext(chunks, b"")
        if exchange.body is not None:
            exchange.body.forgo_continue()
        await writer.start(_headers(reply, target))
        if prefix or first:
            await writer.write(prefix + first)
        async for chunk in chunks:
            await writer.write(chunk)
    finally:
        await _close(chunks)


async def _close(chunks: AsyncIterator[bytes]) -> None:
    """Close an answer's body where it can be closed; generators can."""
    close = getattr(chunks, "aclose", None)
    if close is not None:
        await close()


def _limit_of(error: Overloaded) -> str:
    """Which limit was reached; a label, so only values known here."""
    limit = error.fields.get("limit")
    return limit if limit in {NODE_LIMIT, REPOSITORY_LIMIT} else "transport"


def _headers(reply: TransportReply, target: Target) -> Mapping[str, str]:
    kind = "advertisement" if target.step is Step.ADVERTISE else "result"
    return {
        "Content-Type": f"application/x-{target.service.value}-{kind}",
        GENERATION_HEADER: str(reply.generation),
        NODE_HEADER: reply.node,
    }


def _service_header(service: GitService, version: int) -> bytes:
    """The pkt-lines in front of an advertisement of version 0 or 1; version 2 has none (http-backend.c)."""
    if version == 2:
        return b""
    text = f"# service={service.value}\n".encode()
    return f"{len(text) + 4:04x}".encode() + text + b"0000"


def _check_content_type(request: web.BaseRequest, service: GitService) -> None:
    expected = f"application/x-{service.value}-request"
    if request.headers.get("Content-Type", "").strip().lower() != expected:
        raise Refused(415, f"content-type must be {expected}")


@asynccontextmanager
async def _within(limit_ms: int, *, is_write: bool = False) -> AsyncIterator[None]:
    """Stop work that takes longer than `limit_ms`.

    Raises:
        DeadlineExceeded: a read took too long.
        OutcomeUnknown: a write did; it may have passed its commit point just before.
    """
    try:
        async with asyncio.timeout(limit_ms / 1_000) as deadline:
            yield
    except TimeoutError as error:
        if not deadline.expired():
            raise
        if is_write:
            raise OutcomeUnknown(
                "the push took too long; fetch to see whether it took effect", limit_ms=limit_ms
            ) from error
        raise DeadlineExceeded("the request took too long", limit_ms=limit_ms) from error
