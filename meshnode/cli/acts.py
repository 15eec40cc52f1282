"""Puts commands that write the catalog themselves on record, in the same log as the acts of administrators.

    async with recorded(catalog, "catalog rebuild", facts) as act:
        await act.begin()          before the first write; a command that finds nothing to write leaves no entry
        ...                        how it ended is written at the end, errors too

No key signs such a command: whoever may open the catalog may run it. So the entry says which user of which machine.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from meshnode.base.errors import MeshError
from meshnode.cli.output import print_note
from meshnode.core.audit import AuditEntry, bounded_facts, bounded_text
from meshnode.engine.audit import add_entry, ended_entry, put_outcome
from meshnode.engine.system import SystemClock, SystemEntropy
from meshnode.ports import BegunAct, Catalog

_TRIES: Final = 3
"""Of writing the outcome; nobody is left afterwards to try again."""


@dataclass(kw_only=True)
class CommandAct:
    """One command's entry."""

    catalog: Catalog
    command: str
    request: Mapping[str, object]
    facts: dict[str, object] = field(default_factory=dict)
    """What the command did; for the outcome."""
    _begun: BegunAct | None = None
    _clock: SystemClock = field(default_factory=SystemClock)

    async def begin(self) -> None:
        """Put the command on record; nothing happens where it is. Raises CatalogUnavailable: it must not begin."""
        if self._begun is not None:
            return
        draft = AuditEntry(
            sequence=0,
            act_id=SystemEntropy().new_id(),
            at_ms=self._clock.wall_ms(),
            node="",
            who=who_runs_this(),
            key_id="",
            actor=who_runs_this(),
            peer="",
            method=self.command,
            request=bounded_facts(self.request),
            request_id="",
        )
        self._begun = await add_entry(self.catalog, draft)

    async def end(self, outcome: str, detail: str) -> None:
        """Record how it ended, where it began. What cannot be written is said on standard error."""
        begun = self._begun
        if begun is None:
            return None
        ended = ended_entry(
            begun.entry,
            outcome=outcome,
            detail=detail,
            facts=bounded_facts(self.facts),
            took_ms=self._clock.wall_ms() - begun.entry.at_ms,
        )
        for tries_left in reversed(range(_TRIES)):
            try:
                return await put_outcome(self.catalog, BegunAct(entry=ended, revision=begun.revision))
            except MeshError as error:
                if not tries_left:
                    print_note(f"the audit log could not be told how this ended: {error}")
        return None


@asynccontextmanager
async def recorded(catalog: Catalog, command: str, request: Mapping[str, object]) -> AsyncIterator[CommandAct]:
    """Put the command inside on record, where it calls `begin`."""
    act = CommandAct(catalog=catalog, command=command, request=request)
    try:
        yield act
    except MeshError as error:
        await act.end(error.code, error.message)
        raise
    except Exception as error:
        await act.end("INTERNAL", type(error).__name__)
        raise
    await act.end("OK", "")


def who_runs_this() -> str:
    """`command:<user>@<host>`; the user's number where it has no name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return bounded_text(f"command:{user}@{socket.gethostname()}")
