"""Two real servers that call each other: forwarding end to end, over GrpcPeers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from meshnode.auth.answers import CallFailed
from meshnode.auth.channel import SignedChannel
from meshnode.base.errors import ReplicaBehind
from meshnode.base.ids import NodeId
from meshnode.core.nodes import Node
from meshnode.peer.grpc import GrpcPeers
from meshnode.v1 import ref_pb2
from meshnode.wire.status import error_from_call
from tests.unit.rpc.fakes import FakeMembership, FakeReads, FakeRouter, node_entry
from tests.unit.rpc.harness import Site
from tests.unit.wire.samples import N1, N2, N3, some_snapshot

LIST = ref_pb2.ListRefsRequest(repository="project/repo")
UPDATE = ref_pb2.SetDefaultBranchRequest(repository="project/repo", name="refs/heads/main")


@dataclass
class Pair:
    """n1, which clients call, and n2."""

    entry: Site
    other: Site
    membership: FakeMembership


@asynccontextmanager
async def _pair(entry_candidates: list[NodeId], other_candidates: list[NodeId]) -> AsyncIterator[Pair]:
    membership = FakeMembership({node: node_entry(node) for node in (N1, N2, N3)})
    entry = Site(own=N1, router=FakeRouter(entry_candidates), membership=membership)
    other = Site(own=N2, router=FakeRouter(other_candidates), membership=membership)

    def dialler(site: Site, caller: str) -> GrpcPeers:
        def dial(node: Node) -> SignedChannel:
            return SignedChannel(
                node.grpc_url,
                audience=node.node,
                signer=site.signer(caller),
                registry=site.registry,
                expected_issuer=f"node:{node.node}",
                credentials=None,
                clock=site.clock,
                connect_ms=500,
            )

        return GrpcPeers(NodeId(caller), membership, dial)

    entry.remote, other.remote = dialler(entry, "n1"), dialler(other, "n2")
    try:
        async with entry.serving(), other.serving():
            membership.entries[N1] = node_entry(N1, f"127.0.0.1:{entry.port}")
            membership.entries[N2] = node_entry(N2, f"127.0.0.1:{other.port}")
            yield Pair(entry, other, membership)
    finally:
        assert isinstance(entry.remote, GrpcPeers)
        assert isinstance(other.remote, GrpcPeers)
        await entry.remote.close()
        await other.remote.close()


async def test_read_is_answered_by_the_node_that_has_the_replica() -> None:
    async with _pair([N2], [N2]) as pair, pair.entry.connected("reader") as caller:
        answer = await caller.call("RefService/ListRefs", LIST, ref_pb2.ListRefsResponse)
    assert answer.position.node == "n2"
    assert len(answer.refs) == len(some_snapshot().names)
    assert pair.entry.reads.asked == []


async def test_write_names_its_caller_at_the_node_that_coordinates() -> None:
    async with _pair([N2], [N2]) as pair, pair.entry.connected("writer") as caller:
        await caller.call("RefService/SetDefaultBranch", UPDATE, ref_pb2.SetDefaultBranchResponse)
    (what, _, request_key, actor), *rest = pair.other.writes.calls
    assert (what, actor, rest) == ("update_refs", "app:writer", [])
    assert len(request_key) == 32


async def test_two_nodes_that_point_at_each_other_make_no_loop() -> None:
    async with _pair([N2], [N1]) as pair, pair.entry.connected("reader") as caller:
        answer = await caller.call("RefService/ListRefs", LIST, ref_pb2.ListRefsResponse)
    assert answer.position.node == "n2"
    assert (len(pair.entry.reads.asked), len(pair.other.reads.asked)) == (0, 1)


async def test_application_cannot_claim_that_its_call_was_forwarded() -> None:
    async with _pair([N2], [N2]) as pair, pair.entry.connected("writer") as caller:
        await caller.call(
            "RefService/SetDefaultBranch",
            UPDATE,
            ref_pb2.SetDefaultBranchResponse,
            metadata=(("mesh-forwarded", "1"), ("mesh-actor", "root")),
        )
    assert pair.entry.writes.calls == []
    assert pair.other.writes.calls[0][3] == "app:writer"


async def test_next_candidate_answers_where_one_is_behind() -> None:
    async with _pair([N2, N1], [N2]) as pair, pair.entry.connected("reader") as caller:
        pair.other.reads.error = ReplicaBehind("behind", generation=1)
        answer = await caller.call("RefService/ListRefs", LIST, ref_pb2.ListRefsResponse)
    assert answer.position.node == "n1"


async def test_dead_candidate_is_suspected_and_passed_over() -> None:
    async with _pair([N3, N2], [N2]) as pair, pair.entry.connected("writer") as caller:
        await caller.call("RefService/SetDefaultBranch", UPDATE, ref_pb2.SetDefaultBranchResponse)
    assert pair.membership.suspected == [N3]
    assert len(pair.other.writes.calls) == 1


async def test_error_of_the_other_node_reaches_the_client_equal_and_signed_by_the_entry_node() -> None:
    async with _pair([N2], [N2]) as pair, pair.entry.connected("reader") as caller:
        pair.other.reads = FakeReads()
        pair.other.router.nodes = []
        request = ref_pb2.ListRefsRequest(repository="no/such")
        with pytest.raises(CallFailed) as failed:
            await caller.call("RefService/ListRefs", request, ref_pb2.ListRefsResponse)
    assert failed.value.was_answered
    assert error_from_call(failed.value, N1).fields == {"repository": "no/such"}
