"""Serves the part of RefService that looks at what references lead to: listings in other orders, branches, tags.

All pages of one listing come from one generation, or the caller is told to start again.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from meshnode.base.errors import Fenced, InvalidRequest, NotFound, TooLarge
from meshnode.base.ids import HEAD, ObjectId, RefName, parse_ref_name, symbolic_target
from meshnode.core.refs import find_names
from meshnode.ports import Commit, CommitSources, ObjectKind, RefsSnapshot, TagObject
from meshnode.rpc.call import Answer, Call
from meshnode.rpc.forward import Forwarder, Route
from meshnode.rpc.object_reads import ObjectRead, ObjectReads
from meshnode.rpc.page_token import PageToken, format_page_token, parse_page_token
from meshnode.rpc.ref_selection import RefSelections, commits_of, held_by, query_of
from meshnode.rpc.walk_token import digest_of_question
from meshnode.v1 import commit_pb2, ref_pb2
from meshnode.wire.commits import commit_message
from meshnode.wire.reads import page_size_of
from meshnode.wire.refs import BRANCHES, TAGS, reference_message, resolve
from meshnode.wire.tags import tag_object_message

PAGE_SIZE: Final = 100
PAGE_SIZE_MAX: Final = 500
NAMES_MAX: Final = 1_000
MESSAGE_BYTES_MAX: Final = 1 << 10
"""Of a commit or tag in a list: its subject is shown."""
COMMITS_BYTES_MAX: Final = 2 << 20
NAMES_BYTES_MAX: Final = 3 << 20
"""Of references in a page, whatever else it holds: longer names make it shorter, not an error."""
REFERENCE_BYTES: Final = 200
"""What a reference takes beside its name at most."""
SLICE: Final = 1_000
"""References turned into messages before the loop runs again."""
TAG_BYTES_MAX: Final = 2 << 20
"""Of one tag object: message and payload both hold it."""

_ROUTE: Final = Route("repository")


class RefListings:
    """Methods of mesh.v1.RefService."""

    def __init__(self, *, object_reads: ObjectReads, sources: CommitSources, forwarder: Forwarder) -> None:
        self._object_reads = object_reads
        self._sources = sources
        self._forwarder = forwarder
        self._selections = RefSelections(sources.ancestry, sources.tags)

    async def find_ref(self, request: ref_pb2.FindRefRequest, call: Call) -> Answer:
        """One reference."""
        return await self._forwarder.run(_ROUTE, request, call, self._find_ref)

    async def refs_exist(self, request: ref_pb2.RefsExistRequest, call: Call) -> Answer:
        """Whether references exist."""
        return await self._forwarder.run(_ROUTE, request, call, self._refs_exist)

    async def list_branches(self, request: ref_pb2.ListBranchesRequest, call: Call) -> Answer:
        """A page of branches."""
        return await self._forwarder.run(_ROUTE, request, call, self._list_branches)

    async def list_tags(self, request: ref_pb2.ListTagsRequest, call: Call) -> Answer:
        """A page of tags."""
        return await self._forwarder.run(_ROUTE, request, call, self._list_tags)

    async def get_tag(self, request: ref_pb2.GetTagRequest, call: Call) -> Answer:
        """One tag."""
        return await self._forwarder.run(_ROUTE, request, call, self._get_tag)

    async def list_selected(self, request: ref_pb2.ListRefsRequest, *, size: int) -> ref_pb2.ListRefsResponse:
        """A page of ListRefs in another order, filtered, or with divergence; without its position."""
        if request.divergence_base:
            size = min(size, PAGE_SIZE_MAX)
        async with self._object_reads.open(request.repository, request.consistency) as read:
            snapshot = read.view.snapshot
            query = await query_of(
                read,
                prefix="refs/",
                patterns=request.patterns,
                sort=request.sort,
                descending=request.descending,
                filter_=request.filter,
            )
            names, token = _page(request, snapshot, await self._selections.names(read, query), size)
            answer = ref_pb2.ListRefsResponse(next_page_token=token, position=read.position)
            if request.include_head and not request.page_token and HEAD in snapshot.refs:
                names = [HEAD, *names]
            for start in range(0, len(names), SLICE):
                answer.refs.extend(reference_message(snapshot, name) for name in names[start : start + SLICE])
                await asyncio.sleep(0)
            if request.divergence_base:
                found = await self._divergences(read, request.divergence_base, await commits_of(read, names))
                answer.divergences.extend(found[name] for name in names)
            return answer

    async def _find_ref(self, request: ref_pb2.FindRefRequest, _: Call) -> Answer:
        async with self._object_reads.open(request.repository, request.consistency) as read:
            snapshot = read.view.snapshot
            found = find_names(snapshot.refs, request.name)
            if len(found) > 1:
                raise InvalidRequest("ambiguous name; use the full one", candidates=", ".join(found))
            if not found:
                raise NotFound("no such reference", ref=request.name[:200])
            return ref_pb2.FindRefResponse(ref=reference_message(snapshot, found[0]), position=read.position)

    async def _refs_exist(self, request: ref_pb2.RefsExistRequest, _: Call) -> Answer:
        if not 1 <= len(request.names) <= NAMES_MAX:
            raise InvalidRequest("1 to 1,000 names can be asked for", names=len(request.names))
        names = [parse_ref_name(name) for name in request.names]
        async with self._object_reads.open(request.repository, request.consistency) as read:
            exist = [resolve(read.view.snapshot, name) is not None for name in names]
            return ref_pb2.RefsExistResponse(exist=exist, position=read.position)

    async def _list_branches(self, request: ref_pb2.ListBranchesRequest, _: Call) -> Answer:
        size = page_size_of(request.page_size, default=PAGE_SIZE, largest=PAGE_SIZE_MAX)
        async with self._object_reads.open(request.repository, request.consistency) as read:
            snapshot = read.view.snapshot
            query = await query_of(
                read,
                prefix=BRANCHES,
                patterns=request.patterns,
                sort=request.sort,
                descending=request.descending,
                filter_=request.filter,
            )
            names, token = _page(request, snapshot, await self._selections.names(read, query), size)
            oids = await commits_of(read, names)
            commits = await self._commits(read, oids)
            default = symbolic_target(snapshot.refs[HEAD]) if HEAD in snapshot.refs else None
            branches = [
                ref_pb2.Branch(name=name, commit=_message(commits, oids[name]), is_default=name == default)
                for name in names
            ]
            if request.divergence_base:
                found = await self._divergences(read, request.divergence_base, oids)
                for branch, name in zip(branches, names, strict=True):
                    branch.divergence.CopyFrom(found[name])
            return ref_pb2.ListBranchesResponse(branches=branches, next_page_token=token, position=read.position)

    async def _list_tags(self, request: ref_pb2.ListTagsRequest, _: Call) -> Answer:
        size = page_size_of(request.page_size, default=PAGE_SIZE, largest=PAGE_SIZE_MAX)
        async with self._object_reads.open(request.repository, request.consistency) as read:
            query = await query_of(
                read,
                prefix=TAGS,
                patterns=request.patterns,
                sort=request.sort,
                descending=request.descending,
                filter_=request.filter,
            )
            names, token = _page(request, read.view.snapshot, await self._selections.names(read, query), size)
            objects = await self._tag_objects(read, names)
            tags = await self._tags(read, names, objects)
            for tag, name in zip(tags, names, strict=True):
                if name in objects:
                    tag.object.CopyFrom(tag_object_message(objects[name], message_bytes_max=MESSAGE_BYTES_MAX))
            return ref_pb2.ListTagsResponse(tags=tags, next_page_token=token, position=read.position)

    async def _get_tag(self, request: ref_pb2.GetTagRequest, _: Call) -> Answer:
        name = parse_ref_name(request.name if request.name.startswith(TAGS) else TAGS + request.name)
        async with self._object_reads.open(request.repository, request.consistency) as read:
            oid = held_by(read.view.snapshot, name)
            if not oid:
                raise NotFound("no such tag", ref=name)
            (info,) = await self._object_reads.objects.look_up(read.key, [oid])
            if info is not None and info.kind is ObjectKind.TAG and info.size > TAG_BYTES_MAX:
                raise TooLarge("the tag object is too large", ref=name, size=info.size, bytes_max=TAG_BYTES_MAX)
            objects = await self._tag_objects(read, [name])
            (tag,) = await self._tags(read, [name], objects)
            if name in objects:
                tag.object.CopyFrom(tag_object_message(objects[name]))
            return ref_pb2.GetTagResponse(tag=tag, position=read.position)

    async def _tag_objects(self, read: ObjectRead, names: Sequence[RefName]) -> dict[RefName, TagObject]:
        """The tag objects of those that have one."""
        snapshot = read.view.snapshot
        annotated = [name for name in names if name in snapshot.peeled]
        objects = await self._sources.tags.read(read.key, [held_by(snapshot, name) for name in annotated])
        return dict(zip(annotated, objects, strict=True))

    async def _tags(
        self, read: ObjectRead, names: Sequence[RefName], objects: dict[RefName, TagObject]
    ) -> list[ref_pb2.Tag]:
        """Tags without their objects."""
        snapshot = read.view.snapshot
        oids = await commits_of(read, names)
        commits = await self._commits(read, oids)
        return [
            ref_pb2.Tag(
                name=name,
                oid=held_by(snapshot, name),
                target_oid=snapshot.peeled[name] if name in objects else held_by(snapshot, name),
                commit=_message(commits, oids[name]),
            )
            for name in names
        ]

    async def _commits(self, read: ObjectRead, oids: dict[RefName, ObjectId | None]) -> dict[ObjectId, Commit]:
        wanted = list(dict.fromkeys(oid for oid in oids.values() if oid is not None))
        commits = await self._sources.commits.read(
            read.key, wanted, message_bytes_max=MESSAGE_BYTES_MAX, bytes_max=COMMITS_BYTES_MAX
        )
        if len(commits) < len(wanted):
            raise TooLarge("the commits of this page are too large; ask for fewer", bytes_max=COMMITS_BYTES_MAX)
        return {commit.oid: commit for commit in commits}

    async def _divergences(
        self, read: ObjectRead, base: str, oids: dict[RefName, ObjectId | None]
    ) -> dict[RefName, commit_pb2.Divergence]:
        start = (await read.resolve(base, ObjectKind.COMMIT)).oid
        found = await self._sources.ancestry.divergence(read.key, start, [oid for oid in oids.values() if oid])
        none = commit_pb2.Divergence()
        return {
            name: commit_pb2.Divergence(oid=oid, ahead=found[oid].ahead, behind=found[oid].behind) if oid else none
            for name, oid in oids.items()
        }


def _page(
    request: ref_pb2.ListRefsRequest | ref_pb2.ListBranchesRequest | ref_pb2.ListTagsRequest,
    snapshot: RefsSnapshot,
    names: Sequence[RefName],
    size: int,
) -> tuple[Sequence[RefName], str]:
    """The names of a page, and the token of the next one; the token says after which name of which question."""
    question = digest_of_question(request)
    token = parse_page_token(request.page_token)
    start = 0
    if token is not None:
        asked, _, last = token.last.partition(" ")
        if asked != question:
            raise InvalidRequest("page token belongs to another listing")
        check_generation(token, snapshot)
        try:
            start = names.index(RefName(last)) + 1
        except ValueError as error:
            raise InvalidRequest("page token is not one this server gave") from error
    chosen = names[start : start + size]
    sizes = list(accumulate(len(name.encode()) + REFERENCE_BYTES for name in chosen))
    chosen = chosen[: max(1, bisect_right(sizes, NAMES_BYTES_MAX))]
    is_more = start + len(chosen) < len(names)
    last_token = PageToken(snapshot.generation, f"{question} {chosen[-1]}") if is_more else None
    return chosen, "" if last_token is None else format_page_token(last_token)


def check_generation(token: PageToken, snapshot: RefsSnapshot) -> None:
    """Check that a page continues at the generation it began at. Raises Fenced."""
    if token.generation != snapshot.generation:
        raise Fenced(
            "the repository was written to between two pages; list from the start",
            generation=snapshot.generation,
            page_generation=token.generation,
        )


def _message(commits: dict[ObjectId, Commit], oid: ObjectId | None) -> commit_pb2.Commit | None:
    return None if oid is None else commit_message(commits[oid])
