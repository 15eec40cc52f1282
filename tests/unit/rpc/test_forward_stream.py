"""Streaming calls handed from node to node: long answers and uploads, and every way they break."""

from __future__ import annotations

import asyncio
from typing import NoReturn

import pytest

from meshnode.auth.answers import CallFailed
from meshnode.base.errors import (
    DeadlineExceeded,
    Draining,
    Forbidden,
    MeshError,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    PeerUnavailable,
    QuorumLost,
    ReadOnly,
    RefConflict,
    ReplicaBehind,
    RepositoryNotFound,
    TooLarge,
)
from meshnode.base.ids import NodeId
from meshnode.v1 import ref_pb2
from meshnode.wire.status import error_from_call
from tests.unit.rpc.streams import Member, Step, Trio, running
from tests.unit.wire.samples import N1, N2, N3

WAIT_S = 10


def raising(error: MeshError) -> Step:
    async def fail() -> NoReturn:
        raise error

    return fail


def dying(member: Member) -> Step:
    """The node's server is gone in the middle of what it does."""

    async def die() -> None:
        stopping = asyncio.ensure_future(member.stop())
        try:
            await asyncio.Event().wait()  # until the end of the server cancels this call
        finally:
            await stopping

    return die


async def failure(outcome: object) -> MeshError:
    with pytest.raises(CallFailed) as failed:
        await outcome  # type: ignore[misc]
    assert failed.value.was_answered
    return error_from_call(failed.value, N1)


def asked(trio: Trio) -> list[NodeId]:
    """The nodes whose workers were called."""
    return [member.worker.node for member in (trio.entry, trio.second, trio.third) if member.worker.calls]


# ---------------------------------------------------------------- answers


async def test_answer_of_this_node_needs_no_other() -> None:
    async with running() as trio:
        trio.candidates(N1, N2)
        assert await trio.list() == ["n1 0", "n1 1", "n1 2"]
        assert asked(trio) == [N1]


async def test_answer_of_another_node_arrives_in_order_and_it_knows_who_asked() -> None:
    async with running() as trio:
        trio.candidates(N2)
        assert await trio.list() == ["n2 0", "n2 1", "n2 2"]
        (call,) = trio.second.worker.calls
        assert (call.is_forwarded, call.actor) == (True, "app:writer")
        assert asked(trio) == [N2]


async def test_empty_answer_is_an_answer() -> None:
    async with running() as trio:
        trio.candidates(N2, N3)
        trio.second.worker.answers = 0
        assert await trio.list() == []
        assert asked(trio) == [N2]


async def test_forwarded_call_goes_no_further() -> None:
    async with running() as trio:
        trio.candidates(N2)
        trio.second.site.router.nodes = [N3]
        assert (await trio.list())[0] == "n2 0"
        assert await trio.put() == "n2"


async def test_candidate_that_is_gone_makes_way_and_is_suspected() -> None:
    async with running() as trio:
        trio.candidates(N2, N3)
        await trio.second.stop()
        assert (await trio.list())[0] == "n3 0"
        assert trio.membership.suspected == [N2]


@pytest.mark.parametrize("error", [ReplicaBehind("behind"), Draining("draining"), Overloaded("full")])
async def test_refusal_before_the_first_message_is_made_good_by_the_next(error: MeshError) -> None:
    async with running() as trio:
        trio.candidates(N2, N1)
        trio.second.worker.before_answers = raising(error)
        assert await trio.list() == ["n1 0", "n1 1", "n1 2"]
        assert asked(trio) == [N1, N2]
        ((_, node, learned),) = trio.entry.site.router.refusals
        assert (node, type(learned)) == (N2, type(error)), "the router learns of it"


async def test_candidate_that_dies_before_the_first_message_makes_way() -> None:
    async with running() as trio:
        trio.candidates(N2, N3)
        trio.second.worker.before_answers = dying(trio.second)
        assert (await trio.list())[0] == "n3 0"


@pytest.mark.parametrize("own", [True, False])
async def test_failure_after_the_first_message_is_the_callers_to_know(own: bool) -> None:
    async with running() as trio:
        first, other = (trio.entry, N2) if own else (trio.second, N3)
        trio.candidates(first.worker.node, other)
        first.worker.between_answers = raising(ReplicaBehind("behind", generation=7))
        async with trio.listing() as stream:
            await anext(stream)
            with pytest.raises(CallFailed) as failed:
                await anext(stream)
        error = error_from_call(failed.value, N1)
        assert (type(error), error.fields) == (ReplicaBehind, {"generation": 7})
        assert asked(trio) == [first.worker.node]


async def test_candidate_that_dies_after_the_first_message_is_said() -> None:
    async with running() as trio:
        trio.candidates(N2, N3)
        trio.second.worker.between_answers = dying(trio.second)
        error = await failure(trio.list())
        assert isinstance(error, PeerUnavailable)
        assert asked(trio) == [N2]
        assert trio.membership.suspected == [N2]


@pytest.mark.parametrize("error", [NotFound("no"), Forbidden("no"), TooLarge("no")])
async def test_answer_that_every_replica_would_give_is_final(error: MeshError) -> None:
    async with running() as trio:
        trio.candidates(N2, N3)
        trio.second.worker.before_answers = raising(error)
        assert type(await failure(trio.list())) is type(error)
        assert asked(trio) == [N2]


async def test_last_candidate_has_the_last_word() -> None:
    async with running() as trio:
        trio.candidates(N2, N3)
        trio.second.worker.before_answers = raising(ReplicaBehind("behind"))
        trio.third.worker.before_answers = raising(Draining("draining"))
        assert isinstance(await failure(trio.list()), Draining)


async def test_nobody_to_ask_is_a_clear_error() -> None:
    async with running() as trio:
        trio.candidates()
        assert isinstance(await failure(trio.list()), ReplicaBehind)
        assert isinstance(await failure(trio.put()), ReadOnly)
        assert isinstance(await failure(trio.list(repository="no/such")), RepositoryNotFound)


async def test_caller_who_leaves_closes_the_stream_at_the_other_node() -> None:
    async with running() as trio:
        trio.candidates(N2)
        never = asyncio.Event()

        async def wait() -> None:
            await never.wait()

        trio.second.worker.between_answers = wait
        stream = trio.listing()
        await anext(stream)
        await stream.aclose()
        await asyncio.wait_for(trio.second.worker.ended.wait(), WAIT_S)


async def test_candidate_that_hangs_gets_its_share_of_the_time_and_makes_way() -> None:
    async with running() as trio:
        trio.candidates(N2, N3)
        never = asyncio.Event()

        async def wait() -> None:
            await never.wait()

        trio.second.worker.before_answers = wait
        assert await trio.list(timeout_ms=2_000) == ["n3 0", "n3 1", "n3 2"]
        assert trio.membership.suspected == [N2]
        await asyncio.wait_for(trio.second.worker.ended.wait(), WAIT_S)


async def test_candidate_that_has_begun_has_all_the_time_there_is() -> None:
    async with running() as trio:
        trio.candidates(N2, N3)
        go_on = asyncio.Event()

        async def wait() -> None:
            await go_on.wait()

        trio.second.worker.between_answers = wait
        async with trio.listing(timeout_ms=1_000) as stream:
            await anext(stream)
            asyncio.get_running_loop().call_later(0.6, go_on.set)  # past its share, half of the time
            assert [ref_pb2.ListRefsResponse.FromString(one).next_page_token async for one in stream] == [
                "n2 1",
                "n2 2",
            ]


async def test_node_that_knows_the_repository_answers_without_looking_for_candidates() -> None:
    async with running() as trio:
        trio.candidates(N2)
        trio.entry.site.router.is_own_known = True
        assert await trio.list() == ["n1 0", "n1 1", "n1 2"]
        assert trio.entry.site.router.read_asked == 0


async def test_wrong_belief_in_the_own_replica_costs_one_attempt() -> None:
    async with running() as trio:
        trio.candidates(N2)
        trio.entry.site.router.is_own_known = True
        trio.entry.worker.before_answers = raising(ReplicaBehind("behind"))
        assert await trio.list() == ["n2 0", "n2 1", "n2 2"]
        trio.entry.worker.before_answers = raising(NotFound("no"))
        assert isinstance(await failure(trio.list()), NotFound)


async def test_deadline_of_the_caller_ends_the_work_at_the_other_node() -> None:
    async with running() as trio:
        trio.candidates(N2)
        never = asyncio.Event()

        async def wait() -> None:
            await never.wait()

        trio.second.worker.before_answers = wait
        with pytest.raises(CallFailed) as failed:
            await trio.list(timeout_ms=500)
        assert isinstance(error_from_call(failed.value, N1), (DeadlineExceeded, PeerUnavailable))
        await asyncio.wait_for(trio.second.worker.ended.wait(), WAIT_S)


# ---------------------------------------------------------------- uploads


async def test_upload_that_this_node_takes_goes_nowhere_else() -> None:
    async with running() as trio:
        trio.candidates(N1, N2)
        assert await trio.put() == "n1"
        assert trio.entry.worker.received == [["k", "1", "2", "3"]]
        assert asked(trio) == [N1]


async def test_upload_is_handed_over_whole_with_its_key_and_its_caller() -> None:
    async with running() as trio:
        trio.candidates(N2)
        many = [str(number) for number in range(500)]
        assert await trio.put(many) == "n2"
        assert trio.second.worker.received == [["k", *many]]
        (call,) = trio.second.worker.calls
        assert (call.is_forwarded, call.actor) == (True, "app:writer")


async def test_upload_of_one_message_is_handed_over() -> None:
    async with running() as trio:
        trio.candidates(N2)
        assert await trio.put([]) == "n2"
        assert trio.second.worker.received == [["k"]]


async def test_upload_without_a_key_gets_one_and_keeps_it_over_all_candidates() -> None:
    async with running() as trio:
        trio.candidates(N2, N3)
        keys = []

        async def refuse() -> None:
            keys.append(trio.second.worker.calls[0].request_id)
            raise Draining("draining")

        trio.second.worker.before_body = refuse
        assert await trio.put(key="") == "n3"
        assert len(keys) == 1
        ((key, *rest),) = trio.third.worker.received
        assert (len(key), rest) == (32, ["1", "2", "3"])


@pytest.mark.parametrize("error", [Draining("draining"), ReplicaBehind("behind"), QuorumLost("alone")])
@pytest.mark.parametrize("last", [N1, N3])
async def test_upload_that_is_refused_before_its_body_goes_to_the_next_unchanged(
    error: MeshError, last: NodeId
) -> None:
    async with running() as trio:
        trio.candidates(N2, last)
        trio.second.worker.before_body = raising(error)
        assert await trio.put() == last
        taker = trio.entry if last == N1 else trio.third
        assert taker.worker.received == [["k", "1", "2", "3"]]
        assert trio.second.worker.received == []


async def test_own_refusal_before_the_body_hands_the_upload_on() -> None:
    async with running() as trio:
        trio.candidates(N1, N2)
        trio.entry.worker.before_body = raising(ReplicaBehind("behind"))
        assert await trio.put() == "n2"
        assert trio.second.worker.received == [["k", "1", "2", "3"]]


async def test_node_that_is_gone_makes_way_for_an_upload() -> None:
    async with running() as trio:
        trio.candidates(N2, N3)
        await trio.second.stop()
        assert await trio.put() == "n3"
        assert trio.membership.suspected == [N2]


@pytest.mark.parametrize("error", [Forbidden("no"), RefConflict("moved"), Overloaded("queue")])
async def test_refusal_that_another_coordinator_cannot_better_is_final(error: MeshError) -> None:
    async with running() as trio:
        trio.candidates(N2, N3)
        trio.second.worker.before_body = raising(error)
        assert type(await failure(trio.put())) is type(error)
        assert asked(trio) == [N2]


@pytest.mark.parametrize("taker", [N1, N2])
@pytest.mark.parametrize("error", [RefConflict("moved"), QuorumLost("no votes"), ReplicaBehind("behind")])
async def test_refusal_after_the_body_keeps_its_promise_and_ends_the_call(error: MeshError, taker: NodeId) -> None:
    async with running() as trio:
        trio.candidates(taker, N3)
        (trio.entry if taker == N1 else trio.second).worker.after_body = raising(error)
        assert type(await failure(trio.put())) is type(error)
        assert asked(trio) == [taker]


async def test_lost_answer_leaves_the_outcome_open() -> None:
    async with running() as trio:
        trio.candidates(N2, N3)
        trio.second.worker.after_body = dying(trio.second)
        error = await failure(trio.put())
        assert isinstance(error, OutcomeUnknown)
        assert error.fields == {"request_key": "k", "node": "n2"}
        assert asked(trio) == [N2]


async def test_unknown_outcome_of_the_other_node_is_handed_back_as_it_is() -> None:
    async with running() as trio:
        trio.candidates(N2, N3)
        trio.second.worker.after_body = raising(OutcomeUnknown("asked in vain", round="b" * 32))
        error = await failure(trio.put())
        assert (type(error), error.fields) == (OutcomeUnknown, {"round": "b" * 32})


async def test_node_that_dies_while_it_takes_the_body_leaves_the_outcome_open() -> None:
    async with running() as trio:
        trio.candidates(N2, N3)
        trio.second.worker.in_body = dying(trio.second)
        assert isinstance(await failure(trio.put()), OutcomeUnknown)
        assert trio.third.worker.calls == []


async def test_caller_who_breaks_off_an_upload_ends_it_at_the_other_node() -> None:
    async with running() as trio:
        trio.candidates(N2)
        never = asyncio.Event()

        async def wait() -> None:
            await never.wait()

        arrived = asyncio.Event()

        async def count() -> None:
            if len(trio.second.worker.received[0]) == 3:
                arrived.set()

        trio.second.worker.in_body = count
        stream = trio.putting(pause=wait)
        reading = asyncio.ensure_future(anext(stream))
        await asyncio.wait_for(arrived.wait(), WAIT_S)
        reading.cancel()
        await asyncio.wait([reading])
        await stream.aclose()
        await asyncio.wait_for(trio.second.worker.ended.wait(), WAIT_S)
        assert len(trio.second.worker.received[0]) == 3  # the last message never came


async def test_caller_without_time_left_asks_nobody() -> None:
    async with running() as trio:
        trio.candidates(N1, N2)

        async def outlast() -> None:
            trio.entry.worker.calls[0].deadline_ms = 0
            raise ReplicaBehind("behind")

        trio.entry.worker.before_body = outlast
        assert isinstance(await failure(trio.put()), DeadlineExceeded)
        trio.entry.worker.calls.clear()
        trio.entry.worker.before_answers = outlast
        assert isinstance(await failure(trio.list()), DeadlineExceeded)
        assert trio.second.worker.calls == []
