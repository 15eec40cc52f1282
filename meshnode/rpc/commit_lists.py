"""Answers that list or count the commits of a walk, a page at a time.

A page stands on object ids alone, so it is kept; its token holds them, so later pages are those of the same walk
whatever was pushed meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from meshnode.base.ids import ObjectId
from meshnode.ports import Commits, CommitWalks, ObjectKind
from meshnode.rpc.call import Answer, Call
from meshnode.rpc.object_reads import ObjectRead, ObjectReads
from meshnode.rpc.walk_token import WalkToken, digest_of_question, parse_walk_token
from meshnode.v1 import commit_pb2
from meshnode.wire.commits import check_selection, commit_message, order_of, selection_of
from meshnode.wire.reads import page_size_of

PAGE_SIZE: Final = 100
PAGE_SIZE_MAX: Final = 1_000
PAGE_BYTES_MAX: Final = 3 << 20
"""Below the 4 MiB that gRPC clients take unless told otherwise."""
MESSAGE_BYTES_MAX: Final = 64 << 10
"""Of one commit among others."""


class CommitLists:
    """ListCommits and CountCommits."""

    def __init__(self, object_reads: ObjectReads, commits: Commits, walks: CommitWalks) -> None:
        self._object_reads = object_reads
        self._commits = commits
        self._walks = walks

    async def page(self, request: commit_pb2.ListCommitsRequest, _: Call) -> Answer:
        """A page of commits."""
        size = page_size_of(request.page_size, default=PAGE_SIZE, largest=PAGE_SIZE_MAX)
        order = order_of(request.order)
        check_selection(request.selection, is_reversed=request.reverse)
        token = parse_walk_token(request.page_token)
        question = digest_of_question(request)
        async with self._object_reads.open(request.repository, request.consistency) as read:
            if token is None:
                include, exclude = await resolve_ends(read, request.selection)
                token = WalkToken(read.view.generation, question, 0, include, exclude)
            else:
                token.check(question, read.view.generation)
                for oid in (*token.include, *token.exclude):
                    await read.resolve(oid, ObjectKind.COMMIT)
            start = token
            selection = selection_of(request.selection, start.include, start.exclude)

            async def make() -> bytes:
                oids = await self._walks.find(
                    read.key, selection, order=order, is_reversed=request.reverse, skip=start.skip, limit=size + 1
                )
                parts = await self._parts(read, oids[:size])
                if len(parts) < len(oids):
                    token = WalkToken(
                        start.generation, question, start.skip + len(parts), start.include, start.exclude
                    ).format()
                    parts.append(commit_pb2.ListCommitsResponse(next_page_token=token).SerializeToString())
                return b"".join(parts)  # serialised messages one behind the other are one message

            body = await read.cached(("commit/list", selection, order, question, start.skip, size), make)
            return body + commit_pb2.ListCommitsResponse(position=read.position).SerializeToString()

    async def _parts(self, read: ObjectRead, oids: Sequence[ObjectId]) -> list[bytes]:
        """An answer's bytes for each commit, for as many of them as there is room; pages overlap, so they are kept."""
        known = {oid: read.known(("commit/part", oid)) for oid in oids}
        unknown = [oid for oid, part in known.items() if part is None]
        for commit in await self._commits.read(
            read.key, unknown, message_bytes_max=MESSAGE_BYTES_MAX, bytes_max=PAGE_BYTES_MAX
        ):
            made = commit_pb2.ListCommitsResponse(commits=[commit_message(commit)]).SerializeToString()
            known[commit.oid] = made
            read.keep(("commit/part", commit.oid), made)
        parts: list[bytes] = []
        room = PAGE_BYTES_MAX
        for oid in oids:
            part = known[oid]
            if part is None or (parts and len(part) > room):
                break
            room -= len(part)
            parts.append(part)
        return parts

    async def count(self, request: commit_pb2.CountCommitsRequest, _: Call) -> Answer:
        """How many commits there are."""
        check_selection(request.selection)
        limit = request.limit
        async with self._object_reads.open(request.repository, request.consistency) as read:
            selection = selection_of(request.selection, *await resolve_ends(read, request.selection))

            async def make() -> commit_pb2.CountCommitsResponse:
                count = await self._walks.count(read.key, selection, limit=limit + 1 if limit else 0)
                is_more = 0 < limit < count
                return commit_pb2.CountCommitsResponse(count=limit if is_more else count, truncated=is_more)

            body = await read.cached(("commit/count", selection, limit), make)
            return body + commit_pb2.CountCommitsResponse(position=read.position).SerializeToString()


async def resolve_ends(
    read: ObjectRead, message: commit_pb2.CommitSelection
) -> tuple[tuple[ObjectId, ...], tuple[ObjectId, ...]]:
    """The commits that a walk starts from, and those it ends at. Raises as `Revisions.resolve`."""
    include = [(await read.resolve(one, ObjectKind.COMMIT)).oid for one in message.revisions or [""]]
    exclude = [(await read.resolve(one, ObjectKind.COMMIT)).oid for one in message.excluded_revisions]
    return tuple(include), tuple(exclude)
