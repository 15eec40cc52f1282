"""One suite for every `ReplicaStore`, `ReplicaReader` and `PackStore`: real repositories and memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshnode.base.errors import (
    Corrupt,
    InvalidRequest,
    InvariantViolated,
    NotFound,
    Overloaded,
    ReplicaBehind,
    RepositoryNotFound,
)
from meshnode.base.ids import (
    HEAD,
    Generation,
    ObjectId,
    RefName,
    RefValue,
    RepositoryId,
    RepositoryName,
    RoundId,
    symbolic,
)
from meshnode.config import PushSettings
from meshnode.core.refs import EMPTY_DIGEST, digest_of
from meshnode.core.round import WriteKind
from meshnode.git.stores import (
    APPLY_JOURNAL,
    APPLY_REMOVED,
    APPLY_STEPS,
    PREPARE_JOURNAL,
    PREPARE_STEPS,
    REPLACE_STEPS,
)
from meshnode.ports import ReplicaState
from tests.contract.replica_fixtures import (
    FORK,
    KEY,
    MAIN,
    SIDE,
    TAG,
    Crash,
    Disk,
    Writes,
    all_bytes,
    crash_at,
    created,
    ingest,
    write,
)


async def test_a_created_repository_has_its_head_and_nothing_else(disk: Disk) -> None:
    stores = disk.open()
    writes = Writes()
    round_ = writes.create()

    await stores.store.prepare(round_)
    between = await stores.store.load(KEY)
    state = await stores.store.apply(round_)
    snapshot = await stores.reader.snapshot(KEY)

    assert between is not None
    assert (between.generation, between.prepared, between.refs_digest) == (0, (round_,), EMPTY_DIGEST)
    assert (state.generation, state.round_id, state.prepared) == (1, round_.round_id, ())
    assert snapshot.refs == {HEAD: symbolic(MAIN)}
    assert list(snapshot.names) == []
    assert await stores.reader.digest_on_disk(KEY) == state.refs_digest == round_.refs_digest
    assert await stores.store.list_replicas() == [KEY]


async def test_a_push_is_invisible_until_it_is_applied(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    before = await stores.reader.snapshot(KEY)
    first = disk.objects.first
    round_ = writes.update({MAIN: first}, has_pack=True)

    await ingest(stores, round_, disk.pack([first]), [first])
    await stores.store.prepare(round_)

    assert await stores.reader.snapshot(KEY) is before
    assert await stores.packs.missing(KEY, [first]) == [first]
    assert await stores.reader.digest_on_disk(KEY) == writes.digest
    state = await stores.store.apply(writes.publish(round_))
    snapshot = await stores.reader.snapshot(KEY)
    assert snapshot.generation == state.generation == 2
    assert snapshot.refs == writes.refs
    assert await stores.packs.missing(KEY, [first]) == []
    assert before.refs == {HEAD: symbolic(MAIN)}


async def test_snapshots_follow_edits_and_match_what_a_fresh_node_reads(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    objects = disk.objects
    await stores.reader.snapshot(KEY)
    await write(
        stores, writes, writes.update({MAIN: objects.third, TAG: objects.tag}), disk.pack([objects.third, objects.tag])
    )
    await write(stores, writes, writes.update({MAIN: objects.first, SIDE: objects.second}))
    await write(stores, writes, writes.draft(changes={HEAD: symbolic(SIDE)}))
    await write(stores, writes, writes.update({MAIN: None}))

    snapshot = await stores.reader.snapshot(KEY)
    fresh = await disk.open().reader.snapshot(KEY)

    assert snapshot == fresh
    assert snapshot.refs == writes.refs
    assert list(snapshot.names) == [SIDE, TAG]
    assert digest_of(snapshot.refs) == writes.digest == await stores.reader.digest_on_disk(KEY)
    assert await stores.reader.fsck(KEY) == []


async def test_a_state_survives_being_opened_again(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    state = await write(stores, writes, writes.update({MAIN: disk.objects.first}), disk.pack([disk.objects.first]))
    waiting = writes.update({SIDE: disk.objects.first})
    await stores.store.prepare(waiting)

    found = await disk.open().store.load(KEY)

    assert found == replace(state, prepared=(waiting,))


async def test_prepare_is_idempotent(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    first = disk.objects.first
    round_ = writes.update({MAIN: first}, has_pack=True)
    await ingest(stores, round_, disk.pack([first]))

    await stores.store.prepare(round_)
    await stores.store.prepare(round_)
    await stores.store.apply(writes.publish(round_))
    await stores.store.prepare(round_)

    state = await stores.store.load(KEY)
    assert state is not None
    assert state.prepared == ()


async def test_prepare_refuses_another_round_of_the_same_id(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    round_ = writes.update({})
    await stores.store.prepare(round_)

    with pytest.raises(InvariantViolated, match="one id"):
        await stores.store.prepare(replace(round_, actor="somebody else"))


async def test_prepare_without_the_announced_pack_is_corrupt(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)

    with pytest.raises(Corrupt, match="no complete pack"):
        await stores.store.prepare(writes.update({MAIN: disk.objects.first}, has_pack=True))
    state = await stores.store.load(KEY)
    assert state is not None
    assert state.prepared == ()


async def test_prepare_without_a_replica_is_behind(disk: Disk) -> None:
    stores = disk.open()

    with pytest.raises(ReplicaBehind):
        await stores.store.prepare(Writes().update({}))
    assert await stores.store.load(KEY) is None


async def test_apply_is_idempotent(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    round_ = writes.update({MAIN: disk.objects.first})
    state = await write(stores, writes, round_, disk.pack([disk.objects.first]))
    later = await write(stores, writes, writes.update({SIDE: disk.objects.first}))

    assert await stores.store.apply(round_) == later
    assert state.generation == 2
    assert await stores.reader.digest_on_disk(KEY) == writes.digest


async def test_apply_of_a_round_that_was_not_prepared_is_corrupt(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)

    with pytest.raises(Corrupt, match="journal"):
        await stores.store.apply(writes.update({}))
    with pytest.raises(Corrupt, match="journal"):
        await stores.store.apply(Writes(FORK).create())


async def test_apply_on_another_base_is_refused(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    later = writes.update({}, base_generation=Generation(5), base_round_id=RoundId("f" * 32))
    other = writes.update({}, base_round_id=RoundId("f" * 32))
    await stores.store.prepare(later)
    await stores.store.prepare(other)

    for round_ in (later, other):
        with pytest.raises(InvariantViolated, match="I6"):
            await stores.store.apply(round_)
    state = await stores.store.load(KEY)
    assert state is not None
    assert (state.generation, state.prepared) == (1, (other, later))


async def test_apply_of_an_unpublished_round_is_refused(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    round_ = writes.update({})
    await stores.store.prepare(round_)

    with pytest.raises(InvariantViolated, match="I2"):
        await stores.store.apply(round_, is_published=False)


async def test_apply_of_a_round_whose_digest_is_wrong_is_refused(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    round_ = writes.draft(changes={HEAD: symbolic(SIDE)}, refs_digest=EMPTY_DIGEST)
    await stores.store.prepare(round_)

    with pytest.raises(InvariantViolated, match="I9"):
        await stores.store.apply(round_)
    assert (await stores.reader.snapshot(KEY)).refs == {HEAD: symbolic(MAIN)}


async def test_of_two_rounds_on_one_base_only_one_is_applied(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    winner, loser = writes.update({}), writes.update({})
    await stores.store.prepare(winner)
    await stores.store.prepare(loser)
    await stores.store.apply(winner)

    with pytest.raises(InvariantViolated, match="I3"):
        await stores.store.apply(loser)
    await stores.store.discard(KEY, loser.round_id)
    state = await stores.store.load(KEY)
    assert state is not None
    assert (state.round_id, state.prepared) == (winner.round_id, ())


async def test_apply_finds_a_reference_moved_behind_its_back(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    objects = disk.objects
    await write(stores, writes, writes.update({MAIN: objects.first}), disk.pack([objects.third]))
    round_ = writes.update({MAIN: objects.second})
    await stores.store.prepare(round_)
    disk.break_ref(KEY, MAIN, objects.third)

    with pytest.raises(Corrupt, match="neither its old nor its new"):
        await stores.store.apply(round_)
    assert await stores.reader.digest_on_disk(KEY) == digest_of({HEAD: symbolic(MAIN), MAIN: RefValue(objects.third)})


async def test_a_discarded_round_leaves_nothing(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    first = disk.objects.first
    round_ = writes.update({MAIN: first}, has_pack=True)
    await ingest(stores, round_, disk.pack([first]))
    await stores.store.prepare(round_)

    await stores.store.discard(KEY, round_.round_id)
    await stores.store.discard(KEY, round_.round_id)

    state = await disk.open().store.load(KEY)
    assert state is not None
    assert state.prepared == ()
    with pytest.raises(Corrupt, match="no complete pack"):
        await stores.store.prepare(round_)


async def test_a_discarded_create_takes_its_replica_away(disk: Disk) -> None:
    stores = disk.open()
    round_ = Writes().create()
    await stores.store.prepare(round_)

    await stores.store.discard(KEY, round_.round_id)

    assert await stores.store.list_replicas() == []
    assert await stores.store.load(KEY) is None


async def test_a_create_can_bring_its_first_push_along(disk: Disk) -> None:
    stores = disk.open()
    writes = Writes()
    third = disk.objects.third
    round_ = writes.draft(WriteKind.CREATE, {HEAD: symbolic(MAIN), MAIN: third})

    state = await write(stores, writes, round_, disk.pack([third]))

    assert state.generation == 1
    assert (await stores.reader.snapshot(KEY)).refs == writes.refs
    assert await stores.reader.fsck(KEY) == []


async def test_a_rename_changes_what_the_replica_says_of_itself(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)

    await write(stores, writes, writes.draft(WriteKind.RENAME, name=RepositoryName("other/name")))

    state = await disk.open().store.load(KEY)
    assert state is not None
    assert (state.name, state.generation) == ("other/name", 2)
    assert (await stores.reader.snapshot(KEY)).generation == 2


async def test_a_deleted_repository_is_gone(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    round_ = writes.draft(WriteKind.DELETE)

    state = await write(stores, writes, round_)

    assert (state.is_deleted, state.generation) == (True, 2)
    assert await stores.store.list_replicas() == []
    assert await stores.store.load(KEY) is None
    assert (await stores.store.apply(round_)).is_deleted
    with pytest.raises(RepositoryNotFound):
        await stores.reader.snapshot(KEY)


async def test_a_fork_shares_objects_and_keeps_them_when_the_parent_goes(disk: Disk) -> None:
    stores = disk.open()
    parent = await created(stores)
    third = disk.objects.third
    await write(stores, parent, parent.update({MAIN: third}), disk.pack([third]))
    fork = Writes(FORK)
    make = fork.draft(
        WriteKind.CREATE,
        {HEAD: symbolic(MAIN), MAIN: third},
        fork_parent=KEY.repository,
        fork_root=KEY.repository,
        fork_generation=Generation(2),
    )
    await write(stores, fork, make)
    await write(stores, parent, parent.draft(WriteKind.DELETE))

    kept = await disk.open().store.load(KEY)
    assert kept is not None
    assert kept.is_deleted
    assert (await stores.reader.snapshot(KEY)).refs == {}
    assert await stores.store.list_replicas() == [KEY, FORK]
    assert await stores.packs.missing(FORK, [third]) == []
    assert await stores.reader.fsck(FORK) == []
    await stores.store.purge(KEY)
    assert await stores.packs.missing(FORK, [third]) == []

    await write(stores, fork, fork.draft(WriteKind.DELETE))
    assert await stores.store.list_replicas() == []


async def test_a_fork_waits_for_its_parents_generation(disk: Disk) -> None:
    stores = disk.open()
    fork = Writes(FORK).create(fork_parent=KEY.repository, fork_generation=Generation(2))

    with pytest.raises(ReplicaBehind, match="parent"):
        await stores.store.prepare(fork)
    await created(stores)
    with pytest.raises(ReplicaBehind, match="parent"):
        await stores.store.prepare(fork)
    assert await stores.store.list_replicas() == [KEY]


async def test_history_gives_rounds_without_a_gap_as_far_back_as_it_goes(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    rounds = []
    for _ in range(3):
        rounds.append(writes.update({}))
        await write(stores, writes, rounds[-1])

    reader = disk.open().reader
    assert await reader.history(KEY, Generation(1)) == rounds
    assert await reader.history(KEY, Generation(2), limit=1) == rounds[1:2]
    assert await reader.history(KEY, Generation(4)) == []
    assert await reader.history(KEY, Generation(9)) == []


async def test_a_repeated_request_is_found_by_its_key(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    round_ = writes.update({}, request_key='clé "1"')
    await write(stores, writes, round_)
    await write(stores, writes, writes.update({}, request_key=""))

    assert await stores.reader.find_request(KEY, 'clé "1"') == round_
    assert await stores.reader.find_request(KEY, "another") is None
    assert await stores.reader.find_request(KEY, "") is None
    assert await stores.reader.find_request(FORK, 'clé "1"') is None


async def test_replace_makes_a_replica_where_there_was_none(disk: Disk) -> None:
    stores = disk.open()
    third = disk.objects.third
    refs = {HEAD: symbolic(MAIN), MAIN: RefValue(third)}
    sync = Writes().update({}, has_pack=True)
    await ingest(stores, sync, disk.pack([third]))
    wanted = state_at(9, refs)

    await stores.store.replace(wanted, refs, sync.round_id)

    assert await stores.store.load(KEY) == await disk.open().store.load(KEY) == wanted
    assert (await stores.reader.snapshot(KEY)).refs == refs
    assert await stores.reader.digest_on_disk(KEY) == wanted.refs_digest
    assert await stores.reader.history(KEY, Generation(8)) == []
    assert await stores.reader.fsck(KEY) == []


async def test_replace_overwrites_what_was_there_and_keeps_later_rounds(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    objects = disk.objects
    await write(stores, writes, writes.update({MAIN: objects.third, SIDE: objects.first}), disk.pack([objects.third]))
    stale = writes.update({})
    later = writes.update({}, base_generation=Generation(9), base_round_id=RoundId("9" * 32))
    await stores.store.prepare(stale)
    await stores.store.prepare(later)
    refs = {HEAD: symbolic(SIDE), MAIN: RefValue(objects.second)}

    await stores.store.replace(state_at(9, refs), refs, None)

    assert (
        await stores.store.load(KEY)
        == await disk.open().store.load(KEY)
        == replace(state_at(9, refs), prepared=(later,))
    )
    assert (await stores.reader.snapshot(KEY)).refs == refs
    assert await stores.reader.history(KEY, Generation(1)) == []
    follow = replace(later, refs_digest=digest_of(refs))
    await stores.store.discard(KEY, later.round_id)
    await stores.store.prepare(follow)
    assert (await stores.store.apply(follow)).generation == 10


async def test_replace_refuses_references_that_do_not_have_the_digest(disk: Disk) -> None:
    stores = disk.open()

    with pytest.raises(Corrupt, match="digest"):
        await stores.store.replace(state_at(9, {HEAD: symbolic(MAIN)}), {HEAD: symbolic(SIDE)}, None)
    assert await stores.store.load(KEY) is None


async def test_replace_buries_a_replica_whose_delete_was_missed(disk: Disk) -> None:
    stores = disk.open()
    await created(stores)
    before = await stores.store.load(KEY)
    assert before is not None

    await stores.store.replace(replace(before, generation=Generation(5), is_deleted=True), {}, None)

    assert await stores.store.load(KEY) is None
    assert await stores.store.list_replicas() == []


async def test_a_replica_set_aside_is_kept_but_no_replica_any_more(disk: Disk) -> None:
    stores = disk.open()
    await created(stores)

    place = await stores.store.set_aside(KEY, "testing")

    assert "damaged" in place
    assert await stores.store.load(KEY) is None
    with pytest.raises(RepositoryNotFound):
        await stores.store.set_aside(KEY, "again")


async def test_a_replica_that_has_left_is_dropped_without_a_tombstone(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    await write(stores, writes, writes.update({MAIN: disk.objects.first}), disk.pack([disk.objects.first]))
    assert await stores.store.drop(KEY)
    assert await stores.store.load(KEY) is None
    assert await stores.store.drop(KEY), "there is nothing to drop any more"
    assert await stores.store.list_replicas() == []
    await created(stores)
    assert await stores.store.list_replicas() == [KEY], "it may come back"


async def test_a_replica_whose_objects_a_fork_reads_is_dropped_after_the_fork(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    await write(stores, writes, writes.update({MAIN: disk.objects.first}), disk.pack([disk.objects.first]))
    fork = Writes(FORK)
    draft = fork.draft(
        WriteKind.CREATE,
        {HEAD: symbolic(MAIN), MAIN: disk.objects.first},
        fork_parent=KEY.repository,
        fork_generation=Generation(2),
    )
    await write(stores, fork, draft)
    assert not await stores.store.drop(KEY)
    assert await stores.store.load(KEY) is not None
    assert await stores.store.drop(FORK)
    assert await stores.store.drop(KEY)
    assert await stores.store.list_replicas() == []


async def test_objects_of_a_parent_set_aside_stay_readable_for_its_fork(disk: Disk) -> None:
    stores = disk.open()
    parent = await created(stores)
    third = disk.objects.third
    await write(stores, parent, parent.update({MAIN: third}), disk.pack([third]))
    fork = Writes(FORK)
    await write(
        stores,
        fork,
        fork.draft(
            WriteKind.CREATE,
            {HEAD: symbolic(MAIN), MAIN: third},
            fork_parent=KEY.repository,
            fork_generation=Generation(2),
        ),
    )
    before = await stores.store.load(KEY)
    assert before is not None

    await stores.store.set_aside(KEY, "testing")

    assert await stores.packs.missing(FORK, [third]) == []
    assert await stores.store.list_replicas() == [FORK]
    refs = dict((await stores.reader.snapshot(FORK)).refs)
    await stores.store.replace(replace(before, refs_digest=digest_of(refs)), refs, None)
    assert await stores.store.list_replicas() == [KEY, FORK]
    assert await stores.reader.fsck(KEY) == await stores.reader.fsck(FORK) == []


async def test_a_damaged_state_is_corrupt_and_can_be_set_aside(disk: Disk) -> None:
    await created(disk.open())
    disk.break_state(KEY)
    stores = disk.open()

    with pytest.raises(Corrupt):
        await stores.store.load(KEY)
    await stores.store.set_aside(KEY, "testing")
    assert await stores.store.load(KEY) is None


async def test_a_read_of_an_unknown_replica_is_not_found(disk: Disk) -> None:
    reader = disk.open().reader

    for read in (reader.snapshot, reader.digest_on_disk, reader.fsck, reader.size_bytes, reader.object_digest):
        with pytest.raises(RepositoryNotFound):
            await read(KEY)
    with pytest.raises(RepositoryNotFound):
        await reader.history(KEY, Generation(0))


async def test_object_digests_agree_whatever_way_objects_came(disk: Disk) -> None:
    stores = disk.open()
    objects = disk.objects
    one = await created(stores)
    await write(stores, one, one.update({MAIN: objects.first}), disk.pack([objects.first]))
    await write(stores, one, one.update({MAIN: objects.third}), disk.pack([objects.third], [objects.first]))
    other = await created(stores, FORK)
    await write(stores, other, other.update({MAIN: objects.second}), disk.pack([objects.second]))
    before = await stores.reader.object_digest(FORK)
    await write(stores, other, other.update({MAIN: objects.third}), disk.pack([objects.third], [objects.second]))

    assert await stores.reader.object_digest(KEY) == await stores.reader.object_digest(FORK) != before
    assert await stores.reader.size_bytes(KEY) > 0


# ---------------------------------------------------------------- packs


async def test_a_pack_of_no_objects_is_none(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    round_ = writes.update({})

    assert await ingest(stores, round_, disk.empty_pack) is None
    assert await ingest(stores, round_, b"") is None
    with pytest.raises(Corrupt):
        await stores.store.prepare(replace(round_, has_pack=True))


async def test_a_participant_gets_the_same_pack_from_raw_bytes_fix_and_index(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    copies = await created(stores, FORK)
    objects = disk.objects
    for changes, pack in (
        ({MAIN: objects.first}, disk.pack([objects.first])),
        ({MAIN: objects.third, TAG: objects.tag}, disk.pack([objects.third, objects.tag], [objects.first])),
    ):
        round_ = writes.update(changes, has_pack=True)  # type: ignore[arg-type]
        copy = copies.update(changes, has_pack=True)  # type: ignore[arg-type]
        arriving = await stores.packs.open_ingest(KEY, round_.round_id, "sha1")
        receive = await stores.packs.open_receive(FORK, copy.round_id, "sha1")
        for start in range(0, len(pack), 700):
            await arriving.write(pack[start : start + 700])
            await receive.write(pack[start : start + 700])
        fix = await arriving.finish()
        assert fix is not None
        await receive.finish(fix)
        async for chunk in arriving.index():
            await receive.write_index(chunk)
        await receive.finish_index()
        await receive.close()
        await arriving.close()
        for one, base in ((round_, writes), (copy, copies)):
            await stores.store.prepare(one)
            await stores.store.apply(base.publish(one))

    assert await stores.reader.object_digest(KEY) == await stores.reader.object_digest(FORK)
    assert await stores.reader.fsck(FORK) == []


async def test_a_receive_whose_bytes_do_not_fit_the_fix_is_corrupt(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    pack = disk.pack([disk.objects.first])
    round_ = writes.update({}, has_pack=True)
    fix = await ingest(stores, round_, pack)
    assert fix is not None
    damaged = bytearray(pack)
    damaged[len(pack) // 2] ^= 1
    other = RoundId("e" * 32)

    for raw in (bytes(damaged), pack[:-30]):
        receive = await stores.packs.open_receive(KEY, other, "sha1")
        await receive.write(raw)
        with pytest.raises(Corrupt):
            await receive.finish(fix)
        await receive.close()
    with pytest.raises(Corrupt):
        await stores.store.prepare(replace(round_, round_id=other))


async def test_an_index_that_does_not_fit_its_pack_is_corrupt(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    pack = disk.pack([disk.objects.first])
    round_ = writes.update({}, has_pack=True)
    arriving = await stores.packs.open_ingest(KEY, round_.round_id, "sha1")
    await arriving.write(pack)
    fix = await arriving.finish()
    assert fix is not None
    index = b"".join([chunk async for chunk in arriving.index()])
    await arriving.close()
    assert len(index) == fix.index_bytes
    damaged = bytearray(index)
    damaged[len(index) // 2] ^= 1
    other = RoundId("e" * 32)

    for raw in (bytes(damaged), index[:-1]):
        receive = await stores.packs.open_receive(KEY, other, "sha1")
        await receive.write(pack)
        await receive.finish(fix)
        await receive.write_index(raw)
        with pytest.raises(Corrupt):
            await receive.finish_index()
        await receive.close()
    with pytest.raises(Corrupt):
        await stores.store.prepare(replace(round_, round_id=other))


async def test_a_pack_beyond_the_limit_is_refused(disk: Disk) -> None:
    stores = disk.open(push=PushSettings(pack_bytes_max=30))
    writes = await created(stores)
    round_ = writes.update({})
    pack = disk.pack([disk.objects.third])

    with pytest.raises(Overloaded, match="too large"):
        await ingest(stores, round_, pack)
    receive = await stores.packs.open_receive(KEY, round_.round_id, "sha1")
    with pytest.raises(Overloaded, match="too large"):
        await receive.write(pack)
    await receive.close()


async def test_tips_that_are_not_here_are_refused(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    objects = disk.objects
    await write(stores, writes, writes.update({MAIN: objects.first}), disk.pack([objects.first]))

    await stores.packs.check_tips(KEY, [objects.first], commits=[objects.first])
    with pytest.raises(InvalidRequest) as refused:
        await stores.packs.check_tips(KEY, [objects.first, objects.second])
    assert refused.value.fields["oid"] == objects.second
    with pytest.raises(InvalidRequest) as refused:
        await ingest(stores, writes.update({}), disk.pack([objects.second], [objects.first]), [objects.third])
    assert refused.value.fields["oid"] == objects.third


async def test_objects_are_sent_to_those_who_do_not_have_them(disk: Disk) -> None:
    stores = disk.open()
    objects = disk.objects
    writes = await created(stores)
    await write(stores, writes, writes.update({MAIN: objects.third}), disk.pack([objects.third]))
    copies = await created(stores, FORK)
    await write(stores, copies, copies.update({MAIN: objects.first}), disk.pack([objects.first]))

    unknown = ObjectId("9" * 40)
    pack = await all_bytes(stores, KEY, [objects.third], [objects.first, unknown])
    round_ = copies.update({MAIN: objects.third}, has_pack=True)
    await ingest(stores, round_, pack, [objects.third])
    await stores.store.prepare(round_)
    await stores.store.apply(copies.publish(round_))

    assert await stores.packs.missing(FORK, [objects.second, unknown, objects.third]) == [unknown]
    assert await stores.reader.fsck(FORK) == []
    with pytest.raises(NotFound):
        await all_bytes(stores, KEY, [unknown], [])
    with pytest.raises((NotFound, RepositoryNotFound)):
        await all_bytes(stores, replace(KEY, repository=RepositoryId("c" * 32)), [objects.first], [])


async def test_quarantines_do_not_survive_a_restart(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    round_ = writes.update({MAIN: disk.objects.first}, has_pack=True)
    await ingest(stores, round_, disk.pack([disk.objects.first]))

    stores = disk.open()
    await stores.store.purge(KEY)

    with pytest.raises(Corrupt, match="no complete pack"):
        await stores.store.prepare(round_)


async def test_purge_leaves_what_is_prepared_or_about_to_be(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    first = disk.objects.first
    prepared, arriving = writes.update({MAIN: first}, has_pack=True), writes.update({SIDE: first}, has_pack=True)
    await ingest(stores, prepared, disk.pack([first]))
    await stores.store.prepare(prepared)
    await ingest(stores, arriving, disk.pack([first]))

    await stores.store.purge(KEY)

    await stores.store.prepare(arriving)
    await stores.store.apply(writes.publish(prepared))
    assert (await stores.reader.snapshot(KEY)).refs == writes.refs
    await stores.store.purge(FORK)


# ---------------------------------------------------------------- crashes


@pytest.mark.parametrize("step", PREPARE_STEPS)
async def test_a_crash_in_prepare_leaves_a_round_that_can_be_dropped_or_prepared_again(disk: Disk, step: str) -> None:
    writes = await created(disk.open())
    first = disk.objects.first
    round_ = writes.update({MAIN: first}, has_pack=True)
    stores = disk.open(step=crash_at(step))
    await ingest(stores, round_, disk.pack([first]))
    with pytest.raises(Crash):
        await stores.store.prepare(round_)

    stores = disk.open()
    state = await stores.store.load(KEY)
    assert state is not None
    assert state.prepared == ((round_,) if step == PREPARE_JOURNAL else ())
    assert (await stores.reader.snapshot(KEY)).refs == {HEAD: symbolic(MAIN)}
    if step != PREPARE_JOURNAL:
        await ingest(stores, round_, disk.pack([first]))
    await stores.store.prepare(round_)
    await stores.store.apply(writes.publish(round_))
    assert (await stores.reader.snapshot(KEY)).refs == writes.refs
    assert await stores.reader.fsck(KEY) == []


@pytest.mark.parametrize("step", PREPARE_STEPS)
async def test_a_crash_in_the_prepare_of_a_create_leaves_all_or_nothing(disk: Disk, step: str) -> None:
    writes = Writes()
    round_ = writes.create()
    with pytest.raises(Crash):
        await disk.open(step=crash_at(step)).store.prepare(round_)

    stores = disk.open()
    assert await stores.store.list_replicas() == ([KEY] if step == PREPARE_JOURNAL else [])
    await stores.store.prepare(round_)
    assert (await stores.store.apply(writes.publish(round_))).generation == 1


@pytest.mark.parametrize("step", APPLY_STEPS)
@pytest.mark.parametrize("kind", ["create", "update"])
async def test_a_crash_in_apply_is_replayed_to_the_same_end(disk: Disk, kind: str, step: str) -> None:
    objects = disk.objects
    if kind == "create":
        writes = Writes()
        round_ = writes.draft(WriteKind.CREATE, {HEAD: symbolic(MAIN), MAIN: objects.third}, has_pack=True)
    else:
        stores = disk.open()
        writes = await created(stores)
        await write(
            stores, writes, writes.update({MAIN: objects.first, TAG: objects.first}), disk.pack([objects.first])
        )
        round_ = writes.draft(
            changes={MAIN: objects.third, SIDE: objects.second, TAG: None, HEAD: symbolic(SIDE)}, has_pack=True
        )
    before = digest_of(writes.refs)
    stores = disk.open(step=crash_at(step))
    await ingest(stores, round_, disk.pack([objects.third]))
    await stores.store.prepare(round_)
    assert await stores.reader.digest_on_disk(KEY) == before
    with pytest.raises(Crash):
        await stores.store.apply(writes.publish(round_))

    again = await stores.store.load(KEY)
    stores = disk.open()
    state = await stores.store.load(KEY)
    assert state == again
    assert state is not None
    assert (round_ in state.prepared) or state.generation == round_.generation
    if step == APPLY_JOURNAL:
        assert state.prepared == ()
    state = await stores.store.apply(round_)
    await stores.store.purge(KEY)

    assert (state.generation, state.round_id, state.prepared) == (round_.generation, round_.round_id, ())
    assert await stores.store.load(KEY) == state == await disk.open().store.load(KEY)
    assert (await stores.reader.snapshot(KEY)).refs == writes.refs
    assert await stores.reader.digest_on_disk(KEY) == round_.refs_digest == state.refs_digest
    assert (await stores.reader.history(KEY, round_.base_generation)) == [round_]
    assert await stores.reader.fsck(KEY) == []


@pytest.mark.parametrize("has_fork", [False, True])
@pytest.mark.parametrize("step", [*APPLY_STEPS, APPLY_REMOVED])
async def test_a_crash_in_a_delete_is_replayed_to_the_same_end(disk: Disk, step: str, has_fork: bool) -> None:
    stores = disk.open()
    writes = await created(stores)
    await write(stores, writes, writes.update({MAIN: disk.objects.first}), disk.pack([disk.objects.first]))
    if has_fork:
        fork = Writes(FORK)
        await write(stores, fork, fork.create(fork_parent=KEY.repository, fork_generation=Generation(2)))
    round_ = writes.draft(WriteKind.DELETE)
    stores = disk.open(step=crash_at(step))
    await stores.store.prepare(round_)
    try:
        await stores.store.apply(round_)
    except Crash:
        stores = disk.open()

    assert (await stores.store.apply(round_)).is_deleted
    state = await disk.open().store.load(KEY)
    assert (state is not None) == has_fork
    if state is not None:
        assert (state.is_deleted, state.generation, state.prepared) == (True, 3, ())
        assert await stores.packs.missing(FORK, [disk.objects.first]) == []
        assert await stores.reader.fsck(KEY) == []


@pytest.mark.parametrize("step", REPLACE_STEPS)
@pytest.mark.parametrize("is_new", [True, False])
async def test_a_crash_in_replace_leaves_a_replica_that_knows_it_must_be_filled(
    disk: Disk, step: str, is_new: bool
) -> None:
    objects = disk.objects
    refs = {HEAD: symbolic(MAIN), MAIN: RefValue(objects.third), RefName("refs/x/y"): RefValue(objects.first)}
    wanted = state_at(9, refs)
    sync = Writes().update({}, has_pack=True)
    if not is_new:
        stores = disk.open()
        writes = await created(stores)
        await write(stores, writes, writes.update({MAIN: objects.first}), disk.pack([objects.first]))
    stores = disk.open(step=crash_at(step))
    await ingest(stores, sync, disk.pack([objects.third]))
    with pytest.raises(Crash):
        await stores.store.replace(wanted, refs, sync.round_id)

    stores = disk.open()
    state = await stores.store.load(KEY)
    assert state is not None
    assert state.generation == (9 if step == REPLACE_STEPS[-1] else 0)
    await ingest(stores, sync, disk.pack([objects.third]))
    await stores.store.replace(wanted, refs, sync.round_id)
    assert await stores.store.load(KEY) == await disk.open().store.load(KEY) == wanted
    assert (await stores.reader.snapshot(KEY)).refs == refs
    assert await stores.reader.fsck(KEY) == []


def state_at(generation: int, refs: dict[RefName, RefValue]) -> ReplicaState:
    """What a peer says of its replica."""
    return ReplicaState(
        key=KEY,
        name=RepositoryName("project/repo"),
        generation=Generation(generation),
        round_id=RoundId(f"{generation}" * 32),
        refs_digest=digest_of(refs),
        object_format="sha1",
        is_deleted=False,
    )
