"""Who is asked first: this node where that saves a hop, and a read replica that is being filled only in the end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from meshnode.base.errors import CatalogUnavailable, Corrupt, Fact, ReplicaBehind
from meshnode.base.ids import NodeId, PartitionId, RepositoryName
from meshnode.core.partition import Partition
from meshnode.core.record import Record
from meshnode.engine.read_refusals import BACK_OFF_MS, ENTRIES_MAX, LAG_MAX, ReadRefusals
from meshnode.engine.router import CandidateRouter
from meshnode.ports import Consistency, ConsistencyLevel
from tests.unit.auth.parties import StillClock
from tests.unit.rpc.fakes import SystemEntropy
from tests.unit.wire.samples import N1, N2, N3, NAME, some_partition, some_record

N4, N5 = NodeId("n4"), NodeId("n5")
ANY = Consistency(level=ConsistencyLevel.ANY)


@dataclass
class Books:
    """What is known of one repository."""

    record: Record | None = field(default_factory=lambda: replace(some_record(), inconsistent=frozenset()))
    is_known: bool = True

    def last_known_partition(self, name: RepositoryName) -> PartitionId | None:
        return self.record.partition if self.is_known and self.record is not None and name == NAME else None

    async def find(self, name: RepositoryName) -> Record:
        assert name == NAME
        if self.record is None:
            raise CatalogUnavailable("away")
        return self.record


@dataclass
class Village:
    """Five nodes: three voters and two read replicas, all in service."""

    placed: Partition = field(default_factory=lambda: replace(some_partition(), read_replicas=(N4, N5)))
    is_heard_of: bool = True
    resting: set[NodeId] = field(default_factory=set)
    suspects: set[NodeId] = field(default_factory=set)

    def partition(self, partition: PartitionId) -> Partition:
        assert partition == self.placed.partition
        return self.placed

    def partitions(self) -> dict[PartitionId, Partition]:
        return {self.placed.partition: self.placed} if self.is_heard_of else {}

    def nodes(self) -> dict[NodeId, None]:
        return dict.fromkeys((N1, N2, N3, N4, N5))

    def ordered(self, nodes: list[NodeId]) -> list[NodeId]:
        return sorted((node for node in nodes if node not in self.resting), key=self.is_suspect)

    def is_suspect(self, node: NodeId) -> bool:
        return node in self.suspects


@dataclass
class Scene:
    own: NodeId = N1
    books: Books = field(default_factory=Books)
    village: Village = field(default_factory=Village)
    clock: StillClock = field(default_factory=StillClock)

    def __post_init__(self) -> None:
        world: Any = {"records": self.books, "membership": self.village}
        self.router = CandidateRouter(own=self.own, entropy=SystemEntropy(), clock=self.clock, **world)

    async def first(self, consistency: Consistency | None = None) -> set[NodeId]:
        """Who may be asked first, over many draws."""
        return {(await self.router.read_candidates(NAME, consistency or Consistency()))[0] for _ in range(200)}


def unfilled(**fields: Fact) -> ReplicaBehind:
    return ReplicaBehind("this replica is behind the record", **fields)


def test_own_replica_is_likely_where_it_is_known_in_service_and_not_being_filled() -> None:
    assert Scene().router.is_own_likely(NAME)
    assert Scene(own=N4).router.is_own_likely(NAME), "a read replica answers too"
    assert not Scene(own=NodeId("n9")).router.is_own_likely(NAME), "it has no copy"
    assert not Scene().router.is_own_likely(RepositoryName("team/other")), "never looked up"
    assert not Scene(books=Books(is_known=False)).router.is_own_likely(NAME)
    assert not Scene(village=Village(resting={N1})).router.is_own_likely(NAME), "out of service"
    unheard = Scene(village=Village(is_heard_of=False))
    assert not unheard.router.is_own_likely(NAME), "a hint never fails: its partition may be new"
    unheard.router.note_refusal(NAME, N4, unfilled(generation=0, wanted=7))
    scene = Scene(own=N4)
    scene.router.note_refusal(NAME, N4, unfilled(generation=0, wanted=7))
    assert not scene.router.is_own_likely(NAME)
    scene.clock.now_ms += BACK_OFF_MS
    assert scene.router.is_own_likely(NAME)


async def test_reads_go_to_anyone_but_here_first_where_here_is_a_replica() -> None:
    assert await Scene(own=N4).first() == {N4}
    assert await Scene(own=NodeId("n9")).first() == {N1, N2, N3, N4, N5}
    assert await Scene(own=NodeId("n9"), village=Village(suspects={N1, N2})).first() == {N3, N4, N5}


@pytest.mark.parametrize("consistency", [Consistency(), ANY])
async def test_read_replica_that_is_being_filled_comes_last_for_a_while(consistency: Consistency) -> None:
    scene = Scene(own=NodeId("n9"))
    scene.router.note_refusal(NAME, N4, unfilled(generation=0, wanted=7))
    assert await scene.first(consistency) == {N1, N2, N3, N5}
    listed = await scene.router.read_candidates(NAME, consistency)
    assert (len(listed), listed[-1]) == (5, N4), "still there, if nobody else can answer"
    scene.clock.now_ms += BACK_OFF_MS - 1
    assert await scene.first(consistency) == {N1, N2, N3, N5}
    scene.clock.now_ms += 1
    assert await scene.first(consistency) == {N1, N2, N3, N4, N5}


async def test_own_read_replica_that_is_being_filled_makes_way_too() -> None:
    scene = Scene(own=N4)
    scene.router.note_refusal(NAME, N4, unfilled(generation=1, wanted=2 + LAG_MAX))
    assert await scene.first() == {N1, N2, N3, N5}


async def test_what_says_nothing_of_filling_changes_nothing() -> None:
    scene = Scene(own=NodeId("n9"))
    scene.router.note_refusal(NAME, N4, unfilled(generation=7, wanted=7 + LAG_MAX))
    scene.router.note_refusal(NAME, N5, Corrupt("damaged"))
    scene.router.note_refusal(NAME, N1, unfilled(generation=0, wanted=7))
    scene.router.note_refusal(RepositoryName("team/other"), N4, unfilled(generation=0, wanted=7))
    assert await scene.first() == {N1, N2, N3, N4, N5}, "a moment behind, an error, a voter, a name never looked up"


def test_memory_of_refusals_is_bounded_and_the_oldest_go() -> None:
    refusals = ReadRefusals(clock=StillClock())
    names = [RepositoryName(f"team/r{number}") for number in range(ENTRIES_MAX + 1)]
    for name in names:
        refusals.note(name, N4, unfilled(generation=0))
    assert not refusals.is_backed_off(names[0], N4)
    assert refusals.is_backed_off(names[1], N4)
    assert refusals.is_backed_off(names[-1], N4)
