from __future__ import annotations

from dataclasses import replace

import pytest

from meshnode.auth.answers import CallFailed
from meshnode.base.errors import (
    CatalogUnavailable,
    InvalidRequest,
    MeshError,
    PeerUnavailable,
    RepositoryNotFound,
)
from meshnode.base.ids import Generation, NodeId, RefsDigest, RoundId
from meshnode.core.keys import record_key
from meshnode.core.record import RepositoryState, encode_record
from meshnode.core.round import Round
from meshnode.peer.memory import Links, MemoryPeers
from meshnode.ports import Catalog, Put
from meshnode.v1 import cluster_pb2, common_pb2, repository_pb2
from meshnode.wire.status import error_from_call
from tests.unit.rpc.fakes import UNHEARD_OF, FakeReads, FakeReplication, some_description
from tests.unit.rpc.harness import Caller, Site
from tests.unit.wire.samples import KEY, N1, N2, N3, ROUND_ID, some_record, some_round

Outcome = repository_pb2.GetRoundOutcomeResponse
ANY = common_pb2.Consistency(level=common_pb2.CONSISTENCY_LEVEL_ANY)
LOST = RoundId("9" * 32)


class Cluster:
    """A site whose peers are fakes in memory."""

    def __init__(self, **changes: object) -> None:
        self.replications = {
            node: FakeReplication(node=node, description=some_description(node)) for node in (N1, N2, N3)
        }
        self.links = Links()
        self.site = Site(
            replication=self.replications[N1],
            peers=MemoryPeers(self.replications, N1, self.links),
            **changes,  # type: ignore[arg-type]
        )

    def describe(self, node: NodeId, **changes: object) -> None:
        """Change what a node says of its replica."""
        self.replications[node].description = replace(some_description(node), **changes)  # type: ignore[arg-type]


async def _refused(caller: Caller, path: str, request: object) -> MeshError:
    with pytest.raises(CallFailed) as failed:
        await caller.call(path, request, repository_pb2.GetResponse)  # type: ignore[arg-type]
    return error_from_call(failed.value, N1)


async def _verify(cluster: Cluster) -> repository_pb2.VerifyResponse:
    async with cluster.site.calling("reader") as caller:
        return await caller.call(
            "RepositoryService/Verify",
            repository_pb2.VerifyRequest(name="project/repo"),
            repository_pb2.VerifyResponse,
        )


async def _outcome(cluster: Cluster, round_id: str = LOST) -> repository_pb2.GetRoundOutcomeResponse:
    async with cluster.site.calling("reader") as caller:
        return await caller.call(
            "RepositoryService/GetRoundOutcome",
            repository_pb2.GetRoundOutcomeRequest(repository_id=KEY.repository, round_id=round_id),
            Outcome,
        )


# ---------------------------------------------------------------- writes and simple reads


async def test_writes_reach_the_engine_with_checked_arguments() -> None:
    cluster = Cluster()
    async with cluster.site.calling("writer") as caller:
        created = await caller.call(
            "RepositoryService/Create",
            repository_pb2.CreateRequest(
                name="project/repo", object_format=common_pb2.OBJECT_FORMAT_SHA256, default_branch="trunk"
            ),
            repository_pb2.CreateResponse,
        )
        await caller.call(
            "RepositoryService/Fork",
            repository_pb2.ForkRequest(source_name="project/repo", name="project/fork", request_key="f"),
            repository_pb2.ForkResponse,
        )
        await caller.call(
            "RepositoryService/Rename",
            repository_pb2.RenameRequest(name="project/repo", new_name="project/new", request_key="r"),
            repository_pb2.RenameResponse,
        )
        await caller.call(
            "RepositoryService/Delete",
            repository_pb2.DeleteRequest(name="project/repo", request_key="d"),
            repository_pb2.DeleteResponse,
        )
    assert [(what, details) for what, details, _, _ in cluster.site.writes.calls] == [
        ("create", ("project/repo", "sha256", "refs/heads/trunk")),
        ("fork", ("project/repo", "project/fork")),
        ("rename", ("project/repo", "project/new")),
        ("delete", ("project/repo",)),
    ]
    assert [key for _, _, key, _ in cluster.site.writes.calls][1:] == ["f", "r", "d"]
    assert (created.repository.id, created.position.generation) == (KEY.repository, 42)


@pytest.mark.parametrize(
    ("path", "request_"),
    [
        ("Create", repository_pb2.CreateRequest(name="../x")),
        ("Create", repository_pb2.CreateRequest(name="a/b", default_branch="a..b")),
        ("Create", repository_pb2.CreateRequest(name="a/b", request_key="k" * 129)),
        ("Fork", repository_pb2.ForkRequest(source_name="project/repo", name="-x/y")),
        ("Rename", repository_pb2.RenameRequest(name="project/repo", new_name="")),
    ],
)
async def test_hostile_write_is_refused_before_the_engine(path: str, request_: object) -> None:
    cluster = Cluster()
    async with cluster.site.calling("writer") as caller:
        error = await _refused(caller, f"RepositoryService/{path}", request_)
    assert type(error) is InvalidRequest
    assert cluster.site.writes.calls == []


async def test_repository_is_described_by_the_catalog_alone_even_where_no_replica_is_up() -> None:
    cluster = Cluster(reads=FakeReads(error=CatalogUnavailable("no view")))
    cluster.site.router.nodes = []
    async with cluster.site.calling("reader") as caller:
        answer = await caller.call(
            "RepositoryService/Get", repository_pb2.GetRequest(name="project/repo"), repository_pb2.GetResponse
        )
    assert [(replica.node, replica.consistent) for replica in answer.repository.replicas] == [
        ("n1", True),
        ("n2", True),
        ("n3", False),
    ]


async def test_details_are_each_nodes_own_and_a_silent_one_is_said_to_be_so() -> None:
    cluster = Cluster()
    cluster.links.cut(N1, N2)
    cluster.replications[N3].description = None
    async with cluster.site.calling("reader") as caller:
        answer = await caller.call(
            "RepositoryService/Get",
            repository_pb2.GetRequest(name="project/repo", details=True),
            repository_pb2.GetResponse,
        )
    own, silent, empty = answer.repository.replicas
    assert (own.generation, own.consistent_since_s, own.activity) == (42, 60, "consistent")
    assert silent.activity == "no answer: node did not answer"
    assert empty.activity == "no replica yet"


@pytest.mark.parametrize("is_catalog_up", [True, False])
async def test_weak_read_describes_what_the_replica_has(*, is_catalog_up: bool) -> None:
    reads = FakeReads(has_record_in_view=False)
    reads.snapshot = replace(reads.snapshot, generation=Generation(40))

    class NoCatalog(FakeReads):
        async def find_by_id(self, repository: object) -> None:
            raise CatalogUnavailable("unreachable", repository=str(repository))

    cluster = Cluster(reads=reads if is_catalog_up else NoCatalog(snapshot=reads.snapshot, has_record_in_view=False))
    async with cluster.site.calling("reader") as caller:
        answer = await caller.call(
            "RepositoryService/Get",
            repository_pb2.GetRequest(name="project/repo", consistency=ANY),
            repository_pb2.GetResponse,
        )
    assert (answer.repository.generation, answer.position.generation) == (40, 40)
    assert answer.repository.refs_digest == ""
    assert len(answer.repository.replicas) == (3 if is_catalog_up else 0)


async def test_existence_is_answered_for_both_cases() -> None:
    async with Cluster().site.calling("reader") as caller:
        for name, exists in (("project/repo", True), ("project/other", False)):
            answer = await caller.call(
                "RepositoryService/Exists", repository_pb2.ExistsRequest(name=name), repository_pb2.ExistsResponse
            )
            assert answer.exists is exists


async def test_names_come_page_by_page() -> None:
    names: list[str] = []
    token = ""
    async with Cluster().site.calling("reader") as caller:
        while not names or token:
            page = await caller.call(
                "RepositoryService/List",
                repository_pb2.ListRequest(prefix="project/", page_size=100, page_token=token),
                repository_pb2.ListResponse,
            )
            names += page.names
            token = page.next_page_token
    assert names == [f"project/r{number:03d}" for number in range(250)]


async def test_size_is_the_answering_replicas() -> None:
    async with Cluster().site.calling("reader") as caller:
        answer = await caller.call(
            "RepositoryService/Size", repository_pb2.SizeRequest(name="project/repo"), repository_pb2.SizeResponse
        )
    assert answer.bytes == 1_000


# ---------------------------------------------------------------- verify


async def test_equal_replicas_verify_and_a_learner_may_differ() -> None:
    cluster = Cluster()
    cluster.describe(N3, generation=Generation(3), problems=("missing blob",))
    response = await _verify(cluster)
    assert response.ok
    assert [(report.node, report.consistent, report.reachable) for report in response.replicas] == [
        ("n1", True, True),
        ("n2", True, True),
        ("n3", False, True),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"digest_on_disk": RefsDigest("0" * 64)},
        {"digest_on_disk": None},
        {"refs_digest": RefsDigest("0" * 64)},
        {"generation": Generation(41)},
        {"object_digest": "0" * 64},
        {"problems": ("missing blob",)},
    ],
)
async def test_believed_replica_that_differs_in_anything_does_not_verify(changes: dict[str, object]) -> None:
    cluster = Cluster()
    cluster.describe(N2, **changes)
    assert not (await _verify(cluster)).ok


async def test_silent_or_missing_replica_does_not_verify_and_is_reported() -> None:
    cluster = Cluster()
    cluster.links.cut(N1, N2)
    response = await _verify(cluster)
    assert not response.ok
    assert not response.replicas[1].reachable
    assert response.replicas[1].problems == ["no answer: node did not answer"]
    cluster = Cluster()
    cluster.replications[N2].description = None
    assert not (await _verify(cluster)).ok


async def test_comparison_during_a_write_is_made_again() -> None:
    cluster = Cluster()
    reads = cluster.site.reads
    newer = replace(some_record(), generation=Generation(43))

    class Moving(FakeReads):
        finds = 0

        async def find(self, name: object) -> object:  # type: ignore[override]
            self.finds += 1
            assert name
            return some_record() if self.finds == 1 else newer

    cluster.site.reads = Moving(snapshot=reads.snapshot)
    for node in (N1, N2):
        cluster.describe(node, generation=Generation(43))
    response = await _verify(cluster)
    assert response.ok
    assert response.generation == 43


async def test_unknown_repository_cannot_be_verified() -> None:
    cluster = Cluster(reads=FakeReads(record=None))
    async with cluster.site.calling("reader") as caller:
        error = await _refused(caller, "RepositoryService/Verify", repository_pb2.VerifyRequest(name="project/repo"))
    assert type(error) is RepositoryNotFound


# ---------------------------------------------------------------- outcomes of rounds


def _history(count: int) -> list[Round]:
    """Rounds 1 to `count`; number 5's id is LOST."""
    return [
        replace(
            some_round(1),
            base_generation=Generation(number - 1),
            round_id=LOST if number == 5 else RoundId(f"{number:032x}"),
        )
        for number in range(1, count + 1)
    ]


async def test_round_in_the_record_is_published() -> None:
    outcome = await _outcome(Cluster(), ROUND_ID)
    assert (outcome.outcome, outcome.position.generation) == (Outcome.OUTCOME_PUBLISHED, 42)


async def test_round_in_a_history_is_published() -> None:
    cluster = Cluster()
    cluster.replications[N1].error = PeerUnavailable("disk is gone")
    cluster.replications[N2].rounds = _history(42)
    assert (await _outcome(cluster)).outcome == Outcome.OUTCOME_PUBLISHED


async def test_round_that_no_journal_and_no_history_has_is_not_published() -> None:
    cluster = Cluster()
    cluster.replications[N1].rounds = [round_ for round_ in _history(42) if round_.round_id != LOST]
    assert (await _outcome(cluster)).outcome == Outcome.OUTCOME_NOT_PUBLISHED


@pytest.mark.parametrize(
    "prepared",
    [{N1: (LOST,), N2: (LOST,)}, {N1: None, N2: None}, {N2: (LOST,), N3: None}],
    ids=["in two journals", "two cannot tell", "one has it and one cannot tell"],
)
async def test_round_that_may_still_be_published_is_undecided(
    prepared: dict[NodeId, tuple[RoundId, ...] | None],
) -> None:
    cluster = Cluster()
    cluster.replications[N1].rounds = [round_ for round_ in _history(42) if round_.round_id != LOST]
    for node, rounds in prepared.items():
        cluster.describe(node, prepared=rounds)
    assert (await _outcome(cluster)).outcome == Outcome.OUTCOME_UNDECIDED


async def test_round_is_undecided_while_too_few_replicas_answer() -> None:
    cluster = Cluster()
    cluster.replications[N1].rounds = [round_ for round_ in _history(42) if round_.round_id != LOST]
    cluster.links.cut(N1, N2)
    cluster.links.cut(N1, N3)
    assert (await _outcome(cluster)).outcome == Outcome.OUTCOME_UNDECIDED


async def test_round_older_than_every_history_is_forgotten() -> None:
    cluster = Cluster()
    cluster.site.reads.record = replace(some_record(), generation=Generation(5_000))
    cluster.replications[N1].rounds = []
    assert (await _outcome(cluster)).outcome == Outcome.OUTCOME_FORGOTTEN


async def test_round_of_an_abandoned_create_is_not_published() -> None:
    cluster = Cluster()
    cluster.site.reads.record = replace(
        some_record(), state=RepositoryState.ABANDONED, generation=Generation(0), round_id=None, recent=()
    )
    assert (await _outcome(cluster)).outcome == Outcome.OUTCOME_NOT_PUBLISHED


async def test_round_of_a_repository_without_a_record_is_undecided() -> None:
    assert (await _outcome(Cluster(reads=FakeReads(record=None)))).outcome == Outcome.OUTCOME_UNDECIDED


# ---------------------------------------------------------------- counting


async def test_census_counts_health_of_active_repositories() -> None:
    cluster = Cluster()
    catalog: Catalog = cluster.site.catalog
    records = [
        some_record(),
        replace(some_record(), repository="1" * 32, inconsistent=frozenset()),  # type: ignore[arg-type]
        replace(some_record(), repository="2" * 32, inconsistent=frozenset({N2, N3})),  # type: ignore[arg-type]
        replace(some_record(), repository="3" * 32, state=RepositoryState.DELETED),  # type: ignore[arg-type]
        replace(some_record(), repository="4" * 32, partition=UNHEARD_OF),  # type: ignore[arg-type]
    ]
    await catalog.transact([], [Put(record_key(record.repository), encode_record(record)) for record in records])
    async with cluster.site.calling("reader") as caller:
        status = await caller.call(
            "ClusterService/GetStatus", cluster_pb2.GetStatusRequest(), cluster_pb2.GetStatusResponse
        )
    counted = (status.repositories, status.repositories_repairing, status.repositories_read_only, status.complete)
    assert counted == (4, 2, 1, True)
    await catalog.close()
