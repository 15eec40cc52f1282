from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from meshnode.base.errors import (
    CatalogUnavailable,
    Corrupt,
    DeadlineExceeded,
    Draining,
    Forbidden,
    MeshError,
    OutcomeUnknown,
    Overloaded,
    PeerUnavailable,
    QuorumLost,
    ReadOnly,
    RefConflict,
    ReplicaBehind,
    RepositoryNotFound,
)
from meshnode.base.ids import NodeId
from meshnode.rpc.call import Call
from meshnode.rpc.forward import Forwarder, Route
from meshnode.rpc.method import Method, methods_of
from meshnode.rpc.server import SERVICES
from meshnode.v1 import common_pb2, ref_pb2
from tests.unit.rpc.fakes import FakeMembership, FakeRouter, SystemClock, SystemEntropy
from tests.unit.wire.samples import N1, N2, N3

ROUTE = Route("repository")
METHODS: dict[str, Method] = {method.name: method for method in methods_of(SERVICES["mesh.v1.RefService"])}


@dataclass
class FakeRemote:
    """Other nodes: answer with their name, or raise as told."""

    errors: dict[NodeId, MeshError] = field(default_factory=dict)
    asked: list[tuple[NodeId, bytes, int]] = field(default_factory=list)
    metadata: list[tuple[tuple[str, str], ...]] = field(default_factory=list)

    async def forward_unary(
        self, node: NodeId, method: str, body: bytes, metadata: Sequence[tuple[str, str]], *, timeout_ms: int
    ) -> bytes:
        assert method.startswith("/mesh.v1.RefService/")
        self.asked.append((node, body, timeout_ms))
        self.metadata.append(tuple(metadata))
        if node in self.errors:
            raise self.errors[node]
        return node.encode()


@dataclass
class Scene:
    """A forwarder of node n1, and what is around it."""

    nodes: list[NodeId]
    remote: FakeRemote = field(default_factory=FakeRemote)
    membership: FakeMembership = field(default_factory=FakeMembership)
    local_error: MeshError | None = None
    local_calls: int = 0
    is_own_known: bool = False

    def __post_init__(self) -> None:
        self.router = FakeRouter(self.nodes, is_own_known=self.is_own_known)

    async def read(
        self,
        *,
        is_forwarded: bool = False,
        time_ms: int = 10_000,
        repository: str = "a/b",
        level: common_pb2.ConsistencyLevel = common_pb2.CONSISTENCY_LEVEL_VERIFIED,
    ) -> object:
        """Route a read."""
        request = ref_pb2.ListRefsRequest(repository=repository, consistency=common_pb2.Consistency(level=level))
        return await self._run(METHODS["list_refs"], request, is_forwarded=is_forwarded, time_ms=time_ms)

    async def write(self, *, request_key: str = "", is_forwarded: bool = False) -> object:
        """Route a write."""
        request = ref_pb2.UpdateRefsRequest(repository="a/b", request_key=request_key)
        return await self._run(METHODS["update_refs"], request, is_forwarded=is_forwarded, time_ms=10_000)

    async def _run(self, method: Method, request: object, *, is_forwarded: bool, time_ms: int) -> object:
        clock = SystemClock()
        forwarder = Forwarder(
            own=N1,
            router=self.router,
            membership=self.membership,
            remote=self.remote,
            clock=clock,
            entropy=SystemEntropy(),
        )

        async def nothing() -> None:
            return None

        call = Call(
            node=N1,
            method=method,
            caller=None,
            actor="user:ann é",
            request_id="r1",
            is_forwarded=is_forwarded,
            deadline_ms=clock.monotonic_ms() + time_ms,
            want_rest=nothing,
            body=request.SerializeToString(),  # type: ignore[attr-defined]
        )
        return await forwarder.run(ROUTE, request, call, self._local)

    async def _local(self, request: object, call: Call) -> bytes:
        assert request is not None
        assert call.facts["repository"] == "a/b"
        self.local_calls += 1
        if self.local_error is not None:
            raise self.local_error
        return b"local"


async def test_candidate_that_is_this_node_answers_here() -> None:
    scene = Scene([N1, N2])
    assert await scene.read() == b"local"
    assert scene.remote.asked == []


async def test_verified_read_is_tried_here_first_where_this_node_knows_the_repository() -> None:
    scene = Scene([N2], is_own_known=True)
    assert await scene.read() == b"local"
    assert scene.remote.asked == []


async def test_other_levels_look_for_candidates_first() -> None:
    scene = Scene([N2], is_own_known=True)
    assert await scene.read(level=common_pb2.CONSISTENCY_LEVEL_ANY) == b"n2"
    assert scene.local_calls == 0


async def test_own_replica_that_cannot_answer_costs_one_attempt() -> None:
    scene = Scene([N2], is_own_known=True, local_error=ReplicaBehind("behind"))
    assert await scene.read() == b"n2"
    assert scene.local_calls == 1
    assert [node for _, node, _ in scene.router.refusals] == [N1]
    scene = Scene([N2], is_own_known=True, local_error=Forbidden("no"))
    with pytest.raises(Forbidden):
        await scene.read()
    assert scene.remote.asked == []


async def test_candidate_elsewhere_gets_the_bytes_as_they_came_and_who_asked() -> None:
    scene = Scene([N2])
    assert await scene.read() == b"n2"
    node, body, timeout_ms = scene.remote.asked[0]
    verified = common_pb2.Consistency(level=common_pb2.CONSISTENCY_LEVEL_VERIFIED)
    sent = ref_pb2.ListRefsRequest(repository="a/b", consistency=verified)
    assert (node, body) == (N2, sent.SerializeToString())
    assert 9_000 < timeout_ms <= 10_000
    expected = (("mesh-forwarded", "1"), ("mesh-actor", "user:ann%20%C3%A9"), ("mesh-request-id", "r1"))
    assert scene.remote.metadata == [expected]


@pytest.mark.parametrize(
    "error",
    [
        ReplicaBehind("behind"),
        PeerUnavailable("gone"),
        Draining("draining"),
        Overloaded("full"),
        Corrupt("damaged"),
        CatalogUnavailable("unreachable"),
    ],
)
async def test_read_goes_on_to_the_next_candidate(error: MeshError) -> None:
    scene = Scene([N2, N3, N1], FakeRemote({N2: error}))
    assert await scene.read() == b"n3"
    assert scene.membership.suspected == ([N2] if isinstance(error, PeerUnavailable) else [])
    assert scene.router.refusals == [("a/b", N2, error)], "the router learns of it"


@pytest.mark.parametrize("error", [RepositoryNotFound("no"), Forbidden("no"), RefConflict("no")])
async def test_answer_that_every_replica_would_give_is_final(error: MeshError) -> None:
    scene = Scene([N2, N3], FakeRemote({N2: error}))
    with pytest.raises(type(error)):
        await scene.read()
    assert len(scene.remote.asked) == 1


async def test_read_makes_one_pass_and_then_says_what_the_last_candidate_said() -> None:
    scene = Scene(
        [N2, N3, N1], FakeRemote({N2: PeerUnavailable("a"), N3: ReplicaBehind("b")}), local_error=Draining("c")
    )
    with pytest.raises(Draining):
        await scene.read()
    assert [node for node, _, _ in scene.remote.asked] == [N2, N3]
    assert scene.local_calls == 1


async def test_candidates_share_the_time_that_is_left() -> None:
    scene = Scene([N2, N3], FakeRemote({N2: PeerUnavailable("slow")}))
    await scene.read()
    (_, _, first_ms), (_, _, second_ms) = scene.remote.asked
    assert first_ms <= 5_000 < second_ms


async def test_no_time_left_is_a_deadline_and_not_another_call() -> None:
    scene = Scene([N2])
    with pytest.raises(DeadlineExceeded):
        await scene.read(time_ms=0)
    assert scene.remote.asked == []


async def test_forwarded_call_is_answered_here_even_where_this_node_is_no_candidate() -> None:
    scene = Scene([N2, N3], local_error=ReplicaBehind("not here"))
    for outcome in (scene.read(is_forwarded=True), scene.write(is_forwarded=True)):
        with pytest.raises(ReplicaBehind):
            await outcome
    assert scene.remote.asked == []


async def test_no_candidate_is_a_clear_error() -> None:
    with pytest.raises(ReplicaBehind):
        await Scene([]).read()
    with pytest.raises(ReadOnly):
        await Scene([]).write()


async def test_unknown_repository_is_said_by_the_router() -> None:
    with pytest.raises(RepositoryNotFound):
        await Scene([N1]).read(repository="no/such")


async def test_write_without_a_key_gets_one_and_keeps_it_over_all_candidates() -> None:
    scene = Scene([N2, N3], FakeRemote({N2: PeerUnavailable("broke off")}))
    assert await scene.write() == b"n3"
    keys = [ref_pb2.UpdateRefsRequest.FromString(body).request_key for _, body, _ in scene.remote.asked]
    assert len(keys[0]) == 32
    assert keys[0] == keys[1]


async def test_write_keeps_the_key_of_its_client() -> None:
    scene = Scene([N2])
    await scene.write(request_key="mine")
    assert ref_pb2.UpdateRefsRequest.FromString(scene.remote.asked[0][1]).request_key == "mine"


@pytest.mark.parametrize(
    "error",
    [QuorumLost("no votes"), Draining("draining"), ReplicaBehind("behind"), OutcomeUnknown("ran out of time")],
)
async def test_write_goes_on_to_the_next_candidate(error: MeshError) -> None:
    assert await Scene([N2, N3], FakeRemote({N2: error})).write() == b"n3"


@pytest.mark.parametrize(
    "error",
    [OutcomeUnknown("asked in vain", round="b" * 32), RefConflict("moved"), Overloaded("queue"), ReadOnly("alone")],
)
async def test_answer_to_a_write_that_another_coordinator_cannot_better_is_final(error: MeshError) -> None:
    scene = Scene([N2, N3], FakeRemote({N2: error}))
    with pytest.raises(type(error)):
        await scene.write()
    assert len(scene.remote.asked) == 1


@pytest.mark.parametrize("last", [RefConflict("moved"), QuorumLost("no votes"), PeerUnavailable("gone")])
async def test_refusal_after_a_candidate_that_may_have_written_promises_nothing(last: MeshError) -> None:
    scene = Scene([N2, N3], FakeRemote({N2: PeerUnavailable("broke off"), N3: last}))
    with pytest.raises(OutcomeUnknown) as unknown:
        await scene.write(request_key="mine")
    assert unknown.value.fields == {"request_key": "mine", "last": last.message}


async def test_refusal_after_a_candidate_that_was_never_reached_keeps_its_promise() -> None:
    scene = Scene([N2, N3], FakeRemote({N2: PeerUnavailable("no", is_untouched=True), N3: RefConflict("moved")}))
    with pytest.raises(RefConflict):
        await scene.write()
