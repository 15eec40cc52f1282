"""Where replicas are to be, and nodes that come out of service: what operators ask of the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from meshnode.base.ids import NodeId, PartitionId
from meshnode.core.control import MoveProgress
from meshnode.core.nodes import Node, NodeState
from meshnode.core.partition import Partition


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedMove:
    """What a plan does to one partition."""

    partition: PartitionId
    entering: tuple[NodeId, ...]
    leaving: tuple[NodeId, ...]
    size_bytes: int
    """What all new copies take, as far as nodes have told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MovePlan:
    """What would move, or has been told to."""

    moves: tuple[PlannedMove, ...]
    blocked: tuple[str, ...]
    """Partitions that cannot have what they should, one line each."""
    warnings: tuple[str, ...]
    """What the loss of a zone would mean."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MoveOverview:
    """How far moves are."""

    is_paused: bool
    moving: int
    """Partitions that are not where they are to be."""
    progress: MoveProgress | None
    """The planner's account; None where it has told of nothing yet."""
    age_ms: int
    """Since it was told."""
    warnings: tuple[str, ...]


class Moves(Protocol):
    """Orders about replicas and nodes. Each takes effect in the catalog; the node that plans follows."""

    async def overview(self) -> MoveOverview:
        """How far moves are. Raises CatalogUnavailable."""
        ...

    async def rebalance(self, *, is_dry_run: bool) -> MovePlan:
        """Spread replicas evenly, or only say what that would move. Raises CatalogUnavailable, Fenced."""
        ...

    async def pause(self, *, is_paused: bool) -> None:
        """Stop moves between two steps, or let them go on. Raises CatalogUnavailable, OutcomeUnknown."""
        ...

    async def set_factor(self, factor: int, partition: PartitionId | None) -> tuple[str, ...]:
        """Want `factor` replicas of every partition, or of one (0: as many as the cluster's setting); warnings.

        Raises:
            InvalidRequest: fewer nodes than that can have replicas, or the factor is not 1 to 9.
            NotFound: no such partition. Fenced: somebody else changed it meanwhile.
        """
        ...

    async def set_state(self, node: NodeId, state: NodeState) -> Node:
        """Want another state for a node.

        Raises:
            InvalidRequest: partitions would be left without enough nodes; fields `partitions` and `reason` name them.
            NotFound: no such node. Fenced: its entry changed meanwhile.
        """
        ...

    async def partitions(self) -> Sequence[Partition]:
        """Every partition, in order. Raises CatalogUnavailable."""
        ...
