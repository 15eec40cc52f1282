"""Journal and history: what is durable is read back, what was cut short is passed over, what is damaged is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from meshnode.base.errors import Corrupt
from meshnode.base.ids import HEAD, Generation, RefName, RefValue, RoundId, symbolic
from meshnode.core.refs import RefEdit
from meshnode.core.round import Round
from meshnode.git.history import History
from meshnode.git.journal import JournalRecord, drop_strays, read_journal, read_record, take_pack, write_record
from tests.contract.replica_fixtures import (
    FORK,
    KEY,
    MAIN,
    SIDE,
    GitTestDisk,
    Writes,
    created,
    git_disk,
    ingest,
    source,
    write,
)

__all__ = ["git_disk", "source"]


def rounds(count: int, *, edits: int = 0) -> list[Round]:
    """Rounds with generations 1, 2, ..."""
    some = tuple(RefEdit(RefName(f"refs/heads/é{number}"), None, RefValue("1" * 40)) for number in range(edits))
    return [
        replace(
            Writes().update({}),
            base_generation=Generation(number),
            round_id=RoundId(f"{number + 1:032x}"),
            edits=some,
            request_key=f"key {number + 1}",
        )
        for number in range(count)
    ]


def test_history_keeps_what_is_appended(tmp_path: Path) -> None:
    history = History(tmp_path / "history", 100)
    assert (history.last(), history.after(Generation(0), 5), history.at(Generation(1))) == (None, [], None)
    made = rounds(5, edits=300)

    for round_ in made:
        history.append(round_)
        assert history.last() == round_

    assert history.after(Generation(0), 99) == made
    assert history.after(Generation(3), 1) == made[3:4]
    assert history.at(Generation(2)) == made[1]
    assert history.find_request("key 4") == made[3]
    history.rewrite(())
    assert history.last() is None


@pytest.mark.parametrize(
    "tail", [b"3f2a", b'3f2a {"v":1', b"\0" * 5000, b"3f2a \0\0\0}\n", b"x\0\n\0\0\n", b"\n".join([b"\0" * 9] * 3)]
)
def test_an_append_that_was_cut_short_is_passed_over_and_overwritten(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "history"
    history = History(path, 100)
    made = rounds(3, edits=400)
    history.append(made[0])
    history.append(made[1])
    with path.open("ab") as file:
        file.write(tail)

    assert history.last() == made[1]
    assert history.after(Generation(0), 9) == made[:2]
    history.append(made[2])
    assert history.after(Generation(0), 9) == made


def test_a_history_of_nothing_but_a_cut_append_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_bytes(b"3f2a {")
    history = History(path, 100)

    assert history.last() is None
    history.append(rounds(1)[0])
    assert history.last() == rounds(1)[0]


def test_a_damaged_line_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "history"
    history = History(path, 100)
    for round_ in rounds(3):
        history.append(round_)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"key 2", b"key 9"))
    with pytest.raises(Corrupt, match="damaged line"):
        history.after(Generation(0), 9)
    with pytest.raises(Corrupt, match="damaged line"):
        history.find_request("key 9")
    assert history.last() == rounds(3)[2]
    path.write_bytes(data.replace(b"key 3", b"key 9"))
    with pytest.raises(Corrupt, match="damaged line"):
        history.last()


def test_a_gap_in_a_history_is_corrupt(tmp_path: Path) -> None:
    history = History(tmp_path / "history", 100)
    made = rounds(4)
    for round_ in (made[0], made[2], made[3]):
        history.append(round_)

    with pytest.raises(Corrupt, match="gap"):
        history.after(Generation(0), 9)


def test_history_forgets_the_oldest_rounds_beyond_its_bounds(tmp_path: Path) -> None:
    history = History(tmp_path / "history", 10)
    for round_ in rounds(200):
        history.append(round_)

    assert history.last() == rounds(200)[-1]
    assert history.after(Generation(100), 9) == []
    assert len(history.after(Generation(190), 99)) == 10
    assert (tmp_path / "history").stat().st_size < 30 * 600


def test_history_forgets_rounds_that_take_too_many_bytes(tmp_path: Path) -> None:
    history = History(tmp_path / "history", 1000, bytes_kept=20_000)
    made = rounds(64, edits=40)
    for round_ in made:
        history.append(round_)

    assert (tmp_path / "history").stat().st_size <= 20_000
    assert history.last() == made[-1]
    assert history.at(Generation(62)) == made[61]
    assert history.at(Generation(2)) is None


def test_journal_records_are_read_back_with_their_packs(tmp_path: Path) -> None:
    one, two = rounds(2)
    write_record(tmp_path, JournalRecord(one, "a" * 40))
    write_record(tmp_path, JournalRecord(two, ""))

    assert read_journal(tmp_path) == [JournalRecord(one, "a" * 40), JournalRecord(two, "")]
    assert read_record(tmp_path, RoundId("f" * 32)) is None
    assert read_journal(tmp_path / "none") == []


def test_a_damaged_journal_record_is_corrupt(tmp_path: Path) -> None:
    (one,) = rounds(1)
    write_record(tmp_path, JournalRecord(one, ""))
    path = tmp_path / f"{one.round_id}.json"
    data = path.read_bytes()

    for damaged in (data.replace(b"key 1", b"key 9"), data[:-20], b""):
        path.write_bytes(damaged)
        with pytest.raises(Corrupt, match="journal record"):
            read_journal(tmp_path)
    path.write_bytes(data)
    path.rename(tmp_path / f"{'e' * 32}.json")
    with pytest.raises(Corrupt, match="another round"):
        read_journal(tmp_path)


def test_a_journal_record_that_names_no_pack_is_corrupt(tmp_path: Path) -> None:
    (one,) = rounds(1)
    write_record(tmp_path, JournalRecord(one, "../../config"))

    with pytest.raises(Corrupt, match="names no pack"):
        read_journal(tmp_path)


def test_an_index_cut_short_is_corrupt(tmp_path: Path) -> None:
    (one,) = rounds(1)
    (tmp_path / f"{one.round_id}.pack").touch()
    (tmp_path / f"{one.round_id}.idx").write_bytes(b"short")

    with pytest.raises(Corrupt, match="cut short"):
        take_pack(None, tmp_path, one)


async def test_a_history_of_another_repository_is_corrupt(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    await created(stores)
    await created(stores, FORK)
    history = (git_disk.repository(KEY) / "mesh" / "history").read_bytes()
    (git_disk.repository(FORK) / "mesh" / "history").write_bytes(history)

    with pytest.raises(Corrupt, match="another repository"):
        await git_disk.open().store.load(FORK)


def test_a_pack_without_its_index_is_no_pack(tmp_path: Path) -> None:
    packs = tmp_path / "quarantine" / "objects" / "pack"
    packs.mkdir(parents=True)
    (packs / f"pack-{'a' * 40}.pack").touch()

    with pytest.raises(Corrupt, match="no complete pack"):
        take_pack(tmp_path / "quarantine", tmp_path, rounds(1)[0])


def test_strays_of_the_journal_are_removed_and_nothing_else(tmp_path: Path) -> None:
    one, two = rounds(2)
    write_record(tmp_path, JournalRecord(one, "a" * 40))
    kept = [f"{one.round_id}.json", f"{one.round_id}.pack", f"{one.round_id}.idx", "README"]
    for name in [*kept[1:], f"{two.round_id}.pack", f"{two.round_id}.json.tmp", f"{one.round_id}.json.tmp"]:
        (tmp_path / name).touch()

    drop_strays(tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


async def test_a_damaged_journal_makes_the_replica_corrupt(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    round_ = writes.update({})
    await stores.store.prepare(round_)
    (git_disk.repository(KEY) / "mesh" / "journal" / f"{round_.round_id}.json").write_bytes(b"damage")

    with pytest.raises(Corrupt, match="journal"):
        await git_disk.open().store.load(KEY)


async def test_a_pack_that_vanished_from_the_journal_makes_the_apply_corrupt(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    first = git_disk.objects.first
    round_ = writes.update({MAIN: first}, has_pack=True)
    await ingest(stores, round_, git_disk.pack([first]))
    await stores.store.prepare(round_)
    (git_disk.repository(KEY) / "mesh" / "journal" / f"{round_.round_id}.pack").unlink()

    with pytest.raises(Corrupt, match="no complete pack"):
        await stores.store.apply(round_)
    assert (await stores.reader.snapshot(KEY)).refs == {HEAD: symbolic(MAIN)}


async def test_a_history_cut_short_is_finished_by_applying_again(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    path = git_disk.repository(KEY) / "mesh" / "history"
    before = path.read_bytes()
    round_ = writes.update({MAIN: git_disk.objects.first}, has_pack=True)
    await ingest(stores, round_, git_disk.pack([git_disk.objects.first]))
    await stores.store.prepare(round_)
    journal = git_disk.repository(KEY) / "mesh" / "journal"
    record = {file.name: file.read_bytes() for file in journal.glob("*.json")}
    await stores.store.apply(writes.publish(round_))
    path.write_bytes(path.read_bytes()[: len(before) + 40])
    for name, data in record.items():
        (journal / name).write_bytes(data)

    stores = git_disk.open()
    state = await stores.store.load(KEY)
    assert state is not None
    assert (state.generation, state.prepared) == (1, (round_,))
    assert (await stores.store.apply(round_)).generation == 2
    assert await git_disk.open().store.load(KEY) == await stores.store.load(KEY)
    await write(stores, writes, writes.update({SIDE: git_disk.objects.first}))
    assert (await stores.reader.history(KEY, Generation(1)))[0] == round_
