"""MaintenanceService: who is asked, who answers, and what is said of those who do not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from meshnode.auth.channel import CallFailed
from meshnode.base.errors import (
    Forbidden,
    InvalidRequest,
    MeshError,
    PeerUnavailable,
    ReplicaBehind,
    RepositoryNotFound,
)
from meshnode.base.ids import Generation, NodeId
from meshnode.core.scrub import Verdict
from meshnode.ports import ScrubReport
from meshnode.rpc.maintenance import STILL_RUNNING
from meshnode.v1 import maintenance_pb2 as pb
from meshnode.wire.maintenance import REFS_MAX, TEXT_CHARS_MAX, loss_message, scrub_message
from tests.unit.rpc.fakes import FakeScrubs, some_plan
from tests.unit.rpc.harness import Site
from tests.unit.wire.samples import N1, N2, N3, NAME

SCRUB = "MaintenanceService/ScrubRepository"
OPTIMIZE = "MaintenanceService/OptimizeRepository"
ACCEPT = "MaintenanceService/AcceptDataLoss"


@dataclass
class FakeRemote:
    """Other nodes: an answer or an error each."""

    answers: dict[NodeId, bytes | MeshError] = field(default_factory=dict)
    asked: list[tuple[NodeId, str]] = field(default_factory=list)

    async def forward_unary(
        self, node: NodeId, method: str, body: bytes, metadata: Sequence[tuple[str, str]], *, timeout_ms: int
    ) -> bytes:
        assert body
        assert ("mesh-forwarded", "1") in metadata
        assert timeout_ms > 0
        self.asked.append((node, method))
        answer = self.answers[node]
        if isinstance(answer, MeshError):
            raise answer
        return answer


@dataclass
class MaintainedSite(Site):
    """A server whose other nodes are fakes."""

    others: FakeRemote = field(default_factory=FakeRemote)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.remote = self.others


def sound(node: NodeId) -> bytes:
    message = scrub_message(ScrubReport(node=node, verdict=Verdict.SOUND, generation=Generation(7)))
    return pb.ScrubRepositoryResponse(name=NAME, replicas=[message]).SerializeToString()


async def test_every_member_is_asked_and_all_sound_is_ok() -> None:
    site = MaintainedSite(others=FakeRemote({N2: sound(N2), N3: sound(N3)}))
    async with site.calling("operator") as caller:
        answer = await caller.call(SCRUB, pb.ScrubRepositoryRequest(name=NAME), pb.ScrubRepositoryResponse)
    assert answer.ok
    assert [replica.node for replica in answer.replicas] == [N1, N2, N3]
    assert {node for node, _ in site.others.asked} == {N2, N3}


async def test_a_member_that_does_not_answer_or_talks_nonsense_is_reported_and_not_ok() -> None:
    site = MaintainedSite(others=FakeRemote({N2: PeerUnavailable("node did not answer"), N3: sound(N2)}))
    async with site.calling("operator") as caller:
        answer = await caller.call(SCRUB, pb.ScrubRepositoryRequest(name=NAME), pb.ScrubRepositoryResponse)
    assert not answer.ok
    found = {replica.node: list(replica.findings) for replica in answer.replicas}
    assert found[N2] == ["no answer: node did not answer"]
    assert found[N3] == ["node gave a senseless answer"]


async def test_damage_is_told_with_what_was_done() -> None:
    report = ScrubReport(
        node=N1, verdict=Verdict.DAMAGED, findings=("x" * 1_000, "\udcff"), action="taken out", kept="/damaged/1"
    )
    site = MaintainedSite(scrubs=FakeScrubs(report), others=FakeRemote({N2: sound(N2), N3: sound(N3)}))
    async with site.calling("operator") as caller:
        answer = await caller.call(SCRUB, pb.ScrubRepositoryRequest(name=NAME), pb.ScrubRepositoryResponse)
    assert not answer.ok
    own = answer.replicas[0]
    assert (own.verdict, own.action, own.kept) == (pb.ReplicaScrub.VERDICT_DAMAGED, "taken out", "/damaged/1")
    assert len(own.findings[0]) == TEXT_CHARS_MAX


async def test_a_scrub_that_takes_longer_than_the_call_goes_on_and_says_so() -> None:
    site = MaintainedSite(
        scrubs=FakeScrubs(gate=asyncio.Event()), others=FakeRemote({N2: sound(N2), N3: sound(N3)}), unary_ms_max=700
    )
    async with site.calling("operator") as caller:
        answer = await caller.call(SCRUB, pb.ScrubRepositoryRequest(name=NAME), pb.ScrubRepositoryResponse)
    assert list(answer.replicas[0].findings) == [STILL_RUNNING]
    assert not answer.ok


async def test_a_call_handed_on_by_a_node_is_answered_for_the_own_disk_only() -> None:
    site = MaintainedSite()
    async with site.calling(N2) as caller:
        answer = await caller.call(
            SCRUB,
            pb.ScrubRepositoryRequest(name=NAME),
            pb.ScrubRepositoryResponse,
            metadata=(("mesh-forwarded", "1"),),
        )
    assert [replica.node for replica in answer.replicas] == [N1]
    assert not site.others.asked


@pytest.mark.parametrize("caller", ["reader", "writer"])
@pytest.mark.parametrize(
    ("path", "request_"),
    [(SCRUB, pb.ScrubRepositoryRequest(name=NAME)), (ACCEPT, pb.AcceptDataLossRequest(name=NAME, node=N1))],
)
async def test_only_administrators_may_ask(caller: str, path: str, request_: Any) -> None:
    async with MaintainedSite().calling(caller) as connected:
        with pytest.raises(Exception, match="role") as refused:
            await connected.call(path, request_, pb.ScrubRepositoryResponse)
    assert Forbidden.code in str(refused.value) or "PERMISSION_DENIED" in repr(refused.value)


async def test_an_unknown_repository_is_not_found() -> None:
    async with MaintainedSite().calling("operator") as caller:
        with pytest.raises(Exception, match="no such repository") as refused:
            await caller.call(SCRUB, pb.ScrubRepositoryRequest(name="no/such"), pb.ScrubRepositoryResponse)
    assert RepositoryNotFound.code in repr(refused.value)


async def test_a_dry_run_changes_nothing_and_says_what_is_in_the_way() -> None:
    site = MaintainedSite()
    async with site.calling("operator") as caller:
        request = pb.AcceptDataLossRequest(name=NAME, node=N1, dry_run=True)
        answer = await caller.call(ACCEPT, request, pb.AcceptDataLossResponse)
    assert answer.obstacle == "n2 is consistent"
    assert len(answer.lost[0].refs) == REFS_MAX
    assert not site.losses.actors


async def test_the_chosen_node_decides_and_knows_who_asked() -> None:
    site = MaintainedSite()
    async with site.calling("operator") as caller:
        answer = await caller.call(ACCEPT, pb.AcceptDataLossRequest(name=NAME, node=N1), pb.AcceptDataLossResponse)
    assert answer.new_generation == 50
    assert site.losses.actors == ["app:operator"] or site.losses.actors[0].endswith("operator")


async def test_a_choice_of_another_node_is_handed_to_it() -> None:
    answer_of_n2 = loss_message(some_plan()).SerializeToString()
    site = MaintainedSite(others=FakeRemote({N2: answer_of_n2}))
    async with site.calling("operator") as caller:
        answer = await caller.call(ACCEPT, pb.AcceptDataLossRequest(name=NAME, node=N2), pb.AcceptDataLossResponse)
    assert answer.new_generation == 50
    assert [node for node, _ in site.others.asked] == [N2]
    assert not site.losses.actors


@pytest.mark.parametrize(("caller", "node", "forwarded"), [("operator", "n9", False), (N2, N3, True)])
async def test_a_node_that_is_unknown_or_not_the_chosen_one_is_refused(caller: str, node: str, forwarded: bool) -> None:
    metadata = (("mesh-forwarded", "1"),) if forwarded else ()
    async with MaintainedSite().calling(caller) as connected:
        with pytest.raises(Exception, match="node") as refused:
            await connected.call(
                ACCEPT, pb.AcceptDataLossRequest(name=NAME, node=node), pb.AcceptDataLossResponse, metadata=metadata
            )
    assert InvalidRequest.code in repr(refused.value)


def optimised(node: NodeId) -> bytes:
    replica = pb.ReplicaUpkeep(node=node, packs_before=9, packs_after=1, removed=9)
    return pb.OptimizeRepositoryResponse(name=NAME, replicas=[replica]).SerializeToString()


async def test_replicas_are_optimised_one_after_the_other() -> None:
    site = MaintainedSite(others=FakeRemote({N2: optimised(N2), N3: optimised(N3)}))
    async with site.calling("operator") as caller:
        request = pb.OptimizeRepositoryRequest(name=NAME)
        answer = await caller.call(OPTIMIZE, request, pb.OptimizeRepositoryResponse)
    assert answer.ok
    assert [(replica.node, replica.packs_after) for replica in answer.replicas] == [(N1, 2), (N2, 1), (N3, 1)]
    assert len(site.upkeeper.asked) == 1


async def test_replica_that_could_not_be_optimised_says_why() -> None:
    site = MaintainedSite(others=FakeRemote({N2: PeerUnavailable("node did not answer"), N3: optimised(N2)}))
    site.upkeeper.error = ReplicaBehind("this replica is being repaired")
    async with site.calling("operator") as caller:
        request = pb.OptimizeRepositoryRequest(name=NAME)
        answer = await caller.call(OPTIMIZE, request, pb.OptimizeRepositoryResponse)
    assert not answer.ok
    assert [replica.note for replica in answer.replicas] == [
        "this replica is being repaired",
        "no answer: node did not answer",
        "node gave a senseless answer",
    ]


async def test_readers_and_writers_may_not_optimise() -> None:
    site = MaintainedSite()
    for caller_name in ("reader", "writer"):
        async with site.calling(caller_name) as caller:
            with pytest.raises(CallFailed, match="PERMISSION_DENIED"):
                await caller.call(OPTIMIZE, pb.OptimizeRepositoryRequest(name=NAME), pb.OptimizeRepositoryResponse)
