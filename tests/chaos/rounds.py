"""What really was committed, read from the disks of stopped nodes: every replica keeps the rounds it applied.

The chain of one repository is put together from all its replicas; two that disagree about one generation break I9.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from meshnode.core.keys import decode_round
from meshnode.core.round import Round

Refs = Mapping[str, str]


@dataclass(frozen=True)
class Edit:
    """One reference changed by a round."""

    generation: int
    ref: str
    old: str | None
    new: str | None

    @property
    def mark(self) -> tuple[str, str]:
        """Equal to `Change.mark` of the change that it is."""
        return (self.ref, self.new or f"deletes {self.old}")


@dataclass
class Chain:
    """The rounds of one repository by generation."""

    rounds: dict[int, Round] = field(default_factory=dict)
    disputes: list[str] = field(default_factory=list)

    def add(self, rounds: Iterable[Round], where: str) -> None:
        """Add what one replica applied."""
        for one in rounds:
            known = self.rounds.setdefault(one.generation, one)
            if known.round_id != one.round_id:
                self.disputes.append(f"{where} has another round at generation {one.generation} than its peers")

    def is_whole(self) -> bool:
        """Whether no generation is missing up to the last."""
        return len(self.rounds) == max(self.rounds, default=0)

    def edits(self) -> list[Edit]:
        """All changes of references, oldest first."""
        return [
            Edit(generation, str(edit.name), _plain(edit.old), _plain(edit.new))
            for generation, one in sorted(self.rounds.items())
            for edit in one.edits
        ]

    def states(self) -> dict[int, Refs]:
        """The references at each generation; of a whole chain only."""
        states: dict[int, Refs] = {0: {}}
        refs: dict[str, str] = {}
        edits: dict[int, list[Edit]] = {}
        for edit in self.edits():
            edits.setdefault(edit.generation, []).append(edit)
        for generation in sorted(self.rounds):
            for edit in edits.get(generation, []):
                if not edit.ref.startswith("refs/"):
                    continue
                if edit.new is None:
                    refs.pop(edit.ref, None)
                else:
                    refs[edit.ref] = edit.new
            states[generation] = dict(refs)
        return states


def read_chain(replicas: Iterable[Path]) -> Chain:
    """Put the chain of one repository together from its directories on all nodes."""
    chain = Chain()
    for replica in replicas:
        lines = (replica / "mesh" / "history").read_bytes().splitlines()
        chain.add((decode_round(line.partition(b" ")[2]) for line in lines), str(replica))
    return chain


def _plain(value: object) -> str | None:
    return None if value is None else str(value)
