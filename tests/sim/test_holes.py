"""Holes that seeds led to, each told as a story of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

import pytest

from meshnode.base.errors import (
    CatalogUnavailable,
    Corrupt,
    MeshError,
    Overloaded,
    PeerUnavailable,
    ReplicaBehind,
    RepositoryNotFound,
)
from meshnode.base.ids import Generation, NodeId, ObjectId, RefName, RefValue, RepositoryId, RepositoryName, RoundId
from meshnode.catalog.memory import CatalogCall, MemoryCatalog, Moment
from meshnode.core.keys import PARTITIONS, RECORDS, name_key, partition_key, record_key
from meshnode.core.record import RepositoryState
from meshnode.core.refs import RefEdit, digest_after
from meshnode.core.round import ReplicaKey, Round, WriteKind
from meshnode.git.memory_packs import MemoryPack
from meshnode.git.stores import APPLY_REFS
from meshnode.ports import (
    Consistency,
    ConsistencyLevel,
    PackFix,
    Put,
    RefChange,
    StageChunk,
    StageFix,
    StageIndex,
    StageMessage,
    StageOpen,
    StagePrepare,
    VoteKind,
    WriteResult,
)
from tests.sim.memory_cluster import MAIN, SETTINGS, MemoryCluster
from tests.sim.pushes import push
from tests.sim.test_cluster import NAME, A, B, play

C = "c" * 40

TOPIC = RefName("refs/heads/topic")


def round_with_pack(cluster: MemoryCluster, at: str, oid: str, *, ref: str = MAIN) -> Round:
    """The next round of the only repository at a node, with a pack."""
    (one,) = cluster.nodes[NodeId(at)].disk.replicas.values()
    state = one.state
    edits = (RefEdit(RefName(ref), None, RefValue(oid)),)
    return Round(
        round_id=RoundId(f"{int(oid[:8], 16):032x}"),
        repository=state.key.repository,
        home=state.key.home,
        kind=WriteKind.UPDATE,
        base_generation=state.generation,
        base_round_id=state.round_id,
        edits=edits,
        refs_digest=digest_after(state.refs_digest, edits),
        name=state.name,
        object_format="sha1",
        coordinator=NodeId("n1"),
        request_key="",
        actor="t",
        fork_root=state.key.repository,
        has_pack=True,
    )


def stream_of(round_: Round, *, before_round: Callable[[], object] = lambda: None) -> AsyncIterator[StageMessage]:
    """A prepare stream of a round; `before_round` is called when only the round itself is still to come."""
    data = b"PACK" + bytes(8) + b" ".join(str(edit.new).encode() for edit in round_.edits)
    pack = MemoryPack(data)
    fix = PackFix(pack_id=pack.pack_id, header=data[:12], body_end=len(data), tail=b"", index_bytes=len(pack.index))

    async def messages() -> AsyncIterator[StageMessage]:
        for message in (StageChunk(data), StageFix(fix), StageIndex(pack.index)):
            yield message
        before_round()
        yield StagePrepare(round_)

    return messages()


def opening_of(round_: Round) -> StageOpen:
    return StageOpen(key=round_.key, round_id=round_.round_id, object_format="sha1", coordinator=round_.coordinator)


def quarantines(cluster: MemoryCluster, at: str) -> Sequence[object]:
    """Packs at a node that no round has claimed."""
    packs: object = cluster.engine(at).world.disk.packs
    return list(packs._quarantines._packs)  # type: ignore[attr-defined]


def test_an_abort_that_is_faster_than_the_vote_refuses_it_and_leaves_the_replica_in_use() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.wait_until_consistent(NAME)
        engine = cluster.engine("n2")
        round_ = round_with_pack(cluster, "n2", A)
        stream = stream_of(round_)

        async def with_abort() -> AsyncIterator[StageMessage]:
            async for message in stream:
                if isinstance(message, StagePrepare):
                    finished.append(True)
                yield message

        finished: list[bool] = []
        async with engine.replicas.locks.hold(round_.key):
            vote = engine.supervisor.spawn("vote", engine.participant.prepare(opening_of(round_), with_abort()))
            while not finished:
                await cluster.clock.sleep(1)
            await engine.replicas.disk.store.discard(round_.key, round_.round_id)
        assert (await vote).kind is VoteKind.REFUSED
        await cluster.clock.sleep(1_000)
        assert cluster.nodes[NodeId("n2")].disk.damaged == []
        assert (await cluster.record(NAME)).inconsistent == frozenset()
        assert quarantines(cluster, "n2") == []

    play(story)


def test_a_round_with_objects_leaves_none_of_them_where_there_is_no_replica() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.wait_until_consistent(NAME)
        round_ = round_with_pack(cluster, "n2", A)
        elsewhere = replace(round_, repository=RepositoryId("f" * 32))
        vote = await cluster.engine("n2").participant.prepare(opening_of(elsewhere), stream_of(elsewhere))
        assert (vote.kind, vote.reason) == (VoteKind.REFUSED, "no replica here")
        assert quarantines(cluster, "n2") == []

    play(story)


def test_a_vote_that_fails_because_its_base_cannot_be_applied_leaves_no_objects() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.wait_until_consistent(NAME)
        disk = cluster.nodes[NodeId("n2")].disk
        participant = cluster.engine("n2").participant
        base = round_with_pack(cluster, "n2", A)
        assert (await participant.prepare(opening_of(base), stream_of(base))).kind is VoteKind.GRANTED
        edits = (RefEdit(TOPIC, None, RefValue(B)),)
        following = replace(
            base,
            round_id=RoundId("e" * 32),
            base_generation=base.generation,
            base_round_id=base.round_id,
            edits=edits,
            refs_digest=digest_after(base.refs_digest, edits),
        )

        def fill() -> None:
            disk.is_full = True

        with pytest.raises(Overloaded):
            await participant.prepare(opening_of(following), stream_of(following, before_round=fill))
        disk.is_full = False
        assert quarantines(cluster, "n2") == []

    play(story)


def test_a_second_stream_of_a_round_leaves_no_objects_behind() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.wait_until_consistent(NAME)
        participant = cluster.engine("n2").participant
        round_ = round_with_pack(cluster, "n2", A)
        for _ in range(2):
            assert (await participant.prepare(opening_of(round_), stream_of(round_))).kind is VoteKind.GRANTED
        assert quarantines(cluster, "n2") == []
        (one,) = cluster.nodes[NodeId("n2")].disk.replicas.values()
        assert [known.round_id for known in one.state.prepared] == [round_.round_id]

    play(story)


def test_a_second_stream_of_a_half_applied_round_leaves_no_objects_behind() -> None:
    """Space ended between the references of a round and its generation, and its Prepare comes once more."""

    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.wait_until_consistent(NAME)
        node = cluster.nodes[NodeId("n2")]
        is_full = True

        def fill(step: str) -> None:
            if step == APPLY_REFS and is_full:
                raise Overloaded("no space left on device")

        await cluster.crash("n2")
        node.step = fill
        participant = (await cluster.restart("n2")).participant
        round_ = round_with_pack(cluster, "n2", A)
        assert (await participant.prepare(opening_of(round_), stream_of(round_))).kind is VoteKind.GRANTED
        with pytest.raises(Overloaded):
            await participant.commit(round_.key, round_.round_id, round_.generation)
        with pytest.raises(ReplicaBehind, match="between two generations"):
            await participant.prepare(opening_of(round_), stream_of(round_))
        assert quarantines(cluster, "n2") == []
        is_full = False
        assert await participant.commit(round_.key, round_.round_id, round_.generation) == round_.generation

    play(story)


def test_a_round_that_is_half_applied_when_a_replica_is_to_rejoin_is_no_damage() -> None:
    """It was published behind the back of the repair that compares references with the record (seed 4005704)."""

    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.wait_until_consistent(NAME)
        node = cluster.nodes[NodeId("n3")]
        is_full = True

        def fill(step: str) -> None:
            if step == APPLY_REFS and is_full:
                raise Overloaded("no space left on device")

        await cluster.crash("n3")
        node.step = fill
        engine = await cluster.restart("n3")
        (key,) = node.disk.replicas
        before = await engine.records.read(key)
        state = await engine.replicas.disk.store.load(key)
        await cluster.set_ref("n1", NAME, A)
        while not node.disk.replicas[key].refs.get(RefName(MAIN)):
            await cluster.clock.sleep(10)
        await engine.repairer._rejoin(key, before, state)
        assert node.disk.damaged == []
        is_full = False
        await cluster.wait_until_consistent(NAME)
        assert await cluster.read("n3", NAME) == A

    play(story)


def test_a_round_kept_without_a_vote_is_not_applied_while_its_object_is_missing() -> None:
    """A replica that was behind kept a round which names an old object, then was brought to the round's base without that
    object, which nothing named there: a reference would have led to nothing (seed 4024346).
    """

    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.set_ref("n1", NAME, A)
        await cluster.set_ref("n1", NAME, B)
        await cluster.crash("n3")
        disk = cluster.nodes[NodeId("n3")].disk
        disk.replicas.clear()
        await cluster.restart("n3")
        await cluster.wait_until_consistent(NAME)
        (key,) = disk.replicas
        disk.replicas[key].objects.discard(ObjectId(A))  # git fetches what references lead to, and nothing else
        await cluster.crash("n3")
        await cluster.set_ref("n1", NAME, C)
        change = RefChange(name=RefName(MAIN), new=A, expected=C)
        writes = cluster.engine("n1").writes
        await writes.update_refs(RepositoryName(NAME), [change], request_key="", actor="t")
        base, back = await cluster.engine("n1").participant.history(key, Generation(3))
        for other in ("n1", "n2"):
            cluster.links.cut(NodeId("n3"), NodeId(other))  # nothing can be asked of them yet
        participant = (await cluster.restart("n3")).participant
        assert (await participant.vote(back)).kind is VoteKind.STORED
        assert (await participant.vote(base)).kind is VoteKind.GRANTED
        assert await participant.commit(key, base.round_id, base.generation) == 4
        assert await participant.commit(key, back.round_id, back.generation) == 4
        assert disk.replicas[key].refs[RefName(MAIN)] == C
        cluster.links.mend_all()
        await cluster.wait_until_consistent(NAME)
        assert A in disk.replicas[key].objects
        assert await cluster.read("n3", NAME) == A

    play(story)


def test_a_sync_whose_peer_goes_away_after_the_objects_came_leaves_no_objects() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.set_ref("n1", NAME, A)
        await cluster.crash("n3")
        await cluster.set_ref("n1", NAME, B)
        cluster.nodes[NodeId("n3")].disk.replicas.clear()
        engine = await cluster.restart("n3")
        peers = engine.repairer._synchroniser.peers
        asked: list[ReplicaKey] = []

        class Leaving:
            def __getattr__(self, name: str) -> object:
                return getattr(peers, name)

            async def history(self, node: NodeId, key: ReplicaKey, _after: int) -> list[Round]:
                asked.append(key)
                raise PeerUnavailable("node did not answer", node=node)

        engine.repairer._synchroniser.peers = Leaving()  # type: ignore[assignment]
        while not asked:
            await cluster.clock.sleep(10)
        await cluster.clock.sleep(100)
        assert quarantines(cluster, "n3") == []
        engine.repairer._synchroniser.peers = peers
        await cluster.wait_until_consistent(NAME)
        (one,) = cluster.nodes[NodeId("n3")].disk.replicas.values()
        assert ObjectId(B) in one.objects

    play(story)


def test_a_replica_that_lacks_an_object_does_not_vote_for_a_round_that_names_it() -> None:
    """The object went away from the references while the replica was away, and is named again when it is back."""

    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await push(cluster, "n1", NAME, [(MAIN, "", B)])
        await cluster.wait_until_consistent(NAME)
        await cluster.crash("n3")
        await push(cluster, "n1", NAME, [(TOPIC, "", A)])
        await push(cluster, "n1", NAME, [(TOPIC, A, "")])
        await cluster.restart("n3")
        await cluster.wait_until_consistent(NAME)
        (one,) = cluster.nodes[NodeId("n3")].disk.replicas.values()
        assert A not in one.objects
        again = RefChange(name=TOPIC, expected="", new=A)
        await cluster.engine("n1").writes.update_refs(RepositoryName(NAME), [again], request_key="", actor="t")
        assert (await cluster.record(NAME)).inconsistent == {"n3"}
        await cluster.wait_until_consistent(NAME)
        assert ObjectId(A) in cluster.nodes[NodeId("n3")].disk.replicas[one.state.key].objects
        assert cluster.nodes[NodeId("n3")].disk.damaged == []

    play(story)


def test_an_old_open_round_is_fenced_off_without_a_young_one_beside_it() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.wait_until_consistent(NAME)
        participant = cluster.engine("n2").participant
        old, young = round_with_pack(cluster, "n2", A), round_with_pack(cluster, "n2", B, ref=TOPIC)
        await participant.prepare(opening_of(old), stream_of(old))
        await cluster.clock.sleep(SETTINGS.prepared_age_ms - 10)
        await participant.prepare(opening_of(young), stream_of(young))
        (one,) = cluster.nodes[NodeId("n2")].disk.replicas.values()
        await cluster.clock.sleep(SETTINGS.prepared_age_ms // 2)
        assert [known.round_id for known in one.state.prepared] == [young.round_id]
        await cluster.clock.sleep(2 * SETTINGS.prepared_age_ms)
        assert one.state.prepared == ()

    play(story)


def test_a_node_with_a_full_disk_starts_out_of_the_record_and_heals_when_there_is_room() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.wait_until_consistent(NAME)
        engine = cluster.engine("n1")
        peers = engine.driver.peers

        class NoCommits:
            def __getattr__(self, name: str) -> object:
                return getattr(peers, name)

            async def commit(self, *_: object) -> object:
                return 0

        engine.driver.peers = NoCommits()  # type: ignore[assignment]
        await cluster.set_ref("n1", NAME, A)
        engine.driver.peers = peers
        await cluster.crash("n2")
        disk = cluster.nodes[NodeId("n2")].disk
        disk.is_full = True
        await cluster.restart("n2")
        assert (await cluster.record(NAME)).inconsistent == {"n2"}
        disk.is_full = False
        await cluster.wait_until_consistent(NAME)
        assert disk.damaged == []
        assert await cluster.read("n2", NAME) == A

    play(story)


def test_what_a_late_create_brings_back_of_a_deleted_repository_is_buried_and_not_called_damaged() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.wait_until_consistent(NAME)
        disk = cluster.nodes[NodeId("n2")].disk
        (one,) = disk.replicas.values()
        create = one.history[0]
        await cluster.engine("n1").writes.delete(RepositoryName(NAME), request_key="", actor="t")
        await cluster.clock.sleep(1_000)
        assert disk.replicas == {}

        async def late() -> AsyncIterator[StageMessage]:
            yield StagePrepare(create)

        await cluster.engine("n2").participant.prepare(opening_of(create), late())
        await cluster.crash("n2")
        await cluster.restart("n2")
        await cluster.clock.sleep(SETTINGS.repair_sweep_ms)
        assert disk.replicas == {}
        assert disk.damaged == []

    play(story)


def test_a_repeated_rename_that_was_undone_in_between_is_not_done_again() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        name, other = RepositoryName(NAME), RepositoryName("demo/other")
        first = await cluster.engine("n1").writes.rename(name, other, request_key="one", actor="t")
        await cluster.engine("n1").writes.rename(other, name, request_key="two", actor="t")
        again = await cluster.engine("n2").writes.rename(name, other, request_key="one", actor="t")
        assert again.is_repetition
        assert again.round_id == first.round_id
        assert (await cluster.record(NAME)).name == NAME

    play(story)


def test_a_repeated_update_whose_expected_value_is_there_again_is_not_done_again() -> None:
    async def story(cluster: MemoryCluster) -> None:
        name = RepositoryName(NAME)
        await cluster.create("n1", NAME)

        async def change(node: str, old: str, new: str, key: str) -> WriteResult:
            cluster.plant(A)
            wanted = RefChange(name=RefName(MAIN), new=new, expected=old)
            return await cluster.engine(node).writes.update_refs(name, [wanted], request_key=key, actor="t")

        first = await change("n1", "", A, "one")
        await change("n1", A, "", "two")
        again = await change("n2", "", A, "one")
        assert again.is_repetition
        assert again.round_id == first.round_id
        assert await cluster.read("n3", NAME) is None

    play(story)


def test_a_repeated_create_whose_name_changed_hands_makes_no_second_repository() -> None:
    async def story(cluster: MemoryCluster) -> None:
        name, other = RepositoryName(NAME), RepositoryName("demo/other")

        async def create(node: str, actor: str = "t") -> WriteResult:
            return await cluster.engine(node).writes.create(
                name, object_format="sha1", default_branch=MAIN, request_key="one", actor=actor
            )

        first = await create("n1")
        await cluster.engine("n3").writes.rename(name, other, request_key="two", actor="t")
        again = await create("n2")
        assert again.is_repetition
        assert (again.round_id, again.record.name) == (first.round_id, other)
        assert await cluster.catalog.get([name_key(name)]) == [None]
        await cluster.engine("n3").writes.delete(other, request_key="three", actor="t")
        assert (await create("n2")).record.state is RepositoryState.DELETED
        assert not (await create("n2", "somebody else")).is_repetition

    play(story)


def test_a_repeated_delete_leaves_the_repository_that_took_the_name_alone() -> None:
    async def story(cluster: MemoryCluster) -> None:
        name = RepositoryName(NAME)
        await cluster.create("n1", NAME)
        first = await cluster.engine("n1").writes.delete(name, request_key="one", actor="t")
        await cluster.create("n2", NAME)
        again = await cluster.engine("n2").writes.delete(name, request_key="one", actor="t")
        assert again.is_repetition
        assert again.round_id == first.round_id
        assert (await cluster.record(NAME)).repository != first.record.repository

    play(story)


def test_a_repeated_fork_is_recognised_though_its_source_is_gone() -> None:
    async def story(cluster: MemoryCluster) -> None:
        name, fork = RepositoryName(NAME), RepositoryName("demo/fork")
        await cluster.create("n1", NAME)
        first = await cluster.engine("n1").writes.fork(name, fork, request_key="one", actor="t")
        await cluster.engine("n1").writes.delete(name, request_key="two", actor="t")
        again = await cluster.engine("n2").writes.fork(name, fork, request_key="one", actor="t")
        assert again.is_repetition
        assert again.round_id == first.round_id
        with pytest.raises(RepositoryNotFound):
            await cluster.engine("n2").writes.fork(name, fork, request_key="other", actor="t")

    play(story)


def test_two_nodes_that_are_asked_the_same_create_at_once_make_one_repository() -> None:
    async def story(cluster: MemoryCluster) -> None:
        results = await asyncio.gather(
            *(
                cluster.engine(node).writes.create(
                    RepositoryName(NAME), object_format="sha1", default_branch=MAIN, request_key="one", actor="t"
                )
                for node in ("n1", "n2", "n3")
            )
        )
        assert len({one.round_id for one in results}) == 1
        assert sorted(one.is_repetition for one in results) == [False, True, True]

    play(story)


def test_a_repeated_write_without_an_expected_value_does_not_undo_what_came_after_it() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        first = await cluster.set_ref("n1", NAME, A, key="one")
        await cluster.set_ref("n1", NAME, B, key="two")
        again = await cluster.set_ref("n2", NAME, A, key="one")
        assert again.is_repetition
        assert again.round_id == first.round_id
        assert await cluster.read("n3", NAME) == B

    play(story)


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_create_is_not_published_on_the_vote_of_a_disk_that_is_gone(*, is_damaged: bool) -> None:
    """Nothing but the vote told of the create: there was no record for the node to list itself in."""

    async def story(cluster: MemoryCluster) -> None:
        is_held, is_free = asyncio.Event(), asyncio.Event()

        async def hold_the_publish(call: CatalogCall) -> None:
            is_publish = call.operation == "transact" and any(key.startswith(RECORDS) for key in call.keys)
            if is_publish and call.moment is Moment.BEFORE and not is_free.is_set():
                is_held.set()
                await is_free.wait()

        await cluster.crash("n3")
        cluster.hooks[NodeId("n1")] = hold_the_publish
        await cluster.crash("n1")
        await cluster.restart("n1")
        creating = asyncio.ensure_future(cluster.create("n1", NAME))
        await is_held.wait()
        await cluster.crash("n2")
        disk = cluster.nodes[NodeId("n2")].disk
        if is_damaged:
            for replica in disk.replicas.values():
                replica.is_unreadable = True
        else:
            disk.replicas.clear()
        await cluster.restart("n2")
        is_free.set()
        await creating
        record = await cluster.record(NAME)
        key = record.key
        assert "n2" not in record.inconsistent
        assert disk.replicas[key].state.prepared or disk.replicas[key].state.generation == 1

    play(story)


@pytest.mark.parametrize("prefix", [RECORDS, PARTITIONS])
def test_a_catalog_that_cannot_be_read_is_no_reason_to_set_replicas_aside(prefix: str) -> None:
    """Entries of a newer version, say: the node does not start, and its disk is left alone."""

    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.wait_until_consistent(NAME)
        await cluster.crash("n3")
        disk = cluster.nodes[NodeId("n3")].disk
        (key,) = disk.replicas
        place = record_key(key.repository) if prefix == RECORDS else partition_key(key.home)
        (entry,) = await cluster.catalog.get([place])
        assert entry is not None
        await cluster.catalog.transact([], [Put(place, b'{"v":2}')])
        with pytest.raises(MeshError, match="version"):
            await cluster.restart("n3")
        assert disk.damaged == []
        assert list(disk.replicas) == [key]
        await cluster.catalog.transact([], [Put(place, entry.value)])
        await cluster.restart("n3")
        await cluster.wait_until_consistent(NAME)

    play(story)


def test_whoever_waits_for_the_next_read_of_records_ends_with_the_node_that_would_have_sent_it() -> None:
    """One read was under way and another waited for the next when the node's tasks were ended: the second, which held a
    replica's lock, waited for ever, and with it whoever wanted the lock (seed 6017868).
    """

    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        repository = (await cluster.record(NAME)).repository
        engine = cluster.engine("n1")
        asked = asyncio.Event()

        async def no_answer(call: CatalogCall) -> None:
            if call.operation == "get" and record_key(repository) in call.keys:
                asked.set()
                await cluster.clock.sleep(3_600_000)

        _catalog_of(cluster, "n1").hook = no_answer
        first = asyncio.ensure_future(engine.records.find_by_id(repository))
        await asked.wait()
        second = asyncio.ensure_future(engine.records.find_by_id(repository))
        await cluster.clock.sleep(1)
        await cluster.crash("n1")
        done, _ = await asyncio.wait({first, second}, timeout=1)
        assert done == {first, second}
        assert all(task.cancelled() for task in done)

    play(story)


def test_a_defect_in_a_read_of_records_is_an_error_to_whoever_asked_and_ends_nothing_else() -> None:
    """It looked like a cancellation, which ends a task that runs for ever without a word."""

    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        repository = (await cluster.record(NAME)).repository
        records = cluster.engine("n1").records
        asked, answer = asyncio.Event(), asyncio.Event()

        async def defect(call: CatalogCall) -> None:
            if call.operation == "get" and record_key(repository) in call.keys and not answer.is_set():
                asked.set()
                await answer.wait()
                raise ZeroDivisionError

        _catalog_of(cluster, "n1").hook = defect
        first = asyncio.ensure_future(records.find_by_id(repository))
        await asked.wait()
        second = asyncio.ensure_future(records.find_by_id(repository))
        await cluster.clock.sleep(1)
        answer.set()
        with pytest.raises(ZeroDivisionError):
            await first
        async with asyncio.timeout(1):
            assert await second == await cluster.record(NAME)

    play(story)


def _catalog_of(cluster: MemoryCluster, name: str) -> MemoryCatalog:
    catalog = cluster.engine(name).world.catalog
    assert isinstance(catalog, MemoryCatalog)
    return catalog


def test_a_vote_that_meets_a_replica_that_cannot_be_read_leaves_no_objects() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.wait_until_consistent(NAME)
        (one,) = cluster.nodes[NodeId("n2")].disk.replicas.values()
        round_ = round_with_pack(cluster, "n2", A)

        def harm() -> None:
            one.is_unreadable = True

        with pytest.raises(Corrupt):
            await cluster.engine("n2").participant.prepare(opening_of(round_), stream_of(round_, before_round=harm))
        assert quarantines(cluster, "n2") == []
        await cluster.wait_until_consistent(NAME)

    play(story)


def test_a_replica_that_cannot_be_read_hides_no_other_while_the_catalog_is_out_of_reach() -> None:
    """A name that was never looked up at a node is looked for in its replicas then; the first bad one ended the search."""

    async def story(cluster: MemoryCluster) -> None:
        names = [f"demo/{letter}" for letter in "abcd"]
        for name in names:
            await cluster.create("n1", name)
            await cluster.wait_until_consistent(name)
        first, *others = cluster.nodes[NodeId("n2")].disk.replicas.values()

        async def cut(_call: CatalogCall) -> None:
            raise CatalogUnavailable("out of reach")

        _catalog_of(cluster, "n2").hook = cut
        reads = cluster.engine("n2").reads
        for trouble, is_unreadable in (("Permission denied", False), ("", True)):
            first.trouble, first.is_unreadable = trouble, is_unreadable
            for one in others:
                view = await reads.view(one.state.name, Consistency(level=ConsistencyLevel.ANY))
                assert view.key == one.state.key
            with pytest.raises(ReplicaBehind, match="cannot be read"):
                await reads.view(first.state.name, Consistency(level=ConsistencyLevel.ANY))

    play(story)
