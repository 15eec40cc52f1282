"""How many replicas one repository is to have: what operators ask about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from meshnode.base.ids import PartitionId, RepositoryName


@dataclass(frozen=True, kw_only=True, slots=True)
class FactorOfRepository:
    """What an order about a repository's factor came to."""

    partition: PartitionId
    factor: int
    """0: as many as the cluster's setting."""
    others: int
    """Repositories, no forks of the same root, that live in the partition and have the factor too."""
    warnings: tuple[str, ...] = ()


class RepositoryFactors(Protocol):
    """Orders about the factor of one repository. Each takes effect in the catalog; the node that plans follows."""

    async def set_factor(self, name: RepositoryName, factor: int, *, with_others: bool) -> FactorOfRepository:
        """Want `factor` replicas of a repository and its forks, 0: as many as the cluster's setting.

        Raises:
            RepositoryNotFound.
            InvalidRequest: others live in its partition and `with_others` does not let them have it too; fewer nodes
                than that can have replicas; not 0 to 9.
            Fenced: somebody else changed the partition, or came to live there, meanwhile.
        """
        ...
