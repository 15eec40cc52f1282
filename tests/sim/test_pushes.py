"""Pushes against engines on memory adapters: reports, losses while bytes arrive, repetitions, unknown outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import cast

import pytest

from meshnode.base.errors import CatalogUnavailable, InvalidRequest, OutcomeUnknown
from meshnode.base.ids import HEAD, NodeId, RepositoryName
from meshnode.catalog.memory import CatalogCall, Moment
from meshnode.core.keys import RECORDS
from meshnode.ports import RemoteTransport, StageChunk, StageMessage, StageOpen, TransportRequest, Vote
from tests.sim.memory_cluster import MAIN, MemoryCluster
from tests.sim.pushes import in_pieces, push, push_bytes, request
from tests.sim.test_cluster import NAME, A, B, C, play

TOPIC = "refs/heads/topic"


def leftovers(cluster: MemoryCluster) -> list[str]:
    """Rounds in journals and packs nobody claimed, on any disk."""
    found = []
    for name, node in cluster.nodes.items():
        for one in node.disk.replicas.values():
            found += [f"{name}: prepared {known.round_id}" for known in one.state.prepared]
            found += [f"{name}: pack {round_id}" for round_id in one.packs]
    return found


def test_a_push_brings_objects_and_references_to_every_replica() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        assert f"ok {MAIN}" in await push(cluster, "n1", NAME, [(MAIN, "", A)], padding=3_000_000)
        await cluster.wait_until_consistent(NAME)
        for node in cluster.nodes.values():
            (one,) = node.disk.replicas.values()
            assert A in one.objects
        assert leftovers(cluster) == []

    play(story)


def test_a_push_to_a_new_name_creates_it_and_leads_head_to_its_first_branch() -> None:
    async def story(cluster: MemoryCluster) -> None:
        assert f"ok {TOPIC}" in await push(cluster, "n2", NAME, [(TOPIC, "", A)], may_create=True)
        assert await cluster.read("n3", NAME, HEAD) == f"ref:{TOPIC}"

    play(story)


def test_a_probe_without_commands_creates_nothing() -> None:
    async def story(cluster: MemoryCluster) -> None:
        reply = await cluster.engine("n1").transport.receive_pack(request(NAME, may_create=True), in_pieces(b"0000"))
        assert [chunk async for chunk in reply.body] == []
        assert not any(node.disk.replicas for node in cluster.nodes.values())

    play(story)


def test_commands_fail_one_by_one_and_atomic_ones_together() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await push(cluster, "n1", NAME, [(MAIN, "", A)])
        mixed = [(MAIN, C, B), (TOPIC, "", B)]
        report = await push(cluster, "n1", NAME, mixed, is_atomic=True)
        assert f"ng {MAIN} reference already at {A}; fetch first" in report
        assert f"ng {TOPIC} atomic push failed" in report
        assert await cluster.read("n1", NAME, TOPIC) is None
        report = await push(cluster, "n1", NAME, mixed)
        assert f"ng {MAIN}" in report
        assert f"ok {TOPIC}" in report
        assert await cluster.read("n3", NAME, TOPIC) == B
        assert leftovers(cluster) == []

    play(story)


def test_names_that_cannot_live_together_and_the_default_branch_are_refused_before_the_commit_point() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await push(cluster, "n1", NAME, [(MAIN, "", A)])
        assert f"ng {MAIN}/x reference name conflicts" in await push(cluster, "n1", NAME, [(f"{MAIN}/x", "", B)])
        both = [("refs/heads/d", "", B), ("refs/heads/d/e", "", C)]
        report = await push(cluster, "n1", NAME, both)
        assert "ok refs/heads/d" in report
        assert "ng refs/heads/d/e" in report
        assert "deletion of the default branch prohibited" in await push(cluster, "n1", NAME, [(MAIN, A, "")])
        assert "ok refs/heads/d" in await push(cluster, "n1", NAME, [("refs/heads/d", B, "")])

    play(story)


def test_a_push_of_a_missing_object_is_refused_and_nothing_stays() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        body = push_bytes([(MAIN, "", A)])
        body = body[: body.index(b"PACK") + 12] + C.encode()
        reply = await cluster.engine("n1").transport.receive_pack(request(NAME), in_pieces(body))
        report = b"".join([chunk async for chunk in reply.body])
        assert b"ng refs/heads/main object is missing" in report
        assert leftovers(cluster) == []
        assert (await cluster.record(NAME)).generation == 1

    play(story)


def test_a_repeated_push_that_took_effect_is_ok_again_without_a_second_round() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        first = await push(cluster, "n1", NAME, [(MAIN, "", A)])
        assert await push(cluster, "n2", NAME, [(MAIN, "", A)]) != ""
        assert f"ok {MAIN}" in first
        assert f"ok {MAIN}" in await push(cluster, "n3", NAME, [(MAIN, "", A)])
        assert (await cluster.record(NAME)).generation == 2
        await push(cluster, "n1", NAME, [(MAIN, A, B)])
        assert f"ok {MAIN}" in await push(cluster, "n1", NAME, [(MAIN, "", A)])
        assert await cluster.read("n1", NAME) == B, "a late repetition does not undo what came after"

    play(story)


@pytest.mark.parametrize("is_wiped", [False, True])
def test_a_node_that_was_repaired_recognises_a_push_it_never_saw(*, is_wiped: bool) -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.crash("n3")
        await push(cluster, "n1", NAME, [(MAIN, "", A)])
        await push(cluster, "n1", NAME, [(MAIN, A, B)])
        if is_wiped:
            cluster.nodes[NodeId("n3")].disk.replicas.clear()
        await cluster.restart("n3")
        await cluster.wait_until_consistent(NAME)
        assert f"ok {MAIN}" in await push(cluster, "n3", NAME, [(MAIN, "", A)])
        assert (await cluster.record(NAME)).generation == 3

    play(story)


def test_a_second_stream_of_a_round_that_breaks_off_does_not_take_the_vote_back() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        replication = cluster.replications[NodeId("n2")]
        voted: list[Vote] = []

        class Doubling:
            def __getattr__(self, name: str) -> object:
                return getattr(replication, name)

            async def prepare(self, opening: StageOpen, messages: AsyncIterator[StageMessage]) -> Vote:
                kept: list[StageMessage] = []

                async def noted() -> AsyncIterator[StageMessage]:
                    async for message in messages:
                        kept.append(message)
                        yield message

                async def again() -> AsyncIterator[StageMessage]:
                    for message in kept[:-1]:
                        yield message

                vote = await replication.prepare(opening, noted())
                with pytest.raises(InvalidRequest):
                    await replication.prepare(opening, again())
                voted.append(vote)
                return vote

        cluster.replications[NodeId("n2")] = Doubling()  # type: ignore[assignment]
        assert f"ok {MAIN}" in await push(cluster, "n1", NAME, [(MAIN, "", A)])
        assert [vote.kind.value for vote in voted] == ["granted"]
        record = await cluster.wait_until_consistent(NAME)
        assert record.generation == 2
        assert await cluster.read("n2", NAME) == A

    play(story)


def test_two_copies_of_one_push_at_once_take_effect_once() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        reports = await asyncio.gather(*(push(cluster, "n1", NAME, [(MAIN, "", A)]) for _ in range(3)))
        assert all(f"ok {MAIN}" in report for report in reports)
        assert (await cluster.record(NAME)).generation == 2

    play(story)


def test_an_unknown_outcome_is_never_reported_as_ng() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        is_broken = False

        async def hook(call: CatalogCall) -> None:
            nonlocal is_broken
            if call.operation == "transact" and any(key.startswith(RECORDS) for key in call.keys):
                is_broken = True
            if is_broken and call.moment is Moment.BEFORE:
                raise OutcomeUnknown("no answer") if call.operation == "transact" else CatalogUnavailable("down")

        cluster.hooks[NodeId("n1")] = hook
        await cluster.crash("n1")
        await cluster.restart("n1")
        await cluster.wait_until_consistent(NAME)
        report = await push(cluster, "n1", NAME, [(MAIN, "", A)])
        assert "ng " not in report
        assert "the outcome of the write is not known" in report
        assert "GetRoundOutcome" in report
        cluster.hooks.clear()
        await cluster.crash("n1")
        await cluster.restart("n1")
        await cluster.clock.sleep(10_000)
        assert leftovers(cluster) == [], "participants settle what the coordinator left open"
        await push(cluster, "n2", NAME, [(MAIN, "", A)])
        await cluster.wait_until_consistent(NAME)

    play(story)


def test_a_participant_that_goes_away_while_bytes_arrive_is_excluded() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        data = push_bytes([(MAIN, "", A)], padding=4_000_000)

        async def body() -> AsyncIterator[bytes]:
            async for piece in in_pieces(data[:2_000_000]):
                yield piece
            cluster.links.cut(NodeId("n1"), NodeId("n3"))
            async for piece in in_pieces(data[2_000_000:]):
                yield piece

        reply = await cluster.engine("n1").transport.receive_pack(request(NAME), body())
        report = b"".join([chunk async for chunk in reply.body])
        assert b"ok refs/heads/main" in report
        assert (await cluster.record(NAME)).inconsistent == {"n3"}
        cluster.links.mend_all()
        await cluster.wait_until_consistent(NAME)
        assert leftovers(cluster) == []

    play(story)


def test_a_participant_that_stops_reading_is_let_go_because_the_quorum_does_not_need_it() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        replication = cluster.replications[NodeId("n3")]

        class Stuck:
            def __getattr__(self, name: str) -> object:
                return getattr(replication, name)

            async def prepare(self, _: StageOpen, messages: AsyncIterator[StageMessage]) -> Vote:
                async for message in messages:
                    assert isinstance(message, StageChunk)
                    await asyncio.Event().wait()
                raise AssertionError

        cluster.replications[NodeId("n3")] = Stuck()  # type: ignore[assignment]
        report = await push(cluster, "n1", NAME, [(MAIN, "", A)], padding=32 << 20)
        assert f"ok {MAIN}" in report
        assert (await cluster.record(NAME)).inconsistent == {"n3"}

    play(story)


@pytest.mark.parametrize("sent", [200, 600_000, 2_000_000])
def test_a_client_that_goes_away_in_the_middle_leaves_nothing(sent: int) -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        data = push_bytes([(MAIN, "", A)], padding=4_000_000)

        async def body() -> AsyncIterator[bytes]:
            async for piece in in_pieces(data[:sent]):
                yield piece
            await asyncio.Event().wait()

        reply = await cluster.engine("n1").transport.receive_pack(request(NAME), body())
        async with aclosing(reply.body) as chunks:  # type: ignore[type-var]
            async for _ in chunks:
                break
        await cluster.clock.sleep(1_000)
        assert leftovers(cluster) == []
        assert (await cluster.record(NAME)).generation == 1
        assert cluster.engine("n1").slots.waiting() == 0
        await push(cluster, "n1", NAME, [(MAIN, "", A)])
        await cluster.wait_until_consistent(NAME)

    play(story)


def test_a_lost_quorum_is_an_ng_that_says_so_and_nothing_stays() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.crash("n2")
        await cluster.crash("n3")
        report = await push(cluster, "n1", NAME, [(MAIN, "", A)])
        assert f"ng {MAIN} quorum lost, nothing was written: 1 of 3 replicas voted, 2 needed" in report
        assert await cluster.read("n1", NAME) is None
        assert leftovers(cluster) == []

    play(story)


class _RemoteThatBreaksOff:
    """Takes every push and never says what became of it."""

    def __init__(self) -> None:
        self.asked: list[NodeId] = []

    async def receive_pack(self, node: NodeId, _request: TransportRequest, _body: AsyncIterator[bytes]) -> None:
        self.asked.append(node)
        raise OutcomeUnknown("broke off", node=node)


def test_a_push_that_was_handed_over_and_not_answered_for_goes_to_nobody_else() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        leader, *others = await cluster.engine("n1").router.write_candidates(RepositoryName(NAME))
        engine = cluster.engine(next(node for node in others if node != leader))
        remote = _RemoteThatBreaksOff()
        engine.transport.remote = cast("RemoteTransport", remote)
        body = in_pieces(push_bytes([(MAIN, "", A)]))
        with pytest.raises(OutcomeUnknown, match="broke off"):
            await engine.transport.receive_pack(replace(request(NAME), is_forwarded=False), body)
        assert remote.asked == [leader]
        assert engine.membership.is_suspect(leader)

    play(story)
