"""The Git API of a server over a disk without a single object: enough for everything that comes before them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from meshnode.base.errors import NotFound, Overloaded, ReplicaBehind
from meshnode.base.ids import Generation, NodeId, ObjectId, RefName, RepositoryId, RepositoryName
from meshnode.core.round import ReplicaKey
from meshnode.git.command import GitCommands
from meshnode.git.commit_sources import open_commits
from meshnode.git.contents import GitContents
from meshnode.git.diff_processes import DiffProcesses
from meshnode.git.diffs import GitDiffs
from meshnode.git.layout import Layout
from meshnode.git.memory_disk import MemoryDisk
from meshnode.git.memory_reader import MemoryReplicaReader
from meshnode.git.queries import Queries
from meshnode.git.range_diff import DEADLINE_MS, NICENESS
from meshnode.git.revisions import GitRevisions
from meshnode.git.snapshot import SnapshotCache
from meshnode.git.trees import GitTrees
from meshnode.ports import (
    NOTHING_AHEAD,
    Ahead,
    Clock,
    Event,
    Favour,
    FilePart,
    ImportSource,
    Membership,
    MergePreview,
    ObjectInfo,
    OperationResult,
    RawObject,
    Reads,
    Target,
    Wish,
    WriteResult,
)
from meshnode.ports.events import Scope, Standings
from meshnode.rpc.answer_cache import AnswerCache
from meshnode.rpc.forward import Forwarder
from meshnode.rpc.forward_stream import StreamForwarder
from meshnode.rpc.git_api import GitApi
from meshnode.rpc.object_reads import ObjectReads


class NoObjects:
    """`ports.Objects` of an empty disk."""

    async def look_up(
        self, key: ReplicaKey, names: Sequence[str], *, ahead: Ahead = NOTHING_AHEAD
    ) -> list[ObjectInfo | None]:
        assert key
        assert ahead is NOTHING_AHEAD
        return [None] * len(names)

    def begin(self, key: ReplicaKey, names: Sequence[str], *, ahead: Ahead = NOTHING_AHEAD) -> None:
        assert key
        assert names
        assert ahead is not None

    async def read(self, key: ReplicaKey, names: Sequence[str], *, bytes_max: int) -> list[RawObject | None]:
        assert key
        assert bytes_max >= 0
        return [None] * len(names)

    def memory(self, key: ReplicaKey) -> Callable[[ObjectId], RawObject | None]:
        assert key
        return lambda _: None

    async def stream(
        self, key: ReplicaKey, oid: ObjectId, *, start: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        assert key
        assert start >= 0
        assert length is None or length >= 0
        if oid:
            raise NotFound("no such object", oid=oid)
        yield b""


class NoEvents:
    """`ports.Events` where nothing happens, and following ends."""

    async def watch(
        self, scope: Scope, resume: Mapping[RepositoryId, Generation] | None, heartbeat_ms: int
    ) -> AsyncIterator[Event]:
        assert scope
        assert heartbeat_ms >= 0
        if resume is None:
            yield Standings(())


class NoOperations:
    """Operations at a node that can lead no write."""

    async def run(self, target: Target, wish: Wish, parts: AsyncIterator[FilePart] | None = None) -> OperationResult:
        assert wish
        assert parts is None
        raise ReplicaBehind("this node has no consistent replica to lead the write", ref=target.ref)


class NoPreviews:
    """Merge previews at a node that has no room for any."""

    async def preview(
        self,
        key: ReplicaKey,
        object_format: str,
        ours: ObjectId,
        theirs: ObjectId,
        favour: Favour,
        *,
        is_unrelated_allowed: bool,
    ) -> MergePreview:
        assert isinstance(is_unrelated_allowed, bool)
        facts = {"repository": key.repository, "format": object_format, "favour": favour.value}
        raise Overloaded("too many operations run on this node", ours=ours, theirs=theirs, **facts)


class NoImports:
    """Imports, and unpacking for them, at a node that can lead no write."""

    async def create_from(
        self,
        name: RepositoryName,
        source: ImportSource,
        *,
        default_branch: RefName | None,
        request_key: str,
        actor: str,
    ) -> WriteResult:
        assert source
        assert default_branch is None
        raise ReplicaBehind(
            "this node keeps no partition to create a repository in", name=name, by=actor, key=request_key
        )

    @asynccontextmanager
    async def unpack(self, archive: AsyncIterator[bytes]) -> AsyncIterator[ImportSource]:
        assert archive
        yield ImportSource(object_format="sha1", references={}, default_branch=None, pack=None)


def git_api(
    *, own: NodeId, reads: Reads, forwarder: Forwarder, streams: StreamForwarder, clock: Clock, membership: Membership
) -> GitApi:
    """The services, and what they stand on."""
    objects = NoObjects()
    queries = Queries(GitCommands(), Layout(Path("/nonexistent")))
    trees = GitTrees(objects, queries)
    return GitApi(
        object_reads=ObjectReads(
            own=own, reads=reads, objects=objects, revisions=GitRevisions(objects), cache=AnswerCache()
        ),
        forwarder=forwarder,
        streams=streams,
        events=NoEvents(),
        contents=GitContents(queries),
        replicas=MemoryReplicaReader(MemoryDisk(), SnapshotCache()),
        clock=clock,
        operations=NoOperations(),
        imports=NoImports(),
        unpacker=NoImports(),
        membership=membership,
        previews=NoPreviews(),
        trees=trees,
        diffs=GitDiffs(
            objects,
            queries,
            DiffProcesses(GitCommands(), Layout(Path("/nonexistent")), deadline_ms=DEADLINE_MS, niceness=NICENESS),
        ),
        commits=open_commits(objects, queries, trees),
    )
