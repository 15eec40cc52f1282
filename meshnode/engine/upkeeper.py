"""Keeps this node's replicas fast: combines packs when there are many, one replica of a repository at a time.

    every `upkeep.interval_ms`, each replica:  packs few? -> nothing
                                               many -> take the repository's turn (a leased key) -> combine -> graph

The turn is advice: without it two replicas of one repository might be busy at once, which costs speed, never data. A
replica under repair or damaged is left alone.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import MeshError, Overloaded, ReplicaBehind, RepositoryNotFound
from meshnode.base.ids import NodeId
from meshnode.config import UpkeepSettings
from meshnode.core.keys import upkeep_key
from meshnode.core.round import ReplicaKey
from meshnode.core.upkeep import plan_combination
from meshnode.engine.activity import NodeActivity
from meshnode.engine.intervals import elapse
from meshnode.engine.lane import Lane
from meshnode.engine.replicas import Replicas
from meshnode.engine.supervisor import Supervisor
from meshnode.ports import Catalog, Clock, Compare, Put, Upkeep, UpkeepReport

log = logging.getLogger("meshnode.engine")

TURN_MS: Final = 30_000
"""A node that dies gives the turn back after this."""
ASKED_PACKS_MIN: Final = 2
"""By hand, two packs are enough to make one."""
WAITING_MAX: Final = 64


@dataclass(kw_only=True)
class Upkeeper:
    """Implements `ports.Upkeeping`."""

    own: NodeId
    catalog: Catalog
    upkeep: Upkeep
    replicas: Replicas
    activity: NodeActivity
    clock: Clock
    supervisor: Supervisor
    settings: UpkeepSettings

    def __post_init__(self) -> None:
        self._places = Lane(places=lambda: self.settings.slots, queue_max=lambda: WAITING_MAX, limit="upkeep.slots")
        self._waiting = 0

    def start(self) -> None:
        """Begin to look in the background, when the settings want it."""
        self.supervisor.keep("upkeep", self._run_forever)

    async def optimise(self, key: ReplicaKey, *, packs_min: int = ASKED_PACKS_MIN) -> UpkeepReport:
        """Combine packs, from `packs_min` on, and bring the commit graph up to date. Raises as `ports.Upkeeping`."""
        if self._waiting >= WAITING_MAX:
            raise Overloaded("too much upkeep waits", retry_after_ms=TURN_MS, waiting=self._waiting)
        self._waiting += 1
        try:
            async with self._places:
                return await self._optimise(key, packs_min)
        finally:
            self._waiting -= 1

    async def _run_forever(self) -> None:
        while True:
            await elapse(self.clock, lambda: self.settings.interval_ms)
            try:
                keys = await self.replicas.disk.store.list_replicas()
            except MeshError as error:
                log.warning("upkeep_ended_early", extra={"error": str(error)})
                continue
            for key in keys:
                try:
                    await self.optimise(key, packs_min=self.settings.packs_min)
                except (RepositoryNotFound, ReplicaBehind):
                    continue
                except MeshError as error:
                    log.info("upkeep_postponed", extra={"repository": key.repository, "error": str(error)})

    async def _optimise(self, key: ReplicaKey, packs_min: int) -> UpkeepReport:
        if self.activity.is_damaged(key) or any(repair.key == key for repair in self.activity.repairs()):
            raise ReplicaBehind("this replica is being repaired", node=self.own)
        packs = await self.upkeep.packs(key)
        chosen = plan_combination(packs, packs_min)
        if not chosen:
            return UpkeepReport(packs_before=len(packs), packs_after=len(packs))
        async with self._turn(key):
            report = await self.upkeep.combine(key, chosen)
            await self.upkeep.write_commit_graph(key)
        log.info(
            "packs_combined",
            extra={
                "repository": key.repository,
                "packs_before": report.packs_before,
                "packs_after": report.packs_after,
                "note": report.note,
            },
        )
        return report

    @asynccontextmanager
    async def _turn(self, key: ReplicaKey) -> AsyncIterator[None]:
        """Have the repository's turn inside. Raises Overloaded: another node has it."""
        lease = await self.catalog.open_lease(TURN_MS)
        name = upkeep_key(key.repository)
        try:
            if await self.catalog.transact([Compare(name, 0)], [Put(name, self.own.encode(), lease)]) is None:
                raise Overloaded("another replica of the repository has its upkeep just now", retry_after_ms=TURN_MS)
            keeper = self.supervisor.spawn("upkeep-turn", self._keep(lease))
            try:
                yield
            finally:
                keeper.cancel()
        finally:
            try:
                await self.catalog.close_lease(lease)
            except MeshError as error:  # it ends by itself; what was done is done
                log.info("upkeep_turn_not_given_back", extra={"error": str(error)})

    async def _keep(self, lease: int) -> None:
        while True:
            await self.clock.sleep(TURN_MS // 3)
            try:
                await self.catalog.keep_lease(lease)
            except MeshError as error:
                log.info("upkeep_turn_not_kept", extra={"error": str(error)})
