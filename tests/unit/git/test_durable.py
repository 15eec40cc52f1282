"""The one module that changes the disk: nobody else does, nobody arms it, and what it is for came of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import meshnode
from meshnode.base.ids import HEAD, ObjectId, RefName, RefValue, symbolic
from meshnode.core.round import WriteKind
from meshnode.git import durable
from meshnode.git.durable import Change
from tests.contract.replica_fixtures import (
    FORK,
    KEY,
    MAIN,
    Crash,
    GitTestDisk,
    Writes,
    created,
    git,
    git_disk,
    ingest,
    source,
    write,
)

__all__ = ["git_disk", "source"]

PACKAGE = Path(meshnode.__file__).parent
CHANGING = {
    "fsync", "fdatasync", "ftruncate", "link", "mkdir", "mkdtemp", "pwrite", "removedirs", "rename", "renames",
    "rmdir", "rmtree", "symlink_to", "touch", "truncate", "unlink", "write_bytes", "write_text",
}  # fmt: skip
"""Names of functions and methods that change a file or a name."""
OF_THE_SYSTEM = {"remove", "replace"}
"""The same, where it is the module `os` that has them: they mean other things too."""


SCRATCH = {"loose.py", "patches.py", "unpacker.py"}
"""Writes into workshops only: no state of theirs is worth anything, and a start removes them whole."""


ELSEWHERE = {"priority.py", "shared_answers.py"}
"""Writes to `/proc`, and to a file that never has a name: nothing of either is there after a restart."""


def calls(path: Path) -> Iterator[tuple[str, str, int]]:
    """Owner, name and line of every call by attribute, and uses of O_CREAT."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func.value), node.func.attr, node.lineno
        elif isinstance(node, ast.Attribute) and node.attr == "O_CREAT":
            yield "os", "O_CREAT", node.lineno


def test_nothing_else_in_the_adapter_changes_the_disk() -> None:
    found = [
        f"{path.name}:{line}: {owner}.{name}"
        for path in sorted((PACKAGE / "git").glob("*.py"))
        if path.name not in {"durable.py", *SCRATCH, *ELSEWHERE}
        for owner, name, line in calls(path)
        if owner != "durable" and (name in {*CHANGING, "O_CREAT"} or (owner == "os" and name in OF_THE_SYSTEM))
    ]
    assert found == []


def test_nothing_in_the_product_can_arm_it() -> None:
    found = [
        str(path)
        for path in sorted(PACKAGE.rglob("*.py"))
        for owner, name, _ in calls(path)
        if name == "observe" and "durable" in owner
    ]
    assert found == []
    text = (PACKAGE / "git" / "durable.py").read_text()
    assert "environ" not in text.partition('"""')[2].partition('"""')[2]


@contextmanager
def dying_at(kind: str, part: str) -> Iterator[None]:
    """Raise Crash instead of the first change of a kind to a path that holds `part`, and of all after it."""
    is_dead = False

    @contextmanager
    def observer(change: Change) -> Iterator[None]:
        nonlocal is_dead
        is_dead = is_dead or (change.kind == kind and part in str(change.path))
        if is_dead:
            raise Crash
        yield

    durable.observe(observer)
    try:
        yield
    finally:
        durable.observe(None)


async def test_a_replica_whose_creation_is_dropped_goes_with_its_journal_record(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    round_ = Writes().create()
    await stores.store.prepare(round_)
    with dying_at("rename", KEY.repository), pytest.raises(Crash):
        await stores.store.discard(KEY, round_.round_id)
    again = await git_disk.open().store.load(KEY)
    assert again is not None
    assert again.prepared == (round_,)


async def test_a_fork_finds_its_parents_objects_though_the_process_died_setting_the_parent_aside(
    git_disk: GitTestDisk,
) -> None:
    stores = git_disk.open()
    first = git_disk.objects.first
    writes, fork = Writes(), Writes(FORK)
    create = writes.draft(WriteKind.CREATE, {HEAD: symbolic(MAIN), MAIN: RefValue(first)})
    await write(stores, writes, create, git_disk.pack([first]))
    changes: dict[RefName, RefValue | ObjectId | None] = {HEAD: symbolic(MAIN), MAIN: first}
    make = fork.draft(WriteKind.CREATE, changes, fork_parent=KEY.repository, fork_generation=writes.base[0])
    await write(stores, fork, make)
    with dying_at("rename", "incoming"), pytest.raises(Crash):
        await stores.store.set_aside(KEY, "testing")
    assert not git_disk.repository(KEY).exists()
    stores = git_disk.open()
    assert await stores.packs.missing(FORK, [first]) == []
    assert await stores.reader.fsck(FORK) == []
    assert await stores.store.list_replicas() == [FORK]


async def test_a_start_deletes_what_the_last_run_had_no_time_to(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    round_ = writes.update({MAIN: git_disk.objects.first}, has_pack=True)
    await ingest(stores, round_, git_disk.pack([git_disk.objects.first]))
    mesh = git_disk.repository(KEY) / "mesh"
    (mesh / "history.tmp").write_bytes(b"half")
    (git_disk.data / "trash" / "x").mkdir()
    (git_disk.data / "damaged" / "not-ours").mkdir()
    stores = git_disk.open()
    assert list((git_disk.data / "trash").iterdir()) == list((git_disk.data / "incoming").iterdir()) == []
    await stores.store.purge(KEY)
    assert sorted(path.name for path in mesh.iterdir()) == ["history", "journal", "state.json"]


async def test_what_leads_forks_on_is_durable_when_it_becomes_a_replica_again(git_disk: GitTestDisk) -> None:
    synced: list[str] = []

    @contextmanager
    def observer(change: Change) -> Iterator[None]:
        if change.kind == "sync":
            synced.append(change.path.name)
        yield

    stores = git_disk.open()
    writes = await created(stores)
    fork = Writes(FORK)
    await write(stores, fork, fork.create(fork_parent=KEY.repository, fork_generation=writes.base[0]))
    before = await stores.store.load(KEY)
    assert before is not None
    await stores.store.set_aside(KEY, "testing")
    durable.observe(observer)
    try:
        await stores.store.replace(before, writes.refs, None)
    finally:
        durable.observe(None)
    assert synced.index("journal") < synced.index("state.json.tmp")
    assert KEY.repository in synced[: synced.index("state.json.tmp")]
    assert git("fsck", git_dir=git_disk.repository(FORK)) is not None


async def test_a_start_removes_half_packs_but_not_that_of_a_round_half_moved_in(
    git_disk: GitTestDisk,
) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    first = git_disk.objects.first
    round_ = writes.update({MAIN: first}, has_pack=True)
    await ingest(stores, round_, git_disk.pack([first]))
    await stores.store.prepare(round_)
    packs = git_disk.repository(KEY) / "objects" / "pack"
    with dying_at("rename", ".idx"), pytest.raises(Crash):
        await stores.store.apply(round_)
    (promised,) = packs.iterdir()
    (packs / f"pack-{'0' * 40}.pack").write_bytes(b"half")
    (packs / f"pack-{'1' * 40}.idx").write_bytes(b"half")
    graphs = git_disk.repository(KEY) / "objects" / "info" / "commit-graphs"
    graphs.mkdir()
    (graphs / "commit-graph-chain.lock").touch()
    stores = git_disk.open()
    await stores.store.purge(KEY)
    assert list(packs.iterdir()) == [promised]
    await stores.store.apply(writes.publish(round_))
    await stores.upkeep.write_commit_graph(KEY)
    assert await stores.reader.fsck(KEY) == []
