"""Makes the faults of a plan happen, each at its time and for its while."""

from __future__ import annotations

import asyncio

from meshnode.base.ids import NodeId, PartitionId
from meshnode.core.nodes import NodeState
from tests.sim.network import CATALOG
from tests.sim.plan import Fault
from tests.sim.world import PARTITIONS, World


class FaultInjector:
    """Runs beside the clients; cancelling it leaves what is wrong as it is, for `World.heal`."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def run(self) -> None:
        """Let every fault begin and end."""
        self._world.network.weather = self._world.plan.weather
        for medium in self._world.media.values():
            medium.pace.slow = self._world.plan.weather.disk_slow
        async with asyncio.TaskGroup() as group:
            for fault in self._world.plan.faults:
                group.create_task(self._happen(fault))

    async def _happen(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at_ms / 1000)
        self._world.story.tell("***", f"{fault.kind} {' '.join(fault.nodes)} for {fault.duration_ms} ms")
        self._world.network.count(f"fault: {fault.kind}")
        await self._begin_and_end(fault, NodeId(fault.nodes[0]))

    async def _begin_and_end(self, fault: Fault, node: NodeId) -> None:
        world, network = self._world, self._world.network
        match fault.kind:
            case "crash":
                world.processes[node].die()
                await self._last(fault)
                await world.start(node)
            case "power_loss":
                await self._die([node], fault)
            case "power_loss_everywhere":
                await self._die(list(world.disks), fault)
            case "lost_disk":
                world.processes[node].die()
                world.lose_disk(node)
                await self._last(fault)
                await world.start(node)
            case "torn_record":
                world.processes[node].is_tearing = True
                await asyncio.sleep(4)
                world.processes[node].is_tearing = False
                await self._last(fault)
                await world.start(node)
            case "stop":
                await self._stop(node)
                await self._last(fault)
                await world.start(node)
            case "move":
                number = PartitionId(fault.detail % len(world.auditor.partitions))
                stays = world.auditor.partitions[number].replicas[: 1 + fault.detail % 2]
                others = [name for name in world.disks if name not in stays and name != world.plan.drained]
                shift = fault.detail % max(1, len(others))
                wanted = [*stays, *others[shift:], *others[:shift]][
                    : world.auditor.partitions[number].factor or world.plan.factor
                ]
                world.story.tell("***", f"partition {number} is wanted at {' '.join(wanted)}")
                await world.move(number, wanted)
            case "read_replicas":
                number = PartitionId(fault.detail % PARTITIONS)
                await world.set_read_replicas(number, (2, 1, 2, 0)[fault.detail // PARTITIONS % 4])
            case "leave":
                await world.set_state(node, NodeState.DELETING)
                await self._last(fault)
                await world.set_state(node, NodeState.AVAILABLE)
            case "drain":
                await world.set_state(node, NodeState.DISABLED if fault.detail % 2 else NodeState.DRAINING)
                await self._last(fault)
                await world.set_state(node, NodeState.AVAILABLE)
            case "crash_at_step":
                if (process := world.processes[node]).is_alive:
                    process.steps_until_death = 1 + fault.detail
                await asyncio.sleep(2)
                process.steps_until_death = 0
                await self._last(fault)
                await world.start(node)
            case "pause":
                world.processes[node].pause()
                await self._last(fault)
                world.processes[node].resume()
            case "cut":
                network.cut(node, NodeId(fault.nodes[1]))
                await self._last(fault)
                network.mend(node, NodeId(fault.nodes[1]))
            case "isolate":
                await self._apart([(node, other) for other in world.disks], fault, both=True)
            case "one_way_isolate":
                pairs = [(node, other) for other in world.disks]
                await self._apart(pairs if fault.detail % 2 else [(b, a) for a, b in pairs], fault, both=False)
            case "split":
                inside = [NodeId(name) for name in fault.nodes]
                outside = [name for name in world.disks if name not in inside]
                await self._apart([(a, b) for a in inside for b in outside], fault, both=fault.detail % 3 > 0)
            case "catalog_cut":
                await self._apart([(node, CATALOG)], fault, both=fault.detail % 2 > 0)
            case "catalog_deaf":
                await self._apart([(CATALOG, node)], fault, both=False)
            case "catalog_storm":
                for faults in world.catalog_faults.values():
                    faults.is_stormy = True
                await self._last(fault)
                for faults in world.catalog_faults.values():
                    faults.is_stormy = False
            case "full_at_step":
                world.processes[node].steps_until_full = 1 + fault.detail // 8
                await asyncio.sleep(2)
                world.processes[node].steps_until_full = 0
                await self._last(fault)
                world.disks[node].is_full = False
            case "full_disk":
                world.disks[node].is_full = True
                await self._last(fault)
                world.disks[node].is_full = False
            case "clock_step":
                world.clock_offsets[node] += (fault.detail - 20) * 60_000
                world.step_clock(node)
            case "slow_disk":
                world.media[node].pace.is_crawling = True
                await self._last(fault)
                world.media[node].pace.is_crawling = False
            case kind:
                raise AssertionError(f"no such fault: {kind}")

    async def _die(self, nodes: list[NodeId], fault: Fault) -> None:
        for node in nodes:
            self._world.cut_power(node)
        await self._last(fault)
        for node in nodes:
            await self._world.start(node)

    async def _stop(self, node: NodeId) -> None:
        """End a node as an operator does: it takes no new work and ends what runs, within its bound."""
        process = self._world.processes[node]
        if process.engine is not None and process.is_alive:
            draining = process.spawn(process.engine.drain())
            await asyncio.wait({draining})
        process.die()

    async def _apart(self, pairs: list[tuple[NodeId, NodeId]], fault: Fault, *, both: bool) -> None:
        ways = [(a, b) for a, b in pairs if a != b]
        ways += [(b, a) for a, b in ways] if both else []
        for source, target in ways:
            self._world.network.cut(source, target)
        await self._last(fault)
        for source, target in ways:
            self._world.network.mend(source, target)

    async def _last(self, fault: Fault) -> None:
        await asyncio.sleep(fault.duration_ms / 1000)
