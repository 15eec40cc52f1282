"""A node's keys, and how it gets another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from meshnode.base.ids import NodeId
from meshnode.core.rotation import RotationTimes


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyRotationState:
    """A node's keys as the catalog lists them."""

    node: NodeId
    public_keys: tuple[str, ...]
    """PEM, the one it signs with first."""
    times: RotationTimes | None
    """None: no rotation is under way."""


class KeyRotations(Protocol):
    """The rotation of this node's key, and what the catalog says of other nodes' keys."""

    async def rotate(self, announce_s: int) -> KeyRotationState:
        """Begin to replace this node's key. Raises InvalidRequest, Fenced, CatalogUnavailable, OutcomeUnknown."""
        ...

    async def finish(self) -> KeyRotationState:
        """Let this node's old key go as soon as that is safe. Raises as above."""
        ...

    async def state(self, node: NodeId) -> KeyRotationState:
        """A node's keys. Raises NotFound, CatalogUnavailable."""
        ...
