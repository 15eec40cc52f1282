"""What really was committed, read from the nodes' disks: every replica keeps the rounds it applied.

The chain of one repository is put together from all its replicas; two that disagree about one generation break I9.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from meshnode.core.round import Round, decode_round

Refs = Mapping[str, str]
_COLLECT_S: Final = 2.0


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
            dispute = f"{where} has another round at generation {one.generation} than its peers"
            if known.round_id != one.round_id and dispute not in self.disputes:
                self.disputes.append(dispute)

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


class RoundCollector:
    """Keeps every round that any replica ever applied: a replica that is filled anew remembers only the last ones."""

    def __init__(self, data: Path) -> None:
        """`data` has the nodes' data directories."""
        self._data = data
        self._chains: dict[str, Chain] = {}

    async def run_forever(self) -> None:
        """Look again and again."""
        while True:
            await asyncio.to_thread(self.collect)
            await asyncio.sleep(_COLLECT_S)

    def collect(self) -> None:
        """Read what is new in every history file; a line that is being written is read next time."""
        for history in self._data.glob("n*/repositories/*/*/mesh/history"):
            try:
                *lines, _ = history.read_bytes().split(b"\n")
            except FileNotFoundError:  # the replica is set aside in this moment
                continue
            chain = self._chains.setdefault(history.parent.parent.name, Chain())
            chain.add(_rounds_not_known(reversed(lines), chain), str(history))

    def chain(self, repository: str) -> Chain:
        """All rounds of a repository, by its id."""
        return self._chains.get(repository, Chain())


def _rounds_not_known(lines: Iterable[bytes], chain: Chain) -> Iterator[Round]:
    """Rounds, newest first, down to one that is known: what stands below it is known as well.

    A line whose checksum does not hold was cut short by a kill; the replica itself ignores it.
    """
    for line in lines:
        checksum, _, body = line.partition(b" ")
        if hashlib.sha256(body).hexdigest().encode()[: len(checksum)] != checksum:
            continue
        one = decode_round(body)
        known = chain.rounds.get(one.generation)
        if known is not None and known.round_id == one.round_id:
            return
        yield one


def _plain(value: object) -> str | None:
    return None if value is None else str(value)
