"""The engine's story on memory adapters: writes, losses, unknown outcomes, repair. Virtual time, no waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from meshnode.base.errors import (
    CatalogUnavailable,
    Corrupt,
    Fenced,
    MeshError,
    OutcomeUnknown,
    QuorumLost,
    RefConflict,
    ReplicaBehind,
    RepositoryExists,
    RepositoryNotFound,
)
from meshnode.base.ids import NodeId, RepositoryName
from meshnode.catalog.memory import CatalogCall, Moment
from meshnode.core.keys import RECORDS
from meshnode.ports import Consistency, ConsistencyLevel
from tests.sim.memory_cluster import MAIN, MemoryCluster
from tests.sim.virtual_time import run_virtual

A, B, C = "a" * 40, "b" * 40, "c" * 40
NAME = "demo/one"

Story = Callable[[MemoryCluster], Awaitable[None]]


def play(story: Story, *, count: int = 3) -> None:
    """Run a story on a fresh cluster in virtual time."""

    async def run() -> None:
        cluster = MemoryCluster([f"n{number}" for number in range(1, count + 1)])
        await cluster.start()
        try:
            await story(cluster)
        finally:
            await cluster.stop()

    run_virtual(run())


def test_a_write_is_read_at_every_node_at_once() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        result = await cluster.set_ref("n2", NAME, A)
        assert result.generation == 2
        for node in cluster.nodes:
            assert await cluster.read(node, NAME) == A
        await cluster.wait_until_consistent(NAME)

    play(story)


def test_a_name_that_is_taken_is_refused_and_the_same_request_is_recognised() -> None:
    async def story(cluster: MemoryCluster) -> None:
        engine = cluster.engine("n1")
        first = await engine.writes.create(
            RepositoryName(NAME), object_format="sha1", default_branch=MAIN, request_key="k", actor="t"
        )
        again = await engine.writes.create(
            RepositoryName(NAME), object_format="sha1", default_branch=MAIN, request_key="k", actor="t"
        )
        assert again.is_repetition
        assert again.round_id == first.round_id
        with pytest.raises(RepositoryExists):
            await cluster.create("n2", NAME)

    play(story)


def test_a_lost_node_is_excluded_by_the_next_write_and_heals_by_itself() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.set_ref("n1", NAME, A)
        await cluster.crash("n3")
        await cluster.set_ref("n1", NAME, B)
        assert (await cluster.record(NAME)).inconsistent == {"n3"}
        assert await cluster.read("n2", NAME) == B
        await cluster.restart("n3")
        with pytest.raises(ReplicaBehind):
            await cluster.read("n3", NAME)
        await cluster.wait_until_consistent(NAME)
        assert await cluster.read("n3", NAME) == B

    play(story)


def test_without_a_quorum_a_write_is_refused_and_nothing_becomes_visible() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.set_ref("n1", NAME, A)
        await cluster.crash("n2")
        await cluster.crash("n3")
        with pytest.raises(QuorumLost, match="1 of 3 replicas voted, 2 needed"):
            await cluster.set_ref("n1", NAME, B)
        assert await cluster.read("n1", NAME) == A
        await cluster.restart("n2")
        await cluster.restart("n3")
        assert await cluster.read("n2", NAME) == A
        await cluster.set_ref("n1", NAME, C)
        record = await cluster.wait_until_consistent(NAME)
        assert record.generation == 3

    play(story)


def test_a_repetition_of_an_update_is_answered_as_done_and_a_rival_is_refused() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        first = await cluster.set_ref("n1", NAME, A, expected="", key="one")
        again = await cluster.set_ref("n2", NAME, A, expected="", key="one")
        assert again.is_repetition
        assert again.generation == first.generation
        with pytest.raises(RefConflict):
            await cluster.set_ref("n2", NAME, A, expected="", key="two")

    play(story)


@pytest.mark.parametrize("moment", list(Moment))
def test_a_publish_with_unknown_outcome_is_resolved_by_the_record(moment: Moment) -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        armed = True

        async def hook(call: CatalogCall) -> None:
            nonlocal armed
            is_publish = call.operation == "transact" and any(key.startswith(RECORDS) for key in call.keys)
            if armed and is_publish and call.moment is moment:
                armed = False
                raise OutcomeUnknown("no answer")

        cluster.hooks[NodeId("n1")] = hook
        await cluster.crash("n1")
        await cluster.restart("n1")
        await cluster.wait_until_consistent(NAME)
        if moment is Moment.AFTER:
            assert (await cluster.set_ref("n1", NAME, A)).generation == 2
        else:
            with pytest.raises(CatalogUnavailable, match="nothing was written"):
                await cluster.set_ref("n1", NAME, A)
            assert await cluster.read("n2", NAME) is None
            assert (await cluster.record(NAME)).fence == 1
        assert not armed
        await cluster.set_ref("n2", NAME, B)
        await cluster.wait_until_consistent(NAME)

    play(story)


@pytest.mark.parametrize("is_published", [False, True])
def test_participants_settle_a_round_whose_coordinator_died(*, is_published: bool) -> None:
    """The coordinator dies right before or right after the commit point; nobody is told anything."""

    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        wanted = Moment.AFTER if is_published else Moment.BEFORE
        died = False

        async def hook(call: CatalogCall) -> None:
            nonlocal died
            is_publish = call.operation == "transact" and any(key.startswith(RECORDS) for key in call.keys)
            if not died and is_publish and call.moment is wanted:
                died = True
                for node in ("n2", "n3"):
                    cluster.links.cut(NodeId("n1"), NodeId(node))
                    cluster.links.cut(NodeId(node), NodeId("n1"))
                raise CatalogUnavailable("the process is gone")

        cluster.hooks[NodeId("n1")] = hook
        await cluster.crash("n1")
        await cluster.restart("n1")
        await cluster.wait_until_consistent(NAME)
        with pytest.raises(MeshError):
            await cluster.set_ref("n1", NAME, A)
        assert died
        await cluster.crash("n1")
        cluster.hooks.clear()
        if is_published:
            assert await cluster.read("n2", NAME) == A, "the record is proof enough"
        await cluster.clock.sleep(10_000)
        for node in ("n2", "n3"):
            assert await cluster.read(node, NAME) == (A if is_published else None)
            states = cluster.nodes[NodeId(node)].disk.replicas.values()
            assert all(not one.state.prepared for one in states), "a round was left open"
        cluster.links.mend_all()
        await cluster.restart("n1")
        await cluster.set_ref("n2", NAME, B)
        await cluster.wait_until_consistent(NAME)

    play(story)


def test_a_voter_that_never_heard_the_commit_applies_it_with_the_next_write() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        engine = cluster.engine("n1")
        peers = engine.driver.peers
        lost: list[str] = []

        class NoCommits:
            def __getattr__(self, name: str) -> object:
                return getattr(peers, name)

            async def commit(self, node: NodeId, *_: object) -> object:
                lost.append(node)
                return 0

        engine.driver.peers = NoCommits()  # type: ignore[assignment]
        await cluster.set_ref("n1", NAME, A)
        await cluster.set_ref("n1", NAME, B)
        assert set(lost) == {"n2", "n3"}
        assert (await cluster.record(NAME)).inconsistent == frozenset()
        assert await cluster.read("n3", NAME) == B

    play(story)


def test_two_coordinators_at_once_lose_nothing() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)

        async def write(node: str, number: int) -> int:
            oid = f"{number:040x}"
            try:
                await cluster.set_ref(node, NAME, oid, ref=f"refs/heads/b{number}", expected="")
            except (Fenced, QuorumLost, ReplicaBehind):
                return 0
            return number

        work = [write(f"n{1 + number % 3}", number) for number in range(1, 31)]
        done = [number for number in await asyncio.gather(*work) if number]
        assert done, "somebody gets through"
        await cluster.wait_until_consistent(NAME)
        for node in cluster.nodes:
            for number in done:
                assert await cluster.read(node, NAME, f"refs/heads/b{number}") == f"{number:040x}"

    play(story)


def test_a_replica_heals_while_writes_never_stop() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.crash("n3")
        for number in range(1, 40):
            await cluster.set_ref("n1", NAME, f"{number:040x}")
        await cluster.restart("n3")
        for number in range(40, 400):
            await cluster.set_ref("n1", NAME, f"{number:040x}")
            await cluster.clock.sleep(5)
            if not (await cluster.record(NAME)).inconsistent:
                break
        assert not (await cluster.record(NAME)).inconsistent
        await cluster.wait_until_consistent(NAME)

    play(story)


def test_a_wiped_disk_is_excluded_before_it_serves_and_filled_again() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.set_ref("n1", NAME, A)
        await cluster.crash("n2")
        cluster.nodes[NodeId("n2")].disk.replicas.clear()
        await cluster.restart("n2")
        await cluster.wait_until_consistent(NAME)
        assert await cluster.read("n2", NAME) == A

    play(story)


def test_a_damaged_replica_is_set_aside_and_repaired() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.set_ref("n1", NAME, A)
        await cluster.crash("n2")
        disk = cluster.nodes[NodeId("n2")].disk
        for one in disk.replicas.values():
            one.refs[MAIN] = one.refs[MAIN].__class__(C)
        await cluster.restart("n2")
        await cluster.wait_until_consistent(NAME)
        assert len(disk.damaged) == 1
        assert await cluster.read("n2", NAME) == A

    play(story)


def test_damage_met_while_serving_takes_the_replica_out_before_anything_of_it_is_shown() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.set_ref("n1", NAME, A)
        disk = cluster.nodes[NodeId("n2")].disk
        for one in disk.replicas.values():
            one.is_unreadable = True
        with pytest.raises((Corrupt, ReplicaBehind)):
            await cluster.read("n2", NAME)
        with pytest.raises(ReplicaBehind):
            await cluster.read("n2", NAME)
        await cluster.wait_until_consistent(NAME)
        assert await cluster.read("n2", NAME) == A
        assert len(disk.damaged) == 1

    play(story)


def test_a_node_cut_off_from_its_peers_answers_no_verified_read_once_it_is_excluded() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.set_ref("n1", NAME, A)
        for node in ("n1", "n2"):
            cluster.links.cut(NodeId(node), NodeId("n3"))
            cluster.links.cut(NodeId("n3"), NodeId(node))
        await cluster.set_ref("n1", NAME, B)
        with pytest.raises(ReplicaBehind):
            await cluster.read("n3", NAME)
        old = Consistency(ConsistencyLevel.ANY)
        view = await cluster.engine("n3").reads.view(RepositoryName(NAME), old)
        assert (view.generation, view.snapshot.refs[MAIN]) == (2, A)
        cluster.links.mend_all()
        await cluster.wait_until_consistent(NAME)

    play(story)


def test_a_position_just_acknowledged_is_readable_everywhere_at_once() -> None:
    """Read-your-writes by position: the commit may still be on its way, the vote is there."""

    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        for number in range(1, 20):
            result = await cluster.set_ref("n1", NAME, f"{number:040x}")
            level = Consistency(ConsistencyLevel.AT_LEAST, result.generation)
            for node in cluster.nodes:
                view = await cluster.engine(node).reads.view(RepositoryName(NAME), level)
                assert view.snapshot.refs[MAIN] == f"{number:040x}"

    play(story)


def test_delete_rename_and_fork_reach_a_node_that_was_away() -> None:
    async def story(cluster: MemoryCluster) -> None:
        for name in ("demo/one", "demo/two", "demo/three"):
            await cluster.create("n1", name)
            await cluster.set_ref("n1", name, A)
        await cluster.crash("n3")
        writes = cluster.engine("n1").writes
        await writes.delete(RepositoryName("demo/one"), request_key="", actor="t")
        await writes.rename(RepositoryName("demo/two"), RepositoryName("demo/new"), request_key="", actor="t")
        await writes.fork(RepositoryName("demo/three"), RepositoryName("demo/fork"), request_key="", actor="t")
        await cluster.restart("n3")
        await cluster.wait_until_consistent("demo/new")
        await cluster.wait_until_consistent("demo/fork")
        assert await cluster.read("n3", "demo/new") == A
        assert await cluster.read("n3", "demo/fork") == A
        for gone in ("demo/one", "demo/two"):
            with pytest.raises(RepositoryNotFound):
                await cluster.read("n3", gone)
        await cluster.create("n2", "demo/one")
        assert await cluster.read("n3", "demo/one") is None

    play(story)


def test_with_the_catalog_gone_writes_stop_and_reads_go_on_at_a_position_already_reached() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.set_ref("n1", NAME, A)
        down = False

        async def hook(_call: CatalogCall) -> None:
            if down:
                raise CatalogUnavailable("down")

        cluster.hooks[NodeId("n1")] = hook
        await cluster.crash("n1")
        engine = await cluster.restart("n1")
        await cluster.wait_until_consistent(NAME)
        down = True
        with pytest.raises(CatalogUnavailable):
            await cluster.set_ref("n1", NAME, B)
        with pytest.raises(CatalogUnavailable):
            await cluster.read("n1", NAME)
        at_2 = Consistency(ConsistencyLevel.AT_LEAST, (await cluster.record(NAME)).generation)
        assert (await engine.reads.view(RepositoryName(NAME), at_2)).snapshot.refs[MAIN] == A
        down = False
        await cluster.set_ref("n1", NAME, B)

    play(story)


def test_a_full_disk_at_one_node_excludes_it_and_at_the_coordinator_refuses_the_write() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        cluster.nodes[NodeId("n3")].disk.is_full = True
        await cluster.set_ref("n1", NAME, A)
        assert (await cluster.record(NAME)).inconsistent == {"n3"}
        cluster.nodes[NodeId("n1")].disk.is_full = True
        with pytest.raises(QuorumLost, match="no space left"):
            await cluster.set_ref("n1", NAME, B)
        for node in ("n1", "n3"):
            cluster.nodes[NodeId(node)].disk.is_full = False
        await cluster.set_ref("n1", NAME, B)
        await cluster.wait_until_consistent(NAME)

    play(story)


def test_a_replica_without_room_is_tried_again_at_its_own_pace_however_often_it_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.wait_until_consistent(NAME)
        disk = cluster.nodes[NodeId("n3")].disk
        disk.is_full = True
        caplog.clear()
        begun = cluster.clock.monotonic_ms()
        for number in range(100):
            await cluster.set_ref("n1", NAME, (A, B)[number % 2])
            await cluster.clock.sleep(100)
        tries = [record for record in caplog.records if record.getMessage() == "repair_postponed"]
        assert cluster.clock.monotonic_ms() - begun >= 10_000
        assert 3 <= len(tries) <= 7
        assert all(record.levelname == "WARNING" for record in tries)
        disk.is_full = False
        await cluster.wait_until_consistent(NAME)

    play(story)
