"""Answers who wrote each line of a file: hunks as git finds them, and the commits they name."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Final

from meshnode.base.errors import InvalidRequest, NotFound, TooLarge
from meshnode.base.ids import ObjectId
from meshnode.base.paths import TreePath, parse_tree_path, shown
from meshnode.ports import BlameHunk, BlameOptions, CommitSources, ObjectKind, TreeAhead, TreeEntry
from meshnode.rpc.call import Answer, Call, closing
from meshnode.rpc.commit_names import find_commits, resolve_all
from meshnode.rpc.object_reads import First, ObjectRead, ObjectReads
from meshnode.v1 import commit_pb2
from meshnode.wire.commits import commit_message

FILE_BYTES_MAX: Final = 16 << 20
STREAM_BYTES: Final = 512 << 10
"""Lines in one message of the answer."""
MESSAGE_BYTES_MAX: Final = 1 << 10
"""Of a commit: its subject is what is shown beside a line."""
COMMITS_AHEAD_MAX: Final = 500
COMMITS_BYTES_MAX: Final = 2 << 20
RANGES_MAX: Final = 100
IGNORED_MAX: Final = 100
IGNORED_LISTED_MAX: Final = 1_000
IGNORE_FILE_BYTES_MAX: Final = 1 << 20
COPIES_MAX: Final = 3
LINE_MAX: Final = (1 << 31) - 1

_COMMENT: Final = re.compile(rb"#.*")


class BlameAnswers:
    """Blame."""

    def __init__(self, object_reads: ObjectReads, sources: CommitSources) -> None:
        self._object_reads = object_reads
        self._sources = sources

    async def blame(self, request: commit_pb2.BlameRequest, _: Call) -> AsyncIterator[Answer]:
        """The lines of a file with their commits."""
        path = parse_tree_path(request.path)
        ranges = _ranges_of(request.ranges)
        if len(request.ignored_revisions) > IGNORED_MAX:
            raise InvalidRequest("too many ignored revisions", revisions_max=IGNORED_MAX)
        if request.detect_copies > COPIES_MAX:
            raise InvalidRequest("copies are detected in 3 degrees", detect_copies=request.detect_copies)
        named = First(request.revision, ObjectKind.COMMIT)
        async with self._object_reads.open(request.repository, request.consistency, first=named) as read:
            commit = (await read.resolve(request.revision, ObjectKind.COMMIT)).oid
            options = BlameOptions(
                ranges=ranges,
                ignored=await self._ignored(read, commit, request),
                ignore_whitespace=request.ignore_whitespace,
                first_parent=request.first_parent,
                detect_moves=request.detect_moves,
                copies=request.detect_copies,
            )
            head = commit_pb2.BlameResponse(position=read.position).SerializeToString()
            question = ("commit/blame", commit, path, options)
            known = read.known(question)
            if known is not None:
                yield head + known  # serialised messages one behind the other are one message
                return
            async with self._sources.blames.blame(read.key, commit, path, options) as hunks:
                # While git looks for the lines: whether there is such a file at all.
                blob = await self._file(read, commit, path)
                first = commit_pb2.BlameResponse(commit_oid=commit, blob_oid=blob)
                async with closing(read.keeping(question, head, self._answers(read, first, hunks))) as answers:
                    async for answer in answers:
                        yield answer

    async def _answers(
        self, read: ObjectRead, answer: commit_pb2.BlameResponse, hunks: AsyncIterator[BlameHunk]
    ) -> AsyncIterator[bytes]:
        known: set[ObjectId] = set()
        held: list[BlameHunk] = []
        room = STREAM_BYTES
        async for hunk in hunks:
            size = sum(map(len, hunk.lines))
            if held and (size > room or len(held) == COMMITS_AHEAD_MAX):
                yield await self._filled(read, answer, held, known)
                answer, held, room = commit_pb2.BlameResponse(), [], STREAM_BYTES
            held.append(hunk)
            room -= size
        yield await self._filled(read, answer, held, known)

    async def _filled(
        self, read: ObjectRead, answer: commit_pb2.BlameResponse, hunks: Sequence[BlameHunk], known: set[ObjectId]
    ) -> bytes:
        """The answer with hunks, and with those of their commits that were not sent before."""
        fresh = list(dict.fromkeys(hunk.commit for hunk in hunks if hunk.commit not in known))
        commits = await self._sources.commits.read(
            read.key, fresh, message_bytes_max=MESSAGE_BYTES_MAX, bytes_max=COMMITS_BYTES_MAX
        )
        if len(commits) < len(fresh):
            raise TooLarge("the commits of these lines are too large", bytes_max=COMMITS_BYTES_MAX)
        known.update(fresh)
        answer.commits.extend(map(commit_message, commits))
        for hunk in hunks:
            oid, path = hunk.previous or ("", b"")
            answer.hunks.add(
                commit_oid=hunk.commit,
                path=hunk.path,
                start=hunk.start,
                original_start=hunk.original_start,
                lines=hunk.lines,
                previous_oid=oid,
                previous_path=path,
            )
        return answer.SerializeToString()

    async def _file(self, read: ObjectRead, commit: ObjectId, path: TreePath) -> ObjectId:
        ahead = TreeAhead(entries=[path], trees=[TreePath(path.rpartition(b"/")[0])])
        root = (await read.resolve(commit, ObjectKind.TREE, ahead=ahead)).oid
        entry = await self._entry(read, commit, root, path)
        (info,) = await self._sources.objects.look_up(read.key, [entry.oid])
        size = 0 if info is None else info.size
        if size > FILE_BYTES_MAX:
            raise TooLarge("the file is too large to be blamed", path=shown(path), size=size, bytes_max=FILE_BYTES_MAX)
        return entry.oid

    async def _entry(self, read: ObjectRead, commit: ObjectId, root: ObjectId, path: TreePath) -> TreeEntry:
        (entry,) = await self._sources.trees.find(read.key, root, [path])
        if entry is None:
            raise NotFound("nothing at this path", path=shown(path), commit=commit)
        if not entry.kind.is_blob:
            raise InvalidRequest("path is no file", path=shown(path), kind=entry.kind.value)
        return entry

    async def _ignored(
        self, read: ObjectRead, commit: ObjectId, request: commit_pb2.BlameRequest
    ) -> tuple[ObjectId, ...]:
        ignored = await resolve_all(read, request.ignored_revisions)
        if not request.ignored_revisions_path:
            return ignored
        path = parse_tree_path(request.ignored_revisions_path)
        root = (await read.resolve(commit, ObjectKind.TREE)).oid
        entry = await self._entry(read, commit, root, path)
        (raw,) = await self._sources.objects.read(read.key, [entry.oid], bytes_max=IGNORE_FILE_BYTES_MAX)
        data = b"" if raw is None else raw.data
        lines = (_COMMENT.sub(b"", line).strip() for line in data.split(b"\n"))
        listed = [line.decode("ascii", errors="replace") for line in lines if line]
        wrong = next(
            (oid for oid in listed if len(oid) != len(commit) or not set(oid) <= set("0123456789abcdef")), None
        )
        if wrong is not None:
            raise InvalidRequest("not a full object id in the file of ignored revisions", oid=wrong[:100])
        if len(listed) > IGNORED_LISTED_MAX:
            raise InvalidRequest(
                "too many ignored revisions in the file", revisions=len(listed), revisions_max=IGNORED_LISTED_MAX
            )
        found = await find_commits(read, listed)
        return (*ignored, *(oid for oid in found if oid is not None))


def _ranges_of(messages: Sequence[commit_pb2.LineRange]) -> tuple[tuple[int, int], ...]:
    if len(messages) > RANGES_MAX:
        raise InvalidRequest("too many ranges", ranges=len(messages), ranges_max=RANGES_MAX)
    for one in messages:
        if not 1 <= one.start <= LINE_MAX or (one.end and not one.start <= one.end <= LINE_MAX):
            raise InvalidRequest("a range is from a line to the same or a later one", start=one.start, end=one.end)
    return tuple((one.start, one.end) for one in messages)
