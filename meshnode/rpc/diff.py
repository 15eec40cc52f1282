"""Serves DiffService: what changed, read from this node's replica by git.

A short answer goes out as one message, and is kept: it follows from object ids alone. Long ones are passed on portion
by portion as git writes them.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Hashable, Sequence
from typing import Any, Final

from meshnode.base.errors import InvalidRequest, MeshError
from meshnode.base.ids import ObjectId
from meshnode.core.round import ReplicaKey
from meshnode.ports import BegunDiff, BegunLookUp, Detection, DiffOptions, DiffPart, Diffs, DiffSummary, ObjectKind
from meshnode.rpc.call import Answer, Call, closing, first_message
from meshnode.rpc.diff_sides import IS_ID, SideFinder, Sides
from meshnode.rpc.forward import Forwarder, Route
from meshnode.rpc.forward_stream import LocalStream, StreamForwarder
from meshnode.rpc.object_reads import ObjectRead, ObjectReads
from meshnode.v1 import diff_pb2
from meshnode.wire.diffs import (
    add_parts,
    file_message,
    limits_of,
    number_of,
    options_of,
    pair_message,
    summary_message,
)

COMPARISONS_MAX: Final = 1_000
PATHS_MAX: Final = 100_000
PATHS_MAX_LARGEST: Final = 1_000_000
FILES_A_MESSAGE: Final = 1_000
PATH_BYTES_A_MESSAGE: Final = 512 << 10
PAIRS_BYTES_A_MESSAGE: Final = 256 << 10
CREATION_FACTOR: Final = 60

_ROUTE: Final = Route("repository")
_OF_PATHS: Final = frozenset({"detection", "similarity_min", "detection_limit", "paths"})


class DiffServicer:
    """mesh.v1.DiffService."""

    def __init__(
        self,
        *,
        object_reads: ObjectReads,
        diffs: Diffs,
        sides: SideFinder,
        forwarder: Forwarder,
        streams: StreamForwarder,
    ) -> None:
        self._object_reads = object_reads
        self._diffs = diffs
        self._sides = sides
        self._forwarder = forwarder
        self._streams = streams

    def diff(self, requests: AsyncIterator[diff_pb2.DiffRequest], call: Call) -> AsyncIterator[Answer]:
        """Changed files with hunks or counts."""
        return self._handed(requests, call, self._diff)

    def raw_diff(self, requests: AsyncIterator[diff_pb2.RawDiffRequest], call: Call) -> AsyncIterator[Answer]:
        """The patch."""
        return self._handed(requests, call, self._raw_diff)

    def find_changed_paths(
        self, requests: AsyncIterator[diff_pb2.FindChangedPathsRequest], call: Call
    ) -> AsyncIterator[Answer]:
        """Which paths changed."""
        return self._handed(requests, call, self._find_changed_paths)

    def range_diff(self, requests: AsyncIterator[diff_pb2.RangeDiffRequest], call: Call) -> AsyncIterator[Answer]:
        """Two versions of a series."""
        return self._handed(requests, call, self._range_diff)

    async def get_patch_id(self, request: diff_pb2.GetPatchIdRequest, call: Call) -> Answer:
        """An id of the change."""
        return await self._forwarder.run(_ROUTE, request, call, self._get_patch_id)

    async def _handed(self, requests: AsyncIterator[Any], call: Call, local: LocalStream) -> AsyncIterator[Answer]:
        request = await first_message(requests)
        async with closing(self._streams.answers(_ROUTE, request, call, local)) as answers:
            async for answer in answers:
                yield answer

    async def _diff(self, request: diff_pb2.DiffRequest, _: Call) -> AsyncIterator[Answer]:
        options, limits = options_of(request.options), limits_of(request.limits)
        key, begun, looked_up = self._begin(request, options)
        try:
            async with self._object_reads.open(request.repository, request.consistency) as read:
                if looked_up is not None:
                    await looked_up.finish()
                await self._sides.read_ahead(read, [request.comparison])
                sides = await self._sides.one(read, request.comparison)
                head = diff_pb2.DiffResponse(position=read.position, sides=sides.message()).SerializeToString()
                question = _question(sides, request)
                known = read.known(question)
                if known is not None:
                    yield head + known  # serialised messages one behind the other are one message
                    return
                is_same = read.key == key and len(request.comparison.commit.revision) == len(sides.new)
                make = self._diffs.count if request.stats_only else self._diffs.compare
                parts = make(read.key, sides.old, sides.new, options, limits, begun=begun if is_same else None)
                async with closing(read.keeping(question, head, _messages(parts))) as messages:
                    async for message in messages:
                        yield message
        finally:
            for unwanted in (begun, looked_up):
                if unwanted is not None:
                    await unwanted.drop()

    def _begin(
        self, request: diff_pb2.DiffRequest, options: DiffOptions
    ) -> tuple[ReplicaKey | None, BegunDiff | None, BegunLookUp | None]:
        """Have git begin with a commit that is named by its id, while it is found out what may be told: its diff, its trees.

        Git's work and all that is asked before its answer is wanted take about the same time.
        """
        key = self._object_reads.likely_key(request.repository)
        change = request.comparison.commit
        if key is None or change.parent > 1 or change.against_empty_tree or not IS_ID.match(change.revision):
            return key, None, None
        sides = self._sides.recall(key.repository, change)
        if sides is not None and self._object_reads.known(key.repository, _question(sides, request)) is not None:
            return key, None, None
        begun = self._diffs.begin(key, ObjectId(change.revision), options, is_counted=request.stats_only)
        return key, begun, self._sides.begin(self._object_reads.objects, key, change)

    async def _raw_diff(self, request: diff_pb2.RawDiffRequest, _: Call) -> AsyncIterator[Answer]:
        options = options_of(request.options)
        async with self._object_reads.open(request.repository, request.consistency) as read:
            sides = await self._sides.one(read, request.comparison)
            head = diff_pb2.RawDiffResponse(position=read.position, sides=sides.message())
            patch = self._diffs.patch(read.key, sides.old, sides.new, options, binary=request.binary)

            async def messages() -> AsyncIterator[diff_pb2.RawDiffResponse]:
                left = request.bytes_max or None
                held = diff_pb2.RawDiffResponse()
                async with closing(patch) as chunks:
                    async for chunk in chunks:
                        if held.data:
                            yield held
                        held = diff_pb2.RawDiffResponse(data=chunk if left is None else chunk[:left])
                        if left is not None:
                            held.truncated = len(chunk) > left
                            left -= len(held.data)
                            if held.truncated:
                                break
                yield held

            async with closing(messages()) as answers:
                async for answer in answers:
                    answer.MergeFrom(head)
                    head = diff_pb2.RawDiffResponse()
                    yield answer

    async def _find_changed_paths(self, request: diff_pb2.FindChangedPathsRequest, _: Call) -> AsyncIterator[Answer]:
        if not 1 <= len(request.comparisons) <= COMPARISONS_MAX:
            raise InvalidRequest(
                "number of comparisons is out of range", count=len(request.comparisons), count_max=COMPARISONS_MAX
            )
        if any(field.name not in _OF_PATHS for field, _ in request.options.ListFields()):
            raise InvalidRequest("only detection and paths matter for changed paths")
        options = options_of(request.options, detection=Detection.NONE)
        left = number_of(request.files_max, "files_max", default=PATHS_MAX, largest=PATHS_MAX_LARGEST)
        async with self._object_reads.open(request.repository, request.consistency) as read:
            await self._sides.read_ahead(read, request.comparisons)
            asked: list[tuple[int, Sides]] = []
            for index, comparison in enumerate(request.comparisons):
                found = self._sides.all if request.all_parents else self._sides.one
                sides = await found(read, comparison)
                asked += [(index, one) for one in (sides if isinstance(sides, list) else [sides])]
            held = diff_pb2.FindChangedPathsResponse(position=read.position)
            files = size = 0
            pairs = [(sides.old, sides.new) for _, sides in asked]
            async with closing(self._diffs.changed_paths(read.key, pairs, options)) as portions:
                async for place, portion in portions:
                    index, sides = asked[place]
                    shown = portion[:left]
                    held.changes.append(
                        diff_pb2.ChangedPaths(index=index, parent=sides.parent, files=map(file_message, shown))
                    )
                    left -= len(shown)
                    files += len(shown) + 1
                    size += sum(len(file.old_path) + len(file.new_path) for file in shown)
                    if len(shown) < len(portion):
                        held.truncated = True
                        break
                    if files >= FILES_A_MESSAGE or size >= PATH_BYTES_A_MESSAGE:
                        yield held
                        held, files, size = diff_pb2.FindChangedPathsResponse(), 0, 0
            if held.HasField("position") or held.changes or held.truncated:
                yield held

    async def _range_diff(self, request: diff_pb2.RangeDiffRequest, _: Call) -> AsyncIterator[Answer]:
        factor = number_of(request.creation_factor, "creation_factor", default=CREATION_FACTOR, largest=100)
        async with self._object_reads.open(request.repository, request.consistency) as read:
            await _look_ahead(read, [request.old.base, request.old.tip, request.new.base, request.new.tip])
            old, new = await _series(read, request.old), await _series(read, request.new)
            held = diff_pb2.RangeDiffResponse(position=read.position)
            size = 0
            async with closing(self._diffs.range_diff(read.key, old, new, creation_factor=factor)) as pairs:
                async for pair in pairs:
                    held.pairs.append(pair_message(pair))
                    size += len(pair.patch) + len(pair.subject) + 200
                    if size >= PAIRS_BYTES_A_MESSAGE:
                        yield held
                        held, size = diff_pb2.RangeDiffResponse(), 0
            if held.HasField("position") or held.pairs:
                yield held

    async def _get_patch_id(self, request: diff_pb2.GetPatchIdRequest, _: Call) -> Answer:
        async with self._object_reads.open(request.repository, request.consistency) as read:
            sides = await self._sides.one(read, request.comparison)

            async def make() -> diff_pb2.GetPatchIdResponse:
                return diff_pb2.GetPatchIdResponse(patch_id=await self._diffs.patch_id(read.key, sides.old, sides.new))

            body = await read.cached(("diff/patch-id", sides.old, sides.new), make)
            return body + diff_pb2.GetPatchIdResponse(position=read.position).SerializeToString()


async def _look_ahead(read: ObjectRead, revisions: Sequence[str]) -> None:
    """Have commits in memory by one question, where they are named by their ids."""
    names = [name for oid in revisions if IS_ID.match(oid) for name in (oid, f"{oid}^{{commit}}")]
    with contextlib.suppress(MeshError):  # whatever is wrong is met again
        await read.source.objects.look_up(read.key, names)


async def _series(read: ObjectRead, series: diff_pb2.CommitRange) -> tuple[ObjectId, ObjectId]:
    base = await read.resolve(series.base, ObjectKind.COMMIT)
    tip = await read.resolve(series.tip, ObjectKind.COMMIT)
    return base.oid, tip.oid


def _question(sides: Sides, request: diff_pb2.DiffRequest) -> Hashable:
    """What a diff follows from; options that are spelled in another way make another question."""
    asked = request.options.SerializeToString(), request.limits.SerializeToString(), request.stats_only
    return "diff", sides.old, sides.new, asked


async def _messages(portions: AsyncIterator[list[DiffPart] | DiffSummary]) -> AsyncIterator[bytes]:
    """A diff as serialised messages, one for each portion; the summary goes with the last one."""
    held = diff_pb2.DiffResponse()
    async with closing(portions):
        async for portion in portions:
            if isinstance(portion, DiffSummary):
                held.summary.MergeFrom(summary_message(portion))
                continue
            if held.parts:
                yield held.SerializeToString()
                held = diff_pb2.DiffResponse()
            add_parts(held.parts, portion)
    yield held.SerializeToString()
