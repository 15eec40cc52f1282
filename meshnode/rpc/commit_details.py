"""Answers with signatures and change counts of commits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from meshnode.ports import CommitSources, CommitStats
from meshnode.rpc.call import Answer, Call
from meshnode.rpc.commit_names import find_commits, resolve_all
from meshnode.rpc.object_reads import ObjectReads
from meshnode.v1 import commit_pb2
from meshnode.wire.commits import check_revisions, signature_number

REVISIONS_MAX: Final = 500
SIGNED_BYTES_MAX: Final = 16 << 20
STREAM_BYTES: Final = 1 << 20
"""Of signatures and payloads in one message."""


class CommitDetailAnswers:
    """GetCommitSignatures and GetCommitStats."""

    def __init__(self, object_reads: ObjectReads, sources: CommitSources) -> None:
        self._object_reads = object_reads
        self._details = sources.details

    async def signatures(self, request: commit_pb2.GetCommitSignaturesRequest, _: Call) -> AsyncIterator[Answer]:
        """The signature of each commit."""
        check_revisions(request.revisions, least=1, most=REVISIONS_MAX)
        async with self._object_reads.open(request.repository, request.consistency) as read:
            oids = await find_commits(read, request.revisions)
            there = [oid for oid in oids if oid is not None]
            signatures = iter(await self._details.signatures(read.key, there, bytes_max=SIGNED_BYTES_MAX))
            answer = commit_pb2.GetCommitSignaturesResponse(position=read.position)
            room = STREAM_BYTES
            for revision, oid in zip(request.revisions, oids, strict=True):
                message = commit_pb2.CommitSignature(revision=revision)
                if oid is not None:
                    signature = next(signatures)
                    message.commit_oid = oid
                    message.signature_kind = signature_number(signature.kind)
                    message.signature, message.payload = signature.text, signature.payload
                if answer.signatures and message.ByteSize() > room:
                    yield answer
                    answer, room = commit_pb2.GetCommitSignaturesResponse(), STREAM_BYTES
                answer.signatures.append(message)
                room -= message.ByteSize()
            yield answer

    async def stats(self, request: commit_pb2.GetCommitStatsRequest, _: Call) -> Answer:
        """What each commit changed."""
        check_revisions(request.revisions, least=1, most=REVISIONS_MAX)
        async with self._object_reads.open(request.repository, request.consistency) as read:
            oids = await resolve_all(read, request.revisions)

            async def make() -> commit_pb2.GetCommitStatsResponse:
                found = await self._details.stats(read.key, oids)
                none = CommitStats(0, 0, 0)
                stats = [(oid, found.get(oid, none)) for oid in oids]
                return commit_pb2.GetCommitStatsResponse(
                    stats=[
                        commit_pb2.CommitStats(
                            commit_oid=oid, additions=one.additions, deletions=one.deletions, files=one.files
                        )
                        for oid, one in stats
                    ]
                )

            body = await read.cached(("commit/stats", oids), make)
            return body + commit_pb2.GetCommitStatsResponse(position=read.position).SerializeToString()
