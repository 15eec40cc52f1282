from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from meshnode.auth.channel import SignedChannel
from meshnode.base.errors import (
    Corrupt,
    Draining,
    Forbidden,
    InvalidRequest,
    OutcomeUnknown,
    PeerUnavailable,
    ReplicaBehind,
    RepositoryNotFound,
)
from meshnode.base.ids import Generation, NodeId, RepositoryName
from meshnode.config import LimitSettings
from meshnode.core.nodes import Node
from meshnode.peer.grpc import GrpcPeers
from meshnode.peer.transport import GrpcTransport
from meshnode.ports import Consistency, ConsistencyLevel, GitService, TransportRequest
from tests.unit.rpc.fakes import FakeMembership, FakeTransport, node_entry
from tests.unit.rpc.harness import Site
from tests.unit.wire.samples import N1, N2

REQUEST = TransportRequest(
    name=RepositoryName("project/repo"),
    actor="user:ann",
    version=2,
    consistency=Consistency(ConsistencyLevel.AT_LEAST, Generation(7)),
    is_forwarded=True,
    may_create=True,
)


@dataclass
class Body:
    """A client's body that knows whether it was touched."""

    pieces: list[bytes] = field(default_factory=lambda: [b"abc", b"x" * 3_000_000])
    is_touched: bool = False
    error: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.is_touched = True
        for piece in self.pieces:
            yield piece
        if self.error is not None:
            raise self.error


@asynccontextmanager
async def _remote(
    transport: FakeTransport, limits: LimitSettings | None = None
) -> AsyncIterator[tuple[GrpcTransport, Site]]:
    """Node n1's way to n2, whose Transport is `transport`."""
    site = Site(own=N2, transport=transport)
    async with site.serving():
        membership = FakeMembership({N2: node_entry(N2, f"127.0.0.1:{site.port}")})

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

        peers = GrpcPeers(N1, membership, dial)
        try:
            yield GrpcTransport(peers, limits or LimitSettings()), site
        finally:
            await peers.close()


async def test_request_and_answer_pass_through_unchanged() -> None:
    transport = FakeTransport()
    async with _remote(transport) as (remote, _):
        reply = await remote.upload_pack(N2, REQUEST, aiter(Body()))
        answer = b"".join([data async for data in reply.body])
    assert (reply.generation, reply.node) == (42, N2)
    assert transport.requests == [REQUEST]
    assert b"".join(transport.received) == b"abc" + b"x" * 3_000_000
    assert answer.startswith(b"got 3")


async def test_advertisement_passes_through() -> None:
    async with _remote(FakeTransport()) as (remote, _):
        reply = await remote.info_refs(N2, REQUEST, GitService.RECEIVE_PACK)
        assert [data async for data in reply.body] == [b"git-receive-pack"]


async def test_body_stays_here_until_the_other_node_reads_it() -> None:
    """receive_pack of the fake reads the body before it answers, so this also shows that nothing waits for ever."""
    transport = FakeTransport()
    async with _remote(transport) as (remote, _):
        reply = await remote.receive_pack(N2, REQUEST, aiter(Body([b"abc"])))
        async for _ in reply.body:
            pass
    assert transport.received == [b"abc"]


@pytest.mark.parametrize("error", [ReplicaBehind("behind"), Draining("draining"), PeerUnavailable("deeper")])
async def test_refusal_before_the_body_leaves_it_for_the_next_node(
    error: ReplicaBehind | Draining | PeerUnavailable,
) -> None:
    body = Body()
    async with _remote(FakeTransport(error=error)) as (remote, _):
        with pytest.raises(type(error)) as refused:
            await remote.upload_pack(N2, REQUEST, aiter(body))
    assert refused.value.fields["is_untouched"] is True
    assert not body.is_touched


@pytest.mark.parametrize("error", [ReplicaBehind("behind"), Draining("draining")])
async def test_refusal_after_a_part_of_the_body_never_invites_another_try(error: ReplicaBehind | Draining) -> None:
    async with _remote(FakeTransport(error=error)) as (remote, _):
        with pytest.raises(PeerUnavailable) as refused:
            await remote.receive_pack(N2, REQUEST, aiter(Body()))
    assert refused.value.fields["is_untouched"] is False


@pytest.mark.parametrize("error", [PeerUnavailable("broke off"), OutcomeUnknown("publish timed out")])
async def test_push_that_was_handed_over_and_not_answered_for_has_an_unknown_outcome(
    error: PeerUnavailable | OutcomeUnknown,
) -> None:
    async with _remote(FakeTransport(error=error)) as (remote, _):
        with pytest.raises(OutcomeUnknown) as unknown:
            await remote.receive_pack(N2, REQUEST, aiter(Body()))
    assert unknown.value.fields["is_untouched"] is False
    async with _remote(FakeTransport(late_error=error)) as (remote, _):
        reply = await remote.receive_pack(N2, REQUEST, aiter(Body()))
        with pytest.raises(OutcomeUnknown):
            async for _ in reply.body:
                pass


async def test_fetch_that_was_handed_over_and_broke_off_may_be_repeated() -> None:
    async with _remote(FakeTransport(late_error=PeerUnavailable("broke off"))) as (remote, _):
        reply = await remote.upload_pack(N2, REQUEST, aiter(Body()))
        with pytest.raises(PeerUnavailable):
            async for _ in reply.body:
                pass


@pytest.mark.parametrize("error", [RepositoryNotFound("no"), Forbidden("no")])
async def test_final_refusal_comes_back_as_it_is(error: RepositoryNotFound | Forbidden) -> None:
    async with _remote(FakeTransport(error=error)) as (remote, _):
        with pytest.raises(type(error)):
            await remote.receive_pack(N2, REQUEST, aiter(Body()))


async def test_node_that_is_down_leaves_the_body_untouched() -> None:
    body = Body()
    async with _remote(FakeTransport()) as (remote, site):
        membership = FakeMembership({N2: node_entry(N2, "127.0.0.1:1")})

        def dial(node: Node) -> SignedChannel:
            return SignedChannel(
                node.grpc_url,
                audience=N2,
                signer=site.signer("n1"),
                registry=site.registry,
                expected_issuer="node:n2",
                credentials=None,
                clock=site.clock,
                connect_ms=500,
            )

        peers = GrpcPeers(N1, membership, dial)
        for node in (N2, NodeId("n9")):
            with pytest.raises(PeerUnavailable) as gone:
                await GrpcTransport(peers, LimitSettings()).upload_pack(node, REQUEST, aiter(body))
            assert gone.value.fields["is_untouched"] is True
        await peers.close()
    assert remote is not None
    assert not body.is_touched


async def test_node_that_does_not_decide_in_time_leaves_the_body_untouched() -> None:
    body = Body()
    transport = FakeTransport(gate=asyncio.Event())
    async with _remote(transport, LimitSettings(queue_wait_ms=50)) as (remote, site):
        with pytest.raises(PeerUnavailable, match="in time") as late:
            await remote.upload_pack(N2, REQUEST, aiter(body))
        async with asyncio.timeout(5):
            while site.admission.running:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.005)
    assert late.value.fields["is_untouched"] is True
    assert not body.is_touched


async def test_error_in_the_middle_of_the_answer_reaches_the_reader() -> None:
    async with _remote(FakeTransport(late_error=Corrupt("damaged"))) as (remote, _):
        reply = await remote.upload_pack(N2, REQUEST, aiter(Body()))
        with pytest.raises(Corrupt):
            async for _ in reply.body:
                pass


async def test_error_of_the_clients_body_is_raised_here_and_ends_the_call_there() -> None:
    transport = FakeTransport()
    async with _remote(transport) as (remote, site):
        reply = await remote.upload_pack(N2, REQUEST, aiter(Body([b"abc"], error=InvalidRequest("client broke off"))))
        with pytest.raises(InvalidRequest, match="client broke off"):
            async for _ in reply.body:
                pass
        await asyncio.wait_for(transport.ended.wait(), 5)
        async with asyncio.timeout(5):
            while site.admission.running:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.005)


@pytest.mark.parametrize("is_begun", [False, True])
async def test_answer_that_nobody_wants_any_more_is_stopped_at_its_source(*, is_begun: bool) -> None:
    transport = FakeTransport()
    before = asyncio.all_tasks()

    async def endless() -> AsyncIterator[bytes]:
        yield b"abc"
        await asyncio.Event().wait()

    async with _remote(transport) as (remote, _):
        reply = await remote.upload_pack(N2, REQUEST, endless())
        if is_begun:
            await anext(reply.body)
        await asyncio.wait_for(transport.begun.wait(), 5)
        await reply.body.aclose()  # type: ignore[attr-defined]
        await asyncio.wait_for(transport.ended.wait(), 5)
    assert asyncio.all_tasks() == before
