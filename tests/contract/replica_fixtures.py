"""Two kinds of disk for one suite: `git` (real repositories) and `memory`, and the rounds both are told to do.

A `Disk` can be opened again and again: what one opening left is what the next one finds, as after a crash.
"""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import pytest

from meshnode.base.ids import (
    HEAD,
    Generation,
    NodeId,
    ObjectId,
    PartitionId,
    RefName,
    RefsDigest,
    RefValue,
    RepositoryId,
    RepositoryName,
    RoundId,
    symbolic,
)
from meshnode.config import PushSettings, ReplicationSettings
from meshnode.core.refs import EMPTY_DIGEST, RefEdit, digest_after
from meshnode.core.round import ReplicaKey, Round, WriteKind
from meshnode.git.command import GitCommands
from meshnode.git.memory import open_memory_stores
from meshnode.git.memory_disk import MemoryDisk
from meshnode.git.store import open_stores
from meshnode.git.stores import Step, Stores, no_step
from meshnode.ports import PackFix, ReplicaState

MAIN = RefName("refs/heads/main")
SIDE = RefName("refs/heads/side")
TAG = RefName("refs/tags/v1")
KEY = ReplicaKey(PartitionId(7), RepositoryId("a" * 32))
FORK = ReplicaKey(PartitionId(7), RepositoryId("b" * 32))


@dataclass(frozen=True)
class Objects:
    """A history of three commits in one line, and an annotated tag of the second."""

    first: ObjectId
    second: ObjectId
    third: ObjectId
    tag: ObjectId
    blob: ObjectId
    """The only file of the first commit."""


class Disk(Protocol):
    """A node's disk under test."""

    name: str
    objects: Objects
    empty_pack: bytes

    def open(self, *, step: Step = no_step, push: PushSettings | None = None) -> Stores:
        """Open the stores as a starting node does."""
        ...

    def pack(self, wants: Sequence[ObjectId], haves: Sequence[ObjectId] = ()) -> bytes:
        """A (thin) pack of what `wants` reach and `haves` do not."""
        ...

    def break_state(self, key: ReplicaKey) -> None:
        """Damage what the replica says of itself."""
        ...

    def break_ref(self, key: ReplicaKey, name: RefName, value: ObjectId) -> None:
        """Move a reference behind the store's back."""
        ...


@dataclass
class MemoryTestDisk:
    """`meshnode.git.memory`."""

    name: str = "memory"
    objects: Objects = field(
        default_factory=lambda: Objects(*(ObjectId(digit * 40) for digit in ("1", "2", "3", "4", "5")))
    )
    empty_pack: bytes = b""
    disk: MemoryDisk = field(default_factory=MemoryDisk)

    def open(self, *, step: Step = no_step, push: PushSettings | None = None) -> Stores:
        return open_memory_stores(self.disk, push=push, replication=ReplicationSettings(history_rounds=4), step=step)

    def pack(self, wants: Sequence[ObjectId], haves: Sequence[ObjectId] = ()) -> bytes:
        line = [self.objects.first, self.objects.second, self.objects.third]
        found: set[ObjectId] = set()
        for want in wants:
            if want == self.objects.tag:
                found |= {want, *line[:2]}
            elif want in line:
                found |= set(line[: line.index(want) + 1])
            else:
                found.add(want)
        for have in haves:
            found -= set(line[: line.index(have) + 1])
        if self.objects.first in found:
            found.add(self.objects.blob)
        return "\n".join(sorted(found)).encode()

    def break_state(self, key: ReplicaKey) -> None:
        self.disk.replicas[key].is_unreadable = True

    def break_ref(self, key: ReplicaKey, name: RefName, value: ObjectId) -> None:
        self.disk.replicas[key].refs[name] = RefValue(value)


class GitTestDisk:
    """`meshnode.git.store`, over a data directory of its own."""

    name = "git"

    def __init__(self, data: Path, source: Source, commands: GitCommands) -> None:
        self.data = data
        self.source = source
        self.objects = source.objects
        self.empty_pack = source.pack([])
        self.commands = commands

    def open(self, *, step: Step = no_step, push: PushSettings | None = None) -> Stores:
        return open_stores(self.data, self.commands, push, ReplicationSettings(history_rounds=4), step=step)

    def pack(self, wants: Sequence[ObjectId], haves: Sequence[ObjectId] = ()) -> bytes:
        return self.source.pack(wants, haves)

    def repository(self, key: ReplicaKey) -> Path:
        """The replica's git directory."""
        return self.data / "repositories" / str(key.home) / key.repository

    def break_state(self, key: ReplicaKey) -> None:
        (self.repository(key) / "mesh" / "state.json").write_bytes(b"{")

    def break_ref(self, key: ReplicaKey, name: RefName, value: ObjectId) -> None:
        git("update-ref", name, value, git_dir=self.repository(key))


@dataclass(frozen=True)
class Source:
    """A repository to take packs from."""

    git_dir: Path
    objects: Objects
    object_format: str

    def pack(self, wants: Sequence[ObjectId], haves: Sequence[ObjectId] = ()) -> bytes:
        """A thin pack, as a client sends it."""
        lines = "".join([*(f"{oid}\n" for oid in wants), *(f"^{oid}\n" for oid in haves)])
        return git(
            "pack-objects", "--revs", "--thin", "--stdout", "-q", "--delta-base-offset",
            git_dir=self.git_dir, stdin=lines.encode(),
        )  # fmt: skip


def git(*args: str, git_dir: Path, stdin: bytes = b"", check: bool = True) -> bytes:
    """Run git in a test; its standard output."""
    environment = dict(os.environ) | {
        "GIT_DIR": str(git_dir),
        "GIT_AUTHOR_DATE": "1700000000 +0000",
        "GIT_COMMITTER_DATE": "1700000000 +0000",
    }
    return subprocess.run(["git", *args], input=stdin, env=environment, check=check, capture_output=True).stdout


def make_source(git_dir: Path, object_format: str = "sha1") -> Source:
    """Make the history of `Objects`. Its large file changes by a word, so that packs of it come as thin deltas."""
    git("init", "-q", "--bare", f"--object-format={object_format}", str(git_dir), git_dir=git_dir)
    run = functools.partial(git, git_dir=git_dir)
    commits: list[ObjectId] = []
    blobs: list[ObjectId] = []
    text = "".join(f"line {number} of a file that is worth a delta\n" for number in range(300))
    for number in range(3):
        blob = run("hash-object", "-w", "--stdin", stdin=f"{text}version {number}\n".encode()).decode().strip()
        tree = run("mktree", stdin=f"100644 blob {blob}\tfile\n".encode()).decode().strip()
        parent = ["-p", commits[-1]] if commits else []
        commit = run("commit-tree", tree, *parent, stdin=f"commit {number}\n".encode()).decode().strip()
        commits.append(ObjectId(commit))
        blobs.append(ObjectId(blob))
    tag = f"object {commits[1]}\ntype commit\ntag v1\ntagger T <t@example.com> 1700000000 +0000\n\nv1\n"
    tag_id = ObjectId(run("hash-object", "-t", "tag", "-w", "--stdin", stdin=tag.encode()).decode().strip())
    return Source(git_dir, Objects(commits[0], commits[1], commits[2], tag_id, blobs[0]), object_format)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A history with SHA-1 names."""
    return make_source(tmp_path_factory.mktemp("source") / "source.git")


@pytest.fixture
def git_disk(tmp_path: Path, source: Source) -> GitTestDisk:
    """A disk of real repositories."""
    return GitTestDisk(tmp_path / "data", source, GitCommands())


@pytest.fixture(params=["memory", "git"])
def disk(request: pytest.FixtureRequest) -> Disk:
    """Either kind of disk."""
    if request.param == "memory":
        return MemoryTestDisk()
    disk: GitTestDisk = request.getfixturevalue("git_disk")
    return disk


class Writes:
    """Rounds that follow on each other, as a coordinator would make them for one repository."""

    def __init__(self, key: ReplicaKey = KEY, object_format: str = "sha1") -> None:
        self.key = key
        self.object_format = object_format
        self.base = (Generation(0), None)  # type: tuple[Generation, RoundId | None]
        self.digest: RefsDigest = EMPTY_DIGEST
        self.refs: dict[RefName, RefValue] = {}
        self.name = RepositoryName("project/repo")
        self._count = 0

    def draft(
        self,
        kind: WriteKind = WriteKind.UPDATE,
        changes: dict[RefName, RefValue | ObjectId | None] | None = None,
        **fields: object,
    ) -> Round:
        """A round on the current base; nothing is moved on."""
        self._count += 1
        edits = tuple(
            RefEdit(name, self.refs.get(name), None if new is None else RefValue(new))
            for name, new in (changes or {}).items()
        )
        round_ = Round(
            round_id=RoundId(f"{self.key.repository[0]}{self._count:031x}"),
            repository=self.key.repository,
            home=self.key.home,
            kind=kind,
            base_generation=self.base[0],
            base_round_id=self.base[1],
            edits=edits,
            refs_digest=digest_after(self.digest, edits),
            name=self.name,
            object_format=self.object_format,
            coordinator=NodeId("n1"),
            request_key=f"request {self._count}",
            actor="tester",
            fork_root=self.key.repository,
            created_at_ms=self._count,
        )
        return replace(round_, **fields)  # type: ignore[arg-type]

    def publish(self, round_: Round) -> Round:
        """Take `round_` as the new base."""
        self.base = (round_.generation, round_.round_id)
        self.digest = round_.refs_digest
        self.name = round_.name
        for edit in round_.edits:
            if edit.new is None:
                del self.refs[edit.name]
            else:
                self.refs[edit.name] = edit.new
        if round_.kind is WriteKind.DELETE:
            self.refs = {}
        return round_

    def create(self, **fields: object) -> Round:
        """The CREATE of an empty repository."""
        return self.draft(WriteKind.CREATE, {HEAD: symbolic(MAIN)}, **fields)

    def update(self, changes: dict[RefName, ObjectId | None], **fields: object) -> Round:
        """An UPDATE."""
        return self.draft(WriteKind.UPDATE, dict(changes), **fields)


async def ingest(stores: Stores, round_: Round, pack: bytes, tips: Iterable[ObjectId] = ()) -> PackFix | None:
    """Bring a pack in as a coordinator does."""
    arriving = await stores.packs.open_ingest(round_.key, round_.round_id, round_.object_format)
    try:
        for start in range(0, len(pack), 1000):
            await arriving.write(pack[start : start + 1000])
        fix = await arriving.finish()
        await arriving.check_connected(list(tips))
        return fix
    finally:
        await arriving.close()


async def write(stores: Stores, writes: Writes, round_: Round, pack: bytes | None = None) -> ReplicaState:
    """The whole of a write on one replica."""
    if pack is not None:
        assert await ingest(stores, round_, pack) is not None
        round_ = replace(round_, has_pack=True)
    await stores.store.prepare(round_)
    return await stores.store.apply(writes.publish(round_))


async def created(stores: Stores, key: ReplicaKey = KEY) -> Writes:
    """A replica with one commit on main, and the writer to go on with."""
    writes = Writes(key)
    await write(stores, writes, writes.create())
    return writes


async def all_bytes(stores: Stores, key: ReplicaKey, wants: Sequence[ObjectId], haves: Sequence[ObjectId]) -> bytes:
    """A whole pack from a replica."""
    async with aclosing(stores.packs.pack_objects(key, wants, haves)) as chunks:  # type: ignore[type-var]
        return b"".join([chunk async for chunk in chunks])


class Crash(Exception):
    """A node that dies at a step."""


def crash_at(wanted: str) -> Callable[[str], None]:
    """A step that dies once at `wanted`."""
    pending = [wanted]

    def step(name: str) -> None:
        if name in pending:
            pending.remove(name)
            raise Crash(name)

    return step
