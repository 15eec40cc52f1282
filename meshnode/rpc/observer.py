"""Makes the access line of a call out of what the pipeline knows of it; knows nothing of what the call did.

Tokens, bodies and metadata never reach it, so they cannot reach a log. Who, how much and how long come from the
pipeline; of what, how new and where are read from the messages by what the protos say of them, so no servicer has to
tell. A servicer may add facts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message

from meshnode.base.ids import NodeId
from meshnode.rpc.method import Method
from meshnode.telemetry.access import Access, AccessLog
from meshnode.telemetry.logs import logger
from meshnode.v1 import common_pb2
from meshnode.wire.position import generation_in

SERVER: Final = "grpc"
REPOSITORY_CHARACTERS_MAX: Final = 256
"""Of a name that was refused; one that is valid is shorter."""

_LOG: Final = logger(__name__)
_LEVELS: Final = {
    common_pb2.CONSISTENCY_LEVEL_ANY: "any",
    common_pb2.CONSISTENCY_LEVEL_AT_LEAST: "at_least",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """A call that has ended."""

    method: Method
    code: str
    """gRPC status name; CANCELLED where the client went away."""
    detail: str
    duration_ms: int
    git_ms: float
    caller: str
    actor: str
    peer: str
    request_id: str
    is_forwarded: bool
    is_aborted: bool
    bytes_in: int
    bytes_out: int
    request: Message | None
    """The first one; None where none could be read."""
    answer: Message | bytes | None
    """The first one."""
    facts: dict[str, str | int]


class Observer:
    """Takes note of calls that end."""

    def __init__(self, own: NodeId, access: AccessLog | None = None) -> None:
        self._own = own
        self._access = access or AccessLog()

    def note(self, served: Served) -> None:
        """Count and log a call."""
        method = served.method
        facts = dict(served.facts)
        generation = facts.pop("generation", None)
        asked = _holder(served.request, method)
        self._access.note(
            Access(
                server=SERVER,
                method=method.path,
                kind=method.kind.name.lower(),
                node=self._own,
                caller=served.caller,
                actor=served.actor,
                peer=served.peer,
                request_id=served.request_id,
                repository=str(facts.pop("repository", "")) or _repository(asked, method),
                consistency=_consistency(asked, method),
                generation=generation if isinstance(generation, int) else _generation(served.answer, method),
                forwarded_to=str(facts.pop("forwarded_to", "")),
                is_forwarded=served.is_forwarded,
                bytes_in=served.bytes_in,
                bytes_out=served.bytes_out,
                duration_ms=served.duration_ms,
                git_ms=served.git_ms,
                outcome=served.code,
                detail=served.detail,
                is_aborted=served.is_aborted,
                is_introspection=method.is_introspection,
                facts=facts,
            )
        )

    def note_defect(self, method: Method, request_id: str, error: Exception) -> None:
        """Log an exception that nobody meant to raise, with its traceback: a human must look."""
        _LOG.exception("rpc_failed_unexpectedly", error, method=method.path, request_id=request_id)


def _holder(request: Any, method: Method) -> Any:
    """The message that names the repository: the request, or its header."""
    return getattr(request, "header") if request is not None and method.has_header else request  # noqa: B009


def _repository(asked: Any, method: Method) -> str:
    if asked is None or not method.name_field:
        return ""
    return str(getattr(asked, method.name_field))[:REPOSITORY_CHARACTERS_MAX]


def _consistency(asked: Any, method: Method) -> str:
    if asked is None or not method.has_consistency:
        return ""
    wanted: common_pb2.Consistency = asked.consistency
    level = _LEVELS.get(wanted.level, "verified")
    return f"{level}:{wanted.generation}" if level == "at_least" else level


def _generation(answer: Any, method: Method) -> int | None:
    if answer is None or not method.position_number:
        return None
    if isinstance(answer, bytes):
        return generation_in(answer, method.position_number)
    return int(answer.position.generation) if answer.HasField("position") else None
