"""Calls to the members of an etcd cluster: one channel a member, so that it is known which one was asked.

    call() --> pick() a connected member, trusted ones first --> one RPC --> answer | failure, judged
                   ^                                                           |
                   +-- elsewhere, after a short pause <------------------------+

A channel of its own for each member (instead of one that balances over all) because only then is it known
before sending that a connection stands, TLS checks each member's own name, and a member that hangs with its
connection open (stopped, cut off) can be left aside.

Rule: a request is sent only over a connection that stands. One that changes something is never sent a second
time unless the first one provably had no effect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from meshnode.base.errors import CatalogUnavailable, OutcomeUnknown, Unauthenticated
from meshnode.catalog.etcd_errors import NO_AUTHENTICATION, Verdict, judge, refusal
from meshnode.catalog.etcd_settings import EtcdSettings
from meshnode.catalog.etcd_v3 import meshnode_etcd_pb2 as pb

SUSPECT_S: Final = 3.0
"""How long a member that did not answer is asked only where no other is connected."""
PAUSE_S: Final = (0.01, 0.02, 0.05, 0.1)
"""Between attempts; the last one repeats. An election takes a second (measured), a token a millisecond."""
CONNECT_POLL_S: Final = 0.01
ATTEMPT_SHARE_MIN: Final = 0.5
"""A change is not sent with less than this part of its time left: it would only end in doubt."""
ANSWER_BYTES_MAX: Final = 64 << 20

_OPTIONS: Final = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # etcd takes a ping every 5 s and hangs up on a client that sends more.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", ANSWER_BYTES_MAX),
)
_HAS_LEADER: Final = ("hasleader", "true")
"""etcd then refuses at once, before it looks at the request, while it knows no leader."""

Answer = TypeVar("Answer", bound=Message)


@dataclass(frozen=True, slots=True)
class Method(Generic[Answer]):
    """An RPC of etcd's and the message it answers with."""

    path: str
    answer: type[Answer]


_AUTHENTICATE: Final = Method("/etcdserverpb.Auth/Authenticate", pb.AuthenticateResponse)
_NO_TOKEN: Final = "-"  # noqa: S105 - stands for "this cluster asks for none"


@dataclass(slots=True, eq=False)
class Member:
    """One endpoint and its channel."""

    endpoint: str
    channel: grpc.aio.Channel
    suspect_until_s: float = 0.0
    unary: dict[str, Any] = field(default_factory=dict)

    def is_connected(self) -> bool:
        """Whether a connection stands; starts making one where it does not."""
        return self.channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY


class EtcdMembers:
    """The cluster as one thing to call."""

    def __init__(self, settings: EtcdSettings, shuffle: Callable[[list[Member]], None]) -> None:
        self._settings = settings
        self._members = [Member(endpoint, _channel(endpoint, settings)) for endpoint in settings.endpoints]
        # Nodes share one list of endpoints; each begins with another one.
        shuffle(self._members)
        self._token = ""
        self._login = asyncio.Lock()
        self._is_closed = False

    async def ask(self, method: Method[Answer], request: Message) -> Answer:
        """Call with a request that may be sent several times; tried on every member until the deadline.

        Raises:
            CatalogUnavailable: no answer within the deadline.
            InvalidRequest, Unauthenticated, Forbidden, NotFound: etcd refused it.
        """
        deadline_s = _now_s() + self._settings.deadline_ms / 1_000
        attempt_s = self._settings.deadline_ms / 4_000
        return await self._call(method, request, deadline_s, attempt_s, is_repeatable=True)

    async def change(self, method: Method[Answer], request: Message) -> Answer:
        """Call with a request that must be applied at most once. The answer is waited for half the deadline.

        The other half is what the caller needs to find out in time what became of it.

        Raises:
            CatalogUnavailable: surely not applied.
            OutcomeUnknown: sent, and whether it was or will be applied is not known.
            InvalidRequest, Unauthenticated, Forbidden, NotFound: etcd refused it; not applied.
        """
        deadline_s = _now_s() + self._settings.deadline_ms / 1_000
        attempt_s = self._settings.deadline_ms / 2_000
        return await self._call(method, request, deadline_s, attempt_s, is_repeatable=False)

    async def pick(self, deadline_s: float) -> Member:
        """A connected member, one under suspicion only if there is no other.

        Raises:
            CatalogUnavailable: none is connected by `deadline_s` (loop time), or this is closed.
        """
        while not self._is_closed:
            connected = [member for member in self._members if member.is_connected()]
            if connected:
                now_s = _now_s()
                return min(connected, key=lambda member: max(0.0, member.suspect_until_s - now_s))
            if _now_s() >= deadline_s:
                raise CatalogUnavailable("no etcd member can be reached", endpoints=",".join(self._settings.endpoints))
            await asyncio.sleep(CONNECT_POLL_S)
        raise CatalogUnavailable("the catalog is closed")

    def suspect(self, member: Member) -> None:
        """Prefer the other members for a while."""
        member.suspect_until_s = _now_s() + SUSPECT_S

    async def metadata(self, deadline_s: float) -> tuple[tuple[str, str], ...]:
        """What goes with each call: that a leader is wanted, and the token where there is a user."""
        if not self._settings.username:
            return (_HAS_LEADER,)
        if not self._token:
            await self._authenticate(deadline_s)
        return (_HAS_LEADER, ("token", self._token)) if self._token != _NO_TOKEN else (_HAS_LEADER,)

    def forget_token(self, metadata: Sequence[tuple[str, str]]) -> None:
        """Authenticate again before the next call, unless that has happened since `metadata` was made."""
        if ("token", self._token) in metadata or self._token == _NO_TOKEN:
            self._token = ""

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._is_closed

    async def close(self) -> None:
        """Close all channels; calls in flight fail."""
        self._is_closed = True
        await asyncio.gather(*(member.channel.close(None) for member in self._members))

    async def _call(
        self,
        method: Method[Answer],
        request: Message,
        deadline_s: float,
        attempt_s: float,
        *,
        is_repeatable: bool,
    ) -> Answer:
        """Attempt until answered, refused, possibly applied, or out of time."""
        attempt = 0
        while True:
            metadata = await self.metadata(deadline_s)
            member = await self.pick(deadline_s)
            timeout_s = min(attempt_s, deadline_s - _now_s())
            if timeout_s < attempt_s * ATTEMPT_SHARE_MIN and not is_repeatable:
                raise CatalogUnavailable("no etcd member was ready in time", endpoint=member.endpoint)
            try:
                return await self._attempt(member, method, request, metadata, max(timeout_s, 0.001))
            except grpc.aio.AioRpcError as error:
                code, details = error.code(), error.details() or ""
                cause: BaseException = error
            except asyncio.CancelledError as error:
                if not self._is_closed or _is_cancelling():
                    raise
                code, details, cause = grpc.StatusCode.CANCELLED, "closed while waiting", error
            verdict = judge(code, details)
            if verdict is Verdict.REFUSED and (refused := refusal(code, details)) is not None:
                raise refused from cause
            facts = {"endpoint": member.endpoint, "code": code.name, "detail": details[:200]}
            if verdict is Verdict.NEW_TOKEN:
                if not self._settings.username:
                    raise Unauthenticated("etcd asks for a user", **facts) from cause
                self.forget_token(metadata)
            else:
                self.suspect(member)
            if verdict is Verdict.UNKNOWN and not is_repeatable:
                raise OutcomeUnknown("etcd did not say whether it applied the request", **facts) from cause
            pause_s = PAUSE_S[min(attempt, len(PAUSE_S) - 1)]
            attempt += 1
            if self._is_closed or _now_s() + pause_s >= deadline_s:
                raise CatalogUnavailable("etcd takes no requests", **facts) from cause
            await asyncio.sleep(pause_s)

    async def _attempt(
        self,
        member: Member,
        method: Method[Answer],
        request: Message,
        metadata: Sequence[tuple[str, str]],
        timeout_s: float,
    ) -> Answer:
        call = member.unary.get(method.path)
        if call is None:
            call = member.channel.unary_unary(
                method.path,
                request_serializer=type(request).SerializeToString,
                response_deserializer=method.answer.FromString,
            )
            member.unary[method.path] = call
        result: Answer = await call(request, timeout=timeout_s, metadata=metadata)
        return result

    async def _authenticate(self, deadline_s: float) -> None:
        """Fetch a token; callers that need one meanwhile wait for this one."""
        async with self._login:
            if self._token:
                return
            if _now_s() >= deadline_s:
                raise CatalogUnavailable("etcd does not authenticate", endpoints=",".join(self._settings.endpoints))
            request = pb.AuthenticateRequest(name=self._settings.username, password=self._settings.password)
            attempt = 0
            while True:
                member = await self.pick(deadline_s)
                timeout_s = min(self._settings.deadline_ms / 4_000, deadline_s - _now_s())
                try:
                    answer = await self._attempt(member, _AUTHENTICATE, request, (_HAS_LEADER,), max(timeout_s, 0.001))
                except grpc.aio.AioRpcError as error:
                    details = error.details() or ""
                    if details.startswith(NO_AUTHENTICATION):
                        self._token = _NO_TOKEN
                        return
                    if (refused := refusal(error.code(), details)) is not None:
                        raise refused from error
                    self.suspect(member)
                    pause_s = PAUSE_S[min(attempt, len(PAUSE_S) - 1)]
                    attempt += 1
                    if _now_s() + pause_s >= deadline_s:
                        raise CatalogUnavailable("etcd does not authenticate", detail=details[:200]) from error
                    await asyncio.sleep(pause_s)
                else:
                    self._token = answer.token
                    return


def _channel(endpoint: str, settings: EtcdSettings) -> grpc.aio.Channel:
    if settings.credentials is None:
        return grpc.aio.insecure_channel(endpoint, options=_OPTIONS)
    return grpc.aio.secure_channel(endpoint, settings.credentials, options=_OPTIONS)


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _is_cancelling() -> bool:
    """Whether someone asked the current task to stop, as opposed to the channel having been closed under it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
