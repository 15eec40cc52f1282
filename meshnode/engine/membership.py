"""The cluster as this node sees it: caches that follow the catalog, and this node's own liveness lease.

Caches are advice. Whoever writes reads the partition again together with the record and names both revisions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

from meshnode.base.errors import (
    CatalogUnavailable,
    Corrupt,
    Fenced,
    InvalidRequest,
    MeshError,
    NotFound,
    OutcomeUnknown,
)
from meshnode.base.ids import NodeId, PartitionId
from meshnode.config import ReplicationSettings
from meshnode.core import keys
from meshnode.core.applications import Application, decode_application
from meshnode.core.cluster import ClusterSettings, decode_settings
from meshnode.core.control import MoveControl, decode_control
from meshnode.core.nodes import Node, NodeState, OnlineNode, decode_node, decode_online, encode_node, encode_online
from meshnode.core.partition import Partition, decode_partition
from meshnode.engine.ranges import read_all
from meshnode.engine.supervisor import Supervisor
from meshnode.ports import Catalog, Clock, Compare, Put

log = logging.getLogger("meshnode.engine")

SUSPECT_MS: Final = 1_000
"""How long a node that did not answer is asked last: longer than a connect time-out, shorter than a lease."""
REFRESH_MS: Final = 5_000
FOLLOWED: Final = (keys.NODES, keys.APPLICATIONS, keys.ONLINE, keys.PARTITIONS, keys.MOVE_CONTROL, keys.SETTINGS)
"""What the caches are made of, in the order in which it is read."""

T = TypeVar("T")


class ClusterMembership:
    """Implements `ports.Membership`."""

    def __init__(
        self,
        *,
        own: NodeId,
        version: str,
        catalog: Catalog,
        clock: Clock,
        settings: ReplicationSettings,
        supervisor: Supervisor,
        on_keys: Callable[[Sequence[Node], Sequence[Application]], None],
        on_change: Callable[[], None],
        on_settings: Callable[[bytes | None], None] = lambda _: None,
    ) -> None:
        self.own = own
        self.version = 0
        """Grows with every change seen: whoever finds it unchanged need not look again."""
        self._version = version
        self._catalog = catalog
        self._clock = clock
        self._settings = settings
        self._supervisor = supervisor
        self._on_keys = on_keys
        self._on_change = on_change
        self._on_settings = on_settings
        self._settings_entry: bytes | None = None
        self._cluster: ClusterSettings | None = None
        self._nodes: dict[NodeId, Node] = {}
        self._online: dict[NodeId, OnlineNode] = {}
        self._partitions: dict[PartitionId, Partition] = {}
        self._control = MoveControl()
        self._suspects: dict[NodeId, int] = {}
        self._lease = 0
        self._started_at_ms = clock.wall_ms()
        self._applications: list[Application] = []
        self._dirty: set[str] = set()
        self._is_dirty = asyncio.Event()

    # ------------------------------------------------------------ ports.Membership

    def settings(self) -> ClusterSettings:
        """What is fixed of the cluster."""
        if self._cluster is None:
            raise CatalogUnavailable("the cluster settings have not been read yet")
        return self._cluster

    def nodes(self) -> Mapping[NodeId, Node]:
        """Every node in the catalog."""
        return self._nodes

    def online(self) -> Mapping[NodeId, OnlineNode]:
        """Nodes whose lease is alive."""
        return self._online

    def partition(self, partition: PartitionId) -> Partition:
        """A partition's replica list. Raises NotFound."""
        found = self._partitions.get(partition)
        if found is None:
            raise NotFound("no such partition", partition=partition)
        return found

    def partitions(self) -> Mapping[PartitionId, Partition]:
        """Every partition."""
        return self._partitions

    def are_moves_paused(self) -> bool:
        """Whether an operator wants no replica moved just now."""
        return self._control.is_paused

    def suspect(self, node: NodeId) -> None:
        """Sort a node last for a second."""
        self._suspects[node] = self._clock.monotonic_ms() + SUSPECT_MS

    async def set_state(self, node: NodeId, state: NodeState) -> Node:
        """Write a node's wanted state."""
        entry = (await self._catalog.get([keys.node_key(node)]))[0]
        if entry is None:
            raise NotFound("no such node", node=node)
        wanted = replace(decode_node(entry.value), state=state)
        done = await self._catalog.transact([Compare(entry.key, entry.revision)], [Put(entry.key, encode_node(wanted))])
        if done is None:
            raise Fenced("the node's entry changed meanwhile; read it again", node=node)
        await self.refresh()
        return wanted

    async def refresh(self) -> None:
        """Read everything again now."""
        settings = (await self._catalog.get([keys.CLUSTER]))[0]
        if settings is None:
            raise InvalidRequest("the catalog holds no cluster; create one first (meshnode up)")
        cluster, self._cluster = self._cluster, decode_settings(settings.value)
        if cluster != self._cluster:
            self.version += 1
        await self._read(FOLLOWED)

    async def refresh_keys(self) -> None:
        """Read who is known, again and now. Raises CatalogUnavailable."""
        await self._read((keys.NODES, keys.APPLICATIONS))

    async def hear_of(self, partition: PartitionId) -> None:
        """Have a partition among those known here. Raises CatalogUnavailable."""
        if partition not in self._partitions:
            await self._read((keys.PARTITIONS,))

    async def _read(self, prefixes: Collection[str]) -> None:
        """Read what lies below some of the followed prefixes again; one node more need not cost the partitions."""
        before = self._seen()
        entries = {prefix: await read_all(self._catalog, prefix) for prefix in FOLLOWED if prefix in prefixes}
        if keys.NODES in entries:
            nodes = [decode_node(entry.value) for entry in entries[keys.NODES]]
            self._nodes = {node.node: node for node in nodes}
        if keys.APPLICATIONS in entries:
            self._applications = [decode_application(entry.value) for entry in entries[keys.APPLICATIONS]]
        if keys.ONLINE in entries:
            online = [decode_online(entry.value) for entry in entries[keys.ONLINE]]
            self._online = {node.node: node for node in online}
        if keys.PARTITIONS in entries:
            partitions = [decode_partition(entry.value) for entry in entries[keys.PARTITIONS]]
            # None is ever removed: one that was heard of stays known, though an older read may end after a newer one.
            self._partitions = {**self._partitions, **{placed.partition: placed for placed in partitions}}
        if keys.MOVE_CONTROL in entries:
            self._control = next((decode_control(entry.value) for entry in entries[keys.MOVE_CONTROL]), MoveControl())
        self._on_keys(list(self._nodes.values()), self._applications)
        if keys.SETTINGS in entries:
            found = next((entry.value for entry in entries[keys.SETTINGS] if entry.key == keys.SETTINGS), None)
            if found != self._settings_entry:
                self._settings_entry = found
                self._on_settings(found)
        if before != self._seen():
            self.version += 1
            self._on_change()

    def _seen(self) -> tuple[object, ...]:
        """What others are told of when it changes."""
        return (self._nodes, self._online, self._partitions, self._control, self._settings_entry)

    # ------------------------------------------------------------ for the engine

    def is_suspect(self, node: NodeId) -> bool:
        """Whether the node failed to answer within the last second."""
        until = self._suspects.get(node)
        if until is None:
            return False
        if self._clock.monotonic_ms() >= until:
            del self._suspects[node]
            return False
        return True

    def takes_work(self, node: NodeId) -> bool:
        """ONLINE and AVAILABLE."""
        entry = self._nodes.get(node)
        return entry is not None and entry.state is NodeState.AVAILABLE and node in self._online

    def is_available(self, node: NodeId) -> bool:
        """Whether nobody wants it out of service; a node that is not in the catalog is nobody's business."""
        entry = self._nodes.get(node)
        return entry is None or entry.state is NodeState.AVAILABLE

    def is_disabled(self, node: NodeId) -> bool:
        """Whether it is to get no work of any kind, writes that it would only store included."""
        entry = self._nodes.get(node)
        return entry is not None and entry.state is NodeState.DISABLED

    def ordered(self, nodes: Sequence[NodeId]) -> list[NodeId]:
        """Those that take work, suspects last, otherwise in the given order."""
        working = [node for node in nodes if self.takes_work(node)]
        return sorted(working, key=self.is_suspect)

    # ------------------------------------------------------------ life

    async def start(self) -> None:
        """Read the cluster for the first time and start following it; this node is not announced yet."""
        await self.refresh()
        self._supervisor.keep("membership-refresh", self._refresh_forever)
        for prefix in FOLLOWED:
            self._supervisor.keep(f"membership-watch-{prefix}", partial(self._watch_forever, prefix))

    async def announce(self) -> None:
        """Tell the cluster that this node serves, and keep telling it; a catalog that does not answer just now is
        told as soon as it does.
        """
        try:
            await self._take_lease()
            await self._read((keys.ONLINE,))
        except (CatalogUnavailable, OutcomeUnknown, NotFound) as error:
            log.warning("not_announced_yet", extra={"error": str(error)})
        self._supervisor.keep("membership-lease", self._keep_lease_forever)

    async def retire(self) -> None:
        """Take this node off the list of those online, at once."""
        lease, self._lease = self._lease, 0
        if lease:
            try:
                await self._catalog.close_lease(lease)
            except MeshError as error:
                log.warning("lease_not_closed", extra={"error": str(error)})

    async def _take_lease(self) -> None:
        lease = await self._catalog.open_lease(self._settings.lease_ms)
        online = OnlineNode(node=self.own, version=self._version, started_at_ms=self._started_at_ms)
        await self._catalog.transact([], [Put(keys.online_key(self.own), encode_online(online), lease)])
        self._lease = lease

    async def _keep_lease_forever(self) -> None:
        while True:
            await self._clock.sleep(self._settings.lease_ms // 3)
            try:
                if not self._lease or not await self._catalog.keep_lease(self._lease):
                    log.warning("lease_lost", extra={"node": self.own})
                    self._lease = 0
                    await self._take_lease()
            except (CatalogUnavailable, OutcomeUnknown, NotFound) as error:
                log.warning("lease_not_kept", extra={"error": str(error)})

    async def _refresh_forever(self) -> None:
        """Read what a watch has hinted at, and from time to time everything: a hint may be late or lost.

        Hints do not put that off: what comes and goes in one place says nothing about the others.
        """
        all_due_ms = self._clock.monotonic_ms() + REFRESH_MS
        while True:
            try:
                async with asyncio.timeout(max(0, all_due_ms - self._clock.monotonic_ms()) / 1000):
                    await self._is_dirty.wait()
            except TimeoutError:
                self._dirty.update(FOLLOWED)
                all_due_ms = self._clock.monotonic_ms() + REFRESH_MS
            self._is_dirty.clear()
            dirty, self._dirty = self._dirty, set()
            try:
                await (self.refresh() if len(dirty) == len(FOLLOWED) else self._read(dirty))
            except (CatalogUnavailable, Corrupt, InvalidRequest) as error:
                self._dirty |= dirty
                log.warning("membership_not_refreshed", extra={"error": str(error)})

    async def _watch_forever(self, prefix: str) -> None:
        async with aclosing(self._catalog.watch(prefix)) as events:  # type: ignore[type-var]
            async for _ in events:
                self._dirty.add(prefix)
                self._is_dirty.set()
