"""How many replicas one repository is to have: what operators ask about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from meshnode.base.ids import PartitionId, RepositoryName


@dataclass(frozen=True, kw_only=True, slots=True)
class FactorOfRepository:
    """What an order about a repository's factor came to."""

    partition: PartitionId
    """Where the repository lives now."""
    factor: int
    """0: as many as the cluster's setting."""
    warnings: tuple[str, ...] = ()


class RepositoryFactors(Protocol):
    """Orders about the factor of one repository. Each takes effect in the catalog; the node that plans follows."""

    async def set_factor(self, name: RepositoryName, factor: int) -> FactorOfRepository:
        """Want `factor` replicas of a repository and its forks, 0: as many as the cluster's setting.

        Raises:
            RepositoryNotFound.
            InvalidRequest: fewer nodes than that can have replicas; not 0 to 9; its fork family is too large to get a
                partition of its own.
            Fenced: somebody else changed the partition, or wrote to the repository all the time; ask again.
            OutcomeUnknown: the family may live in a partition of its own now, or not.
        """
        ...
