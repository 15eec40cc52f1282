"""A stopped node's disk described for a rebuild: the same the store said while it ran, and nothing touched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from meshnode.base.errors import Corrupt, MeshError
from meshnode.base.ids import HEAD
from meshnode.core.accounts import ReplicaAccount
from meshnode.core.round import WriteKind
from meshnode.git.description import describe_disk, holds_replicas
from meshnode.git.layout import Layout
from tests.contract.replica_fixtures import KEY, MAIN, SIDE, Crash, GitTestDisk, crash_at, created, ingest, write

HOLD_LOCK = """
import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def files_of(place: Path) -> dict[str, tuple[int, int]]:
    """Every file below a directory with its size and time of change."""
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(place.rglob("*")) if path.is_file()
    }


def only(disk: GitTestDisk) -> ReplicaAccount:
    """The account of the one replica there is."""
    layout = Layout(disk.repository(KEY).parents[2])
    (layout.data / "lock").unlink(missing_ok=True)  # held by this process, which opened the store
    before = files_of(layout.data)
    (account,), unreadable = describe_disk(layout.data)
    assert not unreadable
    assert files_of(layout.data) == before
    return account


async def test_a_description_says_what_the_store_said(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    objects = git_disk.objects
    await write(stores, writes, writes.update({MAIN: objects.third}), git_disk.pack([objects.third]))
    state = await write(stores, writes, writes.update({SIDE: objects.first}))
    account = only(git_disk)
    assert (account.generation, account.round_id, account.refs_digest) == (3, state.round_id, state.refs_digest)
    assert account.digest_on_disk == state.refs_digest
    assert account.is_sound
    assert len(account.recent) == 3
    assert account.recent[-1] == state.round_id
    assert account.fork_root == KEY.repository


async def test_a_prepared_round_is_told_apart_from_an_applied_one(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    first = git_disk.objects.first
    round_ = writes.update({MAIN: first}, has_pack=True)
    await ingest(stores, round_, git_disk.pack([first]), [first])
    await stores.store.prepare(round_)
    account = only(git_disk)
    assert account.generation == 1
    assert account.prepared == (round_,)


@pytest.mark.parametrize("step", ["apply.refs", "apply.history"])
async def test_a_crash_in_apply_leaves_a_description_that_is_honest(git_disk: GitTestDisk, step: str) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    first = git_disk.objects.first
    await write(stores, writes, writes.update({MAIN: first}), git_disk.pack([first]))
    stores = git_disk.open(step=crash_at(step))
    round_ = writes.update({SIDE: first})
    await stores.store.prepare(round_)
    with pytest.raises(Crash):
        await stores.store.apply(writes.publish(round_))
    account = only(git_disk)
    if step == "apply.history":
        assert (account.generation, account.prepared, account.begun) == (3, (), None)
    else:
        assert (account.generation, account.prepared, account.begun) == (2, (round_,), round_.round_id)
    assert account.is_sound


async def test_a_reference_edited_beside_a_prepared_round_is_no_round_begun(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    objects = git_disk.objects
    await write(stores, writes, writes.update({MAIN: objects.third}), git_disk.pack([objects.third]))
    await stores.store.prepare(writes.update({SIDE: objects.first}))
    git_disk.break_ref(KEY, MAIN, objects.second)
    account = only(git_disk)
    assert account.begun is None
    assert not account.is_sound


async def test_a_synced_replica_tells_its_own_round_at_least(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    state = await stores.store.load(KEY)
    assert state is not None
    await stores.store.replace(state, writes.refs, None)
    account = only(git_disk)
    assert account.generation == 1
    assert account.recent == ()
    assert account.is_sound


async def test_a_deleted_repository_leaves_a_tombstone(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    round_ = writes.draft(kind=WriteKind.DELETE, changes={HEAD: None})
    await stores.store.prepare(round_)
    await stores.store.apply(writes.publish(round_))
    assert not git_disk.repository(KEY).exists()
    account = only(git_disk)
    assert (account.is_deleted, account.generation, account.round_id) == (True, 2, round_.round_id)


async def test_damage_is_trouble_or_unreadable(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    await created(stores)
    place = git_disk.repository(KEY)
    (place / "HEAD").write_text("nonsense\n")
    assert only(git_disk).trouble
    history = place / "mesh" / "history"
    history.write_bytes(history.read_bytes().replace(b"create", b"cReate"))
    assert "history" in only(git_disk).trouble
    git_disk.break_state(KEY)
    accounts, (line,) = describe_disk(place.parents[2])
    assert not accounts
    assert str(place) in line


def test_a_node_that_runs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline()
        with pytest.raises(MeshError, match="stop it first"):
            describe_disk(tmp_path)
        holder.communicate(b"")
    assert describe_disk(tmp_path) == ([], [])


def test_a_strange_tombstone_is_corrupt_and_an_empty_disk_holds_nothing(tmp_path: Path) -> None:
    assert not holds_replicas(tmp_path)
    assert describe_disk(tmp_path) == ([], [])
    (tmp_path / "deleted").mkdir()
    (tmp_path / "deleted" / "x.json").write_text("{}")
    with pytest.raises(Corrupt):
        describe_disk(tmp_path)


async def test_a_disk_with_a_replica_holds_some(git_disk: GitTestDisk) -> None:
    await created(git_disk.open())
    assert holds_replicas(git_disk.repository(KEY).parents[2])
