"""How fast this node takes in what fills the replicas it is to get: an average rate, shared by all of them.

Repair of a replica that it has is never held back: there a quorum may be at stake.
"""

from __future__ import annotations

from meshnode.base.ids import NodeId
from meshnode.core.round import ReplicaKey
from meshnode.engine.membership import ClusterMembership
from meshnode.ports import Clock


class FillPace:
    """Hands out bytes at a rate."""

    def __init__(self, own: NodeId, membership: ClusterMembership, clock: Clock, bytes_per_s_max: int) -> None:
        """`bytes_per_s_max` 0: no bound."""
        self._own = own
        self._membership = membership
        self._clock = clock
        self._bytes_per_s_max = bytes_per_s_max
        self._free_at_ms = 0.0

    async def take(self, key: ReplicaKey, size_bytes: int) -> None:
        """Return when the next bytes of a replica may be asked for, `size_bytes` having come in just now."""
        if not self._bytes_per_s_max or not self._is_filling(key):
            return
        now_ms = self._clock.monotonic_ms()
        self._free_at_ms = max(self._free_at_ms, now_ms) + size_bytes * 1_000 / self._bytes_per_s_max
        if self._free_at_ms > now_ms + 1:
            await self._clock.sleep(int(self._free_at_ms - now_ms))

    def _is_filling(self, key: ReplicaKey) -> bool:
        partition = self._membership.partitions().get(key.partition)
        return partition is not None and self._own in partition.joining
