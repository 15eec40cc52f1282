"""Answers whose last message is sent together with the status: to the caller they are streams like any other."""

from __future__ import annotations

import asyncio

import pytest

from meshnode.auth.channel import CallFailed
from meshnode.base.errors import Corrupt, MeshError
from meshnode.v1 import ref_pb2
from meshnode.wire.status import error_from_call
from tests.unit.rpc.streams import WHOLE, Trio, running
from tests.unit.wire.samples import N1, N2

WAIT_S = 5.0


async def _listed(trio: Trio) -> list[str]:
    async with trio.listing(method=WHOLE) as stream:
        return [ref_pb2.ListRefsResponse.FromString(message).next_page_token async for message in stream]


@pytest.mark.parametrize("count", [1, 2, 5])
async def test_all_messages_come_in_order_and_the_signature_is_that_of_all_of_them(count: int) -> None:
    async with running() as trio:
        trio.candidates(N1)
        trio.entry.worker.answers = count
        assert await _listed(trio) == [f"n1 {number}" for number in range(count)]
        assert trio.entry.site.admission.running == 0


async def test_answer_of_another_node_is_passed_on() -> None:
    async with running() as trio:
        trio.candidates(N2)
        assert await _listed(trio) == ["n2 0", "n2 1", "n2 2"]


async def test_answer_without_a_message_is_a_defect() -> None:
    async with running() as trio:
        trio.candidates(N1)
        trio.entry.worker.answers = 0
        with pytest.raises(CallFailed) as failed:
            await _listed(trio)
        assert failed.value.was_answered
        assert failed.value.code.name == "INTERNAL"


@pytest.mark.parametrize("place", ["before_answers", "between_answers"])
async def test_failure_is_signed_wherever_it_comes(place: str) -> None:
    async def fail() -> None:
        raise Corrupt("damaged")

    async with running() as trio:
        trio.candidates(N1)
        setattr(trio.entry.worker, place, fail)
        with pytest.raises(CallFailed) as failed:
            await _listed(trio)
        assert failed.value.was_answered
        error: MeshError = error_from_call(failed.value, N1)
        assert type(error) is Corrupt


async def test_caller_who_leaves_in_the_middle_closes_what_runs_for_them() -> None:
    never = asyncio.Event()

    async def wait() -> None:
        if len(waited) == 1:
            await never.wait()
        waited.append(None)

    waited: list[None] = []
    async with running() as trio:
        trio.candidates(N1)
        trio.entry.worker.between_answers = wait
        stream = trio.listing(method=WHOLE)
        await anext(stream)  # the first is sent when the second is there
        await stream.aclose()
        await asyncio.wait_for(trio.entry.worker.ended.wait(), WAIT_S)


async def test_first_message_is_held_against_the_token() -> None:
    async with running() as trio:
        trio.candidates(N1)
        signed = trio.entry.site.signer("writer").request_token(
            audience=N1, method=WHOLE.path, first_body=b"something else"
        )
        async with trio.entry.site.raw() as channel:
            with pytest.raises(Exception, match="UNAUTHENTICATED"):
                await channel.unary_unary(WHOLE.path)(
                    ref_pb2.ListRefsRequest(repository="a/b").SerializeToString(),
                    metadata=(("authorization", f"Bearer {signed.token}"),),
                    timeout=WAIT_S,
                )
        assert trio.entry.worker.calls == []
