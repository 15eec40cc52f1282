"""The error tree: what the caller should do decides the class.

Messages are lower-case facts; values go into `fields`. Adapters wrap foreign exceptions at their edge with
`raise ... from`. `wire/status.py` maps each class to a gRPC status.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

Fact: TypeAlias = str | int | float | bool | None


class MeshError(Exception):
    """Base of every error this project raises on purpose."""

    code: ClassVar[str] = "INTERNAL"
    nothing_written: ClassVar[bool] = True
    """Whether this error promises that the request took no effect (an `ng` may carry it)."""

    def __init__(self, message: str, **fields: Fact) -> None:
        super().__init__(message)
        self.message = message
        self.fields: dict[str, Fact] = fields

    def __str__(self) -> str:
        facts = ", ".join(f"{name}={value}" for name, value in self.fields.items())
        return f"{self.message} ({facts})" if facts else self.message


class InvalidRequest(MeshError):
    """The request can never succeed as it is. Fix the request."""

    code = "INVALID_ARGUMENT"


class Unauthenticated(MeshError):
    """No token, or one that does not verify. Fix the request."""

    code = "UNAUTHENTICATED"


class Forbidden(MeshError):
    """A known caller without the right. Fix the request."""

    code = "PERMISSION_DENIED"


class RepositoryNotFound(MeshError):
    """No repository of that name or id. Do not retry."""

    code = "NOT_FOUND"


class NotFound(MeshError):
    """Something else that was named does not exist (a reference, a node). Do not retry."""

    code = "NOT_FOUND"


class RepositoryExists(MeshError):
    """The name is taken. Do not retry."""

    code = "ALREADY_EXISTS"


class RefConflict(MeshError):
    """A reference is not at its expected old value. Re-read, then retry the whole write."""

    code = "ABORTED"


class Fenced(MeshError):
    """Another round took this one's place before its commit point. Re-read, then retry the whole write."""

    code = "ABORTED"


class ReplicaBehind(MeshError):
    """The replica asked cannot meet the asked consistency level. Ask another replica."""

    code = "FAILED_PRECONDITION"


class ReadOnly(MeshError):
    """Too few consistent replicas to write. Wait for repair."""

    code = "FAILED_PRECONDITION"


class QuorumLost(MeshError):
    """No quorum of votes before the commit point. Retry as it is: nothing was written."""

    code = "UNAVAILABLE"


class CatalogUnavailable(MeshError):
    """The catalog did not take the request at all. Retry as it is: nothing was written."""

    code = "UNAVAILABLE"


class PeerUnavailable(MeshError):
    """A peer did not answer or broke off. What it did with the request is not known here."""

    code = "UNAVAILABLE"
    nothing_written = False


class Draining(MeshError):
    """The node asked takes no new work. Ask another node."""

    code = "UNAVAILABLE"


class OutcomeUnknown(MeshError):
    """Whether the write took effect is not known yet. Ask for the round's outcome."""

    code = "DEADLINE_EXCEEDED"
    nothing_written = False


class DeadlineExceeded(MeshError):
    """The request's time ran out before its commit point. Retry as it is: nothing was written."""

    code = "DEADLINE_EXCEEDED"


class Overloaded(MeshError):
    """A limit is reached. Back off for `retry_after_ms` (a field) and retry."""

    code = "RESOURCE_EXHAUSTED"


class TooLarge(MeshError):
    """What was asked for, or brought, is larger than may be, on every replica. Ask for, or bring, less."""

    code = "RESOURCE_EXHAUSTED"


class Corrupt(MeshError):
    """Damaged data was found. Read elsewhere; repair starts by itself."""

    code = "DATA_LOSS"


class InvariantViolated(MeshError):
    """An invariant of `docs/PROTOCOL.md` does not hold: a defect of this program. Nothing is trusted further."""

    code = "INTERNAL"
