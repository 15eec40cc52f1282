"""One suite for every implementation of `ports.Peers`: in memory, and over signed gRPC on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from meshnode.auth.channel import SignedChannel
from meshnode.auth.stream import SignedStream
from meshnode.base.errors import Corrupt, MeshError, PeerUnavailable, ReplicaBehind
from meshnode.base.ids import Generation, NodeId, RefsDigest, RoundId
from meshnode.core.nodes import Node
from meshnode.peer.grpc import ROUNDS_MAX, GrpcPeers, PeerTimeouts
from meshnode.peer.memory import MemoryPeers
from meshnode.ports import (
    PackFix,
    Peers,
    StageChunk,
    StageFix,
    StageIndex,
    StageMessage,
    StageOpen,
    StagePrepare,
    Vote,
    VoteKind,
)
from meshnode.wire.status import promises_nothing_written
from tests.unit.rpc.fakes import FakeMembership, FakeReplication, node_entry, some_description
from tests.unit.rpc.harness import Site
from tests.unit.wire.samples import KEY, N1, N2, N3, ROUND_ID, oid, some_round, some_snapshot, state_of

OPENING = StageOpen(key=KEY, round_id=ROUND_ID, object_format="sha1", coordinator=N1)
FIX = PackFix(pack_id="1" * 40, header=b"PACK" + bytes(8), body_end=40, tail=b"t" * 20, index_bytes=5)


@dataclass
class World:
    """Peers of node n1, and the participant behind n2. There is no n3."""

    peers: Peers
    replication: FakeReplication


@pytest.fixture(params=["memory", "grpc"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Every implementation in turn."""
    replication = FakeReplication(node=N2)
    if request.param == "memory":
        yield World(MemoryPeers({N2: replication}, N1), replication)
        return
    site = Site(own=N2, replication=replication)
    async with site.serving():
        membership = FakeMembership({N2: node_entry(N2, f"127.0.0.1:{site.port}"), N3: node_entry(N3, "127.0.0.1:1")})
        peers = GrpcPeers(N1, membership, _dial(site))
        try:
            yield World(peers, replication)
        finally:
            await peers.close()


def _dial(site: Site) -> Callable[[Node], SignedChannel]:
    def dial(node: Node) -> SignedChannel:
        return SignedChannel(
            node.grpc_url,
            audience=node.node,
            signer=site.signer("n1"),
            registry=site.registry,
            expected_issuer=f"node:{node.node}",
            credentials=None,
            clock=site.clock,
            connect_ms=1_000,
        )

    return dial


async def _stages(*messages: StageMessage) -> AsyncIterator[StageMessage]:
    for message in messages:
        yield message


@pytest.mark.parametrize("kind", list(VoteKind))
async def test_prepare_brings_objects_and_round_in_order_and_a_vote_back(world: World, kind: VoteKind) -> None:
    world.replication.vote = Vote(kind=kind, generation=Generation(41), reason="because")
    sent: list[StageMessage] = [
        StageChunk(b"pack"),
        StageChunk(b"more"),
        StageFix(FIX),
        StageIndex(b"index"),
        StagePrepare(some_round(4_001)),
    ]
    vote = await world.peers.prepare(N2, OPENING, _stages(*sent))
    assert vote == world.replication.vote
    assert world.replication.opened == OPENING
    assert world.replication.stages == sent


async def test_prepare_of_a_round_without_objects(world: World) -> None:
    await world.peers.prepare(N2, OPENING, _stages(StagePrepare(some_round(0))))
    assert world.replication.stages == [StagePrepare(some_round(0))]


async def test_stream_that_breaks_off_at_the_source_is_no_vote_and_ends_at_the_participant(world: World) -> None:
    async def broken() -> AsyncIterator[StageMessage]:
        yield StageChunk(b"pack")
        await asyncio.wait_for(world.replication.begun.wait(), 5)
        raise Corrupt("the client's pack is damaged")

    with pytest.raises(Corrupt):
        await world.peers.prepare(N2, OPENING, broken())
    async with asyncio.timeout(5):
        await world.replication.ended.wait()


async def test_cancelled_prepare_ends_at_the_participant_and_closes_its_source(world: World) -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[StageMessage]:
        try:
            yield StageChunk(b"pack")
            await asyncio.Event().wait()
        finally:
            closed.set()

    async with asyncio.timeout(5):
        task = asyncio.ensure_future(world.peers.prepare(N2, OPENING, endless()))
        await world.replication.begun.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await world.replication.ended.wait()
        await closed.wait()


async def test_commit_and_abort_carry_their_round(world: World) -> None:
    assert await world.peers.commit(N2, KEY, ROUND_ID, Generation(42)) == 42
    await world.peers.abort(N2, KEY, ROUND_ID)
    assert world.replication.calls == [("commit", KEY, ROUND_ID, 42), ("abort", KEY, ROUND_ID)]


async def test_describe_gives_the_replicas_own_words(world: World) -> None:
    account = replace(some_description(N2), consistent_since_ms=60_000, activity="repairing", prepared=(ROUND_ID,))
    world.replication.description = account
    assert await world.peers.describe(N2, KEY, deep=True) == account
    assert world.replication.calls[-1] == ("describe", KEY, True)
    world.replication.description = None
    assert await world.peers.describe(N2, KEY, deep=False) is None


async def test_history_comes_back_equal_whatever_its_length(world: World) -> None:
    assert await world.peers.history(N2, KEY, Generation(41)) == []
    first = some_round(4_001)
    second = replace(some_round(1), base_generation=first.generation, round_id=RoundId("9" * 32))
    world.replication.rounds = [first, second]
    assert await world.peers.history(N2, KEY, Generation(41)) == [first, second]


async def test_snapshot_comes_back_equal(world: World) -> None:
    world.replication.refs = some_snapshot(12_000)
    state, snapshot = await world.peers.snapshot(N2, KEY)
    assert state == state_of(world.replication.refs)
    assert snapshot == world.replication.refs


async def test_objects_come_as_a_stream(world: World) -> None:
    wants = [oid(number) for number in range(30_000)]
    world.replication.pack = [b"a" * 100_000, b"b" * 3_000_000]
    received = b"".join([data async for data in world.peers.fetch_objects(N2, KEY, wants, [oid(1)])])
    assert received == b"".join(world.replication.pack)
    assert world.replication.calls == [("fetch_objects", KEY, tuple(wants), (oid(1),))]


async def test_fetch_without_wants_and_haves_is_asked_all_the_same(world: World) -> None:
    async for _ in world.peers.fetch_objects(N2, KEY, [], []):
        pass
    assert world.replication.calls == [("fetch_objects", KEY, (), ())]


async def test_reader_of_objects_who_leaves_stops_the_participant(world: World) -> None:
    world.replication.pack = [b"x" * 200_000] * 500
    pack = world.peers.fetch_objects(N2, KEY, [oid(1)], [])
    async for _ in pack:
        break
    await pack.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(5):
        await world.replication.ended.wait()


Call = Callable[[Peers, NodeId], Awaitable[object]]


async def _collect(peers: Peers, node: NodeId) -> object:
    return [data async for data in peers.fetch_objects(node, KEY, [oid(1)], [])]


CALLS: dict[str, Call] = {
    "prepare": lambda peers, node: peers.prepare(node, OPENING, _stages(StagePrepare(some_round()))),
    "commit": lambda peers, node: peers.commit(node, KEY, ROUND_ID, Generation(42)),
    "abort": lambda peers, node: peers.abort(node, KEY, ROUND_ID),
    "describe": lambda peers, node: peers.describe(node, KEY, deep=False),
    "history": lambda peers, node: peers.history(node, KEY, Generation(1)),
    "snapshot": lambda peers, node: peers.snapshot(node, KEY),
    "fetch_objects": _collect,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
async def test_error_of_the_participant_comes_back_equal(world: World, call: Call) -> None:
    world.replication.error = ReplicaBehind("replica is behind", generation=3)
    with pytest.raises(ReplicaBehind) as behind:
        await call(world.peers, N2)
    assert (behind.value.message, behind.value.fields) == ("replica is behind", {"generation": 3})


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize("node", [N3, NodeId("n4")])
async def test_node_that_is_not_there_is_unavailable_and_untouched(world: World, call: Call, node: NodeId) -> None:
    with pytest.raises(PeerUnavailable) as gone:
        await call(world.peers, node)
    assert gone.value.fields["node"] == node
    assert gone.value.fields["is_untouched"] is True


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
async def test_source_and_participant_are_idle_after_a_cancelled_call(world: World, call: Call) -> None:
    world.replication.gate = asyncio.Event()
    async with asyncio.timeout(5):
        task = asyncio.ensure_future(call(world.peers, N2))
        await world.replication.begun.wait()
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()


async def test_damaged_snapshot_never_gets_through() -> None:
    site = Site(own=N2, replication=FakeReplication(node=N2, claimed_digest=RefsDigest("0" * 64)))
    async with site.serving():
        membership = FakeMembership({N2: node_entry(N2, f"127.0.0.1:{site.port}")})
        peers = GrpcPeers(N1, membership, _dial(site))
        with pytest.raises(MeshError, match="digest"):
            await peers.snapshot(N2, KEY)
        await peers.close()


async def test_history_with_a_gap_counts_as_no_answer() -> None:
    site = Site(own=N2, replication=FakeReplication(node=N2, rounds=[some_round()]))
    async with site.serving():
        membership = FakeMembership({N2: node_entry(N2, f"127.0.0.1:{site.port}")})
        peers = GrpcPeers(N1, membership, _dial(site))
        with pytest.raises(PeerUnavailable, match="senseless"):
            await peers.history(N2, KEY, Generation(30))
        await peers.close()


async def test_history_without_end_counts_as_no_answer() -> None:
    small = some_round(1)
    endless = [replace(small, base_generation=Generation(30 + number)) for number in range(ROUNDS_MAX + 1)]
    site = Site(own=N2, replication=FakeReplication(node=N2, rounds=endless))
    async with site.serving():
        membership = FakeMembership({N2: node_entry(N2, f"127.0.0.1:{site.port}")})
        peers = GrpcPeers(N1, membership, _dial(site))
        with pytest.raises(PeerUnavailable, match="senseless") as refused:
            await peers.history(N2, KEY, Generation(30))
        assert "too long" in str(refused.value)
        await peers.close()


async def test_node_that_signs_with_another_key_is_not_believed() -> None:
    site = Site(own=N3)
    async with site.serving():
        membership = FakeMembership({N2: node_entry(N2, f"127.0.0.1:{site.port}")})
        peers = GrpcPeers(N1, membership, _dial(site))
        with pytest.raises(PeerUnavailable):
            await peers.commit(N2, KEY, ROUND_ID, Generation(42))
        await peers.close()


async def test_node_is_dialled_again_where_the_catalog_moves_it() -> None:
    old, new = Site(own=N2), Site(own=N2)
    async with old.serving(), new.serving():
        new.registry = old.registry
        membership = FakeMembership({N2: node_entry(N2, f"127.0.0.1:{old.port}")})
        peers = GrpcPeers(N1, membership, _dial(old))
        await peers.abort(N2, KEY, ROUND_ID)
        membership.entries[N2] = node_entry(N2, f"127.0.0.1:{new.port}")
        await peers.abort(N2, KEY, ROUND_ID)
        await peers.close()
        with pytest.raises(PeerUnavailable):
            await peers.abort(N2, KEY, ROUND_ID)
    assert len(old.replication.calls) == len(new.replication.calls) == 1


async def test_node_that_takes_too_long_may_have_done_what_it_was_told() -> None:
    site = Site(own=N2, replication=FakeReplication(node=N2, gate=asyncio.Event()))
    async with site.serving():
        membership = FakeMembership({N2: node_entry(N2, f"127.0.0.1:{site.port}")})
        peers = GrpcPeers(N1, membership, _dial(site), PeerTimeouts(call_ms=100))
        with pytest.raises(MeshError) as late:
            await peers.commit(N2, KEY, ROUND_ID, Generation(42))
        await peers.close()
    assert not promises_nothing_written(late.value)


async def test_node_that_stops_in_the_middle_of_a_pack_is_given_up() -> None:
    replication = FakeReplication(node=N2, gate=asyncio.Event())
    site = Site(own=N2, replication=replication)
    async with site.serving():
        membership = FakeMembership({N2: node_entry(N2, f"127.0.0.1:{site.port}")})
        peers = GrpcPeers(N1, membership, _dial(site), PeerTimeouts(silence_ms=100))
        with pytest.raises(PeerUnavailable, match="nothing any more"):
            await _collect(peers, N2)
        async with asyncio.timeout(5):
            await replication.ended.wait()
        await peers.close()


async def test_answer_that_is_no_message_counts_as_no_answer() -> None:
    class Babbling:
        async def unary(
            self, method: str, body: bytes, *, timeout_ms: int, metadata: Sequence[tuple[str, str]] = ()
        ) -> bytes:
            assert method.startswith("/mesh.v1.ReplicationService/")
            assert timeout_ms > len(metadata) == 0 < len(body)
            return b"\xff"

        def stream(
            self,
            method: str,
            messages: AsyncIterator[bytes] | bytes,
            *,
            timeout_ms: int,
            metadata: Sequence[tuple[str, str]] = (),
        ) -> SignedStream:
            raise NotImplementedError(method, messages, timeout_ms, metadata)

        async def close(self) -> None:
            return None

    peers = GrpcPeers(N1, FakeMembership(), lambda _: Babbling())
    with pytest.raises(PeerUnavailable, match="senseless"):
        await peers.commit(N2, KEY, ROUND_ID, Generation(42))
    with pytest.raises(PeerUnavailable, match="senseless"):
        await peers.describe(N2, KEY, deep=False)
    await peers.close()
