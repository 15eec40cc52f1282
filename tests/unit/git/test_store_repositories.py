"""What real repositories add to the contract: stock git reads them, nothing is left behind, forks keep objects."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from meshnode.base.errors import Corrupt, InvalidRequest, MeshError
from meshnode.base.ids import HEAD, Generation, PartitionId, RefName, RefValue, RepositoryId, symbolic
from meshnode.config import PushSettings, ReplicationSettings
from meshnode.core.refs import digest_of
from meshnode.core.round import ReplicaKey, WriteKind
from meshnode.git import durable
from meshnode.git.command import Completed, GitCommands
from meshnode.git.disk import on_disk
from meshnode.git.durable import Change
from meshnode.git.history import History
from meshnode.git.layout import Layout
from meshnode.git.process import GitProcess
from meshnode.git.removal import empty_trash, remove_replica
from meshnode.git.replicas import Replicas
from meshnode.git.stores import APPLY_STEPS, PREPARE_STEPS
from tests.contract.replica_fixtures import (
    FORK,
    KEY,
    MAIN,
    SIDE,
    TAG,
    Crash,
    GitTestDisk,
    Source,
    Writes,
    crash_at,
    created,
    git,
    git_disk,
    ingest,
    make_source,
    source,
    write,
)

__all__ = ["git_disk", "source"]


def files_of(data: Path) -> set[str]:
    """Every file and empty directory below a node's data, by its path."""
    found: set[str] = set()
    for directory, folders, files in os.walk(data):
        found |= {os.path.relpath(Path(directory, name), data) for name in files}
        if not folders and not files:
            found.add(os.path.relpath(directory, data) + "/")
    return found


async def push(disk: GitTestDisk, writes: Writes, *, crash: str = "") -> None:
    """A create and a push with a pack, as many runs of the node as it takes."""
    objects = disk.objects
    for round_, pack in (
        (writes.create(), b""),
        (
            writes.update({MAIN: objects.third, TAG: objects.tag}, has_pack=True),
            disk.pack([objects.third, objects.tag]),
        ),
    ):
        rebased = replace(round_, base_generation=writes.base[0], base_round_id=writes.base[1])
        rebased = replace(
            rebased, refs_digest=digest_of({**writes.refs, **{e.name: e.new for e in round_.edits if e.new}})
        )
        stores = disk.open(step=crash_at(crash))
        while True:
            try:
                if pack:
                    state = await stores.store.load(KEY)
                    if state is not None and not state.prepared and state.round_id != rebased.round_id:
                        await ingest(stores, rebased, pack)
                await stores.store.prepare(rebased)
                await stores.store.apply(rebased)
                break
            except Crash:
                stores = disk.open()
        writes.publish(rebased)
        await stores.store.purge(KEY)


@pytest.mark.parametrize("step", [*PREPARE_STEPS, *APPLY_STEPS])
async def test_a_crash_leaves_the_same_files_as_none(git_disk: GitTestDisk, tmp_path: Path, step: str) -> None:
    undisturbed = GitTestDisk(tmp_path / "undisturbed", git_disk.source, git_disk.commands)
    await push(undisturbed, Writes())

    await push(git_disk, Writes(), crash=step)

    assert files_of(git_disk.data) == files_of(undisturbed.data)
    assert git("fsck", "--full", "--strict", git_dir=git_disk.repository(KEY)) == b""


async def test_stock_git_reads_what_the_store_wrote(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    objects = git_disk.objects
    await write(
        stores,
        writes,
        writes.update({MAIN: objects.third, TAG: objects.tag}),
        git_disk.pack([objects.third, objects.tag]),
    )
    repository = git_disk.repository(KEY)

    listed = git("for-each-ref", "--format=%(objectname) %(refname) %(*objectname)", git_dir=repository).decode()

    assert listed == f"{objects.third} {MAIN} \n{objects.tag} {TAG} {objects.second}\n"
    assert git("symbolic-ref", "HEAD", git_dir=repository).decode().strip() == MAIN
    assert git("rev-parse", "--is-bare-repository", git_dir=repository) == b"true\n"
    assert (await stores.reader.snapshot(KEY)).peeled == {TAG: objects.second}


async def test_sha256_repositories_work_as_sha1_ones_do(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source.git", "sha256")
    disk = GitTestDisk(tmp_path / "data", source, GitCommands())
    stores = disk.open()
    objects = source.objects
    writes, copies = Writes(KEY, "sha256"), Writes(FORK, "sha256")
    for one in (writes, copies):
        await write(stores, one, one.create())
    round_ = writes.update({MAIN: objects.third, TAG: objects.tag}, has_pack=True)
    copy = copies.update({MAIN: objects.third, TAG: objects.tag}, has_pack=True)
    arriving = await stores.packs.open_ingest(KEY, round_.round_id, "sha256")
    receive = await stores.packs.open_receive(FORK, copy.round_id, "sha256")
    pack = source.pack([objects.third, objects.tag])
    await arriving.write(pack)
    await receive.write(pack)
    fix = await arriving.finish()
    assert fix is not None
    await arriving.check_connected([objects.third, objects.tag], commits=[objects.third])
    await receive.finish(fix)
    async for chunk in arriving.index():
        await receive.write_index(chunk)
    await receive.finish_index()
    await receive.close()
    await arriving.close()
    for ready, base in ((round_, writes), (copy, copies)):
        await stores.store.prepare(ready)
        await stores.store.apply(base.publish(ready))

    assert (await stores.reader.snapshot(KEY)).peeled == {TAG: objects.second}
    assert await stores.reader.fsck(FORK) == []
    assert await stores.reader.object_digest(KEY) == await stores.reader.object_digest(FORK)
    with pytest.raises(Corrupt, match="object format"):
        await stores.packs.open_receive(KEY, round_.round_id, "sha1")


async def test_a_push_to_a_fork_builds_on_its_ancestors_objects_however_many(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    objects = git_disk.objects
    parent = await created(stores)
    await write(stores, parent, parent.update({MAIN: objects.first}), git_disk.pack([objects.first]))
    keys = [KEY] + [ReplicaKey(PartitionId(7), RepositoryId(f"{number}" * 32)) for number in range(7)]
    for older, younger in itertools.pairwise(keys):
        fork = Writes(younger)
        make = fork.draft(
            WriteKind.CREATE,
            {HEAD: symbolic(MAIN), MAIN: objects.first},
            fork_parent=older.repository,
            fork_generation=Generation(1),
        )
        await write(stores, fork, make)
    youngest = fork
    round_ = youngest.update({MAIN: objects.second}, has_pack=True)
    await ingest(stores, round_, git_disk.pack([objects.second], [objects.first]), [objects.second])
    await stores.store.prepare(round_)
    await stores.store.apply(youngest.publish(round_))

    assert await stores.reader.fsck(keys[-1]) == []
    checked = await git_disk.commands.run(["fsck"], git_dir=git_disk.repository(keys[-1]))
    assert b"nest" not in checked.stderr


async def test_a_fork_set_aside_still_reads_its_parents_objects(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    objects = git_disk.objects
    parent = await created(stores)
    await write(stores, parent, parent.update({MAIN: objects.first}), git_disk.pack([objects.first]))
    fork = Writes(FORK)
    make = fork.draft(
        WriteKind.CREATE,
        {HEAD: symbolic(MAIN), MAIN: objects.first},
        fork_parent=KEY.repository,
        fork_generation=Generation(2),
    )
    await write(stores, fork, make)

    place = Path(await stores.store.set_aside(FORK, "testing"))

    assert git("cat-file", "-t", objects.first, git_dir=place) == b"commit\n"
    assert (place / "mesh" / "set-aside").read_text() == "testing\n"
    await write(stores, parent, parent.draft(WriteKind.DELETE))
    assert git("cat-file", "-t", objects.first, git_dir=place) == b"commit\n"


async def test_a_data_directory_may_have_any_name(source: Source, tmp_path: Path) -> None:
    disk = GitTestDisk(tmp_path / 'a: "strange" \\ näme', source, GitCommands())
    stores = disk.open()
    writes = await created(stores)
    objects = disk.objects
    await write(stores, writes, writes.update({MAIN: objects.first}), disk.pack([objects.first]))
    round_ = writes.update({MAIN: objects.third}, has_pack=True)
    await ingest(stores, round_, disk.pack([objects.third], [objects.first]), [objects.third])
    await stores.store.prepare(round_)
    await stores.store.apply(writes.publish(round_))

    assert await stores.reader.fsck(KEY) == []


def test_two_processes_never_share_a_data_directory(git_disk: GitTestDisk) -> None:
    git_disk.open()
    other = (
        "import fcntl, sys\n"
        "file = open(sys.argv[1], 'r+')\n"
        "fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    free = GitTestDisk(git_disk.data.with_name("free"), git_disk.source, git_disk.commands)
    free.data.mkdir()
    (free.data / "lock").touch()
    with subprocess.Popen(
        [sys.executable, "-c", other, str(free.data / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(MeshError, match="another process"):
            free.open()
        assert holder.stdin is not None
        holder.stdin.close()
        holder.wait(10)
        free.open()


async def test_only_complete_replicas_are_listed(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    await created(stores)
    repositories = git_disk.data / "repositories"
    (repositories / "7" / ("c" * 32) / "objects").mkdir(parents=True)
    (repositories / "7" / "notes").mkdir()
    (repositories / "elsewhere").mkdir()
    (repositories / "99999").mkdir()

    assert await stores.store.list_replicas() == [KEY]
    assert await stores.store.load(ReplicaKey(PartitionId(7), RepositoryId("c" * 32))) is None


async def test_no_path_is_made_of_an_id_that_is_none(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()

    for key in (ReplicaKey(PartitionId(7), RepositoryId("../../etc")), ReplicaKey(PartitionId(-1), KEY.repository)):
        with pytest.raises(InvalidRequest):
            await stores.store.load(key)


async def test_a_state_of_another_repository_is_corrupt(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    await created(stores)
    await created(stores, FORK)
    state = (git_disk.repository(KEY) / "mesh" / "state.json").read_bytes()
    (git_disk.repository(FORK) / "mesh" / "state.json").write_bytes(state)

    with pytest.raises(Corrupt, match="another repository"):
        await git_disk.open().store.load(FORK)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"v": 2}', b'{"v": 1, "repository": "%s", "partition": 7}' % KEY.repository.encode()]
)
async def test_a_damaged_state_is_corrupt(git_disk: GitTestDisk, content: bytes) -> None:
    await created(git_disk.open())
    (git_disk.repository(KEY) / "mesh" / "state.json").write_bytes(content)

    with pytest.raises(Corrupt):
        await git_disk.open().store.load(KEY)


async def test_a_snapshot_of_references_that_do_not_have_the_digest_is_corrupt(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    await write(stores, writes, writes.update({MAIN: git_disk.objects.first}), git_disk.pack([git_disk.objects.second]))
    git_disk.break_ref(KEY, SIDE, git_disk.objects.second)

    with pytest.raises(Corrupt, match="digest"):
        await git_disk.open().reader.snapshot(KEY)


async def test_damaged_objects_are_told_by_fsck(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    await write(stores, writes, writes.update({MAIN: git_disk.objects.first}), git_disk.pack([git_disk.objects.first]))
    (pack,) = (git_disk.repository(KEY) / "objects" / "pack").glob("*.pack")
    pack.chmod(0o644)
    with pack.open("r+b") as file:
        file.seek(40)
        file.write(b"damage")

    assert await stores.reader.fsck(KEY) != []


async def test_a_small_push_costs_two_processes_at_its_coordinator(git_disk: GitTestDisk) -> None:
    commands = CountingCommands()
    git_disk.commands = commands
    stores = git_disk.open()
    writes = await created(stores)
    first = git_disk.objects.first
    await stores.reader.snapshot(KEY)
    commands.names.clear()
    round_ = writes.update({MAIN: first}, has_pack=True)

    arriving = await stores.packs.open_ingest(KEY, round_.round_id, "sha1")
    await arriving.write(git_disk.pack([first]))
    await arriving.finish()
    await arriving.check_connected([first], commits=[first])
    await arriving.close()
    await stores.store.prepare(round_)
    await stores.store.apply(writes.publish(round_))
    await stores.reader.snapshot(KEY)

    assert commands.names == ["index-pack", "rev-list"]


async def test_settings_that_are_no_message_ids_are_refused_at_the_start(git_disk: GitTestDisk) -> None:
    with pytest.raises(InvalidRequest, match="fsck_ignore"):
        git_disk.open(push=PushSettings(fsck_ignore=("badDate=ignore --exec",)))


async def test_symbolic_references_besides_head_are_kept(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    alias = RefName("refs/remotes/origin/HEAD")
    first = git_disk.objects.first
    round_ = writes.draft(changes={MAIN: first, alias: symbolic(MAIN)})
    await write(stores, writes, round_, git_disk.pack([first]))

    assert (await git_disk.open().reader.snapshot(KEY)).refs == writes.refs
    await write(stores, writes, writes.draft(changes={alias: None, MAIN: RefValue(first)}))
    assert await stores.reader.digest_on_disk(KEY) == writes.digest


class CountingCommands(GitCommands):
    """Notes which commands run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    async def run(
        self,
        args: Sequence[str],
        *,
        git_dir: Path | None,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        deadline_ms: int = 60_000,
        stdout_bytes_max: int = 64 << 20,
        config: Sequence[str] = (),
    ) -> Completed:
        self.names.append(args[0])
        return await super().run(
            args,
            git_dir=git_dir,
            stdin=stdin,
            environment=environment or {},
            deadline_ms=deadline_ms,
            stdout_bytes_max=stdout_bytes_max,
            config=config,
        )

    async def open(
        self,
        args: Sequence[str],
        *,
        git_dir: Path | None,
        environment: Mapping[str, str] | None = None,
        deadline_ms: int,
        config: Sequence[str] = (),
        stdin: bool = True,
        is_bulk: bool = True,
        niceness: int = 0,
        on_stderr: object = None,
    ) -> GitProcess:
        self.names.append(args[0])
        assert on_stderr is None
        assert niceness == 0
        return await super().open(
            args,
            git_dir=git_dir,
            environment=environment or {},
            deadline_ms=deadline_ms,
            config=config,
            stdin=stdin,
            is_bulk=is_bulk,
        )


class Leaving(Replicas):
    """A data directory where a replica goes to the trash between its state and its history are read."""

    def history(self, key: ReplicaKey) -> History:
        repository = self.layout.repository(key)
        if repository.exists():
            repository.rename(self.layout.trash / key.repository)
        return super().history(key)


async def test_a_replica_that_goes_while_it_is_read_is_gone_and_not_half_of_itself(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    await created(stores)
    leaving = Leaving(git_disk.data, git_disk.commands, ReplicationSettings(), lambda _: None)
    assert leaving.read_files(KEY) is None


async def test_a_replica_goes_though_the_trash_is_emptied_at_that_moment(git_disk: GitTestDisk) -> None:
    """A start that purged several replicas emptied the trash of what another of them was about to be moved to."""
    stores = git_disk.open()
    await created(stores)
    layout = Layout(git_disk.data)
    moved: list[str] = []

    @contextmanager
    def emptied(change: Change) -> Iterator[None]:
        if change.kind == "rename" and change.target is not None and layout.trash in change.target.parents:
            moved.append(change.path.name)
            empty_trash(layout)
        yield

    durable.observe(emptied)
    try:
        await on_disk(remove_replica, layout, KEY)
    finally:
        durable.observe(None)
    assert moved == [KEY.repository]
    assert not layout.repository(KEY).exists()
    assert list(layout.trash.iterdir()) == []
