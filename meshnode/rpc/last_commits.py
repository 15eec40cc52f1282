"""Answers what a file browser shows: the entries of a directory, each with the commit that changed it last.

A page is searched for as a whole and kept, unless the search took too long: then it says so and is made anew next time.
"""

from __future__ import annotations

import contextlib
from typing import Final

from meshnode.base.errors import InvalidRequest, MeshError, NotFound, TooLarge
from meshnode.base.ids import ObjectId
from meshnode.base.paths import TreePath, parse_tree_path, shown
from meshnode.ports import Commits, EntryKind, LastCommits, ObjectKind, Trees
from meshnode.rpc.call import Answer, Call
from meshnode.rpc.object_reads import ObjectRead, ObjectReads
from meshnode.rpc.walk_token import WalkToken, digest_of_question, parse_walk_token
from meshnode.v1 import commit_pb2
from meshnode.wire.commits import commit_message
from meshnode.wire.reads import page_size_of
from meshnode.wire.trees import entry_message

PAGE_SIZE: Final = 100
PAGE_SIZE_MAX: Final = 1_000
PAGE_BYTES_MAX: Final = 3 << 20
PATHS_BYTES_MAX: Final = 1 << 20
MESSAGE_BYTES_MAX: Final = 1 << 10
"""Of a commit: a browser shows its subject."""
ROOT_BYTES_MAX: Final = 1 << 20
SEARCH_MS: Final = 20_000


class LastCommitLists:
    """ListLastCommits."""

    def __init__(self, object_reads: ObjectReads, commits: Commits, last: LastCommits, trees: Trees) -> None:
        self._object_reads = object_reads
        self._commits = commits
        self._last = last
        self._trees = trees

    async def page(self, request: commit_pb2.ListLastCommitsRequest, _: Call) -> Answer:
        """A page of entries."""
        size = page_size_of(request.page_size, default=PAGE_SIZE, largest=PAGE_SIZE_MAX)
        path = parse_tree_path(request.path)
        token = parse_walk_token(request.page_token)
        question = digest_of_question(request)
        async with self._object_reads.open(request.repository, request.consistency) as read:
            if token is None:
                commit = (await read.resolve(request.revision, ObjectKind.COMMIT)).oid
                token = WalkToken(read.view.generation, question, 0, (commit,), ())
            else:
                token.check(question, read.view.generation)
                if len(token.include) != 1:
                    raise InvalidRequest("page token is not one this server gave")
                commit = (await read.resolve(token.include[0], ObjectKind.COMMIT)).oid
            start = token

            async def make() -> commit_pb2.ListLastCommitsResponse:
                return await self._page(read, commit, path, start, size)

            try:
                body = await read.cached(("commit/last", commit, path, start.skip, size, question), make)
            except _TruncatedError as truncated:
                body = truncated.answer.SerializeToString()
            return body + commit_pb2.ListLastCommitsResponse(position=read.position).SerializeToString()

    async def _page(
        self, read: ObjectRead, commit: ObjectId, path: TreePath, start: WalkToken, size: int
    ) -> commit_pb2.ListLastCommitsResponse:
        with contextlib.suppress(MeshError):  # the root in one question; whatever is wrong is met again
            await read.source.objects.read(read.key, [f"{commit}^{{tree}}"], bytes_max=ROOT_BYTES_MAX)
        directory = await self._directory(read, commit, path)
        page = await self._trees.page(
            read.key,
            directory,
            (start.skip,) if start.skip else (),
            recursive=False,
            entries_max=size,
            bytes_max=PATHS_BYTES_MAX,
        )
        entries = page.entries()
        names = [entry.path for entry in entries]
        last = await self._last.find(read.key, commit, path, names, time_ms=SEARCH_MS)
        oids = list(dict.fromkeys(last.commits[name] for name in names if name in last.commits))
        commits = await self._commits.read(
            read.key, oids, message_bytes_max=MESSAGE_BYTES_MAX, bytes_max=PAGE_BYTES_MAX - PATHS_BYTES_MAX
        )
        if len(commits) < len(oids):
            raise TooLarge("the commits of this page are too large; ask for fewer entries", page_size=size)
        prefix = path + b"/" if path else b""
        answer = commit_pb2.ListLastCommitsResponse(
            entries=[
                commit_pb2.LastCommit(entry=entry_message(entry, prefix), commit_oid=last.commits.get(entry.path, ""))
                for entry in entries
            ],
            commits=map(commit_message, commits),
            commit_oid=commit,
            truncated=not last.is_complete,
        )
        if page.next_at is not None:
            answer.next_page_token = WalkToken(
                start.generation, start.question, page.next_at[0], (commit,), ()
            ).format()
        if answer.truncated:
            raise _TruncatedError(answer)
        return answer

    async def _directory(self, read: ObjectRead, commit: ObjectId, path: TreePath) -> ObjectId:
        root = (await read.resolve(commit, ObjectKind.TREE)).oid
        (entry,) = await self._trees.find(read.key, root, [path])
        if entry is None:
            raise NotFound("nothing at this path", path=shown(path), commit=commit)
        if entry.kind is not EntryKind.DIRECTORY:
            raise InvalidRequest("path is no directory", path=shown(path), kind=entry.kind.value)
        return entry.oid


class _TruncatedError(Exception):
    """Takes an answer past the cache."""

    def __init__(self, answer: commit_pb2.ListLastCommitsResponse) -> None:
        super().__init__()
        self.answer = answer
