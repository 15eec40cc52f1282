"""Notes each request of git's protocol once, at its end: a line in the log, and the counts.

The line says who, what, how much, how long and which node's replica; the counts have few labels and no names.
Tokens are in neither.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

from meshnode.base.ids import Generation, NodeId
from meshnode.http.target import Step, Target
from meshnode.telemetry.logs import logger
from meshnode.telemetry.metrics import Metrics

EVENT: Final = "git_request_served"

CLIENT_GONE: Final = 499
"""Here only, never sent: the client went away before its answer."""

SERVER_LABEL: Final = "http"

_LOG: Final = logger("meshnode.http.access")


@dataclass(kw_only=True)
class AccessLine:
    """What is known of a request so far; written once, at its end."""

    peer: str
    method: str
    served_by: NodeId
    """Which node's replica answered; this node's id until one did."""
    target: Target | None = None
    actor: str = ""
    version: int = 0
    status: int = CLIENT_GONE
    generation: Generation | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    is_aborted: bool = False
    cause: str = ""
    """Why it failed, "" where it did not."""
    _started_s: float = field(default_factory=time.monotonic)

    def write(self, metrics: Metrics) -> None:
        """Emit the line and count the request."""
        duration_s = time.monotonic() - self._started_s
        target = self.target
        _LOG.info(
            EVENT,
            actor=self.actor,
            repository=target.name if target else "",
            service=target.service.value if target else "",
            step=target.step.name.lower() if target else "",
            version=self.version,
            method=self.method,
            peer=self.peer,
            status=self.status,
            is_aborted=self.is_aborted,
            served_by=self.served_by,
            generation=self.generation,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            duration_ms=round(duration_s * 1_000, 1),
            cause=self.cause,
        )
        metrics.count_request(
            server=SERVER_LABEL, method=_label(target), status=str(self.status), duration_s=duration_s
        )
        metrics.count_bytes(server=SERVER_LABEL, received=self.bytes_in, sent=self.bytes_out)


def _label(target: Target | None) -> str:
    """One of five values: requests that could not be read are one kind."""
    if target is None:
        return "unknown"
    service = target.service.value.removeprefix("git-")
    return f"info-refs/{service}" if target.step is Step.ADVERTISE else service
