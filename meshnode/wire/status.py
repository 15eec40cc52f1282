"""Decides which gRPC status an error becomes, and which error a status becomes again on the other side.

    MeshError  -> code, detail, trailing metadata `mesh-error-bin` (JSON: type, message, fields)
    Overloaded -> also `retry-after-ms`, so that a client that knows nothing of this project backs off
    any other exception -> INTERNAL, its text stays here

An error that crossed the wire is equal to the one raised, so a promise such as `nothing_written` survives a hop.
A status without a verified answer promises nothing: it is PeerUnavailable.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import grpc

from meshnode.auth.channel import CallFailed
from meshnode.base import errors
from meshnode.base.errors import Fact, MeshError, Overloaded, PeerUnavailable, ReplicaBehind
from meshnode.base.ids import NodeId

ERROR_KEY: Final = "mesh-error-bin"
RETRY_KEY: Final = "retry-after-ms"
RETRY_AFTER_MS_DEFAULT: Final = 500
"""Half a second: longer than a usual write, shorter than a person's patience."""
RETRY_AFTER_MS_MAX: Final = 3_600_000
"""An hour: who is told to wait longer by another node asks again before."""

_TEXT_MAX: Final = 1_000
_FACT_MAX: Final = 300
_NUMBER_MAX: Final = 1 << 64
_FACTS_MAX: Final = 8
"""Message, eight facts and a signed token stay well below the 8 KiB of metadata that gRPC accepts."""

_INTERNAL_DETAIL: Final = "internal error"
_NEVER_SENT: Final = ("failed to connect to all addresses", "DNS resolution failed", "channel closed")
"""What gRPC says of a call for which it never had a connection, so not a byte of it was sent."""


@dataclass(frozen=True, slots=True)
class Status:
    """How a call ends on the wire."""

    code: grpc.StatusCode
    detail: str
    trailing: tuple[tuple[str, str | bytes], ...] = ()


def _tree(root: type[MeshError]) -> Iterator[type[MeshError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _tree(child)


_TYPES: Final[Mapping[str, type[MeshError]]] = {kind.__name__: kind for kind in _tree(MeshError)}

_FOREIGN: Final[Mapping[grpc.StatusCode, type[MeshError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidRequest,
    grpc.StatusCode.UNIMPLEMENTED: errors.InvalidRequest,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: errors.Forbidden,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.Overloaded,
    grpc.StatusCode.DATA_LOSS: errors.Corrupt,
}
"""For an answer without `mesh-error-bin`. Codes that are missing here promise nothing: PeerUnavailable."""


def status_of(error: BaseException) -> Status:
    """Say how a call that raised `error` ends; for anything but a MeshError the text is hidden."""
    if not isinstance(error, MeshError):
        return Status(grpc.StatusCode.INTERNAL, _INTERNAL_DETAIL)
    kind = _known_type(type(error))
    body = {
        "type": kind.__name__,
        "message": _bounded(error.message, _TEXT_MAX),
        "fields": {_bounded(name, 64): _fact(value) for name, value in list(error.fields.items())[:_FACTS_MAX]},
    }
    trailing: list[tuple[str, str | bytes]] = [(ERROR_KEY, json.dumps(body, separators=(",", ":")).encode())]
    if isinstance(error, Overloaded):
        trailing.append((RETRY_KEY, str(retry_after_ms(error))))
    return Status(grpc.StatusCode[kind.code], _bounded(str(error), _TEXT_MAX), tuple(trailing))


def error_of(code: grpc.StatusCode, detail: str, trailing: Mapping[str, str | bytes]) -> MeshError:
    """The error that a verified answer with this status stands for."""
    packed = trailing.get(ERROR_KEY)
    if isinstance(packed, bytes):
        error = _unpack(packed)
        if error is not None and error.code == code.name:
            return error
    kind = _FOREIGN.get(code, PeerUnavailable)
    return kind("peer refused the call", code=code.name, detail=_bounded(detail, _FACT_MAX))


def error_from_call(failed: CallFailed, node: NodeId) -> MeshError:
    """The error that a failed call to `node` stands for.

    PeerUnavailable carries `is_untouched=True` only where the call was never sent; then nothing can have come
    of it, although the class alone promises nothing.
    """
    if failed.was_answered:
        error = error_of(failed.code, failed.detail, failed.trailing)
        error.fields.pop("is_untouched", None)
        return error
    facts: dict[str, Fact] = {"node": node, "code": failed.code.name, "detail": _bounded(failed.detail, _FACT_MAX)}
    if failed.code is grpc.StatusCode.UNAVAILABLE and any(text in failed.detail for text in _NEVER_SENT):
        facts["is_untouched"] = True
    return PeerUnavailable("node did not answer", **facts)


def promises_nothing_written(error: MeshError) -> bool:
    """Whether the request behind `error` surely took no effect, so that it may be tried elsewhere."""
    return error.nothing_written or error.fields.get("is_untouched") is True


def is_turned_away(error: MeshError) -> bool:
    """Whether a node answered that it cannot serve the call just now, so that another one may; nothing came of it."""
    return isinstance(error, ReplicaBehind | Overloaded) or (error.code == "UNAVAILABLE" and error.nothing_written)


def retry_after_ms(error: Overloaded) -> int:
    """How long a caller should wait before it tries again."""
    wanted = error.fields.get("retry_after_ms")
    if not isinstance(wanted, (int, float)) or not wanted > 0:
        return RETRY_AFTER_MS_DEFAULT
    return max(1, int(min(wanted, RETRY_AFTER_MS_MAX)))


def _known_type(kind: type[MeshError]) -> type[MeshError]:
    """The nearest class of the error tree, for classes that other modules derive from it."""
    return next(base for base in kind.__mro__ if base in _TYPES.values())


def _unpack(packed: bytes) -> MeshError | None:
    try:
        raw = json.loads(packed)
        facts = [(_bounded(name, 64), _fact(value)) for name, value in raw["fields"].items() if _is_fact(value)]
        error = _TYPES[raw["type"]](_bounded(str(raw["message"]), _TEXT_MAX))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    error.fields.update(facts[:_FACTS_MAX])
    return error


def _is_fact(value: object) -> bool:
    if isinstance(value, (int, float)):
        return abs(value) <= _NUMBER_MAX  # neither NaN nor infinity
    return value is None or isinstance(value, str)


def _fact(value: Fact) -> Fact:
    return _bounded(value, _FACT_MAX) if isinstance(value, str) else value


def _bounded(text: str, length_max: int) -> str:
    return text[:length_max].encode("utf-8", "backslashreplace").decode()
