"""What everyone saw and did in a run, with times of one clock: writes, reads and faults.

A write ends done, refused (a promise that nothing took effect) or open (no answer, or "unknown"). Every value that
a client writes is an object id that nobody else writes to that reference, so a value names its write.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from math import inf
from pathlib import Path
from typing import Any


class Ending(Enum):
    """How a write ended for its client."""

    DONE = "done"
    REFUSED = "refused"
    OPEN = "open"


class Level(Enum):
    """The consistency a read asked for."""

    VERIFIED = "verified"
    AT_LEAST = "at-least"
    ANY = "any"


@dataclass(kw_only=True)
class Change:
    """One reference of a write; values are object ids, None is "does not exist"."""

    ref: str
    value: str | None
    expected: str | None = None
    is_forced: bool = False
    """Whatever is there is replaced; `expected` means nothing."""
    ending: Ending = Ending.OPEN

    @property
    def mark(self) -> tuple[str, str]:
        """What names this change among all that were ever made: its own value, or what only it deletes."""
        return (self.ref, self.value or f"deletes {self.expected}")


@dataclass(kw_only=True)
class Write:
    """One push, or one call that updates references."""

    number: int
    client: str
    way: str
    """"light", "git" or "rpc"."""
    node: str
    repository: str
    changes: list[Change]
    called_at: float
    answered_at: float = inf
    sendings: int = 1
    """How often a client's transport sent the very same push, for want of an answer. Where its old values hold again
    because somebody undid it meanwhile, nobody can tell the second sending from another push."""
    is_atomic: bool = False
    generation: int = 0
    """As the answer says; 0 where it does not."""
    reason: str = ""

    @property
    def is_acknowledged(self) -> bool:
        """Whether anything of it was."""
        return any(change.ending is Ending.DONE for change in self.changes)


@dataclass(kw_only=True)
class Read:
    """One listing of references that was answered."""

    client: str
    way: str
    node: str
    repository: str
    level: Level
    called_at: float
    answered_at: float
    refs: Mapping[str, str]
    generation: int = 0
    """0 where the answer does not say."""
    at_least: int = 0
    only: str = ""
    """The one reference that was asked for; "" for all."""


@dataclass(kw_only=True)
class FaultEvent:
    """A fault as it happened."""

    kind: str
    victims: list[str]
    """Hosts that cannot be counted on meanwhile."""
    begun_at: float
    ended_at: float = inf
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind} ({', '.join(self.victims)}{self.detail})"


@dataclass
class History:
    """Everything of one run."""

    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    faults: list[FaultEvent] = field(default_factory=list)
    failed_reads: dict[str, int] = field(default_factory=dict)
    """How often a read was not answered, by reason."""
    alarms: list[str] = field(default_factory=list)
    """What must not happen and was seen at once."""
    begun_at: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        """Seconds since the history began."""
        return time.monotonic() - self.begun_at

    def begin_write(
        self, *, client: str, way: str, node: str, repository: str, changes: list[Change], is_atomic: bool = False
    ) -> Write:
        """Note a write before it is sent."""
        write = Write(
            number=len(self.writes),
            client=client,
            way=way,
            node=node,
            repository=repository,
            changes=changes,
            called_at=self.now(),
            is_atomic=is_atomic,
        )
        self.writes.append(write)
        return write

    def end_write(self, write: Write, endings: Mapping[str, Ending], *, generation: int = 0, reason: str = "") -> None:
        """Note how it ended, reference by reference; what is not named stays open."""
        write.answered_at = self.now()
        write.generation = generation
        write.reason = reason[:200]
        for change in write.changes:
            change.ending = endings.get(change.ref, Ending.OPEN)

    def note_failed_read(self, reason: str) -> None:
        """Count a read without an answer."""
        key = reason[:60]
        self.failed_reads[key] = self.failed_reads.get(key, 0) + 1

    def save(self, path: Path) -> None:
        """Write everything down, one JSON object a line."""
        rows: Iterable[tuple[str, Any]] = (
            *(("fault", row) for row in self.faults),
            *(("write", row) for row in self.writes),
            *(("read", row) for row in self.reads),
        )
        with path.open("w") as file:
            for kind, row in rows:
                file.write(json.dumps({"is": kind, **asdict(row)}, default=_plain) + "\n")


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    raise TypeError(type(value).__name__)


def describe_write(write: Write) -> str:
    """One line of a story."""
    wanted = " ".join(
        f"{change.ref} {'*' if change.is_forced else _short(change.expected)}->{_short(change.value)}"
        f" {change.ending.value}"
        for change in write.changes
    )
    end = "no answer" if write.answered_at == inf else f"{write.answered_at:.3f}"
    at = f" generation {write.generation}" if write.generation else ""
    return f"write {write.number} {write.way} at {write.node} until {end}: {wanted}{at} {write.reason}".rstrip()


def describe_read(read: Read, ref: str) -> str:
    """One line of a story: what a read saw of one reference."""
    seen = _short(read.refs.get(ref))
    return f"read {read.level.value} {read.way} at {read.node} until {read.answered_at:.3f}: {seen} @{read.generation}"


def _short(oid: str | None) -> str:
    return oid[:8] if oid else "-"
