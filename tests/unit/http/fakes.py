"""Fakes at the ports of the HTTP server: a transport that records, users, activity, and a server around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from meshnode.base.errors import Unauthenticated
from meshnode.base.ids import Generation, NodeId, RepositoryName
from meshnode.config import (
    AuthSettings,
    CatalogSettings,
    Config,
    LimitSettings,
    ListenSettings,
    NodeSettings,
    PushSettings,
)
from meshnode.core.round import ReplicaKey
from meshnode.http.bounds import HttpBounds
from meshnode.http.server import HttpServer
from meshnode.ports import GitService, RepairProgress, Transport, TransportReply, TransportRequest
from meshnode.telemetry.metrics import Metrics

T = TypeVar("T")

OWN: Final = NodeId("n1")
ANSWERING: Final = NodeId("n2")
GENERATION: Final = Generation(7)
DEADLINE_S: Final = 20
"""Far beyond what any condition here takes, even on a busy machine."""

FETCH: Final = "/demo/requests.git/git-upload-pack"
PUSH: Final = "/demo/requests.git/git-receive-pack"
REFS: Final = "/demo/requests.git/info/refs?service=git-upload-pack"


@dataclass(frozen=True)
class FakeUser:
    name: str
    scopes: frozenset[str]
    prefix: str = ""

    def allows(self, repository: RepositoryName, scope: str) -> bool:
        return scope in self.scopes and repository.startswith(self.prefix)


class FakeUsers:
    """`reader-token` reads, `writer-token` writes too, `demo-token` writes below demo/ only."""

    def __init__(self) -> None:
        both = frozenset({"read", "write"})
        self._users = {
            "reader-token": FakeUser("rita", frozenset({"read"})),
            "writer-token": FakeUser("walt", both),
            "demo-token": FakeUser("dora", both, "demo/"),
        }

    def verify(self, token: str) -> FakeUser:
        try:
            return self._users[token]
        except KeyError as error:
            raise Unauthenticated("the token is not known") from error


@dataclass
class FakeActivity:
    ready: bool = True
    draining: bool = False
    resting: int = 0

    def is_ready(self) -> bool:
        return self.ready

    def is_stopping(self) -> bool:
        return False

    def is_draining(self) -> bool:
        return self.draining

    def resting_ms(self) -> int:
        return self.resting

    def is_drained(self) -> bool:
        return self.draining

    def repairs(self) -> list[RepairProgress]:
        return []

    def requests_in_flight(self) -> int:
        return 0

    def consistent_since_ms(self, key: ReplicaKey) -> int:
        assert key
        return 0


def metrics() -> Metrics:
    return Metrics(node=OWN, version="test")


Script = Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]


async def echo(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Answer with what comes, while it comes."""
    async for piece in body:
        yield piece


@dataclass
class FakeTransport:
    """Answers by a script; records what it was asked and how each answer's body ended."""

    script: Script = echo
    refuse: Exception | None = None
    requests: list[tuple[str, TransportRequest]] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    """For each body: "end", or the class of what ended it."""
    replies: list[TransportReply] = field(default_factory=list)
    """Held here, so that nothing but its reader ends a body."""

    async def info_refs(self, request: TransportRequest, service: GitService) -> TransportReply:
        return self._reply("info_refs " + service.value, request, _advertisement(), echo)

    async def upload_pack(self, request: TransportRequest, body: AsyncIterator[bytes]) -> TransportReply:
        return self._reply("upload_pack", request, body, self.script)

    async def receive_pack(self, request: TransportRequest, body: AsyncIterator[bytes]) -> TransportReply:
        return self._reply("receive_pack", request, body, self.script)

    def _reply(
        self, what: str, request: TransportRequest, body: AsyncIterator[bytes], script: Script
    ) -> TransportReply:
        self.requests.append((what, request))
        if self.refuse is not None:
            raise self.refuse
        self.replies.append(TransportReply(generation=GENERATION, node=ANSWERING, body=self._run(script(body))))
        return self.replies[-1]

    async def _run(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for piece in chunks:
                yield piece
        except BaseException as error:
            self.ends.append(type(error).__name__)
            raise
        self.ends.append("end")


async def hold(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Read everything, give one chunk, then nothing for ever."""
    async for _ in body:
        pass
    yield b"first"
    await asyncio.Event().wait()


async def _advertisement() -> AsyncIterator[bytes]:
    yield b"0000"


def config(
    *, anonymous: str = "write", limits: LimitSettings | None = None, push: PushSettings | None = None
) -> Config:
    return Config(
        node=NodeSettings(id=OWN, data=Path("unused")),
        catalog=CatalogSettings(url="sqlite:///unused"),
        listen=ListenSettings(http="127.0.0.1:0"),
        auth=AuthSettings(anonymous_http=anonymous),
        limits=limits or LimitSettings(),
        push=push or PushSettings(),
    )


@asynccontextmanager
async def serving(
    transport: Transport,
    settings: Config | None = None,
    *,
    activity: FakeActivity | None = None,
    bounds: HttpBounds | None = None,
) -> AsyncIterator[HttpServer]:
    """A server on a free port of loopback, stopped at the end without waiting."""
    server = HttpServer(
        transport, activity or FakeActivity(), metrics(), FakeUsers(), settings or config(), OWN, bounds=bounds
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop(0)


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Wire:
    """One connection, spoken to in raw bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *parts: bytes | str) -> None:
        for part in parts:
            self.writer.write(part.encode("latin-1") if isinstance(part, str) else part)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """The next status line and headers, names in lower case."""
        raw = await within(self.reader.readuntil(b"\r\n\r\n"))
        first, *lines = raw.decode("latin-1").strip().split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        return int(first.split()[1]), {name.lower(): value for name, value in pairs}

    async def reply(self) -> Reply:
        """A whole answer; raises IncompleteReadError where the body is cut off."""
        status, headers = await self.head()
        if headers.get("transfer-encoding") == "chunked":
            return Reply(status, headers, await within(self._chunks()))
        if "content-length" in headers:
            return Reply(status, headers, await within(self.reader.readexactly(int(headers["content-length"]))))
        return Reply(status, headers, await within(self.reader.read()))

    async def chunk(self) -> bytes:
        """One chunk of a chunked body, b"" for the last."""
        size = int((await within(self.reader.readuntil(b"\r\n"))).strip(), 16)
        return (await within(self.reader.readexactly(size + 2)))[:-2]

    async def is_closed(self) -> bool:
        """Wait for the server to close or reset; True unless it sends something instead."""
        try:
            return await within(self.reader.read(1)) == b""
        except ConnectionResetError:
            return True

    async def flood(self) -> None:
        """Send for ever; raises ConnectionError when nobody takes it any more."""
        while True:
            await self.send(bytes(1 << 20))

    def reset(self) -> None:
        """Go away without a word."""
        self.writer.transport.abort()

    async def _chunks(self) -> bytes:
        found = []
        while chunk := await self.chunk():
            found.append(chunk)
        return b"".join(found)


@asynccontextmanager
async def wire(server: HttpServer) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def within(awaitable: Awaitable[T]) -> T:
    """The awaitable's result; fails after a deadline."""
    async with asyncio.timeout(DEADLINE_S):
        return await awaitable


async def until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; fails after a deadline."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - any condition, not only one that somebody announces
            await asyncio.sleep(0.002)


def get(target: str, **headers: str) -> str:
    return _head("GET", target, headers)


def post(target: str, body_bytes: int | None = None, **headers: str) -> str:
    """A POST's head; None as the length means chunked. Names with _ become names with -."""
    service = target.rpartition("/")[2]
    framing = {"Transfer-Encoding": "chunked"} if body_bytes is None else {"Content_Length": str(body_bytes)}
    return _head("POST", target, {"Content_Type": f"application/x-{service}-request", **framing, **headers})


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


LAST_CHUNK: Final = b"0\r\n\r\n"


def _head(method: str, target: str, headers: dict[str, str]) -> str:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in {"Host": "test", **headers}.items()]
    return "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""])


async def ask(server: HttpServer, *parts: bytes | str) -> Reply:
    """One request on a connection of its own."""
    async with wire(server) as connection:
        await connection.send(*parts)
        return await connection.reply()
