"""Serves CommitService: commits, and how they hang together, read from this node's replica.

Whatever follows from object ids alone is answered from memory where it was asked before (`ObjectRead.cached`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from meshnode.base.ids import ObjectId
from meshnode.ports import Commit, CommitSources, ObjectKind
from meshnode.rpc.blame import BlameAnswers
from meshnode.rpc.call import Answer, Call, closing, first_message
from meshnode.rpc.commit_details import CommitDetailAnswers
from meshnode.rpc.commit_lists import MESSAGE_BYTES_MAX, CommitLists
from meshnode.rpc.commit_names import find_commits, resolve_all
from meshnode.rpc.forward import Forwarder, Route
from meshnode.rpc.forward_stream import StreamForwarder
from meshnode.rpc.last_commits import LastCommitLists
from meshnode.rpc.object_reads import ObjectReads
from meshnode.v1 import commit_pb2
from meshnode.wire.commits import check_revisions, commit_message, merge_base_kind_of

MESSAGE_BYTES_WHOLE: Final = 1 << 20
"""Of the message of the one commit that was asked for."""
STREAM_BYTES: Final = 1 << 20
"""Commits in one message of a stream."""
BATCH_MAX: Final = 1_000
MERGE_BASES_MAX: Final = 50
DIVERGENCES_MAX: Final = 500

_ROUTE: Final = Route("repository")


class CommitServicer:
    """mesh.v1.CommitService."""

    def __init__(
        self,
        *,
        object_reads: ObjectReads,
        sources: CommitSources,
        forwarder: Forwarder,
        streams: StreamForwarder,
    ) -> None:
        self._object_reads = object_reads
        self._commits = sources.commits
        self._ancestry = sources.ancestry
        self._forwarder = forwarder
        self._streams = streams
        self._lists = CommitLists(object_reads, sources.commits, sources.walks)
        self._last = LastCommitLists(object_reads, sources.commits, sources.last, sources.trees)
        self._blame = BlameAnswers(object_reads, sources)
        self._details = CommitDetailAnswers(object_reads, sources)

    async def get_commit(self, request: commit_pb2.GetCommitRequest, call: Call) -> Answer:
        """One commit."""
        return await self._forwarder.run(_ROUTE, request, call, self._get_commit)

    async def get_commits(
        self, requests: AsyncIterator[commit_pb2.GetCommitsRequest], call: Call
    ) -> AsyncIterator[Answer]:
        """Many commits."""
        request = await first_message(requests)
        async with closing(self._streams.answers(_ROUTE, request, call, self._get_commits)) as answers:
            async for answer in answers:
                yield answer

    async def list_commits(self, request: commit_pb2.ListCommitsRequest, call: Call) -> Answer:
        """A page of what `git log` lists."""
        return await self._forwarder.run(_ROUTE, request, call, self._lists.page)

    async def count_commits(self, request: commit_pb2.CountCommitsRequest, call: Call) -> Answer:
        """How many commits that would be."""
        return await self._forwarder.run(_ROUTE, request, call, self._lists.count)

    async def is_ancestor(self, request: commit_pb2.IsAncestorRequest, call: Call) -> Answer:
        """Whether one commit is reachable from another."""
        return await self._forwarder.run(_ROUTE, request, call, self._is_ancestor)

    async def find_merge_bases(self, request: commit_pb2.FindMergeBasesRequest, call: Call) -> Answer:
        """Best common ancestors."""
        return await self._forwarder.run(_ROUTE, request, call, self._find_merge_bases)

    async def count_divergence(self, request: commit_pb2.CountDivergenceRequest, call: Call) -> Answer:
        """How far revisions are from a base."""
        return await self._forwarder.run(_ROUTE, request, call, self._count_divergence)

    async def list_last_commits(self, request: commit_pb2.ListLastCommitsRequest, call: Call) -> Answer:
        """The entries of a directory with the commits that changed them last."""
        return await self._forwarder.run(_ROUTE, request, call, self._last.page)

    async def blame(self, requests: AsyncIterator[commit_pb2.BlameRequest], call: Call) -> AsyncIterator[Answer]:
        """The lines of a file with their commits."""
        request = await first_message(requests)
        async with closing(self._streams.answers(_ROUTE, request, call, self._blame.blame)) as answers:
            async for answer in answers:
                yield answer

    async def get_commit_signatures(
        self, requests: AsyncIterator[commit_pb2.GetCommitSignaturesRequest], call: Call
    ) -> AsyncIterator[Answer]:
        """Signatures of commits."""
        request = await first_message(requests)
        async with closing(self._streams.answers(_ROUTE, request, call, self._details.signatures)) as answers:
            async for answer in answers:
                yield answer

    async def get_commit_stats(self, request: commit_pb2.GetCommitStatsRequest, call: Call) -> Answer:
        """How much commits changed."""
        return await self._forwarder.run(_ROUTE, request, call, self._details.stats)

    async def _get_commit(self, request: commit_pb2.GetCommitRequest, _: Call) -> Answer:
        async with self._object_reads.open(request.repository, request.consistency) as read:
            oid = (await read.resolve(request.revision, ObjectKind.COMMIT)).oid

            async def make() -> commit_pb2.GetCommitResponse:
                (commit,) = await self._commits.read(
                    read.key, [oid], message_bytes_max=MESSAGE_BYTES_WHOLE, bytes_max=MESSAGE_BYTES_WHOLE
                )
                return commit_pb2.GetCommitResponse(commit=commit_message(commit))

            body = await read.cached(("commit/get", oid), make)
            return body + commit_pb2.GetCommitResponse(position=read.position).SerializeToString()

    async def _get_commits(self, request: commit_pb2.GetCommitsRequest, _: Call) -> AsyncIterator[Answer]:
        check_revisions(request.revisions, least=1, most=BATCH_MAX)
        async with self._object_reads.open(request.repository, request.consistency) as read:
            oids = await find_commits(read, request.revisions)
            answer = commit_pb2.GetCommitsResponse(position=read.position)
            room = STREAM_BYTES
            commits: dict[ObjectId, Commit] = {}
            for at, (revision, oid) in enumerate(zip(request.revisions, oids, strict=True)):
                if oid is not None and oid not in commits:
                    wanted = list(dict.fromkeys(one for one in oids[at:] if one is not None))
                    read_now = await self._commits.read(
                        read.key, wanted, message_bytes_max=MESSAGE_BYTES_MAX, bytes_max=STREAM_BYTES
                    )
                    commits = {commit.oid: commit for commit in read_now}
                result = commit_pb2.CommitResult(
                    revision=revision, commit=None if oid is None else commit_message(commits[oid])
                )
                if answer.results and result.ByteSize() > room:
                    yield answer
                    answer, room = commit_pb2.GetCommitsResponse(), STREAM_BYTES
                answer.results.append(result)
                room -= result.ByteSize()
            yield answer

    async def _is_ancestor(self, request: commit_pb2.IsAncestorRequest, _: Call) -> Answer:
        async with self._object_reads.open(request.repository, request.consistency) as read:
            ancestor = (await read.resolve(request.ancestor, ObjectKind.COMMIT)).oid
            descendant = (await read.resolve(request.descendant, ObjectKind.COMMIT)).oid

            async def make() -> commit_pb2.IsAncestorResponse:
                return commit_pb2.IsAncestorResponse(
                    is_ancestor=await self._ancestry.is_ancestor(read.key, ancestor, descendant),
                    ancestor_oid=ancestor,
                    descendant_oid=descendant,
                )

            body = await read.cached(("commit/is-ancestor", ancestor, descendant), make)
            return body + commit_pb2.IsAncestorResponse(position=read.position).SerializeToString()

    async def _find_merge_bases(self, request: commit_pb2.FindMergeBasesRequest, _: Call) -> Answer:
        kind = merge_base_kind_of(request.merge_base_kind)
        check_revisions(request.revisions, least=2, most=MERGE_BASES_MAX)
        async with self._object_reads.open(request.repository, request.consistency) as read:
            oids = await resolve_all(read, request.revisions)

            async def make() -> commit_pb2.FindMergeBasesResponse:
                found = await self._ancestry.merge_bases(read.key, kind, oids)
                return commit_pb2.FindMergeBasesResponse(oids=found, revision_oids=oids)

            body = await read.cached(("commit/merge-bases", kind, oids), make)
            return body + commit_pb2.FindMergeBasesResponse(position=read.position).SerializeToString()

    async def _count_divergence(self, request: commit_pb2.CountDivergenceRequest, _: Call) -> Answer:
        check_revisions(request.revisions, least=1, most=DIVERGENCES_MAX)
        async with self._object_reads.open(request.repository, request.consistency) as read:
            base = (await read.resolve(request.base, ObjectKind.COMMIT)).oid
            oids = await resolve_all(read, request.revisions)

            async def make() -> commit_pb2.CountDivergenceResponse:
                found = await self._ancestry.divergence(read.key, base, oids)
                return commit_pb2.CountDivergenceResponse(
                    base_oid=base,
                    divergences=[
                        commit_pb2.Divergence(oid=oid, ahead=found[oid].ahead, behind=found[oid].behind) for oid in oids
                    ],
                )

            body = await read.cached(("commit/divergence", base, oids), make)
            return body + commit_pb2.CountDivergenceResponse(position=read.position).SerializeToString()
