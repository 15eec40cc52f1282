"""Decides which HTTP status an error becomes, and the one line of text that git shows for it.

    MeshError of base.errors -> a status by class (`_STATUS`), the error's facts as the line
    Refused, and what HTTP itself asks for (405, 413, 415 ...) -> the status it names
    any other exception      -> 500, its text stays here

Git prints a text/plain answer to its first request (`info/refs`) line by line behind `remote:`. Names in a line
come from clients, so everything that a terminal could take for a command is replaced.

Source: remote-curl.c (show_http_message); RFC 9110 sections 10.2.3 and 15.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from meshnode.base import errors
from meshnode.base.errors import InvalidRequest, MeshError, Overloaded
from meshnode.engine.pack_admission import NODE_LIMIT

RETRY_AFTER_MS_DEFAULT: Final = 1_000
"""One second, the smallest that the header can say: longer than a usual write takes."""

LINE_MAX: Final = 500
"""Characters of one line; a terminal shows it in a few rows."""

_STATUS: Final[Mapping[type[MeshError], int]] = {
    errors.InvalidRequest: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.RepositoryNotFound: 404,
    errors.NotFound: 404,
    errors.RepositoryExists: 409,
    errors.RefConflict: 409,
    errors.Fenced: 409,
    errors.ReplicaBehind: 503,
    errors.ReadOnly: 503,
    errors.QuorumLost: 503,
    errors.CatalogUnavailable: 503,
    errors.PeerUnavailable: 503,
    errors.Draining: 503,
    errors.OutcomeUnknown: 504,
    errors.DeadlineExceeded: 504,
    errors.Overloaded: 429,
    errors.TooLarge: 413,
    errors.Corrupt: 500,
}

_HIDDEN_FACTS: Final = frozenset({"retry_after_ms", "limit", "endpoint", "endpoints", "path"})
"""Facts that the status and the Retry-After header already say, and those about our own house."""

_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]")


class Refused(InvalidRequest):
    """A request that HTTP itself has a status for. `headers` go with the answer."""

    def __init__(self, status: int, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers: Mapping[str, str] = headers or {}


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer without a body to stream."""

    status: int
    line: str
    """Without its line end; printable ASCII."""
    headers: Mapping[str, str] = field(default_factory=dict)
    is_defect: bool = False
    """A human must look: the error is none that this program raises on purpose."""


def answer_of(error: BaseException, *, realm: str) -> Answer:
    """Say how a request that raised `error` is answered; `realm` is what Basic authentication asks for."""
    if isinstance(error, Refused):
        return Answer(error.status, printable(error.message), error.headers)
    if not isinstance(error, MeshError):
        return Answer(500, "internal error", is_defect=True)
    status = _status(error)
    headers: dict[str, str] = {}
    if status == 401:
        headers["WWW-Authenticate"] = f'Basic realm="{realm}", charset="UTF-8"'
    if status in (429, 503):
        headers["Retry-After"] = str(_retry_after_s(error))
    if status == 500:
        return Answer(status, printable(error.message), headers, is_defect=True)
    return Answer(status, printable(_line(error)), headers)


def printable(text: str) -> str:
    """The text as one line that no terminal takes for a command, at most 500 characters."""
    return _UNPRINTABLE.sub("?", text)[:LINE_MAX]


def _status(error: MeshError) -> int:
    if isinstance(error, Overloaded) and error.fields.get("limit") == NODE_LIMIT:
        return 503
    return next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)


def _line(error: MeshError) -> str:
    facts = ", ".join(f"{name}={value}" for name, value in error.fields.items() if name not in _HIDDEN_FACTS)
    return f"{error.message} ({facts})" if facts else error.message


def _retry_after_s(error: MeshError) -> int:
    """Whole seconds, rounded up: the header knows no fractions."""
    wanted = error.fields.get("retry_after_ms")
    wait_ms = wanted if isinstance(wanted, (int, float)) and wanted > 0 else RETRY_AFTER_MS_DEFAULT
    return max(1, -int(-wait_ms // 1_000))
