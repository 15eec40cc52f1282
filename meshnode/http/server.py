"""Listens for HTTP, sends each request to who answers it, and stops without breaking what is in flight.

    start:  bind -> 503 to git until the node's replicas are checked -> serve
    stop:   no new connections -> 503 to new requests -> wait `drain_ms` -> cancel the rest -> close

Routing is this module's own and not a framework's, because the path must be decoded exactly once and
`Expect: 100-continue` answered late. Connections that rest, or that take too long for a header, are closed.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from meshnode.base.errors import DeadlineExceeded, Draining, InvalidRequest, MeshError, Overloaded
from meshnode.base.ids import NodeId
from meshnode.config import Config
from meshnode.config.checks import is_loopback, parse_address
from meshnode.engine.lane import RETRY_AFTER_MS
from meshnode.engine.pack_admission import NODE_LIMIT, PackAdmission
from meshnode.http.bounds import HttpBounds
from meshnode.http.git_requests import GitRequests
from meshnode.http.identity import REALM, Gate, TokenVerifier
from meshnode.http.machine_pages import METHODS, MachinePages
from meshnode.http.reply import ReplyWriter
from meshnode.http.status import Refused, answer_of
from meshnode.ports import Activity, Transport
from meshnode.telemetry.access import AccessLog
from meshnode.telemetry.metrics import Metrics

_BACKLOG: Final = 512
"""Connections the kernel holds for us while a storm of clones arrives."""

_HEADER_LINE_BYTES: Final = 8_190
"""Request line and each header; names are at most 255 bytes and tokens some hundred."""

_HEADERS_MAX: Final = 64

_METHODS: Final = frozenset({"GET", "HEAD", "POST"})


class HttpServer:
    """The HTTP server of one node."""

    def __init__(  # noqa: PLR0917 - named once, in the composition root
        self,
        transport: Transport,
        activity: Activity,
        metrics: Metrics,
        users: TokenVerifier,
        config: Config,
        own: NodeId,
        *,
        admission: PackAdmission | None = None,
        access: AccessLog | None = None,
        bounds: HttpBounds | None = None,
    ) -> None:
        """Put the parts together; nothing is opened yet.

        Raises InvalidRequest where anonymous access is configured on an address that others can reach.
        """
        self._host, self._port = parse_address(config.listen.http)
        if config.auth.anonymous_http != "none" and not is_loopback(config.listen.http):
            raise InvalidRequest("anonymous http access needs a loopback listener", listen=config.listen.http)
        self._bounds = bounds or HttpBounds()
        self._own = own
        self._limits = config.limits
        self._activity = activity
        self.admission: Final = admission or PackAdmission(config.limits)
        self._pages = MachinePages(activity, metrics, self.admission, own=own)
        self._git = GitRequests(
            transport,
            Gate(users, config.auth),
            self.admission,
            metrics,
            access=access or AccessLog(metrics),
            config=config,
            own=own,
            bounds=self._bounds,
        )
        self._runner: web.ServerRunner | None = None
        self._site: web.TCPSite | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_stopping = False
        self._serving = 0

    @property
    def port(self) -> int:
        """The port it listens on; the kernel's choice where the configured one is 0."""
        return self._port

    @property
    def requests_in_flight(self) -> int:
        """Requests being answered."""
        return len(self._tasks)

    @property
    def git_requests_in_flight(self) -> int:
        """Those of them that are served: pages for machines and refusals are no work."""
        return self._serving

    async def start(self) -> None:
        """Listen and serve. Raises InvalidRequest where the address cannot be had."""
        server = web.Server(
            self._dispatch,
            handler_cancellation=True,
            keepalive_timeout=self._bounds.header_ms / 1_000,
            lingering_time=0,  # reply.py reads refused bodies away itself, within a bound of bytes too
            read_bufsize=self._bounds.piece_bytes,
            auto_decompress=False,  # request_body.py does it, within bounds
            max_line_size=_HEADER_LINE_BYTES,
            max_field_size=_HEADER_LINE_BYTES,
            max_headers=_HEADERS_MAX,
            access_log=None,
            logger=_CONNECTION_LOGGER,
        )
        runner = web.ServerRunner(server, shutdown_timeout=self._bounds.close_ms / 1_000)
        await runner.setup()
        site = web.TCPSite(runner, self._host, self._port, backlog=_BACKLOG)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise InvalidRequest(
                "cannot listen for http", address=f"{self._host}:{self._port}", cause=error.strerror
            ) from error
        self._port = int(runner.addresses[0][1])
        self._runner, self._site = runner, site

    async def stop(self, drain_ms: int) -> None:
        """Stop accepting, wait at most `drain_ms` for requests in flight, cut the rest off, close. Idempotent."""
        runner, site = self._runner, self._site
        self._runner = self._site = None
        if runner is None or site is None:
            return
        self._is_stopping = True
        try:
            await site.stop()
            if not await self._is_idle_within(drain_ms):
                for task in self._tasks:
                    task.cancel()
                await self._is_idle_within(self._bounds.close_ms)
        finally:
            await runner.cleanup()

    async def _is_idle_within(self, limit_ms: int) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_ms / 1_000):
                await self._idle.wait()
        return not self._tasks

    async def _dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._idle.clear()
        try:
            return await self._answer(request)
        finally:
            self._tasks.discard(task)
            if not self._tasks:
                self._idle.set()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        if request.method in METHODS:
            page = self._pages.answer(path, is_stopping=self._is_stopping)
            if page is not None:
                return page
        refusal = self._refusal(request)
        if refusal is None:
            self._serving += 1
            try:
                return await self._git.handle(request)
            finally:
                self._serving -= 1
        writer = ReplyWriter(request, own=self._own, bounds=self._bounds)
        with suppress(ConnectionError, DeadlineExceeded):
            await writer.send_whole(answer_of(refusal, realm=REALM))
        if self._is_stopping:
            writer.response.force_close()
        return writer.response

    def _refusal(self, request: web.BaseRequest) -> MeshError | None:
        """Why a request is not even looked at, None where it is."""
        if request.method not in _METHODS:
            return Refused(405, "git uses GET and POST only", headers={"Allow": "GET, POST"})
        if self._is_stopping:
            return Draining("this node stops; ask another one")
        if not (self._activity.is_ready() or self._activity.is_stopping()):
            return Draining("this node starts; ask another one")
        if self._activity.is_draining() and self._is_new_work(request):
            return Draining("this node is out of service; ask another one")
        if len(self._tasks) > self._bounds.requests_max:
            return Overloaded("too many requests at once", limit=NODE_LIMIT, retry_after_ms=RETRY_AFTER_MS)
        return None

    def _is_new_work(self, request: web.BaseRequest) -> bool:
        """Whether a draining node begins something with this request.

        What follows an answer of before goes on for a while: rounds of a fetch, the pack of a push. Whoever comes later has not
        asked for references first, or took very long about it; without a bound such clients would keep the node at work for ever.
        """
        if request.raw_path.partition("?")[0].endswith("/info/refs"):
            return True
        return self._activity.resting_ms() > self._limits.drain_ms


class _OnlyOurErrors(logging.Filter):
    """Drops what aiohttp says of malformed requests: the client was told, and a port on a network gets many."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_CONNECTION_LOGGER: Final = logging.getLogger("meshnode.http.connection")
_CONNECTION_LOGGER.addFilter(_OnlyOurErrors())
