"""Remembers for a while which read replicas are still being filled, so that reads do not try them first each time.

    read --> read replica: "I am at generation 3, you want 900" --> asked last for two seconds --> tried again

Rule: advice only. Who is backed off is still asked, after everybody else; and one that is a moment behind, as any replica is
between a publish and its commit, is not backed off at all: under steady writes that would leave it without reads.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from meshnode.base.errors import MeshError, ReplicaBehind
from meshnode.base.ids import NodeId, RepositoryName
from meshnode.ports import Clock

BACK_OFF_MS: Final = 2_000
"""As often as a repairer looks again (`replication.repair_sweep_ms`): sooner it is hardly further."""
LAG_MAX: Final = 16
"""Generations that a replica may lack without being called unfilled: as many rounds as a record names."""
ENTRIES_MAX: Final = 1_024


@dataclass(kw_only=True)
class ReadRefusals:
    """Who turned which reads down lately."""

    clock: Clock
    _until_ms: OrderedDict[tuple[RepositoryName, NodeId], int] = field(default_factory=OrderedDict)

    def note(self, name: RepositoryName, node: NodeId, error: MeshError) -> None:
        """Back off where `error` says that the node's copy is not there yet."""
        if not isinstance(error, ReplicaBehind) or not _is_unfilled(error):
            return
        self._until_ms.pop((name, node), None)
        self._until_ms[name, node] = self.clock.monotonic_ms() + BACK_OFF_MS
        while len(self._until_ms) > ENTRIES_MAX:
            self._until_ms.popitem(last=False)

    def is_backed_off(self, name: RepositoryName, node: NodeId) -> bool:
        """Whether the node is to be asked last."""
        until_ms = self._until_ms.get((name, node))
        if until_ms is None:
            return False
        if self.clock.monotonic_ms() >= until_ms:
            del self._until_ms[name, node]
            return False
        return True


def _is_unfilled(error: ReplicaBehind) -> bool:
    generation, wanted = error.fields.get("generation"), error.fields.get("wanted")
    if not isinstance(generation, int) or not generation:
        return True
    return isinstance(wanted, int) and wanted - generation > LAG_MAX
