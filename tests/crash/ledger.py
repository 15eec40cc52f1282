"""What the rest of the world knows when a node dies: the records in the catalog, the votes that were given.

The dying process tells each fact before it goes on, as a message leaves a node before its next step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from meshnode.base.ids import NodeId, ObjectId, RefName, RefValue
from meshnode.core.partition import Partition
from meshnode.core.record import Record, RoundOutcome, outcome_of, record_after
from meshnode.core.refs import refs_after
from meshnode.core.round import ReplicaKey, Round, WriteKind
from tests.contract.replica_fixtures import KEY

OWN: Final = NodeId("n1")
PARTITION: Final = Partition(partition=KEY.home, replicas=(OWN, NodeId("n2"), NodeId("n3")))


@dataclass(frozen=True)
class Begun:
    """A round whose objects are on their way; `hidden` must not be readable before it is published."""

    round: Round
    hidden: tuple[ObjectId, ...] = ()


@dataclass(frozen=True)
class Voted:
    """The vote left this node: from now on the round may be published at any time."""

    round: Round


@dataclass(frozen=True)
class Published:
    """The record names the round, and believes in this node."""

    round: Round


@dataclass(frozen=True)
class Dropped:
    """The round can never be published."""

    round: Round


@dataclass(frozen=True)
class Recorded:
    """Somebody replaced the record: a repair begins, a replica was rebased. `refs` are those it stands for."""

    record: Record
    refs: dict[RefName, RefValue]


Fact: TypeAlias = Begun | Voted | Published | Dropped | Recorded


@dataclass
class Ledger:
    """All facts, added up."""

    records: dict[ReplicaKey, Record] = field(default_factory=dict)
    refs: dict[ReplicaKey, dict[RefName, RefValue]] = field(default_factory=dict)
    """References of each record."""
    seen: dict[ReplicaKey, dict[RefName, set[RefValue | None]]] = field(default_factory=dict)
    """Every value that a published generation gave a reference."""
    hidden: dict[str, Begun] = field(default_factory=dict)
    open: dict[str, Round] = field(default_factory=dict)
    """Rounds voted for and not decided."""

    def note(self, fact: Fact) -> None:
        """Take in a fact."""
        match fact:
            case Begun(round_):
                self.hidden[round_.round_id] = fact
            case Voted(round_):
                self.open[round_.round_id] = round_
            case Dropped(round_):
                self.open.pop(round_.round_id, None)
            case Published(round_):
                self._publish(round_)
            case Recorded(record, refs):
                key = record.key
                self.records[key] = record
                self.refs[key] = dict(refs)
                self._see(key)

    def undecided(self) -> list[Round]:
        """Rounds voted for that may still be published."""
        return [
            round_
            for round_ in self.open.values()
            if outcome_of(self.records.get(round_.key), round_) is RoundOutcome.UNDECIDED
        ]

    def publishing(self, round_: Round) -> Ledger:
        """The ledger of a world in which an open round was published after all."""
        other = self.copy()
        other.note(Published(round_))
        return other

    def copy(self) -> Ledger:
        """A ledger that can go its own way."""
        return Ledger(
            records=dict(self.records),
            refs={key: dict(refs) for key, refs in self.refs.items()},
            seen={key: {name: set(values) for name, values in seen.items()} for key, seen in self.seen.items()},
            hidden=dict(self.hidden),
            open=dict(self.open),
        )

    def secrets(self) -> dict[ReplicaKey, set[ObjectId]]:
        """Objects that nobody may read yet."""
        found: dict[ReplicaKey, set[ObjectId]] = {}
        for begun in self.hidden.values():
            found.setdefault(begun.round.key, set()).update(begun.hidden)
        return found

    def _publish(self, round_: Round) -> None:
        key = round_.key
        before = self.records.get(key)
        self.records[key] = record_after(before, PARTITION, round_, PARTITION.replicas)
        refs = {} if round_.kind is WriteKind.DELETE else refs_after(self.refs.get(key, {}), round_.edits)
        self.refs[key] = dict(refs)
        self._see(key)
        self.open.pop(round_.round_id, None)
        self.hidden.pop(round_.round_id, None)

    def _see(self, key: ReplicaKey) -> None:
        seen = self.seen.setdefault(key, {})
        for name in {*seen, *self.refs[key]}:
            seen.setdefault(name, {None}).add(self.refs[key].get(name))
