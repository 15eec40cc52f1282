"""What clients want to do next: which repository, which references, from which value to which.

A reference lives for a season of some seconds; then clients move on to new names. So each has a short history,
whose every explanation can be searched, and what was left behind must stay as it was until the end.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

from tests.chaos.history import Change, History, Level, Read
from tests.chaos.packs import GitObject, make_commit

REPOSITORIES: Final = ("chaos/one", "chaos/two", "chaos/three")
BASE: Final = "refs/heads/base"
"""A commit that every repository has from the start and nobody moves: the parent of what replaces something else."""
POOL: Final = "refs/heads/pool"
"""The end of a chain of commits that calls without a pack may point references to."""
POOL_SIZE: Final = 4_000
ROOT: Final = make_commit(None, "root")
REFS_PER_SEASON: Final = 5
SEASON_S: Final = 15.0


def make_pool() -> list[GitObject]:
    """The chain of commits behind POOL, oldest first."""
    commits: list[GitObject] = []
    parent = ROOT.oid
    for number in range(POOL_SIZE):
        commits.append(make_commit(parent, f"pool {number}"))
        parent = commits[-1].oid
    return commits


def season_at(now: float) -> int:
    """The season at a time of the history's clock."""
    return int(now / SEASON_S)


def refs_of(season: int) -> list[str]:
    """The references that are written to in a season."""
    return [f"refs/heads/s{season}/r{number}" for number in range(REFS_PER_SEASON)]


def refs_alive(called_at: float) -> list[str]:
    """The references that a read at a time says something new about: this season's and the last one's."""
    season = season_at(called_at)
    return [ref for one in (season - 1, season) if one >= 0 for ref in refs_of(one)]


@dataclass
class Wishes:
    """One client's view of the world, and its dice."""

    name: str
    history: History
    chance: random.Random
    seen: dict[tuple[str, str], str | None] = field(default_factory=dict)
    """By repository and reference: what this client saw last."""
    positions: dict[str, int] = field(default_factory=dict)
    """By repository: the newest generation this client was told of."""
    _made: int = 0

    def repository(self) -> str:
        """Where to go next."""
        return self.chance.choice(REPOSITORIES)

    def refs(self, count: int) -> list[str]:
        """References to write to."""
        return self.chance.sample(refs_of(season_at(self.history.now())), count)

    def level(self) -> Level:
        """How consistent a read is to be."""
        return self.chance.choices((Level.VERIFIED, Level.AT_LEAST, Level.ANY), (6, 1, 1))[0]

    def plan(self, repository: str, refs: list[str]) -> tuple[list[Change], list[GitObject]]:
        """Changes from what was last seen, and the commits they need: on top of it, instead of it, or deletions."""
        changes, objects = [], []
        for ref in refs:
            seen = self.seen.get((repository, ref))
            if seen and self.chance.random() < 0.12:
                changes.append(Change(ref=ref, expected=seen, value=None))
                continue
            is_forward = seen is not None and self.chance.random() < 0.6
            commit = self.commit(seen if is_forward else ROOT.oid)
            objects.append(commit)
            changes.append(Change(ref=ref, expected=seen, value=commit.oid))
        return changes, objects

    def commit(self, parent: str | None) -> GitObject:
        """A commit that nobody else makes."""
        self._made += 1
        return make_commit(parent, f"{self.name} {self._made}")

    def remember_read(self, read: Read) -> None:
        """Note a read in the history, and what it says here; an old answer is not what to build on."""
        self.history.reads.append(read)
        if read.level is Level.VERIFIED:
            for ref in [read.only] if read.only else refs_alive(self.history.now()):
                self.seen[read.repository, ref] = read.refs.get(ref)
        self.reach(read.repository, read.generation)

    def remember_written(self, repository: str, changes: list[Change], generation: int) -> None:
        """Note what was acknowledged."""
        for change in changes:
            self.seen[repository, change.ref] = change.value
        self.reach(repository, generation)

    def reach(self, repository: str, generation: int) -> None:
        """A position that this client knows of."""
        self.positions[repository] = max(self.positions.get(repository, 0), generation)
