"""What tests of moves share: a watcher over every write to the catalog, planners that die, and clients that go on.

The watcher holds each transaction against what the disks hold at that moment:
- whoever a record believes in has what it says, applied or in the journal;
- no step of a move leaves a record with fewer consistent replicas, nor without a quorum where it had one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from meshnode.base.errors import Fenced, MeshError, QuorumLost, ReplicaBehind
from meshnode.base.ids import NodeId, PartitionId, RefName, RepositoryName
from meshnode.catalog.memory import CatalogCall, FaultHook, Moment
from meshnode.config import RebalanceSettings
from meshnode.core import keys
from meshnode.core.keys import PARTITIONS, RECORDS
from meshnode.core.moves import is_moving
from meshnode.core.participant import published_path
from meshnode.core.partition import Partition, decode_partition, encode_partition
from meshnode.core.quorum import quorum_size
from meshnode.core.record import Record, RepositoryState, consistent_nodes, decode_record
from meshnode.engine.forgetting import Forgetting
from meshnode.engine.move_steps import MoveSteps
from meshnode.engine.mover import Mover
from meshnode.engine.planner_lease import PlannerLease
from meshnode.engine.records import Records
from meshnode.engine.removal import Removal
from meshnode.engine.replicas import position_of
from meshnode.ports import Compare, Delete, Entry, Put
from tests.sim.memory_cluster import MemoryCluster

BY_HAND = RebalanceSettings(interval_ms=3_600_000, drop_after_ms=2_000)
"""No node plans by itself: the test does."""


class PlannerDiedError(Exception):
    """The planner's process is gone."""


class Watcher:
    """Stands between every client and the catalog's store."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self._cluster = cluster
        self._store = cluster.catalog._store
        self.switches: list[tuple[tuple[NodeId, ...], tuple[NodeId, ...]]] = []
        """Replicas before and after, of every change of a partition's replicas."""
        cluster.catalog._store = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def transact(self, compares: Sequence[Compare], writes: Sequence[Put | Delete]) -> int | None:
        """Apply, and check what came of it."""
        before = {write.key: self._read(write.key) for write in writes}
        revision = self._store.transact(compares, writes)
        if revision is None:
            return None
        for write in writes:
            if write.key.startswith(PARTITIONS) and isinstance(write, Put):
                self._check_partition(before[write.key], decode_partition(write.value))
            elif write.key.startswith(RECORDS) and isinstance(write, Put):
                record = decode_record(write.value)
                self._check_believed(record, self._partition(record.partition))
        return revision

    def _check_partition(self, before: Entry | None, after: Partition) -> None:
        if before is None:
            return
        old = decode_partition(before.value)
        if old.replicas != after.replicas:
            self.switches.append((old.replicas, after.replicas))
            gone = set(old.replicas) - set(after.replicas)
            assert gone <= set(after.leaving), "a copy that nobody will drop"
        for record in self._records(after.partition):
            had, has = len(consistent_nodes(record, old)), len(consistent_nodes(record, after))
            assert has >= min(had, len(after.replicas)), f"fewer consistent replicas: {old} -> {after}, {record}"
            if had >= quorum_size(len(old.replicas)):
                assert has >= quorum_size(len(after.replicas)), f"quorum lost by a step: {old} -> {after}, {record}"
            self._check_believed(record, after)

    def _check_believed(self, record: Record, partition: Partition) -> None:
        if record.state is not RepositoryState.ACTIVE or record.generation == 0:
            return
        for node in consistent_nodes(record, partition):
            assert self._has(node, record), f"{node} is believed in and has not got {record}"

    def _has(self, node: NodeId, record: Record) -> bool:
        replica = self._cluster.nodes[node].disk.replicas.get(record.key)
        if replica is None:
            return False
        if replica.state.generation >= record.generation:
            return True
        journal = {known.round_id: known for known in replica.state.prepared}
        return bool(published_path(position_of(replica.state), journal, record.round_id))

    def _partition(self, number: PartitionId) -> Partition:
        entry = self._read(keys.partition_key(number))
        assert entry is not None
        return decode_partition(entry.value)

    def _records(self, partition: PartitionId) -> list[Record]:
        entries = self._store.range(RECORDS, "", 10_000)
        records = [decode_record(entry.value) for entry in entries]
        return [one for one in records if one.partition == partition and one.state is RepositoryState.ACTIVE]

    def _read(self, key: str) -> Entry | None:
        return self._store.read([key])[0]


@dataclass
class Dying:
    """Dies at its `at`-th write to the catalog, before or after the write takes effect; `at` 0: never."""

    at: int
    moment: Moment = Moment.AFTER
    writes: int = 0
    is_dead: bool = False

    async def hook(self, call: CatalogCall) -> None:
        """For the planner's own client of the catalog."""
        if self.is_dead:
            raise PlannerDiedError
        if call.operation != "transact":
            return
        if call.moment is Moment.BEFORE:
            self.writes += 1
        if self.writes == self.at and call.moment is self.moment:
            self.is_dead = True
            raise PlannerDiedError


def planner(cluster: MemoryCluster, node: str, hook: FaultHook | None = None) -> Mover:
    """A planner beside a node, with a client of the catalog of its own."""
    engine = cluster.engine(node)
    catalog = cluster.catalog.client(hook)
    steps = MoveSteps(catalog, Records(catalog, engine.supervisor))
    return Mover(
        own=NodeId(node),
        catalog=catalog,
        membership=engine.membership,
        steps=steps,
        removal=Removal(catalog=catalog, steps=steps),
        lease=PlannerLease(own=NodeId(node), catalog=catalog, lease_ms=3_000),
        forgetting=Forgetting(catalog=catalog, clock=cluster.clock),
        clock=cluster.clock,
        supervisor=engine.supervisor,
        settings=BY_HAND,
    )


async def order(cluster: MemoryCluster, number: int, *target: str, factor: int | None = None) -> None:
    """Want other replicas for a partition."""
    while True:
        (entry,) = await cluster.catalog.get([keys.partition_key(PartitionId(number))])
        assert entry is not None
        partition = decode_partition(entry.value)
        wanted = replace(partition, target=tuple(NodeId(node) for node in target), factor=factor)
        done = await cluster.catalog.transact(
            [Compare(entry.key, entry.revision)], [Put(entry.key, encode_partition(wanted))]
        )
        if done is not None:
            return


async def run_planner(cluster: MemoryCluster, mover: Mover, number: int, *, within_ms: int = 120_000) -> None:
    """Plan until the partition rests. Raises PlannerDiedError."""
    deadline = cluster.clock.monotonic_ms() + within_ms
    while is_moving(await cluster.partition(PartitionId(number))):
        assert cluster.clock.monotonic_ms() < deadline, await cluster.partition(PartitionId(number))
        try:
            await mover.run_once()
        except MeshError:
            pass
        except BaseExceptionGroup as group:
            died, _ = group.split(PlannerDiedError)
            if died is not None:
                raise PlannerDiedError from group
            raise
        await cluster.clock.sleep(300)


@dataclass
class Clients:
    """Writes to several repositories of one partition that never stop, and what was acknowledged."""

    cluster: MemoryCluster
    names: list[str]
    via: Sequence[str]
    acknowledged: dict[tuple[str, str], str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    pause_ms: int = 70
    _number: int = 0
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    is_over: bool = False

    def start(self) -> None:
        """One writer a repository."""
        self._tasks = [asyncio.ensure_future(self._write(name)) for name in self.names]

    async def stop(self) -> None:
        """Let the writes under way end."""
        self.is_over = True
        await asyncio.gather(*self._tasks)

    async def _write(self, name: str) -> None:
        while not self.is_over:
            self._number += 1
            number = self._number
            ref, oid = f"refs/heads/b{number}", f"{number:040x}"
            await self._write_somewhere(name, ref, oid, number)
            await self.cluster.clock.sleep(self.pause_ms)

    async def _write_somewhere(self, name: str, ref: str, oid: str, number: int) -> None:
        running = set(self.cluster.running())
        for turn in range(len(self.via)):
            node = NodeId(self.via[(number + turn) % len(self.via)])
            if node not in running:
                continue
            try:
                await self.cluster.set_ref(node, name, oid, ref=ref)
            except (ReplicaBehind, QuorumLost):
                continue
            except Fenced as error:
                self.refused.append(str(error))
                return
            except (MeshError, AssertionError):
                return
            except asyncio.CancelledError:  # the node died with the write: nobody knows
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                return
            self.acknowledged[name, ref] = oid
            return

    async def check(self, replicas: Sequence[str], only: str = "") -> None:
        """Every acknowledged write, or those to one repository, can be read at every replica."""
        assert self.acknowledged, "nothing was written"
        for name in [only] if only else self.names:
            wanted = [(ref, oid) for (written, ref), oid in self.acknowledged.items() if written == name]
            for node in replicas:
                refs = await self.cluster.read_all(node, name)
                for ref, oid in wanted:
                    assert refs.get(RefName(ref)) == oid, f"{name} {ref} at {node}"


async def create_in(cluster: MemoryCluster, at: str, number: int, count: int) -> list[str]:
    """Create repositories until `count` of them lie in the partition; their names."""
    names: list[str] = []
    for attempt in range(400):
        name = f"demo/r{number}-{attempt}"
        made = await cluster.create(at, name)
        if made.record.partition == number:
            names.append(name)
            if len(names) == count:
                return names
        else:
            await cluster.engine(at).writes.delete(RepositoryName(name), request_key="", actor="t")
    raise AssertionError("ids never fall into the partition")


async def wait_until_dropped(cluster: MemoryCluster, number: int, *nodes: str, within_ms: int = 60_000) -> None:
    """Wait until nodes hold nothing of a partition and are off its list."""
    deadline = cluster.clock.monotonic_ms() + within_ms
    while True:
        with suppress(MeshError):
            partition = await cluster.partition(PartitionId(number))
            held = [
                node for node in nodes if any(key.home == number for key in cluster.nodes[NodeId(node)].disk.replicas)
            ]
            if not held and not set(nodes) & set(partition.leaving):
                return
        assert cluster.clock.monotonic_ms() < deadline, f"{held} still hold copies; {partition}"
        await cluster.clock.sleep(200)
