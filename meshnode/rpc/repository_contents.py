"""Serves the part of RepositoryService that reads whole trees and replicas: archives, bundles, searches, counts.

Every answer stands on one view; long ones stream with the position in the first message.
"""

from __future__ import annotations

import asyncio
import fnmatch
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from meshnode.base.errors import InvalidRequest, NotFound
from meshnode.base.ids import HEAD, ObjectId, RefName, is_zero, parse_object_id
from meshnode.base.paths import TreePath, name_in, parse_tree_path, shown
from meshnode.ports import (
    ArchiveFormat,
    Contents,
    ContentSearch,
    ObjectInfo,
    ObjectKind,
    Objects,
    ReplicaReader,
    Trees,
)
from meshnode.rpc.call import Answer, Call, closing, first_message
from meshnode.rpc.forward import Forwarder, Route
from meshnode.rpc.forward_stream import StreamForwarder
from meshnode.rpc.languages import count_languages
from meshnode.rpc.licenses import TEXT_BYTES_MAX, guess_license, license_file
from meshnode.rpc.object_reads import ObjectRead, ObjectReads
from meshnode.v1 import repository_pb2 as pb
from meshnode.wire.reads import page_size_of
from meshnode.wire.refs import resolve
from meshnode.wire.transport import CHUNK_BYTES_MAX

PROBLEMS_MAX: Final = 1_000
PATHS_MAX: Final = 1_000
REFERENCES_MAX: Final = 10_000
PATTERN_BYTES_MAX: Final = 1_024
PREFIX_BYTES_MAX: Final = 1_024
CONTEXT_LINES_MAX: Final = 20
MATCHES_A_MESSAGE: Final = 200
PATHS_A_MESSAGE: Final = 5_000
ROOT_BYTES_A_TURN: Final = 1 << 20
"""Names of a root looked at in one go."""

_BY_NAME: Final = Route("name")
_FORMATS: Final = {
    pb.GetArchiveRequest.FORMAT_UNSPECIFIED: ArchiveFormat.TAR_GZ,
    pb.GetArchiveRequest.FORMAT_TAR: ArchiveFormat.TAR,
    pb.GetArchiveRequest.FORMAT_TAR_GZ: ArchiveFormat.TAR_GZ,
    pb.GetArchiveRequest.FORMAT_ZIP: ArchiveFormat.ZIP,
}


@dataclass(frozen=True, kw_only=True)
class RepositoryContents:
    """Reads of whole trees and replicas."""

    object_reads: ObjectReads
    objects: Objects
    trees: Trees
    contents: Contents
    replicas: ReplicaReader
    forwarder: Forwarder
    streams: StreamForwarder

    async def get_stats(self, request: pb.GetStatsRequest, call: Call) -> Answer:
        """Counts of the answering replica."""
        return await self.forwarder.run(_BY_NAME, request, call, self._get_stats)

    async def fsck(self, request: pb.FsckRequest, call: Call) -> Answer:
        """What git complains of."""
        return await self.forwarder.run(_BY_NAME, request, call, self._fsck)

    async def find_license(self, request: pb.FindLicenseRequest, call: Call) -> Answer:
        """The license by its wording."""
        return await self.forwarder.run(_BY_NAME, request, call, self._find_license)

    async def get_languages(self, request: pb.GetLanguagesRequest, call: Call) -> Answer:
        """Bytes by language."""
        return await self.forwarder.run(_BY_NAME, request, call, self._get_languages)

    async def get_archive(self, requests: AsyncIterator[pb.GetArchiveRequest], call: Call) -> AsyncIterator[Answer]:
        """A tree as an archive."""
        async with closing(self._passed(requests, call, self._get_archive)) as answers:
            async for answer in answers:
                yield answer

    async def get_bundle(self, requests: AsyncIterator[pb.GetBundleRequest], call: Call) -> AsyncIterator[Answer]:
        """References and their objects as a bundle."""
        async with closing(self._passed(requests, call, self._get_bundle)) as answers:
            async for answer in answers:
                yield answer

    async def search_content(
        self, requests: AsyncIterator[pb.SearchContentRequest], call: Call
    ) -> AsyncIterator[Answer]:
        """Lines that match."""
        async with closing(self._passed(requests, call, self._search_content)) as answers:
            async for answer in answers:
                yield answer

    async def search_files(self, requests: AsyncIterator[pb.SearchFilesRequest], call: Call) -> AsyncIterator[Answer]:
        """Paths that match."""
        async with closing(self._passed(requests, call, self._search_files)) as answers:
            async for answer in answers:
                yield answer

    # ------------------------------------------------------------ at the replica that answers

    async def _passed(self, requests: AsyncIterator[Any], call: Call, local: Any) -> AsyncIterator[Answer]:
        request = await first_message(requests)
        async with closing(self.streams.answers(_BY_NAME, request, call, local)) as answers:
            async for answer in answers:
                yield answer

    async def _get_stats(self, request: pb.GetStatsRequest, _: Call) -> Answer:
        async with self.object_reads.open(request.name, request.consistency) as read:
            counts = await self.contents.count_objects(read.key)
            names = read.view.snapshot.names
            return pb.GetStatsResponse(
                position=read.position,
                loose_objects=counts.loose,
                packed_objects=counts.packed,
                packs=counts.packs,
                loose_bytes=counts.loose_bytes,
                pack_bytes=counts.pack_bytes,
                branches=sum(name.startswith("refs/heads/") for name in names),
                tags=sum(name.startswith("refs/tags/") for name in names),
                references=len(names),
            )

    async def _fsck(self, request: pb.FsckRequest, _: Call) -> Answer:
        async with self.object_reads.open(request.name, request.consistency) as read:
            problems = await self.replicas.fsck(read.key)
            return pb.FsckResponse(position=read.position, problems=problems[:PROBLEMS_MAX])

    async def _find_license(self, request: pb.FindLicenseRequest, _: Call) -> Answer:
        async with self.object_reads.open(request.name, request.consistency) as read:
            tree = await read.resolve(request.revision, ObjectKind.TREE)
            body = await read.cached(("FindLicense", tree.oid), lambda: self._license(read, tree.oid))
            return body + pb.FindLicenseResponse(position=read.position).SerializeToString()

    async def _license(self, read: ObjectRead, tree: ObjectId) -> pb.FindLicenseResponse:
        path = license_file([name async for name in self._root_files(read, tree)])
        if path is None:
            return pb.FindLicenseResponse()
        (info,) = await self.objects.look_up(read.key, [name_in(tree, path)])
        if info is None or info.kind is not ObjectKind.BLOB or info.size > TEXT_BYTES_MAX:
            return pb.FindLicenseResponse(path=path)
        (found,) = await self.objects.read(read.key, [info.oid], bytes_max=TEXT_BYTES_MAX)
        text = b"" if found is None else found.data
        return pb.FindLicenseResponse(path=path, spdx_id=await asyncio.to_thread(guess_license, text))

    async def _root_files(self, read: ObjectRead, tree: ObjectId) -> AsyncIterator[bytes]:
        at: tuple[int, ...] | None = ()
        while at is not None:
            page = await self.trees.page(
                read.key, tree, at, recursive=False, entries_max=PATHS_A_MESSAGE, bytes_max=ROOT_BYTES_A_TURN
            )
            for entry in page.entries():
                if entry.kind.is_blob:
                    yield entry.path
            at = page.next_at

    async def _get_languages(self, request: pb.GetLanguagesRequest, _: Call) -> Answer:
        async with self.object_reads.open(request.name, request.consistency) as read:
            tree = await read.resolve(request.revision, ObjectKind.TREE)
            body = await read.cached(("GetLanguages", tree.oid), lambda: self._languages(read, tree.oid))
            return body + pb.GetLanguagesResponse(position=read.position).SerializeToString()

    async def _languages(self, read: ObjectRead, tree: ObjectId) -> pb.GetLanguagesResponse:
        files = [
            (entry.path.decode(errors="replace"), entry.size)
            async for entry in self.contents.files(read.key, tree)
            if not entry.is_link
        ]
        counted = await asyncio.to_thread(count_languages, files)
        return pb.GetLanguagesResponse(
            languages=[pb.Language(name=name, bytes=size, files=count) for name, size, count in counted]
        )

    async def _get_archive(self, request: pb.GetArchiveRequest, _: Call) -> AsyncIterator[Answer]:
        archive_format = _FORMATS.get(request.format)
        if archive_format is None:
            raise InvalidRequest("unknown format of an archive", format=int(request.format))
        prefix = _checked_prefix(request.prefix)
        paths = _checked_paths(request.paths)
        async with self.object_reads.open(request.name, request.consistency) as read:
            treeish = await _treeish(read, request.revision)
            await self._check_exist(read, treeish.oid, paths)
            chunks = self.contents.archive(read.key, treeish.oid, archive_format, prefix, paths)
            async with closing(chunks):
                yield pb.GetArchiveResponse(position=read.position)
                async for chunk in chunks:
                    yield pb.GetArchiveResponse(data=chunk)

    async def _get_bundle(self, request: pb.GetBundleRequest, _: Call) -> AsyncIterator[Answer]:
        if len(request.references) > REFERENCES_MAX or len(request.known_oids) > REFERENCES_MAX:
            raise InvalidRequest("too many references or known objects", most=REFERENCES_MAX)
        async with self.object_reads.open(request.name, request.consistency) as read:
            snapshot = read.view.snapshot
            oids = [parse_object_id(oid, object_format=snapshot.object_format) for oid in request.known_oids]
            known = [
                oid
                for oid, info in zip(oids, await self.objects.look_up(read.key, oids), strict=True)
                if info is not None and not is_zero(oid)
            ]
            references = _selected(read, request.references)
            if not references:
                raise InvalidRequest("a bundle needs at least one reference", references=len(request.references))
            chunks = self.contents.bundle(read.key, references, known, snapshot.object_format)
            async with closing(chunks):
                yield pb.GetBundleResponse(position=read.position)
                async for chunk in chunks:
                    for start in range(0, len(chunk), CHUNK_BYTES_MAX):
                        yield pb.GetBundleResponse(data=chunk[start : start + CHUNK_BYTES_MAX])

    async def _search_content(self, request: pb.SearchContentRequest, _: Call) -> AsyncIterator[Answer]:
        limit = page_size_of(request.limit, default=1_000, largest=10_000)
        _check_pattern(request.pattern)
        if request.context_lines > CONTEXT_LINES_MAX:
            raise InvalidRequest("too many lines of context", context_lines_max=CONTEXT_LINES_MAX)
        search = ContentSearch(
            pattern=request.pattern,
            is_regex=request.is_regex,
            ignore_case=request.ignore_case,
            whole_word=request.whole_word,
            paths=_checked_paths(request.paths),
            context_lines=request.context_lines,
            limit_per_file=request.limit_per_file,
        )
        async with self.object_reads.open(request.name, request.consistency) as read:
            tree = await read.resolve(request.revision, ObjectKind.TREE)
            found = self.contents.search(read.key, tree.oid, search)
            answer = pb.SearchContentResponse(position=read.position)
            count = 0
            async with closing(found):
                async for match in found:
                    count += match.column > 0
                    if count > limit:
                        answer.truncated = True
                        break
                    answer.matches.add(
                        path=match.path,
                        line_number=match.line_number,
                        column=match.column,
                        line=match.line,
                        is_cut=match.is_cut,
                        is_context=not match.column,
                    )
                    if len(answer.matches) >= MATCHES_A_MESSAGE:
                        yield answer
                        answer = pb.SearchContentResponse()
            yield answer

    async def _search_files(self, request: pb.SearchFilesRequest, _: Call) -> AsyncIterator[Answer]:
        limit = page_size_of(request.limit, default=1_000, largest=50_000)
        _check_pattern(request.pattern)
        expression = _path_expression(request)
        async with self.object_reads.open(request.name, request.consistency) as read:
            tree = await read.resolve(request.revision, ObjectKind.TREE)
            files = self.contents.files(read.key, tree.oid)
            answer = pb.SearchFilesResponse(position=read.position)
            count = 0
            async with closing(files):
                async for file in files:
                    if expression.search(file.path) is None:
                        continue
                    count += 1
                    if count > limit:
                        answer.truncated = True
                        break
                    answer.paths.append(file.path)
                    if len(answer.paths) >= PATHS_A_MESSAGE:
                        yield answer
                        answer = pb.SearchFilesResponse()
            yield answer

    async def _check_exist(self, read: ObjectRead, treeish: ObjectId, paths: Sequence[TreePath]) -> None:
        """Check that every path is in the tree: git would only complain of the first."""
        names = [name_in(treeish, path) for path in paths]
        for path, info in zip(paths, await self.objects.look_up(read.key, names), strict=True):
            if info is None:
                raise NotFound("no such path", path=shown(path))


async def _treeish(read: ObjectRead, revision: str) -> ObjectInfo:
    """The commit that a revision leads to, which gives an archive its time, else the tree."""
    try:
        return await read.resolve(revision, ObjectKind.COMMIT)
    except InvalidRequest:
        return await read.resolve(revision, ObjectKind.TREE)


def _checked_prefix(prefix: str) -> str:
    if not prefix:
        return ""
    if len(prefix.encode()) > PREFIX_BYTES_MAX or prefix.startswith("/") or re.search(r"[\x00-\x1f\x7f]", prefix):
        raise InvalidRequest("not a prefix for paths", prefix=prefix[:100], bytes_max=PREFIX_BYTES_MAX)
    parse_tree_path(prefix.encode().removesuffix(b"/"))
    return prefix


def _checked_paths(raw: Sequence[bytes]) -> list[TreePath]:
    if len(raw) > PATHS_MAX:
        raise InvalidRequest("too many paths", paths_max=PATHS_MAX)
    return [path for path in map(parse_tree_path, raw) if path]


def _check_pattern(pattern: bytes) -> None:
    if not 0 < len(pattern) <= PATTERN_BYTES_MAX or b"\n" in pattern or b"\0" in pattern:
        raise InvalidRequest(
            "pattern must be one line of 1 to 1,024 bytes without NUL", bytes=len(pattern), bytes_max=PATTERN_BYTES_MAX
        )


def _path_expression(request: pb.SearchFilesRequest) -> re.Pattern[bytes]:
    flags = re.IGNORECASE | re.DOTALL if request.ignore_case else re.DOTALL
    if not request.is_glob:
        return re.compile(re.escape(request.pattern), flags)
    if request.pattern.count(b"*") > 16:
        raise InvalidRequest("too many stars in a pattern", stars_max=16)
    translated = fnmatch.translate(re.sub(rb"\*+", b"*", request.pattern).decode("latin-1"))
    return re.compile(rb"\A" + translated.encode("latin-1"), flags)


def _selected(read: ObjectRead, wanted: Sequence[str]) -> list[tuple[RefName, ObjectId]]:
    """References for a bundle with their ids; symbolic ones as what they lead to, HEAD first."""
    snapshot = read.view.snapshot
    names: list[RefName] = [HEAD, *snapshot.names] if not wanted else []
    for name in wanted:
        if name.endswith("/"):
            names += [known for known in snapshot.names if known.startswith(name)]
        elif name in snapshot.refs:
            names.append(RefName(name))
        else:
            raise NotFound("no such reference", ref=name[:200])
    found = {name: resolve(snapshot, name) for name in dict.fromkeys(names)}
    return [(name, ObjectId(oid)) for name, oid in found.items() if oid is not None]
