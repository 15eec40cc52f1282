"""The record of administrative acts, as the servers see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from meshnode.core.audit import AuditEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class BegunAct:
    """An act that is on record and may begin."""

    entry: AuditEntry
    revision: int
    """The catalog's, of the entry."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditPage:
    """Entries of one page, newest first."""

    entries: Sequence[AuditEntry]
    before: int
    """Where the next page begins: entries below this number; 0 where there are none."""


class Audit(Protocol):
    """Where administrative acts are recorded."""

    async def begin(self, draft: AuditEntry, *, timeout_ms: int) -> BegunAct:
        """Put an act on record before it begins; `draft` has no number and no outcome.

        Raises:
            CatalogUnavailable: it could not be recorded, so it must not begin.
        """
        ...

    async def finish(self, act: BegunAct, *, outcome: str, detail: str, facts: Mapping[str, str], took_ms: int) -> None:
        """Record how an act ended; what the catalog does not take soon is written in the background. Never raises."""
        ...

    async def page(self, *, before: int, limit: int) -> AuditPage:
        """Up to `limit` entries with numbers below `before` (0: from the newest one on), newest first.

        Raises:
            CatalogUnavailable: no answer.
        """
        ...
