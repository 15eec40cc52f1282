"""The access log: one line for each request that has ended, by RPC and by git over HTTP, in one shape.

    server, method, kind     what was asked              repository, consistency, generation   of what, how new
    caller, actor, peer      by whom                     bytes_in, bytes_out, duration_ms, git_ms    what it took
    node, forwarded_to       who took it, who answered   outcome, detail, http_status, is_aborted    how it ended

`docs/OPERATIONS.md` has the table with every field. Every line has every field: what a request does not have is "" or
null. A request that went through two nodes leaves a line at each, with one `request_id`: the first says
`forwarded_to`, the second `is_forwarded`. Rule: no token, no query string, no body reaches a line. A request that
failed is logged at warning (a defect at error), so a log level that leaves out what went well loses no failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Protocol

from meshnode.telemetry.logs import logger

EVENT: Final = "request_served"

OK: Final = "OK"
CANCELLED: Final = "CANCELLED"
"""The client went away; nobody has to do anything about it."""

_LOG: Final = logger("meshnode.access")
_DEFECT: Final = "INTERNAL"


@dataclass(kw_only=True, slots=True)
class Access:
    """What is known of a request when it has ended."""

    server: str
    """"grpc" or "http"."""
    method: str
    """Full gRPC method; over HTTP "info-refs/upload-pack", "upload-pack" and the same for pushes, "unknown"."""
    kind: str
    """"accessor", "mutator" or "maintenance"; "" where the request could not be read."""
    node: str
    """The node that took the request and writes the line."""
    caller: str = ""
    """Who signed: "app:<name>" or "node:<id>"; over HTTP the token's user, or "anonymous"."""
    actor: str = ""
    """On whose behalf; the caller, unless a node hands on what somebody asked."""
    peer: str = ""
    """Address it came from."""
    request_id: str = ""
    repository: str = ""
    consistency: str = ""
    """"verified", "at_least:<generation>" or "any"; "" for what is no read."""
    generation: int | None = None
    """Of the repository, that the answer stands for."""
    forwarded_to: str = ""
    """The node whose replica answered, or that was asked last; "" where it was this one."""
    is_forwarded: bool = False
    """Another node handed the request on to this one."""
    bytes_in: int = 0
    bytes_out: int = 0
    duration_ms: float = 0.0
    git_ms: float = 0.0
    """Time that git processes of this request ran on this node, added up."""
    outcome: str = OK
    """Name of the gRPC status, for HTTP too; `http_status` has the number."""
    http_status: int | None = None
    detail: str = ""
    """Why it failed."""
    is_aborted: bool = False
    """The answer was broken off in the middle."""
    git_version: int | None = None
    """Of git's protocol, over HTTP."""
    is_challenge: bool = False
    """Nothing but a request for a token: git's first try never has one. Not on the line."""
    is_introspection: bool = False
    """Health and reflection: too many and too dull for the log, unless they fail. Not on the line."""
    facts: Mapping[str, str | int] = field(default_factory=dict)
    """What else who served it has to say."""


class RequestMetrics(Protocol):
    """Where requests are counted: `telemetry.metrics.Metrics`."""

    def count_request(self, *, server: str, method: str, status: str, duration_s: float) -> None:
        """Count a request that ended."""
        ...

    def count_bytes(self, *, server: str, received: int = 0, sent: int = 0) -> None:
        """Count its bytes."""
        ...


class AccessLog:
    """Takes note of requests that end: a line, the counts, and whoever else wants to know."""

    def __init__(
        self, metrics: RequestMetrics | None = None, on_access: Callable[[Access], None] = lambda _access: None
    ) -> None:
        self._metrics = metrics
        self._on_access = on_access

    def note(self, access: Access) -> None:
        """Count a request and write its line."""
        if self._metrics is not None:
            status = access.outcome if access.http_status is None else str(access.http_status)
            self._metrics.count_request(
                server=access.server, method=access.method, status=status, duration_s=access.duration_ms / 1_000
            )
            self._metrics.count_bytes(server=access.server, received=access.bytes_in, sent=access.bytes_out)
        self._on_access(access)
        _write(access)


def _write(access: Access) -> None:
    if access.outcome in {OK, CANCELLED}:
        write = _LOG.debug if access.is_introspection else _LOG.info
    elif access.is_challenge or not access.kind:
        write = _LOG.info  # a port on a network gets a lot that is no request at all
    else:
        write = _LOG.error if access.outcome == _DEFECT else _LOG.warning
    write(
        EVENT,
        server=access.server,
        method=access.method,
        kind=access.kind,
        node=access.node,
        caller=access.caller,
        actor=access.actor,
        peer=access.peer,
        request_id=access.request_id,
        repository=access.repository,
        consistency=access.consistency,
        generation=access.generation,
        forwarded_to=access.forwarded_to,
        is_forwarded=access.is_forwarded,
        bytes_in=access.bytes_in,
        bytes_out=access.bytes_out,
        duration_ms=round(access.duration_ms, 1),
        git_ms=round(access.git_ms, 1),
        outcome=access.outcome,
        http_status=access.http_status,
        detail=access.detail,
        is_aborted=access.is_aborted,
        git_version=access.git_version,
        facts=access.facts,
    )


@dataclass(slots=True)
class GitTime:
    """Git processes of one request."""

    ms: float = 0.0


_GIT_TIME: ContextVar[GitTime | None] = ContextVar("meshnode_git_time", default=None)


@contextmanager
def counting_git_time() -> Iterator[GitTime]:
    """Add up the time of git processes that are started inside, in tasks begun there too."""
    counted = GitTime()
    token = _GIT_TIME.set(counted)
    try:
        yield counted
    finally:
        _GIT_TIME.reset(token)


def git_time_here() -> GitTime | None:
    """Where the time of a process that is started now counts; None outside of requests."""
    return _GIT_TIME.get()
