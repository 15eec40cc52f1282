"""Fakes at the ports that the servicers stand on: each remembers what it was asked and answers as told."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from meshnode.base.errors import MeshError, NotFound, RepositoryNotFound
from meshnode.base.ids import (
    Generation,
    NodeId,
    ObjectId,
    PartitionId,
    RefName,
    RefsDigest,
    RepositoryId,
    RepositoryName,
    RoundId,
)
from meshnode.core.cluster import ClusterSettings
from meshnode.core.nodes import Node, NodeState, OnlineNode
from meshnode.core.partition import Partition
from meshnode.core.record import Record
from meshnode.core.rotation import RotationTimes
from meshnode.core.round import ReplicaKey, Round
from meshnode.core.scrub import Verdict
from meshnode.ports import (
    Consistency,
    FactorOfRepository,
    GitService,
    KeyRotationState,
    LossPlan,
    LostRound,
    MemberAccount,
    MoveOverview,
    MovePlan,
    ReadView,
    RefChange,
    RefsSnapshot,
    RepairProgress,
    ReplicaDescription,
    ReplicaState,
    ScrubReport,
    StageMessage,
    StageOpen,
    StagePrepare,
    TransportReply,
    TransportRequest,
    UpkeepReport,
    Vote,
    VoteKind,
    WriteResult,
)
from tests.unit.wire.samples import (
    KEY,
    N1,
    N2,
    N3,
    NAME,
    ROUND_ID,
    some_partition,
    some_record,
    some_snapshot,
    state_of,
)


class SystemClock:
    """The machine's clock."""

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep(self, duration_ms: int) -> None:
        await asyncio.sleep(duration_ms / 1000)


class SystemEntropy:
    """The machine's chance."""

    def new_id(self) -> str:
        return secrets.token_hex(16)

    def below(self, limit: int) -> int:
        return secrets.randbelow(limit)


UNHEARD_OF = PartitionId(300)
"""A partition so new that the node has not heard of it."""


@dataclass
class FakeActivity:
    """What the node is doing."""

    ready: bool = True
    draining: bool = False
    resting: int = 0
    stopping: bool = False
    running_repairs: list[RepairProgress] = field(default_factory=list)
    since_ms: int = 60_000

    def is_ready(self) -> bool:
        return self.ready

    def is_stopping(self) -> bool:
        return self.stopping

    def is_draining(self) -> bool:
        return self.draining or self.stopping

    def resting_ms(self) -> int:
        return self.resting

    def is_drained(self) -> bool:
        return self.draining

    def repairs(self) -> list[RepairProgress]:
        return self.running_repairs

    def requests_in_flight(self) -> int:
        return 3

    def consistent_since_ms(self, key: ReplicaKey) -> int:
        assert key == KEY
        return self.since_ms


def node_entry(node: NodeId, url: str = "127.0.0.1:1", keys: tuple[str, ...] = ()) -> Node:
    """A node of the catalog."""
    return Node(node=node, grpc_url=url, http_url="", zone="z", weight=100, state=NodeState.AVAILABLE, public_keys=keys)


@dataclass
class FakeMembership:
    """Three nodes, all online."""

    entries: dict[NodeId, Node] = field(default_factory=lambda: {node: node_entry(node) for node in (N1, N2, N3)})
    suspected: list[NodeId] = field(default_factory=list)
    read_replicas: tuple[NodeId, ...] = ()

    def settings(self) -> ClusterSettings:
        return ClusterSettings(cluster_id="c" * 32, partition_count=16, replication_factor=3)

    def nodes(self) -> Mapping[NodeId, Node]:
        return self.entries

    def online(self) -> Mapping[NodeId, OnlineNode]:
        return {node: OnlineNode(node=node, version="0.1.0", started_at_ms=1) for node in self.entries}

    def partition(self, partition: PartitionId) -> Partition:
        if partition == UNHEARD_OF:
            raise NotFound("no such partition", partition=partition)
        return replace(some_partition(), partition=partition, read_replicas=self.read_replicas)

    def suspect(self, node: NodeId) -> None:
        self.suspected.append(node)

    async def set_state(self, node: NodeId, state: NodeState) -> Node:
        if node not in self.entries:
            raise NotFound("no such node", node=node)
        self.entries[node] = replace(self.entries[node], state=state)
        return self.entries[node]

    async def refresh(self) -> None:
        return None


@dataclass
class FakeRotations:
    """Two keys of one node; takes orders down."""

    state_: KeyRotationState = KeyRotationState(
        node=N1,
        public_keys=("old", "new"),
        times=RotationTimes(node=N1, switch_at_ms=5_000, drop_at_ms=0, is_finish_wanted=False),
    )
    orders: list[object] = field(default_factory=list)

    async def rotate(self, announce_s: int) -> KeyRotationState:
        self.orders.append(announce_s)
        return self.state_

    async def finish(self) -> KeyRotationState:
        self.orders.append("finish")
        return self.state_

    async def state(self, node: NodeId) -> KeyRotationState:
        if node != self.state_.node:
            raise NotFound("no such node", node=node)
        return self.state_


@dataclass
class FakeMoves:
    """Takes orders down; states go to the membership."""

    membership: FakeMembership
    orders: list[tuple[object, ...]] = field(default_factory=list)
    now: MoveOverview = MoveOverview(is_paused=False, moving=0, progress=None, age_ms=0, warnings=())
    plan: MovePlan = MovePlan(moves=(), blocked=(), warnings=())

    async def overview(self) -> MoveOverview:
        return self.now

    async def rebalance(self, *, is_dry_run: bool) -> MovePlan:
        self.orders.append(("rebalance", is_dry_run))
        return self.plan

    async def pause(self, *, is_paused: bool) -> None:
        self.orders.append(("pause", is_paused))

    async def set_factor(self, factor: int, partition: PartitionId | None) -> tuple[str, ...]:
        self.orders.append(("factor", factor, partition))
        return ("beware",)

    async def set_state(self, node: NodeId, state: NodeState) -> Node:
        return await self.membership.set_state(node, state)

    async def partitions(self) -> list[Partition]:
        return [replace(some_partition(), joining=(NodeId("n4"),), target=(N1, N2, NodeId("n4")), factor=5)]


@dataclass
class FakeReadReplicas:
    """Takes orders down."""

    orders: list[tuple[object, ...]] = field(default_factory=list)

    async def set_read_replicas(
        self, place: RepositoryName | PartitionId, *, count: int | None, nodes: Sequence[NodeId]
    ) -> Partition:
        self.orders.append((place, count, tuple(nodes)))
        return replace(some_partition(), read_replicas=tuple(nodes) or (NodeId("n4"),))


@dataclass
class FakeFactors:
    """Takes orders down."""

    orders: list[tuple[object, ...]] = field(default_factory=list)

    async def set_factor(self, name: RepositoryName, factor: int) -> FactorOfRepository:
        self.orders.append((name, factor))
        return FactorOfRepository(partition=PartitionId(7), factor=factor, warnings=("beware",))


@dataclass
class FakeRouter:
    """Says which nodes may answer."""

    nodes: list[NodeId] = field(default_factory=lambda: [N1])
    is_own_known: bool = False
    read_asked: int = 0
    refusals: list[tuple[RepositoryName, NodeId, MeshError]] = field(default_factory=list)

    def is_own_likely(self, name: RepositoryName) -> bool:
        assert name
        return self.is_own_known

    def note_refusal(self, name: RepositoryName, node: NodeId, error: MeshError) -> None:
        self.refusals.append((name, node, error))

    async def read_candidates(self, name: RepositoryName, consistency: Consistency) -> list[NodeId]:
        assert consistency is not None
        self.read_asked += 1
        if name == "no/such":
            raise RepositoryNotFound("no such repository", repository=name)
        return self.nodes

    async def write_candidates(self, name: RepositoryName) -> list[NodeId]:
        assert name
        return self.nodes


@dataclass
class FakeReads:
    """One repository, `project/repo`."""

    record: Record | None = field(default_factory=some_record)
    snapshot: RefsSnapshot = field(default_factory=some_snapshot)
    error: MeshError | None = None
    has_record_in_view: bool = True
    asked: list[Consistency] = field(default_factory=list)
    gate: asyncio.Event | None = None
    damaged: list[ReplicaKey] = field(default_factory=list)

    def report_damage(self, key: ReplicaKey, reason: str) -> None:
        assert reason
        self.damaged.append(key)

    def likely_key(self, name: RepositoryName) -> ReplicaKey | None:
        return KEY if self.record is not None and name == self.record.name else None

    async def view(self, name: RepositoryName, consistency: Consistency) -> ReadView:
        self.asked.append(consistency)
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        record = await self.find(name)
        return ReadView(key=KEY, name=name, snapshot=self.snapshot, record=record if self.has_record_in_view else None)

    async def find(self, name: RepositoryName) -> Record:
        if self.record is None or name != self.record.name:
            raise RepositoryNotFound("no such repository", repository=name)
        return self.record

    async def find_by_id(self, repository: RepositoryId) -> Record | None:
        if self.error is not None:
            raise self.error
        return self.record if self.record is not None and repository == self.record.repository else None

    async def list_names(self, prefix: str, after: str, limit: int) -> list[RepositoryName]:
        names = [RepositoryName(f"project/r{number:03d}") for number in range(250)]
        return [name for name in names if name.startswith(prefix) and name > after][:limit]


@dataclass
class FakeWrites:
    """Writes that succeed, or fail as told."""

    error: BaseException | None = None
    calls: list[tuple[str, tuple[object, ...], str, str]] = field(default_factory=list)

    def _note(self, what: str, details: tuple[object, ...], request_key: str, actor: str) -> WriteResult:
        self.calls.append((what, details, request_key, actor))
        if self.error is not None:
            raise self.error
        return WriteResult(record=some_record(), round_id=ROUND_ID, generation=Generation(42))

    async def create(
        self,
        name: RepositoryName,
        *,
        object_format: str,
        default_branch: RefName,
        request_key: str,
        actor: str,
        replication_factor: int = 0,
    ) -> WriteResult:
        wish = (replication_factor,) if replication_factor else ()
        return self._note("create", (name, object_format, default_branch, *wish), request_key, actor)

    async def fork(self, source: RepositoryName, name: RepositoryName, *, request_key: str, actor: str) -> WriteResult:
        return self._note("fork", (source, name), request_key, actor)

    async def rename(
        self, name: RepositoryName, new_name: RepositoryName, *, request_key: str, actor: str
    ) -> WriteResult:
        return self._note("rename", (name, new_name), request_key, actor)

    async def delete(self, name: RepositoryName, *, request_key: str, actor: str) -> WriteResult:
        return self._note("delete", (name,), request_key, actor)

    async def update_refs(
        self, name: RepositoryName, changes: Sequence[RefChange], *, request_key: str, actor: str
    ) -> WriteResult:
        return self._note("update_refs", (name, *changes), request_key, actor)


def some_description(node: NodeId = N2) -> ReplicaDescription:
    """A replica that is as the record says."""
    record = some_record()
    return ReplicaDescription(
        node=node,
        generation=record.generation,
        round_id=record.round_id,
        refs_digest=record.refs_digest,
        digest_on_disk=record.refs_digest,
        object_digest="f" * 64,
        ref_count=4,
        size_bytes=1_000,
        prepared=(),
    )


@dataclass
class FakeReplication:
    """A participant that votes as told and remembers what it was told."""

    node: NodeId = N2
    vote: Vote = field(default_factory=lambda: Vote(kind=VoteKind.GRANTED, generation=Generation(41), reason="fine"))
    description: ReplicaDescription | None = field(default_factory=some_description)
    rounds: list[Round] = field(default_factory=list)
    refs: RefsSnapshot = field(default_factory=some_snapshot)
    claimed_digest: RefsDigest | None = None
    """Where set, what the snapshot's state says instead of the truth."""
    pack: list[bytes] = field(default_factory=lambda: [b"one", b"two"])
    error: BaseException | None = None
    gate: asyncio.Event | None = None
    """Where set, calls wait for it."""
    opened: StageOpen | None = None
    stages: list[StageMessage] = field(default_factory=list)
    calls: list[tuple[object, ...]] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever a call ended, however it did."""

    async def _pass(self, *call: object) -> None:
        self.calls.append(call)
        self.begun.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error

    async def prepare(self, opening: StageOpen, messages: AsyncIterator[StageMessage]) -> Vote:
        self.opened = opening
        self.ended.clear()
        try:
            await self._pass("prepare")
            async for message in messages:
                self.stages.append(message)
            assert isinstance(self.stages[-1], StagePrepare)
        finally:
            self.ended.set()
        return self.vote

    async def commit(self, key: ReplicaKey, round_id: RoundId, generation: Generation) -> Generation:
        await self._pass("commit", key, round_id, generation)
        return generation

    async def abort(self, key: ReplicaKey, round_id: RoundId) -> None:
        await self._pass("abort", key, round_id)

    async def describe(self, key: ReplicaKey, *, deep: bool) -> ReplicaDescription | None:
        self.ended.clear()
        try:
            await self._pass("describe", key, deep)
        finally:
            self.ended.set()
        return self.description

    async def history(self, key: ReplicaKey, after: Generation) -> list[Round]:
        await self._pass("history", key, after)
        return [round_ for round_ in self.rounds if round_.base_generation >= after]

    async def snapshot(self, key: ReplicaKey) -> tuple[ReplicaState, RefsSnapshot]:
        await self._pass("snapshot", key)
        state = state_of(self.refs)
        return replace(state, refs_digest=self.claimed_digest or state.refs_digest), self.refs

    async def fetch_objects(
        self, key: ReplicaKey, wants: Sequence[ObjectId], haves: Sequence[ObjectId]
    ) -> AsyncIterator[bytes]:
        self.ended.clear()
        try:
            await self._pass("fetch_objects", key, tuple(wants), tuple(haves))
            for data in self.pack:
                yield data
        finally:
            self.ended.set()


@dataclass
class FakeTransport:
    """Echoes what a push or fetch brings."""

    error: MeshError | None = None
    requests: list[TransportRequest] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    late_error: MeshError | None = None
    """Raised in the middle of the answer."""
    gate: asyncio.Event | None = None
    """Where set, upload_pack waits for it before it answers."""

    async def info_refs(self, request: TransportRequest, service: GitService) -> TransportReply:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        return self._reply(_once(service.value.encode()))

    async def upload_pack(self, request: TransportRequest, body: AsyncIterator[bytes]) -> TransportReply:
        self.requests.append(request)
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self._reply(self._echo(body))

    async def receive_pack(self, request: TransportRequest, body: AsyncIterator[bytes]) -> TransportReply:
        self.requests.append(request)
        first = await anext(body)
        self.received.append(first)
        if self.error is not None:
            raise self.error
        return self._reply(self._echo(body))

    def _reply(self, body: AsyncIterator[bytes]) -> TransportReply:
        return TransportReply(generation=Generation(42), node=N2, body=body)

    async def _echo(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        self.begun.set()
        try:
            async for data in body:
                self.received.append(data)
                yield b"got %d" % len(data)
                if self.late_error is not None:
                    raise self.late_error
        finally:
            self.ended.set()


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


@dataclass
class FakeScrubs:
    """Finds what it is told to find."""

    report: ScrubReport = field(default_factory=lambda: ScrubReport(node=N1, verdict=Verdict.SOUND))
    error: MeshError | None = None
    gate: asyncio.Event | None = None

    async def scrub(self, key: ReplicaKey) -> ScrubReport:
        assert key == KEY
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.report


def some_plan(obstacle: str = "") -> LossPlan:
    return LossPlan(
        name=NAME,
        chosen=N1,
        record=some_record(),
        chosen_generation=Generation(3),
        new_generation=Generation(50),
        members=(MemberAccount(node=N2, is_believed=True, trouble="no answer"),),
        lost=(
            LostRound(
                round_id=ROUND_ID,
                generation=Generation(4),
                actor="a",
                refs=tuple(f"refs/heads/b{number}" for number in range(60)),
                known_to=N2,
            ),
        ),
        obstacle=obstacle,
    )


@dataclass
class FakeLosses:
    """Remembers who decided."""

    actors: list[str] = field(default_factory=list)

    async def plan_loss(self, name: RepositoryName) -> LossPlan:
        assert name == NAME
        return some_plan("n2 is consistent")

    async def accept_loss(self, name: RepositoryName, *, actor: str) -> LossPlan:
        assert name == NAME
        self.actors.append(actor)
        return some_plan()


@dataclass
class FakeUpkeeping:
    """Housekeeping that says it was done, or fails."""

    error: MeshError | None = None
    asked: list[ReplicaKey] = field(default_factory=list)

    async def optimise(self, key: ReplicaKey) -> UpkeepReport:
        self.asked.append(key)
        if self.error is not None:
            raise self.error
        return UpkeepReport(packs_before=30, packs_after=2, removed=29)
