"""Writes one line for each request of git's protocol: who, what, how much, how long, from where.

Fields travel in `extra`, so whatever formats the log decides how they look. Tokens are not among them.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import Final

from meshnode.base.ids import Generation, NodeId
from meshnode.http.target import Target

LOGGER: Final = logging.getLogger("meshnode.http.access")

EVENT: Final = "git request"

CLIENT_GONE: Final = 499
"""In the log only: the client went away before its answer."""


@dataclass(kw_only=True)
class AccessLine:
    """What is known of a request so far; written once, at its end."""

    peer: str
    method: str
    node: NodeId
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
    _started: float = field(default_factory=time.monotonic)

    def write(self) -> None:
        """Emit the line."""
        target = self.target
        LOGGER.info(
            EVENT,
            extra={
                "actor": self.actor,
                "repository": target.name if target else "",
                "service": target.service.value if target else "",
                "step": target.step.name.lower() if target else "",
                "version": self.version,
                "method": self.method,
                "peer": self.peer,
                "status": self.status,
                "is_aborted": self.is_aborted,
                "node": self.node,
                "generation": self.generation,
                "bytes_in": self.bytes_in,
                "bytes_out": self.bytes_out,
                "latency_ms": round((time.monotonic() - self._started) * 1_000, 1),
                "cause": self.cause,
            },
        )
