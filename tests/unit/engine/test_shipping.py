"""Streams of a round that end early, hang or break: the push goes on without them, or is told within a minute."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection

from meshnode.base.ids import NodeId, PartitionId, RepositoryId, RoundId
from meshnode.core.round import ReplicaKey
from meshnode.core.write import VoteGranted, VoteMissing
from meshnode.engine.shipping import NEEDED_STALL_MS, QUEUE_MESSAGES_MAX, READ_REPLICA_STALL_MS, STALL_MS, Shipment
from meshnode.engine.supervisor import Supervisor
from meshnode.ports import Peers, StageChunk, StageMessage, StageOpen, StagePrepare, Vote, VoteKind
from tests.sim.virtual_time import run_virtual
from tests.unit.core.builders import a_round

N1, N2, N3, N4 = (NodeId(f"n{number}") for number in range(1, 5))
CHUNKS = 3 * QUEUE_MESSAGES_MAX


async def take_all(messages: AsyncIterator[StageMessage]) -> Vote:
    async for _ in messages:
        pass
    return Vote(kind=VoteKind.GRANTED, generation=a_round().generation)


async def hang(_messages: AsyncIterator[StageMessage]) -> Vote:
    await asyncio.sleep(86_400)
    raise AssertionError("a day has passed")


async def break_with_a_defect(messages: AsyncIterator[StageMessage]) -> Vote:
    await anext(messages)
    raise ZeroDivisionError


async def be_cancelled_by_nobody(messages: AsyncIterator[StageMessage]) -> Vote:
    """As grpc does it where a channel is closed under a call."""
    await anext(messages)
    raise asyncio.CancelledError


Prepare = Callable[[AsyncIterator[StageMessage]], Awaitable[Vote]]


class FakePeers:
    """Participants that do as they are told."""

    def __init__(self, **ways: Prepare) -> None:
        self._ways = ways

    async def prepare(self, node: NodeId, _opening: StageOpen, messages: AsyncIterator[StageMessage]) -> Vote:
        return await self._ways[node](messages)


def ship(*, read_replicas: Collection[NodeId] = (), **ways: Prepare) -> tuple[dict[NodeId, str], float]:
    """Send a large pack to nodes; what came of each, and after how many seconds the last message was queued."""

    async def run() -> tuple[dict[NodeId, str], float]:
        peers: object = FakePeers(**ways)
        assert isinstance(peers, FakePeers)
        outcome: dict[NodeId, str] = {}
        supervisor = Supervisor()

        def note(event: VoteGranted | VoteMissing) -> None:
            outcome[event.node] = "granted" if isinstance(event, VoteGranted) else event.reason

        key = ReplicaKey(PartitionId(0), RepositoryId("a" * 32))
        async with Shipment(
            own=N1,
            peers=_as_peers(peers),
            opening=StageOpen(key=key, round_id=RoundId("b" * 32), object_format="sha1", coordinator=N1),
            nodes=[NodeId(name) for name in ways],
            replicas=(N1, N2, N3),
            believed=(N1, N2, N3),
            read_replicas=read_replicas,
            supervisor=supervisor,
            on_unreachable=lambda _: None,
        ) as shipment:
            shipment.deliver_votes_to(note)
            for _ in range(CHUNKS):
                await shipment.offer(StageChunk(b"x"))
            await shipment.offer(StagePrepare(a_round()))
            sent_s = asyncio.get_running_loop().time()
            await asyncio.sleep(1)
        await supervisor.close()
        return outcome, sent_s

    return run_virtual(run())


def _as_peers(peers: object) -> Peers:
    return peers  # type: ignore[return-value]


def test_a_read_replica_whose_stream_breaks_off_in_an_unforeseen_way_holds_no_push_up() -> None:
    """The push turned in a circle for ever, for want of room in a queue that nobody emptied any more."""
    for broken in (break_with_a_defect, be_cancelled_by_nobody):
        outcome, sent_s = ship(read_replicas=[N4], n2=take_all, n3=take_all, n4=broken)
        assert (outcome[N2], outcome[N3]) == ("granted", "granted")
        assert sent_s <= READ_REPLICA_STALL_MS / 1_000


def test_a_stream_that_is_cancelled_by_nobody_is_a_vote_that_is_missing() -> None:
    outcome, sent_s = ship(n2=take_all, n3=be_cancelled_by_nobody)
    assert outcome == {N2: "granted", N3: "the stream to it was ended"}
    assert sent_s <= STALL_MS / 1_000


def test_a_node_that_hangs_is_let_go_sooner_where_the_quorum_does_not_need_it() -> None:
    outcome, sent_s = ship(n2=take_all, n3=hang)
    assert outcome == {N2: "granted", N3: "too slow to keep up with the push"}
    assert sent_s == STALL_MS / 1_000


def test_a_node_that_hangs_holds_a_push_up_for_a_minute_at_most() -> None:
    outcome, sent_s = ship(n2=hang, n3=hang)
    assert set(outcome.values()) == {"too slow to keep up with the push"}
    assert sent_s == (STALL_MS + NEEDED_STALL_MS) / 1_000
