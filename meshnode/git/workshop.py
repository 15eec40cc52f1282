"""Workshops: scratch repositories beside a replica, where operations build objects.

    <data>/incoming/<repository>.workshop.<n>/    bare, without references; borrows the replica's objects
    open -> blobs, trees, commits (loose, never synced) -> pack -> the way of a push -> removed

A workshop holds no promise, as a quarantine holds none: it goes after its operation, behind the answer, and a node that
starts throws every one away. Git commands run in it see the replica's objects through its alternates and write to it only.

Source: gitrepository-layout(5) "objects/info/alternates", git-pack-objects(1); docs/adr/0011.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Final, Protocol

from meshnode.base.errors import Corrupt, MeshError, NotFound, Overloaded
from meshnode.base.ids import ObjectId, empty_tree
from meshnode.config import OperationSettings
from meshnode.core.round import ReplicaKey
from meshnode.git.command import Completed, GitCommands
from meshnode.git.commit_objects import format_commit, format_tag, parse_commit
from meshnode.git.disk import NO_SPACE_IN_GIT, disk_errors, disk_full, on_disk, remove_tree
from meshnode.git.failure import failure_of
from meshnode.git.ingest import PACK_DEADLINE_MS
from meshnode.git.journal import HASH_BYTES
from meshnode.git.layout import alternates_of, write_skeleton
from meshnode.git.loose import read_loose, write_loose, write_loose_blob
from meshnode.git.quarantine import quarantine_environment
from meshnode.git.queries import PLAIN
from meshnode.git.replicas import Replicas
from meshnode.git.tree_edits import TreeEdits
from meshnode.git.tree_merge import LEVEL_BYTES_MAX
from meshnode.ports import CommitFacts, Merges, NewCommit, NewTag, ObjectKind, Objects, Patches, TreeAction

INLINE_BYTES_MAX: Final = 1 << 20
"""A file up to this is kept in memory until it is whole; a larger one goes to the disk first."""
OBJECT_BYTES_MAX: Final = 64 << 20
"""Of a tree or commit that is read; a tree of a million entries has about 40 MB."""
TREES_BYTES_MAX: Final = 4 << 20
"""Of trees of its own that a workshop has in memory, beside those of one merge."""
STEP_MS: Final = 120_000
"""What one git command may take; the caller's own deadline usually ends it earlier."""
REMOVERS: Final = 4
"""Threads that remove workshops: to remove one takes 20 to 40 ms where directories go slowly."""
REMOVALS_MAX: Final = 64
"""Workshops that may wait to be removed; whoever brings one more waits with it."""
_CONFIG: Final = ("core.fsync=none", "core.bigFileThreshold=32m")
_PACK: Final = ("pack-objects", "--revs", "--thin", "--stdout", "--delta-base-offset", "-q")
_OK: Final = frozenset({0})
_NOTHING: Final[Mapping[str, str]] = {}


class GitWorkshops:
    """Implements `ports.Workshops`."""

    def __init__(
        self,
        replicas: Replicas,
        objects: Objects,
        settings: OperationSettings,
        merging: Callable[[GitWorkshop], Merges],
        patching: Callable[[GitWorkshop], Patches],
    ) -> None:
        self._merging = merging
        self._patching = patching
        self._replicas = replicas
        self._objects = objects
        self._settings = settings
        self._remover = ThreadPoolExecutor(REMOVERS, "workshop-remover")
        self._removals: set[asyncio.Future[None]] = set()

    async def close(self) -> None:
        """Wait until everything that is being removed is gone. Idempotent."""
        if self._removals:
            await asyncio.wait(set(self._removals))
        self._remover.shutdown(wait=False)

    @asynccontextmanager
    async def open(self, key: ReplicaKey, object_format: str) -> AsyncIterator[GitWorkshop]:
        """An empty workshop, removed after its end, which nobody waits for. Raises Overloaded."""
        repository = self._replicas.layout.repository(key)
        async with self._place(key) as path:

            def make() -> None:
                shared = [*alternates_of(repository), repository / "objects"]
                write_skeleton(path, object_format, "".join(f"{objects}\n" for objects in shared))

            await on_disk(make)
            yield GitWorkshop(
                commands=self._replicas.commands,
                objects=self._objects,
                settings=self._settings,
                key=key,
                object_format=object_format,
                path=path,
                merging=self._merging,
                patching=self._patching,
            )

    @asynccontextmanager
    async def open_scratch(self, key: ReplicaKey, object_format: str) -> AsyncIterator[GitScratch]:
        """A place for what one git command writes and nobody reads; a third of a workshop's cost. Raises Overloaded."""
        async with self._place(key) as path:
            await on_disk((path / "objects").mkdir, parents=True)
            yield GitScratch(self._replicas.commands, path, self._replicas.layout.repository(key), object_format)

    @asynccontextmanager
    async def _place(self, key: ReplicaKey) -> AsyncIterator[Path]:
        path = self._replicas.new_workshop(key, self._settings.workshops_max)
        try:
            yield path
        finally:
            self._replicas.end_workshop(path)
            removal = asyncio.get_running_loop().run_in_executor(self._remover, _remove, path)
            self._removals.add(removal)
            removal.add_done_callback(self._removals.discard)
            if len(self._removals) > REMOVALS_MAX:
                await asyncio.wait([removal])


class RunsGit(Protocol):
    """Where git commands write objects."""

    async def git(self, args: Sequence[str], *, what: str, expected: Collection[int] = _OK) -> Completed:
        """Run git there; as `GitWorkshop.git`."""
        ...


@dataclass(frozen=True, slots=True)
class GitScratch:
    """Runs git in the replica itself, which is only read: new objects go to a directory of their own."""

    commands: GitCommands
    path: Path
    repository: Path
    object_format: str

    async def git(self, args: Sequence[str], *, what: str, expected: Collection[int] = _OK) -> Completed:
        """Run git; raises as `GitWorkshop.git`."""
        done = await self.commands.run(
            args,
            git_dir=self.repository,
            environment={**PLAIN, **quarantine_environment(self.path, self.repository)},
            deadline_ms=STEP_MS,
            config=(*_CONFIG, f"attr.tree={empty_tree(self.object_format)}"),  # git 2.43 to 2.45 read HEAD's attributes
        )
        if done.returncode not in expected:
            raise _failure(what, done.returncode, done.stderr.decode(errors="replace"), self.repository)
        return done


@dataclass(kw_only=True)
class GitWorkshop:
    """Implements `ports.Workshop`."""

    commands: GitCommands
    objects: Objects
    settings: OperationSettings
    key: ReplicaKey
    object_format: str
    path: Path
    merging: Callable[[GitWorkshop], Merges]
    patching: Callable[[GitWorkshop], Patches]
    _bytes_taken: int = 0
    _trees: dict[ObjectId, bytes] = field(default_factory=dict)
    """Some of those that were written here: the next step of a rebase begins with them."""

    @property
    def merges(self) -> Merges:
        """Merges in this workshop."""
        return self.merging(self)

    @property
    def patches(self) -> Patches:
        """Patches in this workshop."""
        return self.patching(self)

    # ------------------------------------------------------------ objects

    async def add_blob(self, content: AsyncIterator[bytes]) -> ObjectId:
        """Write a blob as it arrives. Raises Overloaded."""
        data = bytearray()
        size = 0
        spool: BinaryIO | None = None
        try:
            async for piece in content:
                size += len(piece)
                self._bytes_taken += len(piece)
                if size > self.settings.file_bytes_max:
                    raise Overloaded("the file is too large", bytes_max=self.settings.file_bytes_max)
                if self._bytes_taken > self.settings.bytes_max:
                    raise Overloaded("the operation brings too much", bytes_max=self.settings.bytes_max)
                data += piece
                if len(data) > INLINE_BYTES_MAX:
                    if spool is None:
                        with disk_errors():
                            spool = TemporaryFile(dir=self.path)  # noqa: SIM115 - closed below, and has no name
                    await on_disk(spool.write, bytes(data))
                    data.clear()
            if spool is None:
                return await self._write(ObjectKind.BLOB, bytes(data))
            await on_disk(_rewind, spool, bytes(data))
            return await on_disk(write_loose_blob, self._own_objects, self.object_format, spool, size)
        finally:
            if spool is not None:
                with contextlib.suppress(OSError):  # what could not be written is written once more, and was reported
                    spool.close()

    async def edit_tree(self, base: ObjectId | None, actions: Sequence[TreeAction]) -> ObjectId:
        """Write the tree that `actions` make of `base`. Raises InvalidRequest, NotFound, RefConflict."""
        edits = TreeEdits(self._read_tree, HASH_BYTES[self.object_format])
        if base is not None:
            await edits.start(base)
        for action in actions:
            await edits.do(action)
        return await edits.write(self._write_trees)

    async def write_commit(self, commit: NewCommit) -> ObjectId:
        """Write a commit. Raises InvalidRequest."""
        return await self._write(ObjectKind.COMMIT, format_commit(commit))

    async def write_tag(self, tag: NewTag) -> ObjectId:
        """Write a tag object. Raises InvalidRequest."""
        return await self._write(ObjectKind.TAG, format_tag(tag))

    async def read_commit(self, oid: ObjectId) -> CommitFacts:
        """A commit of the replica or of this workshop. Raises NotFound."""
        return parse_commit(oid, await self.read(oid, ObjectKind.COMMIT))

    async def write_blob(self, data: bytes) -> ObjectId:
        """Write a blob that git made here."""
        return await self._write(ObjectKind.BLOB, data)

    async def write_all(self, contents: Sequence[tuple[ObjectKind, bytes]]) -> list[ObjectId]:
        """Write objects; their ids, in order."""
        oids = await on_disk(write_loose, self._own_objects, self.object_format, contents)
        if sum(map(len, self._trees.values())) > TREES_BYTES_MAX:
            self._trees.clear()
        made = zip(oids, contents, strict=True)
        self._trees.update({oid: data for oid, (kind, data) in made if kind is ObjectKind.TREE})
        return oids

    async def read_all(self, oids: Sequence[ObjectId], kind: ObjectKind) -> list[bytes | None]:
        """The content of each object of a kind, in order; None of what is none or not there. Raises TooLarge."""
        found = {oid: self._trees[oid] for oid in oids if oid in self._trees and kind is ObjectKind.TREE}
        others = [oid for oid in oids if oid not in found]
        raws = await self.objects.read(self.key, others, bytes_max=LEVEL_BYTES_MAX)
        for oid, raw in zip(others, raws, strict=True):
            own = await on_disk(read_loose, self._own_objects, oid) if raw is None else (raw.info.kind, raw.data)
            if own is not None and own[0] is kind:
                found[oid] = own[1]
        return [found.get(oid) for oid in oids]

    async def read(self, oid: ObjectId, kind: ObjectKind) -> bytes:
        """The content of an object. Raises NotFound: there is none of that kind."""
        own = await on_disk(read_loose, self._own_objects, oid)
        if own is not None:
            found, data = own
        else:
            (other,) = await self.objects.read(self.key, [oid], bytes_max=OBJECT_BYTES_MAX)
            if other is None:
                raise NotFound("no such object", oid=oid)
            found, data = other.info.kind, other.data
        if found is not kind:
            raise NotFound(f"the object is no {kind.value}", oid=oid, kind=found.value)
        return data

    async def pack(self, tip: ObjectId, haves: Sequence[ObjectId]) -> AsyncIterator[bytes]:
        """A thin pack of what is new; git is stopped when the iterator is closed."""
        process = await self.commands.open(
            _PACK, git_dir=self.path, environment=PLAIN, deadline_ms=PACK_DEADLINE_MS, config=_CONFIG
        )
        async with process:
            process.feed("".join([f"{tip}\n", *(f"^{oid}\n" for oid in haves)]).encode())
            while chunk := await process.read_bulk():
                yield chunk
            if await process.wait() != 0:
                raise _failure("pack what was built", process.returncode or 0, process.stderr_tail, self.path)

    # ------------------------------------------------------------ for what is built on this

    async def git(
        self,
        args: Sequence[str],
        *,
        what: str,
        stdin: bytes = b"",
        environment: Mapping[str, str] = _NOTHING,
        expected: Collection[int] = _OK,
        config: Sequence[str] = (),
    ) -> Completed:
        """Run git in the workshop; exit codes in `expected` are answers. `what` completes "git could not ...".

        Raises:
            InvalidRequest, Corrupt, Overloaded: git gave another exit code.
        """
        done = await self.commands.run(
            args,
            git_dir=self.path,
            stdin=stdin,
            environment={**PLAIN, **environment},
            deadline_ms=STEP_MS,
            config=(*_CONFIG, *config),
        )
        if done.returncode not in expected:
            raise _failure(what, done.returncode, done.stderr.decode(errors="replace"), self.path)
        return done

    @property
    def _own_objects(self) -> Path:
        return self.path / "objects"

    async def _write(self, kind: ObjectKind, data: bytes) -> ObjectId:
        (oid,) = await on_disk(write_loose, self._own_objects, self.object_format, [(kind, data)])
        return oid

    async def _write_trees(self, contents: Sequence[bytes]) -> list[ObjectId]:
        return await self.write_all([(ObjectKind.TREE, content) for content in contents])

    async def _read_tree(self, oid: ObjectId) -> bytes:
        try:
            return await self.read(oid, ObjectKind.TREE)
        except NotFound as missing:
            raise Corrupt("a tree is missing", oid=oid) from missing


def _failure(what: str, returncode: int, stderr: str, path: Path) -> MeshError:
    if NO_SPACE_IN_GIT in stderr:
        return disk_full()
    return failure_of(what, returncode, stderr, path)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # the next start throws away what is left
        remove_tree(path)


def _rewind(spool: BinaryIO, rest: bytes) -> None:
    spool.write(rest)
    spool.flush()
    spool.seek(0, os.SEEK_SET)
