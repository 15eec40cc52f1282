"""How fast this node takes in what fills the replicas it is to get: an average rate, shared by all of them.

Repair of a replica that it has is never held back: there a quorum may be at stake. With a read replica none is.
"""

from __future__ import annotations

from meshnode.base.ids import NodeId
from meshnode.config import RebalanceSettings
from meshnode.core.round import ReplicaKey
from meshnode.engine.intervals import LOOK_MS
from meshnode.engine.membership import ClusterMembership
from meshnode.engine.records import Records
from meshnode.ports import Clock


class FillPace:
    """Hands out bytes at a rate."""

    def __init__(
        self, own: NodeId, membership: ClusterMembership, records: Records, clock: Clock, settings: RebalanceSettings
    ) -> None:
        """`bytes_per_s_max` of the settings is the rate; 0: no bound."""
        self._own = own
        self._membership = membership
        self._records = records
        self._clock = clock
        self._settings = settings
        self._free_at_ms = 0.0
        self._rate = settings.bytes_per_s_max
        """What `_free_at_ms` was reckoned with; what was taken at another rate is forgotten with it."""

    async def take(self, key: ReplicaKey, size_bytes: int) -> None:
        """Return when the next bytes of a replica may be asked for, `size_bytes` having come in just now."""
        rate = self._settings.bytes_per_s_max
        if not rate or not self._is_filling(key):
            return
        now_ms = self._clock.monotonic_ms()
        if rate != self._rate:
            self._rate, self._free_at_ms = rate, 0.0
        self._free_at_ms = max(self._free_at_ms, now_ms) + size_bytes * 1_000 / rate
        due_ms = self._free_at_ms
        while due_ms > now_ms + 1 and self._settings.bytes_per_s_max == rate:
            await self._clock.sleep(min(int(due_ms - now_ms), LOOK_MS))
            now_ms = self._clock.monotonic_ms()

    def _is_filling(self, key: ReplicaKey) -> bool:
        partition = self._membership.partitions().get(self._records.partition_of(key))
        return partition is not None and self._own in (*partition.joining, *partition.read_replicas)
