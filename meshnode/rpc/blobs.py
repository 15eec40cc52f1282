"""Streams blobs for TreeService: one with a range, or many one after the other.

many: the blobs are found first, in two or three questions for all of them; small ones are then read together in
portions, large ones streamed, and all go out in the order asked for, several small ones in a message.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

from meshnode.base.errors import Corrupt, InvalidRequest, NotFound, TooLarge
from meshnode.base.ids import ObjectId
from meshnode.base.paths import ROOT, TreePath, parse_tree_path, shown
from meshnode.ports import ObjectInfo, ObjectKind, TreeAhead, TreeEntry, Trees
from meshnode.rpc.call import Answer, Call, closing
from meshnode.rpc.object_reads import First, ObjectRead, ObjectReads
from meshnode.v1 import tree_pb2
from meshnode.wire.trees import lfs_message

BLOBS_MAX: Final = 5_000
SMALL_BYTES_MAX: Final = 64 << 10
"""Blobs up to this size are read together: a stream of its own costs each a question."""
PORTION_BYTES_MAX: Final = 2 << 20
"""Of blobs read together."""
PORTION_MAX: Final = 500
"""How many they are."""
MESSAGE_BYTES_MAX: Final = 256 << 10
"""Of small blobs in one message: a message of its own costs each 50 us here and as much at the caller."""
PARTS_MAX: Final = 250
"""Of one message: they take some 0.5 ms to be made."""
SELECTORS_A_TURN: Final = 500
"""Blobs looked at before others get their turn: about 1 ms."""
PATHS_AHEAD_MAX: Final = 8
"""Paths whose blobs are looked up ahead: git walks down to each anew. Of more it is cheaper to ask by their ids then."""
_ID: Final = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_PLAIN_MODE: Final = 0o100644


class _Blob(NamedTuple):
    """A blob that was found; where it was not asked for by path, its entry has neither path nor mode of its own."""

    entry: TreeEntry
    is_by_path: bool

    def sent(self, bytes_max: int | None) -> int:
        """How much of it is sent where each is cut."""
        return self.entry.size if bytes_max is None else min(self.entry.size, bytes_max)

    def message(self, sent: int) -> tree_pb2.BlobInfo:
        """What is said of it."""
        return tree_pb2.BlobInfo(
            oid=self.entry.oid,
            size=self.entry.size,
            sent=sent,
            mode=self.entry.mode if self.is_by_path else 0,
            lfs=lfs_message(self.entry.lfs),
        )


class BlobStreams:
    """The streaming methods of TreeService."""

    def __init__(self, object_reads: ObjectReads, trees: Trees) -> None:
        self._object_reads = object_reads
        self._trees = trees

    async def one(self, request: tree_pb2.GetBlobRequest, _: Call) -> AsyncIterator[Answer]:
        """One blob, or a range of it."""
        path = parse_tree_path(request.path)
        first = First(request.revision, ObjectKind.TREE, ahead_of([path])) if path else None
        async with self._object_reads.open(request.repository, request.consistency, first=first) as read:
            blob = await self._required(read, request.revision, path)
            size = blob.entry.size
            if request.HasField("size_max") and size > request.size_max:
                raise TooLarge("blob is larger than asked for", size=size, size_max=request.size_max)
            start = min(request.start, size)
            sent = min(size - start, request.length) if request.HasField("length") else size - start
            message = tree_pb2.GetBlobResponse(blob=blob.message(sent), position=read.position)
            async with closing(self._content(read, blob.entry.oid, start, sent)) as chunks:
                async for chunk in chunks:
                    message.data = chunk
                    yield message
                    message = tree_pb2.GetBlobResponse()
            if not sent:
                yield message

    async def many(self, request: tree_pb2.GetBlobsRequest, _: Call) -> AsyncIterator[Answer]:
        """Blobs, one after the other."""
        selectors = request.blobs
        if not 1 <= len(selectors) <= BLOBS_MAX:
            raise InvalidRequest("number of blobs is out of range", count=len(selectors), count_max=BLOBS_MAX)
        bytes_max = request.bytes_max if request.HasField("bytes_max") else None
        asked = await _asked(selectors)
        revision = next(iter(asked.by_path), None)
        first = None if revision is None else First(revision, ObjectKind.TREE, ahead_of(asked.paths(revision)))
        async with self._object_reads.open(request.repository, request.consistency, first=first) as read:
            blobs = await self._found(read, asked)
            ahead: dict[ObjectId, bytes] = {}
            message = tree_pb2.GetBlobsResponse(position=read.position)
            size = 0
            for index, blob in enumerate(blobs):
                sent = 0 if blob is None else blob.sent(bytes_max)
                data = b""
                if blob is not None and sent and blob.entry.size > SMALL_BYTES_MAX:
                    if message.parts:
                        yield message
                        message, size = tree_pb2.GetBlobsResponse(), 0
                    part = message.parts.add(index=index, blob=blob.message(sent))
                    async with closing(self._content(read, blob.entry.oid, 0, sent)) as chunks:
                        async for chunk in chunks:
                            part.data = chunk
                            yield message
                            message = tree_pb2.GetBlobsResponse()
                            part = message.parts.add(index=index)
                    message = tree_pb2.GetBlobsResponse()
                    continue
                if blob is not None and sent:
                    is_to_read = blob.entry.oid not in ahead
                    if message.parts and (is_to_read or size + sent > MESSAGE_BYTES_MAX):
                        yield message  # and then read on
                        message, size = tree_pb2.GetBlobsResponse(), 0
                    if is_to_read:
                        ahead = await self._portion(read, blobs[index : index + 2 * PORTION_MAX])
                    data = ahead[blob.entry.oid][:sent]
                    size += sent
                message.parts.add(index=index, blob=None if blob is None else blob.message(sent), data=data)
                if len(message.parts) == PARTS_MAX:
                    yield message
                    message, size = tree_pb2.GetBlobsResponse(), 0
            if message.parts:
                yield message

    async def _content(self, read: ObjectRead, oid: ObjectId, start: int, length: int) -> AsyncIterator[bytes]:
        if not length:
            return
        async with closing(read.source.objects.stream(read.key, oid, start=start, length=length)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _portion(self, read: ObjectRead, blobs: Sequence[_Blob | None]) -> dict[ObjectId, bytes]:
        """Contents of the small blobs that come next."""
        oids: list[ObjectId] = []
        total = 0
        for blob in blobs:
            if blob is None or blob.entry.size > SMALL_BYTES_MAX:
                continue
            total += blob.entry.size
            if oids and total > PORTION_BYTES_MAX:
                break
            oids.append(blob.entry.oid)
            if len(oids) == PORTION_MAX:
                break
        contents = await read.source.objects.read(read.key, oids, bytes_max=PORTION_BYTES_MAX)
        found = {content.info.oid: content.data for content in contents if content is not None}
        for oid in oids:
            if oid not in found:
                raise Corrupt("an object went missing while it was read", oid=oid)
        return found

    async def _required(self, read: ObjectRead, revision: str, path: TreePath) -> _Blob:
        """The blob asked for; raises NotFound, InvalidRequest."""
        if path == ROOT:
            info = await read.resolve(revision, ObjectKind.BLOB)
            entry = TreeEntry(ROOT, _PLAIN_MODE, info.oid)
        else:
            root = await read.resolve(revision, ObjectKind.TREE, ahead=ahead_of([path]))
            (found,) = await self._trees.find(read.key, root.oid, [path])
            if found is None:
                raise NotFound("nothing at this path", path=shown(path), revision=revision)
            if not found.kind.is_blob:
                raise InvalidRequest("path is no file", path=shown(path), kind=found.kind.value)
            entry = found
        (described,) = await self._trees.describe(read.key, [entry], lfs=True)
        return _Blob(described, path != ROOT)

    async def _found(self, read: ObjectRead, asked: _Asked) -> list[_Blob | None]:
        """The blobs asked for; None for what leads nowhere or to something else."""
        places: list[int] = []
        entries: list[TreeEntry] = []
        objects = await self._objects(read, [revision for _, revision in asked.direct])
        for index, revision in asked.direct:
            if (info := objects[revision]) is not None:
                places.append(index)
                entries.append(TreeEntry(ROOT, _PLAIN_MODE, info.oid))
        for tree, pairs in (await self._by_tree(read, asked)).items():
            found = await self._trees.find(read.key, tree, [path for _, path in pairs])
            await asyncio.sleep(0)
            for (index, _), entry in zip(pairs, found, strict=True):
                if entry is not None and entry.kind.is_blob:
                    places.append(index)
                    entries.append(entry)
        described = await self._trees.describe(read.key, entries, lfs=True)
        await asyncio.sleep(0)
        blobs: list[_Blob | None] = [None] * asked.total
        for index, entry in zip(places, described, strict=True):
            blobs[index] = _Blob(entry, entry.path != ROOT)
        return blobs

    async def _objects(self, read: ObjectRead, revisions: Sequence[str]) -> dict[str, ObjectInfo | None]:
        """The blob that each revision names; ids are looked up together, names one by one."""
        names = list(dict.fromkeys(revisions))
        ids = [name for name in names if _ID.match(name)]
        found = dict(zip(ids, await read.source.objects.look_up(read.key, ids), strict=True))
        for name in names:
            if name not in found:
                found[name] = await _resolved(read, name, None)
        return {
            name: info if info is not None and info.kind is ObjectKind.BLOB else None for name, info in found.items()
        }

    async def _by_tree(self, read: ObjectRead, asked: _Asked) -> dict[ObjectId, list[tuple[int, TreePath]]]:
        """Paths with their places by the tree they are to be found in, where their revision leads to one."""
        by_tree: dict[ObjectId, list[tuple[int, TreePath]]] = {}
        for revision, pairs in asked.by_path.items():
            root = await _resolved(read, revision, ObjectKind.TREE, ahead_of(asked.paths(revision)))
            if root is not None:
                by_tree.setdefault(root.oid, []).extend(pairs)
        return by_tree


class _Asked(NamedTuple):
    """The blobs of a request, each with its place in it."""

    total: int
    direct: list[tuple[int, str]]
    """By revisions that lead to blobs themselves."""
    by_path: dict[str, list[tuple[int, TreePath]]]
    """By paths, for each revision."""

    def paths(self, revision: str) -> list[TreePath]:
        """Those of one revision."""
        return [path for _, path in self.by_path[revision]]


async def _asked(selectors: Sequence[tree_pb2.BlobSelector]) -> _Asked:
    """What is asked for. Raises InvalidRequest."""
    asked = _Asked(len(selectors), [], {})
    for index, selector in enumerate(selectors):
        revision = selector.revision
        if raw_path := selector.path:
            asked.by_path.setdefault(revision, []).append((index, parse_tree_path(raw_path)))
        else:
            asked.direct.append((index, revision))
        if index % SELECTORS_A_TURN == 0:
            await asyncio.sleep(0)
    return asked


def ahead_of(paths: Sequence[TreePath]) -> TreeAhead:
    """What will be asked for by whoever finds and describes the entries at these paths."""
    return TreeAhead(
        entries=[path for path in paths if path != ROOT] if len(paths) <= PATHS_AHEAD_MAX else [],
        trees=[
            TreePath(parent) for parent in dict.fromkeys(path.rpartition(b"/")[0] for path in paths if path != ROOT)
        ],
    )


async def _resolved(
    read: ObjectRead, revision: str, kind: ObjectKind | None, ahead: TreeAhead | None = None
) -> ObjectInfo | None:
    try:
        return await read.resolve(revision, kind, ahead=ahead)
    except NotFound:
        return None
