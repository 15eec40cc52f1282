"""Reads of objects: git is asked while the catalog is, and nothing is told before the read stands on a view."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meshnode.base.errors import MeshError, ReplicaBehind, RepositoryNotFound
from meshnode.base.ids import ObjectId
from meshnode.git.command import GitCommands
from meshnode.git.layout import Layout
from meshnode.git.object_pool import ObjectPool
from meshnode.git.revisions import GitRevisions
from meshnode.ports import ObjectKind
from meshnode.rpc.answer_cache import AnswerCache
from meshnode.rpc.call import closing
from meshnode.rpc.object_reads import KEPT_BYTES_MAX, First, ObjectReads
from meshnode.v1 import common_pb2
from tests.unit.git.processes import children, note_known_children
from tests.unit.git.sample import build_repository, git
from tests.unit.rpc.fakes import FakeReads
from tests.unit.wire.samples import KEY, N1

NAME = "project/repo"
ANY = common_pb2.Consistency()


class Place:
    """A replica, and reads of it."""

    def __init__(self, data: Path) -> None:
        layout = Layout(data)
        self.path = build_repository(layout.repository(KEY))
        self.pool = ObjectPool(GitCommands(), layout)
        self.view = FakeReads()
        self.reads = ObjectReads(
            own=N1, reads=self.view, objects=self.pool, revisions=GitRevisions(self.pool), cache=AnswerCache()
        )

    def id_of(self, name: str) -> str:
        return git("rev-parse", name, path=self.path).decode().strip()

    async def tree_of(self, commit: str, name: str = NAME) -> str:
        first = First(commit, ObjectKind.TREE)
        async with self.reads.open(name, ANY, first=first) as read:
            return (await read.resolve(commit, ObjectKind.TREE)).oid


@contextlib.asynccontextmanager
async def opened(data: Path) -> AsyncIterator[Place]:
    note_known_children()
    place = Place(data)
    try:
        await place.pool.look_up(KEY, [place.id_of("main~3")])  # a process waits for a question
        yield place
    finally:
        await place.pool.close()
        assert children() == []


async def test_git_is_asked_while_the_view_is_waited_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        place.view.gate = asyncio.Event()
        (process,) = children()
        reading = asyncio.ensure_future(place.tree_of(place.id_of("main")))
        while not place.view.asked:  # noqa: ASYNC110 - the view has no event
            await asyncio.sleep(0)
        assert place.pool.begin(KEY, ["e" * 40]) is None  # the one process is at work
        assert not reading.done()
        place.view.gate.set()
        assert await reading == place.id_of("main^{tree}")
        assert children() == [process]
        assert await place.tree_of(place.id_of("main~1")) == place.id_of("main~1^{tree}")


@pytest.mark.parametrize("error", [ReplicaBehind("behind"), RepositoryNotFound("gone")])
async def test_question_goes_with_a_read_that_comes_to_nothing(tmp_path: Path, error: MeshError) -> None:
    async with opened(tmp_path) as place:
        place.view.error = error
        with pytest.raises(type(error)):
            await place.tree_of(place.id_of("main"))
        assert children() == []
        place.view.error = None
        assert await place.tree_of(place.id_of("main")) == place.id_of("main^{tree}")


async def test_question_goes_with_a_caller_who_leaves(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        place.view.gate = asyncio.Event()
        reading = asyncio.ensure_future(place.tree_of(place.id_of("main")))
        while not place.view.asked:  # noqa: ASYNC110 - the view has no event
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert children() == []


async def test_nothing_is_asked_of_a_replica_that_is_not_known_to_be_here(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        (process,) = children()
        with pytest.raises(RepositoryNotFound):
            await place.tree_of(place.id_of("main"), "project/other")
        assert children() == [process]
        assert place.pool.memory(KEY)(ObjectId(place.id_of("main"))) is None


class Source:
    """Messages, and whether who made them was told that no more are wanted."""

    def __init__(self, *messages: bytes, error: MeshError | None = None) -> None:
        self.messages = messages
        self.error = error
        self.is_closed = False

    async def run(self) -> AsyncIterator[bytes]:
        try:
            for message in self.messages:
                yield message
            if self.error is not None:
                raise self.error
        finally:
            self.is_closed = True


@pytest.mark.parametrize(
    ("messages", "is_kept"),
    [
        ([b"one", b"two"], True),
        ([b"x" * KEPT_BYTES_MAX], True),
        ([b"x" * KEPT_BYTES_MAX, b"y"], False),
    ],
)
async def test_long_answer_is_told_as_it_comes_and_kept_without_its_position(
    tmp_path: Path, messages: list[bytes], is_kept: bool
) -> None:
    async with opened(tmp_path) as place, place.reads.open(NAME, ANY) as read:
        told = [message async for message in read.keeping("question", b"at 7: ", Source(*messages).run())]
        assert told == [b"at 7: " + messages[0], *messages[1:]]
        assert read.known("question") == (b"".join(messages) if is_kept else None)


async def test_answer_that_was_left_or_failed_is_not_kept(tmp_path: Path) -> None:
    async with opened(tmp_path) as place, place.reads.open(NAME, ANY) as read:
        left, failing = Source(b"one", b"two"), Source(b"one", error=ReplicaBehind("behind"))
        async with closing(read.keeping("question", b"", left.run())) as answers:
            async for _ in answers:
                break
        with pytest.raises(ReplicaBehind):
            _ = [message async for message in read.keeping("question", b"", failing.run())]
        assert read.known("question") is None
        assert left.is_closed
        assert failing.is_closed
