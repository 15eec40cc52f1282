"""Moves replicas to where they are to be: plans what must move, and takes moves forward step by step.

    lease (advice) --> partitions, nodes --> targets that must change --> survey --> next steps --> progress
                       from the catalog      core/targets.py             records    core/moves.py

One node plans at a time, by a lease; two that believe they do harm nothing, since every step is a compare-and-set
(`engine/move_steps.py`). All state is in the catalog, so whoever takes the lease next goes on. The nodes that are
being filled do the work by their usual repair.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from meshnode.base.errors import CatalogUnavailable, Corrupt, MeshError, OutcomeUnknown
from meshnode.base.ids import NodeId, PartitionId
from meshnode.config import RebalanceSettings
from meshnode.core.cluster import decode_settings
from meshnode.core.control import MoveControl, NodeUsage, decode_control, decode_usage, encode_progress
from meshnode.core.keys import CLUSTER, MOVE_CONTROL, MOVE_PROGRESS, NODES, USAGE
from meshnode.core.moves import AwaitRepair, Fill, ListEverywhere, Step, is_moving, plan_step
from meshnode.core.nodes import Node, NodeState, decode_node
from meshnode.core.partition import Partition
from meshnode.core.read_replicas import (
    may_stay,
    partition_with_read_replicas,
    plan_read_replicas,
    read_replicas_held,
)
from meshnode.core.targets import Cluster, partition_sizes, partition_with_target, plan_targets
from meshnode.engine.forgetting import Forgetting
from meshnode.engine.intervals import elapse
from meshnode.engine.membership import ClusterMembership
from meshnode.engine.move_progress import ProgressTracker
from meshnode.engine.move_steps import MoveSteps
from meshnode.engine.planner_lease import PlannerLease
from meshnode.engine.ranges import read_all
from meshnode.engine.removal import Removal
from meshnode.engine.supervisor import Supervisor
from meshnode.engine.survey import Surveyed, read_partitions, survey
from meshnode.ports import Catalog, Clock, Put

log = logging.getLogger("meshnode.engine")

SURVEYED_MAX: Final = 64
"""Partitions looked at in one turn: those whose node is away take no place of the others, but a look each."""
STEPS_PER_TURN: Final = 3
"""Steps of one partition taken without another look; each reads all records once."""


@dataclass(frozen=True, kw_only=True)
class ClusterAt:
    """The cluster as the catalog has it, for one turn."""

    cluster: Cluster
    revisions: dict[PartitionId, int]
    control: MoveControl


@dataclass(kw_only=True)
class Mover:
    """Plans and moves while this node has the planner's lease."""

    own: NodeId
    catalog: Catalog
    membership: ClusterMembership
    steps: MoveSteps
    removal: Removal
    lease: PlannerLease
    forgetting: Forgetting
    clock: Clock
    supervisor: Supervisor
    settings: RebalanceSettings
    progress: ProgressTracker = field(init=False)
    _is_retired: bool = False
    _idle_at: int = -1
    """The membership's version at which nothing was to be moved."""

    def __post_init__(self) -> None:
        self.progress = ProgressTracker(self.own, self.clock)

    def start(self) -> None:
        """Begin to plan whenever the lease can be had."""
        self.supervisor.keep("mover", self._run_forever)

    async def retire(self) -> None:
        """Let another node plan from now on: this one stops."""
        self._is_retired = True
        try:
            await self.lease.release()
        except MeshError as error:
            log.info("planner_lease_not_released", extra={"error": str(error)})

    async def _run_forever(self) -> None:
        while not self._is_retired:
            await elapse(self.clock, lambda: self.settings.interval_ms)
            try:
                if not await self.lease.hold():
                    self._idle_at = -1
                    continue
                await self.forgetting.run_if_due()
                if self._idle_at != self.membership.version:
                    await self.run_once()
            except (CatalogUnavailable, OutcomeUnknown) as error:
                log.warning("moves_postponed", extra={"error": str(error)})
            except MeshError:
                log.exception("moves_failed")

    async def run_once(self) -> int:
        """Plan what must move and take every move one step further; how many steps took effect."""
        version = self.membership.version
        now = await self.read()
        is_known = self._is_known(now)
        retargeted = await self._retarget(now) + await self._replace_read_replicas(now)
        removed = await self.removal.run_once(now.cluster, self.membership.online())
        moving = [one for one in now.cluster.partitions if is_moving(one)]
        taken = 0
        if not moving:
            self.progress.note_nothing()
            is_settled = is_known and not (retargeted or removed or _is_anyone_going(now.cluster))
            self._idle_at = version if is_settled else -1
        elif now.control.is_paused:
            self.progress.note_paused(len(moving))
        else:
            taken = await self._advance(now, moving)
        await self._report()
        return taken

    def _is_known(self, now: ClusterAt) -> bool:
        """Whether the node's own view of the cluster is what the plan is made from.

        Otherwise its version says nothing of the plan: what was seen here may be over before the view hears of it.
        """
        return (
            now.cluster.nodes == self.membership.nodes()
            and {one.partition: one for one in now.cluster.partitions} == self.membership.partitions()
            and now.cluster.factor == self.membership.settings().replication_factor
            and now.control.is_paused == self.membership.are_moves_paused()
        )

    async def read(self) -> ClusterAt:
        """Read what plans are made from."""
        (settings, control) = await self.catalog.get([CLUSTER, MOVE_CONTROL])
        if settings is None:
            raise Corrupt("the catalog holds no cluster")
        partitions = await read_partitions(self.catalog)
        nodes: dict[NodeId, Node] = {}
        for entry in await read_all(self.catalog, NODES):
            node = decode_node(entry.value)
            nodes[node.node] = node
        usage: list[NodeUsage] = [decode_usage(entry.value) for entry in await read_all(self.catalog, USAGE)]
        return ClusterAt(
            cluster=Cluster(
                nodes=nodes,
                partitions=[partition for partition, _ in partitions],
                factor=decode_settings(settings.value).replication_factor,
                usage=usage,
            ),
            revisions={partition.partition: revision for partition, revision in partitions},
            control=MoveControl() if control is None else decode_control(control.value),
        )

    async def set_targets(self, now: ClusterAt, targets: dict[PartitionId, tuple[NodeId, ...]]) -> int:
        """Write a plan's targets; how many took effect. A partition that changed meanwhile keeps what it has."""
        by_number = {one.partition: one for one in now.cluster.partitions}
        written = 0
        for number, target in sorted(targets.items()):
            partition = by_number[number]
            wanted = partition_with_target(partition, target)
            if wanted != partition:
                written += await self.steps.set_target(partition, now.revisions[number], wanted)
        return written

    async def _retarget(self, now: ClusterAt) -> int:
        """Write where partitions are to be; how many changes were tried."""
        plan = plan_targets(now.cluster, is_balancing=False)
        self.progress.note_blocked(plan.blocked)
        await self.set_targets(now, plan.targets)
        by_number = {one.partition: one for one in now.cluster.partitions}
        return sum(
            partition_with_target(by_number[number], target) != by_number[number]
            for number, target in plan.targets.items()
        )

    async def _replace_read_replicas(self, now: ClusterAt) -> int:
        """Have read replicas off nodes that go or became replicas, and others in their place; how many changes were
        tried: one that failed, or of which nobody knows, is looked at again.
        """
        nodes = now.cluster.nodes
        held = read_replicas_held(now.cluster.partitions)
        changed = 0
        for one in now.cluster.partitions:
            if not one.read_replicas_wanted and not one.read_replicas:
                continue
            wanted = one.read_replicas_wanted
            if now.control.is_paused:  # whoever must go goes, nobody comes
                wanted = min(wanted, sum(1 for node in one.read_replicas if may_stay(one, nodes.get(node))))
            chosen = plan_read_replicas(one, nodes, held, wanted=wanted)
            if chosen == one.read_replicas:
                continue
            after = partition_with_read_replicas(one, chosen, wanted=one.read_replicas_wanted, known=nodes)
            await self.steps.set_target(one, now.revisions[one.partition], after)
            changed += 1
            held.update(set(chosen) - set(one.read_replicas))
        return changed

    async def _advance(self, now: ClusterAt, moving: Sequence[Partition]) -> int:
        zones = {node.node: node.zone for node in now.cluster.nodes.values()}
        sizes = partition_sizes(now.cluster.usage)
        active, waiting = self._choose(moving)
        taken = 0
        for _ in range(STEPS_PER_TURN):
            looked_at = await survey(self.catalog, active)
            again: list[PartitionId] = []
            for one in looked_at:
                number = one.at.partition.partition
                step = plan_step(one.at.partition, one.tally, zones)
                self.progress.note_move(one, step, sizes.get(number, 0))
                if await self._take(one, step):
                    taken += 1
                    again.append(number)
            active = again
            if not active:
                break
        self.progress.note_waiting(waiting)
        return taken

    def _choose(self, moving: Sequence[Partition]) -> tuple[list[PartitionId], int]:
        """Partitions whose turn it is: those being filled first; one that waits for a node that is away takes none
        of the places.
        """
        online = self.membership.online()
        chosen: list[PartitionId] = []
        places = self.settings.partitions_at_once
        waiting = 0
        for one in sorted(moving, key=lambda one: (not one.joining, one.partition)):
            is_stuck = any(node not in online for node in one.joining)
            if len(chosen) < SURVEYED_MAX and (is_stuck or places > 0):
                chosen.append(one.partition)
                places -= not is_stuck
            else:
                waiting += 1
        return chosen, waiting

    async def _take(self, surveyed: Surveyed, step: Step | None) -> bool:
        match step:
            case None | Fill() | AwaitRepair():
                return False
            case ListEverywhere() if not surveyed.at.partition.joining:
                return False
            case _:
                return await self.steps.take(surveyed, step)

    async def _report(self) -> None:
        """Tell the cluster how far moves are; what is not told this time is told the next."""
        report = self.progress.report()
        if report is None:
            return
        try:
            await self.catalog.transact([], [Put(MOVE_PROGRESS, encode_progress(report))])
        except OutcomeUnknown as error:
            log.info("progress_not_told", extra={"error": str(error)})


def _is_anyone_going(cluster: Cluster) -> bool:
    return any(node.state is NodeState.DELETING for node in cluster.nodes.values())
