"""Notes each request of git's protocol once, at its end, in the shape of every access line (`telemetry/access.py`).

The line says who, what, how much, how long and which node's replica; the counts have few labels and no names.
Tokens and query strings are in neither.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

from meshnode.base.errors import MeshError, Unauthenticated
from meshnode.base.ids import Generation, NodeId
from meshnode.http.target import Step, Target
from meshnode.ports import Consistency, ConsistencyLevel, GitService
from meshnode.telemetry.access import CANCELLED, OK, Access, AccessLog

CLIENT_GONE: Final = 499
"""Here only, never sent: the client went away before its answer."""

SERVER_LABEL: Final = "http"


@dataclass(kw_only=True)
class AccessLine:
    """What is known of a request so far; written once, at its end."""

    peer: str
    own: NodeId
    request_id: str
    served_by: NodeId
    """Which node's replica answered; this node's id until one did."""
    target: Target | None = None
    has_token: bool = False
    actor: str = ""
    version: int | None = None
    consistency: Consistency | None = None
    status: int = CLIENT_GONE
    generation: Generation | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    is_aborted: bool = False
    cause: BaseException | None = None
    """Why it failed, None where it did not."""
    _started_s: float = field(default_factory=time.monotonic)

    def write(self, access: AccessLog, git_ms: float) -> None:
        """Emit the line and count the request."""
        target = self.target
        is_push = target is not None and _is_write(target)
        access.note(
            Access(
                server=SERVER_LABEL,
                method=_label(target),
                kind="" if target is None else ("mutator" if is_push else "accessor"),
                node=self.own,
                caller=self.actor,
                actor=self.actor,
                peer=self.peer,
                request_id=self.request_id,
                repository="" if target is None else target.name,
                consistency="" if self.consistency is None or is_push else _text_of(self.consistency),
                generation=self.generation,
                forwarded_to="" if self.served_by == self.own else self.served_by,
                bytes_in=self.bytes_in,
                bytes_out=self.bytes_out,
                duration_ms=(time.monotonic() - self._started_s) * 1_000,
                git_ms=git_ms,
                outcome=_outcome(self.cause, self.status),
                http_status=self.status,
                detail=_detail(self.cause),
                is_aborted=self.is_aborted,
                is_challenge=isinstance(self.cause, Unauthenticated) and not self.has_token,
                git_version=self.version,
            )
        )


def _is_write(target: Target) -> bool:
    return target.step is Step.EXCHANGE and target.service is GitService.RECEIVE_PACK


def _outcome(cause: BaseException | None, status: int) -> str:
    """The name of the gRPC status that the same end of a call would have."""
    match cause:
        case None if status != CLIENT_GONE:
            return OK
        case None | ConnectionError() | asyncio.CancelledError():
            return CANCELLED
        case MeshError():
            return CANCELLED if status == CLIENT_GONE else cause.code
        case _:
            return "INTERNAL"


def _detail(cause: BaseException | None) -> str:
    if cause is None:
        return ""
    return str(cause) if isinstance(cause, MeshError) else type(cause).__name__


def _text_of(consistency: Consistency) -> str:
    if consistency.level is ConsistencyLevel.AT_LEAST:
        return f"at_least:{consistency.generation}"
    return "any" if consistency.level is ConsistencyLevel.ANY else "verified"


def _label(target: Target | None) -> str:
    """One of five values: requests that could not be read are one kind."""
    if target is None:
        return "unknown"
    service = target.service.value.removeprefix("git-")
    return f"info-refs/{service}" if target.step is Step.ADVERTISE else service
