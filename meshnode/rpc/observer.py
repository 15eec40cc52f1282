"""Writes one log line a call and tells the metrics; knows nothing of what the call did.

Tokens, bodies and metadata never reach it, so they cannot reach a log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from meshnode.rpc.method import Method
from meshnode.telemetry.logs import logger

SERVER: Final = "grpc"

_LOG: Final = logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """A call that has ended."""

    method: Method
    code: str
    """gRPC status name; CANCELLED where the client went away."""
    detail: str
    duration_ms: int
    caller: str
    actor: str
    request_id: str
    is_forwarded: bool
    bytes_in: int
    bytes_out: int
    facts: dict[str, str | int]


class CallMetrics(Protocol):
    """Where calls are counted: `telemetry.metrics.Metrics`."""

    def count_request(self, *, server: str, method: str, status: str, duration_s: float) -> None:
        """Count a call that ended."""
        ...

    def count_bytes(self, *, server: str, received: int = 0, sent: int = 0) -> None:
        """Count its messages' bytes."""
        ...


class Observer:
    """Takes note of calls that end."""

    def __init__(self, metrics: CallMetrics | None = None) -> None:
        self._metrics = metrics

    def note(self, served: Served) -> None:
        """Count and log a call."""
        if self._metrics is not None:
            self._metrics.count_request(
                server=SERVER,
                method=served.method.path,
                status=served.code,
                duration_s=served.duration_ms / 1000,
            )
            self._metrics.count_bytes(server=SERVER, received=served.bytes_in, sent=served.bytes_out)
        write = _LOG.debug if served.method.is_introspection else _LOG.info
        write(
            "rpc_served",
            method=served.method.path,
            code=served.code,
            detail=served.detail,
            duration_ms=served.duration_ms,
            caller=served.caller,
            actor=served.actor,
            request_id=served.request_id,
            is_forwarded=served.is_forwarded,
            bytes_in=served.bytes_in,
            bytes_out=served.bytes_out,
            facts=served.facts,
        )

    def note_defect(self, method: Method, request_id: str, error: Exception) -> None:
        """Log an exception that nobody meant to raise, with its traceback: a human must look."""
        _LOG.exception("rpc_failed_unexpectedly", error, method=method.path, request_id=request_id)
