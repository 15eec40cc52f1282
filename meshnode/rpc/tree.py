"""Serves TreeService: directories and files, read from this node's replica.

Everything is found by object ids once the revision is resolved, so later pages and cached answers stand on the same
tree. Blobs are streamed by `rpc/blobs.py`.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

from meshnode.base.errors import InvalidRequest, NotFound
from meshnode.base.ids import Generation, ObjectId, parse_object_id
from meshnode.base.paths import ROOT, TreePath, directories_above, name_in, parse_tree_path, shown
from meshnode.ports import EntryKind, ObjectKind, TreeAhead, TreeRun, Trees
from meshnode.rpc.blobs import BlobStreams, ahead_of
from meshnode.rpc.call import Answer, Call, closing, first_message
from meshnode.rpc.forward import Forwarder, Route
from meshnode.rpc.forward_stream import StreamForwarder
from meshnode.rpc.kept_parts import KeptParts
from meshnode.rpc.object_reads import First, ObjectRead, ObjectReads
from meshnode.rpc.page_token import PageToken, format_page_token, parse_page_token
from meshnode.v1 import tree_pb2
from meshnode.wire.reads import page_size_of
from meshnode.wire.trees import attributes_message, entries_bytes, entry_message

PAGE_SIZE: Final = 1_000
PAGE_SIZE_MAX: Final = 8_000
PAGE_BYTES_MAX: Final = 3 << 20
"""Below the 4 MiB that gRPC clients take unless told otherwise."""
ENTRY_BYTES: Final = 190
"""What an entry takes beside its path at most: an id of sha256, an LFS pointer, numbers."""
PATHS_MAX: Final = 1_000
RESULTS_A_TURN: Final = 250
"""Paths told of before others get their turn: about 1 ms."""
NAMES_MAX: Final = 100
SLICE: Final = 500
"""Entries turned into bytes before others get their turn; with those of one run more about 1 ms."""

_ROUTE: Final = Route("repository")
_TOKEN: Final = re.compile(r"([0-9a-f]+):([0-9a-f]{8}):([0-9]{1,8}(?:\.[0-9]{1,8})*)\Z")


class TreeServicer:
    """mesh.v1.TreeService."""

    def __init__(
        self, *, object_reads: ObjectReads, trees: Trees, forwarder: Forwarder, streams: StreamForwarder
    ) -> None:
        self._object_reads = object_reads
        self._trees = trees
        self._forwarder = forwarder
        self._streams = streams
        self._blobs = BlobStreams(object_reads, trees)

    async def list_entries(self, request: tree_pb2.ListEntriesRequest, call: Call) -> Answer:
        """A page of a directory."""
        return await self._forwarder.run(_ROUTE, request, call, self._list_entries)

    async def stat(self, request: tree_pb2.StatRequest, call: Call) -> Answer:
        """What lies at some paths."""
        return await self._forwarder.run(_ROUTE, request, call, self._stat)

    async def get_attributes(self, request: tree_pb2.GetAttributesRequest, call: Call) -> Answer:
        """Attributes of some paths."""
        return await self._forwarder.run(_ROUTE, request, call, self._get_attributes)

    async def get_blob(self, requests: AsyncIterator[tree_pb2.GetBlobRequest], call: Call) -> AsyncIterator[Answer]:
        """One blob."""
        request = await first_message(requests)
        async with closing(self._streams.answers(_ROUTE, request, call, self._blobs.one)) as answers:
            async for answer in answers:
                yield answer

    async def get_blobs(self, requests: AsyncIterator[tree_pb2.GetBlobsRequest], call: Call) -> AsyncIterator[Answer]:
        """Many blobs."""
        request = await first_message(requests)
        async with closing(self._streams.answers(_ROUTE, request, call, self._blobs.many)) as answers:
            async for answer in answers:
                yield answer

    async def _list_entries(self, request: tree_pb2.ListEntriesRequest, _: Call) -> Answer:
        size = page_size_of(request.page_size, default=PAGE_SIZE, largest=PAGE_SIZE_MAX)
        path = parse_tree_path(request.path)
        token = _parse_token(request)
        first = None if token else First(request.revision, ObjectKind.TREE, _ahead_of_directory(path))
        async with self._object_reads.open(request.repository, request.consistency, first=first) as read:
            if token is None:
                at: tuple[int, ...] = ()
                tree = await self._directory(read, request.revision, path)
            else:
                at = token[1]
                tree = (await read.resolve(token[0], ObjectKind.TREE)).oid

            async def make() -> bytes:
                return await self._page(read, request, tree, at, size)

            question = ("tree/list", tree, path, at, size, request.recursive, request.sizes, request.lfs)
            body = await read.cached(question, make)
            return body + tree_pb2.ListEntriesResponse(position=read.position).SerializeToString()

    async def _page(
        self, read: ObjectRead, request: tree_pb2.ListEntriesRequest, tree: ObjectId, at: tuple[int, ...], size: int
    ) -> bytes:
        prefix = request.path + b"/" if request.path else b""
        kept = KeptParts(read, request)
        page = await self._trees.page(
            read.key,
            tree,
            at,
            recursive=request.recursive,
            entries_max=min(size, PAGE_BYTES_MAX // 2 // (ENTRY_BYTES + len(prefix))),
            bytes_max=PAGE_BYTES_MAX // 2,
            sizes=request.sizes,
            lfs=request.lfs,
            known=kept.find if request.recursive else None,
        )
        pieces: list[bytes | memoryview] = []
        unrested = 0
        for run, piece in zip(page.runs, entries_bytes(page, prefix), strict=True):
            pieces.append(piece)
            unrested += len(run.rows) if isinstance(run, TreeRun) else 1
            if unrested >= SLICE:
                unrested = 0
                await asyncio.sleep(0)
        await kept.keep(page.whole, pieces)
        token = "" if page.next_at is None else _format_token(request, tree, page.next_at)
        pieces.append(tree_pb2.ListEntriesResponse(tree_oid=tree, next_page_token=token).SerializeToString())
        return b"".join(pieces)

    async def _stat(self, request: tree_pb2.StatRequest, _: Call) -> Answer:
        paths = _paths_of(request.paths)
        first = First(request.revision, ObjectKind.TREE, ahead_of(paths))
        async with self._object_reads.open(request.repository, request.consistency, first=first) as read:
            tree = (await read.resolve(*first[:2], ahead=first.ahead)).oid

            async def make() -> tree_pb2.StatResponse:
                entries = await self._trees.find(read.key, tree, paths)
                there = [entry for entry in entries if entry is not None]
                described = iter(await self._trees.describe(read.key, there, lfs=True))
                answer = tree_pb2.StatResponse(tree_oid=tree)
                for number, (path, entry) in enumerate(zip(paths, entries, strict=True), start=1):
                    answer.results.add(path=path, entry=None if entry is None else entry_message(next(described)))
                    if number % RESULTS_A_TURN == 0:
                        await asyncio.sleep(0)
                return answer

            body = await read.cached(("tree/stat", tree, tuple(paths)), make)
            return body + tree_pb2.StatResponse(position=read.position).SerializeToString()

    async def _get_attributes(self, request: tree_pb2.GetAttributesRequest, _: Call) -> Answer:
        paths = _paths_of(request.paths)
        if ROOT in paths:
            raise InvalidRequest("the root has no attributes")
        names = list(request.names)
        if len(names) > NAMES_MAX:
            raise InvalidRequest("too many attributes in one request", count=len(names), count_max=NAMES_MAX)
        first = First(request.revision, ObjectKind.TREE, TreeAhead(trees=directories_above(paths)))
        async with self._object_reads.open(request.repository, request.consistency, first=first) as read:
            tree = (await read.resolve(*first[:2], ahead=first.ahead)).oid

            async def make() -> tree_pb2.GetAttributesResponse:
                answers = await self._trees.attributes(read.key, tree, paths, names)
                return tree_pb2.GetAttributesResponse(
                    paths=[attributes_message(path, found) for path, found in zip(paths, answers, strict=True)]
                )

            body = await read.cached(("tree/attributes", tree, tuple(paths), tuple(names)), make)
            return body + tree_pb2.GetAttributesResponse(position=read.position).SerializeToString()

    async def _directory(self, read: ObjectRead, revision: str, path: TreePath) -> ObjectId:
        root = (await read.resolve(revision, ObjectKind.TREE, ahead=_ahead_of_directory(path))).oid
        if path == ROOT:
            return root
        (info,) = await read.source.objects.look_up(read.key, [name_in(root, path)])
        if info is not None and info.kind is ObjectKind.TREE:
            return info.oid
        (entry,) = await self._trees.find(read.key, root, [path])
        if entry is None:
            raise NotFound("nothing at this path", path=shown(path), revision=revision)
        if entry.kind is not EntryKind.DIRECTORY:
            raise InvalidRequest("path is no directory", path=shown(path), kind=entry.kind.value)
        return entry.oid


def _ahead_of_directory(path: TreePath) -> TreeAhead:
    """What will be asked for by whoever lists a directory."""
    return TreeAhead(trees=[path], entries=[path] if path else [])


def _format_token(request: tree_pb2.ListEntriesRequest, tree: ObjectId, at: tuple[int, ...]) -> str:
    return format_page_token(PageToken(Generation(0), f"{tree}:{_mark(request)}:{'.'.join(map(str, at))}"))


def _parse_token(request: tree_pb2.ListEntriesRequest) -> tuple[ObjectId, tuple[int, ...]] | None:
    """The tree that is listed and the place in it; None for the first page. Raises InvalidRequest."""
    token = parse_page_token(request.page_token)
    if token is None:
        return None
    found = _TOKEN.match(token.last)
    if found is None:
        raise InvalidRequest("page token is not one this server gave")
    if found[2] != _mark(request):
        raise InvalidRequest("page token belongs to another request")
    return parse_object_id(found[1]), tuple(int(index) for index in found[3].split("."))


def _mark(request: tree_pb2.ListEntriesRequest) -> str:
    """What a later page must have in common with the first one."""
    return f"{zlib.crc32(b'%d%s' % (request.recursive, request.path)):08x}"


def _paths_of(raw: Sequence[bytes]) -> list[TreePath]:
    if not 1 <= len(raw) <= PATHS_MAX:
        raise InvalidRequest("number of paths is out of range", count=len(raw), count_max=PATHS_MAX)
    return [parse_tree_path(path) for path in raw]
