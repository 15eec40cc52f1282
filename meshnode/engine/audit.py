"""Puts administrative acts on record: before they begin, and again when they have ended. Implements `ports.Audit`.

    begin   read the head -> one transaction: head + 1, the entry, the oldest go    refused where that cannot be done
    finish  the same entry with its outcome                                         later where that cannot be done

Rule: no act begins that is not on record, and an entry whose end cannot be written stays what it is: begun, end not
known. Entries outlive the node that wrote them; each is a log line of that node as well. See ADR 17.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from meshnode.base.errors import CatalogUnavailable, MeshError, OutcomeUnknown
from meshnode.core.audit import (
    KEPT_MAX,
    AuditEntry,
    bounded_facts,
    bounded_text,
    decode_entry,
    decode_head,
    encode_entry,
    encode_head,
    entry_key,
    plan_entry,
)
from meshnode.core.keys import AUDIT_ENTRIES, AUDIT_HEAD
from meshnode.engine.supervisor import Supervisor
from meshnode.ports import AuditPage, BegunAct, Catalog, Clock, Compare, Delete, Entry, Put

log = logging.getLogger("meshnode.audit")

ATTEMPTS_MAX: Final = 32
"""Tries to add an entry: each one lost means that another node's act got its number, so somebody went on."""
FINISH_WAIT_MS: Final = 1_000
"""How long an answer waits for its outcome to be on record."""
RETRY_MS: Final = (250, 500, 1_000, 2_000, 5_000, *(15_000 for _ in range(40)))
"""Waits between tries to write an outcome: ten minutes in all, then the log line is what is left of it."""
UNFINISHED_MAX: Final = 256
"""Outcomes that wait for the catalog at once."""

_TASK: Final = "audit-outcome"


@dataclass(kw_only=True)
class AuditTrail:
    """The audit log as one node writes it."""

    catalog: Catalog
    clock: Clock
    supervisor: Supervisor
    kept_max: int = KEPT_MAX
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One of this node's acts at a time: they would only take each other's number."""

    async def begin(self, draft: AuditEntry, *, timeout_ms: int) -> BegunAct:
        """Put an act on record before it begins. Raises CatalogUnavailable: it must not begin."""
        try:
            async with asyncio.timeout(timeout_ms / 1_000):
                async with self._turn:
                    return await add_entry(self.catalog, draft, kept_max=self.kept_max)
        except TimeoutError as error:
            raise _not_recorded(draft, "the catalog takes too long") from error
        except CatalogUnavailable as error:
            raise _not_recorded(draft, error.message) from error

    async def finish(self, act: BegunAct, *, outcome: str, detail: str, facts: Mapping[str, str], took_ms: int) -> None:
        """Record how an act ended, here or in the background. Never raises."""
        ended = ended_entry(act.entry, outcome=outcome, detail=detail, facts=facts, took_ms=took_ms)
        is_full = self.supervisor.count(_TASK) >= UNFINISHED_MAX
        try:
            task = self.supervisor.spawn(
                _TASK, self._write_outcome(BegunAct(entry=ended, revision=act.revision), is_full)
            )
        except RuntimeError:  # the node is closing: its log line is what is left
            _note_lost(ended, "the node stops")
            return
        await asyncio.wait({task}, timeout=FINISH_WAIT_MS / 1_000)

    async def page(self, *, before: int, limit: int) -> AuditPage:
        """Entries with numbers below `before` (0: all), newest first. Raises CatalogUnavailable."""
        (found,) = await self.catalog.get([AUDIT_HEAD])
        if found is None:
            return AuditPage(entries=(), before=0)
        head = decode_head(found.value)
        end = min(before, head.next) if before else head.next
        start = max(head.oldest, end - limit)
        if start >= end:
            return AuditPage(entries=(), before=0)
        entries = await self.catalog.range(AUDIT_ENTRIES, after=entry_key(start - 1), limit=end - start)
        known = [decode_entry(entry.value) for entry in entries if entry.key < entry_key(end)]
        return AuditPage(entries=known[::-1], before=start if start > head.oldest else 0)

    async def _write_outcome(self, ended: BegunAct, is_once: bool) -> None:
        for wait_ms in (*(() if is_once else RETRY_MS), None):
            try:
                return await put_outcome(self.catalog, ended)
            except (CatalogUnavailable, OutcomeUnknown) as error:
                if wait_ms is None:
                    return _note_lost(ended.entry, str(error))
                await self.clock.sleep(wait_ms)
        return None


async def add_entry(catalog: Catalog, draft: AuditEntry, *, kept_max: int = KEPT_MAX) -> BegunAct:
    """Give a draft its number and write it.

    Where the answer of a transaction was lost, the entry is looked for before it is written again, in the same read
    as the head: it is there, or it lands before the next write, which then fails, or it never lands.

    Raises:
        CatalogUnavailable: it was not written, or that is not known.
    """
    unsure: list[str] = []
    for _ in range(ATTEMPTS_MAX):
        found, *earlier = await catalog.get([AUDIT_HEAD, *unsure])
        own = _own_entry(earlier, draft)
        if own is not None:
            return own
        step = plan_entry(None if found is None else decode_head(found.value), kept_max)
        entry = replace(draft, sequence=step.sequence)
        key = entry_key(step.sequence)
        try:
            revision = await catalog.transact(
                [Compare(AUDIT_HEAD, 0 if found is None else found.revision)],
                [Put(AUDIT_HEAD, encode_head(step.head)), Put(key, encode_entry(entry)), *map(Delete, step.trimmed)],
            )
        except OutcomeUnknown:
            revision = None
        if revision is not None:
            return BegunAct(entry=entry, revision=revision)
        if key not in unsure:
            unsure.append(key)
    raise CatalogUnavailable("the audit log did not take an entry", attempts=ATTEMPTS_MAX)


async def put_outcome(catalog: Catalog, ended: BegunAct) -> None:
    """Write an act's outcome over its entry; one that has been trimmed meanwhile is not brought back.

    Raises:
        CatalogUnavailable, OutcomeUnknown: try again; done twice it is as done once.
    """
    key = entry_key(ended.entry.sequence)
    await catalog.transact([Compare(key, ended.revision)], [Put(key, encode_entry(ended.entry))])


def ended_entry(entry: AuditEntry, *, outcome: str, detail: str, facts: Mapping[str, str], took_ms: int) -> AuditEntry:
    """The entry of an act that has ended."""
    return replace(
        entry, outcome=outcome, detail=bounded_text(detail), facts=bounded_facts(facts), took_ms=max(0, took_ms)
    )


def _own_entry(entries: Sequence[Entry | None], draft: AuditEntry) -> BegunAct | None:
    for found in entries:
        if found is not None and (entry := decode_entry(found.value)).act_id == draft.act_id:
            return BegunAct(entry=entry, revision=found.revision)
    return None


def _not_recorded(draft: AuditEntry, reason: str) -> MeshError:
    return CatalogUnavailable(
        "the act cannot be put on record, so it was not begun; try again", method=draft.method, reason=reason
    )


def _note_lost(entry: AuditEntry, reason: str) -> None:
    log.warning(
        "audit_outcome_not_recorded",
        extra={"sequence": entry.sequence, "method": entry.method, "outcome": entry.outcome, "error": reason},
    )
