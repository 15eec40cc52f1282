"""What happens to repositories, for those who follow it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from meshnode.base.ids import Generation, RepositoryId, RepositoryName
from meshnode.core.round import Round


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """Which repositories are followed: one (through renames), or those whose names start with `prefix`."""

    repository: RepositoryId | None = None
    prefix: str = ""

    def has(self, repository: RepositoryId, name: RepositoryName) -> bool:
        """Whether a repository of this id and name is followed."""
        if self.repository is not None:
            return repository == self.repository
        return name.startswith(self.prefix)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a repository stands in the catalog."""

    repository: RepositoryId
    name: RepositoryName
    generation: Generation


@dataclass(frozen=True, slots=True)
class Standings:
    """Where all followed repositories stand as following begins, in order of names."""

    standings: tuple[Standing, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A committed write."""

    round: Round


@dataclass(frozen=True, slots=True)
class Deleted:
    """A repository is gone, and nobody remembers the round that deleted it."""

    standing: Standing


@dataclass(frozen=True, slots=True)
class Gap:
    """Writes after `after` up to the standing's generation that nobody remembers in detail."""

    standing: Standing
    after: Generation


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing was reported for a while; following goes on."""


Event = Standings | Change | Deleted | Gap | Heartbeat


class Events(Protocol):
    """Follows committed writes."""

    def watch(
        self, scope: Scope, resume: Mapping[RepositoryId, Generation] | None, heartbeat_ms: int
    ) -> AsyncIterator[Event]:
        """Events of the scope: at least once, in order within a repository, only what is published.

        `resume` has the last generation seen of each repository; those of the scope that it does not name come from
        their first generation on. None: from now on, with `Standings` first. Ends when the node stops.

        Raises:
            Overloaded: too many follow already.
            CatalogUnavailable: the first look at the catalog failed; later ones are tried again.
        """
        ...
