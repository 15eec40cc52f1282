"""Serves OperationService: writes that make objects, each at a node that can lead a write of the repository."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.paths import ROOT
from meshnode.ports import (
    Clock,
    DeleteRef,
    MakeTag,
    MergePreviews,
    ObjectKind,
    OperationResult,
    Operations,
    PointRef,
    Target,
    TreeAhead,
    Wish,
)
from meshnode.rpc.call import Answer, Call
from meshnode.rpc.forward import Forwarder, Route
from meshnode.rpc.forward_stream import StreamForwarder, upload_of
from meshnode.rpc.object_reads import ObjectReads
from meshnode.v1 import operation_pb2
from meshnode.wire.merges import (
    cherry_pick_of,
    favour_of,
    mailbox_wish_of,
    merge_of,
    preview_message,
    rebase_of,
    resolution_of,
    revert_of,
)
from meshnode.wire.operations import commit_files_of, mailbox_of, parts_of, result_message, tag_of, target_of
from meshnode.wire.people import person_of
from meshnode.wire.refs import branch_of

_ROUTE: Final = Route("repository")
_AHEAD: Final = TreeAhead(trees=[ROOT])
"""What a merge reads of either side."""


class OperationServicer:
    """mesh.v1.OperationService."""

    def __init__(
        self,
        *,
        object_reads: ObjectReads,
        operations: Operations,
        previews: MergePreviews,
        forwarder: Forwarder,
        streams: StreamForwarder,
        clock: Clock,
    ) -> None:
        self._object_reads = object_reads
        self._previews = previews
        self._operations = operations
        self._forwarder = forwarder
        self._streams = streams
        self._clock = clock

    async def commit_files(self, requests: AsyncIterator[operation_pb2.CommitFilesRequest], call: Call) -> Answer:
        """One commit from a stream of file actions."""
        return await self._streams.upload(_ROUTE, await upload_of(requests), call, self._commit_files)

    async def create_branch(self, request: operation_pb2.CreateBranchRequest, call: Call) -> Answer:
        """A new branch."""
        return await self._forwarder.run(_ROUTE, request, call, self._create_branch)

    async def delete_branch(self, request: operation_pb2.DeleteBranchRequest, call: Call) -> Answer:
        """The end of a branch."""
        return await self._forwarder.run(_ROUTE, request, call, self._delete_branch)

    async def create_tag(self, request: operation_pb2.CreateTagRequest, call: Call) -> Answer:
        """A new tag."""
        return await self._forwarder.run(_ROUTE, request, call, self._create_tag)

    async def delete_tag(self, request: operation_pb2.DeleteTagRequest, call: Call) -> Answer:
        """The end of a tag."""
        return await self._forwarder.run(_ROUTE, request, call, self._delete_tag)

    async def merge(self, request: operation_pb2.MergeRequest, call: Call) -> Answer:
        """A revision into a branch."""
        return await self._forwarder.run(_ROUTE, request, call, self._merge)

    async def preview_merge(self, request: operation_pb2.PreviewMergeRequest, call: Call) -> Answer:
        """What a merge would find."""
        return await self._forwarder.run(_ROUTE, request, call, self._preview_merge)

    async def cherry_pick(self, request: operation_pb2.CherryPickRequest, call: Call) -> Answer:
        """Changes of commits on top of a branch."""
        return await self._forwarder.run(_ROUTE, request, call, self._cherry_pick)

    async def revert(self, request: operation_pb2.RevertRequest, call: Call) -> Answer:
        """The opposite of commits on top of a branch."""
        return await self._forwarder.run(_ROUTE, request, call, self._revert)

    async def rebase(self, request: operation_pb2.RebaseRequest, call: Call) -> Answer:
        """A branch's own commits on top of another commit."""
        return await self._forwarder.run(_ROUTE, request, call, self._rebase)

    async def apply_patches(self, requests: AsyncIterator[operation_pb2.ApplyPatchesRequest], call: Call) -> Answer:
        """Patches of a mailbox on top of a branch."""
        return await self._streams.upload(_ROUTE, await upload_of(requests), call, self._apply_patches)

    async def resolve_conflicts(
        self, requests: AsyncIterator[operation_pb2.ResolveConflictsRequest], call: Call
    ) -> Answer:
        """A merge whose conflicts are settled by file actions."""
        return await self._streams.upload(_ROUTE, await upload_of(requests), call, self._resolve_conflicts)

    # ------------------------------------------------------------ here

    async def _commit_files(
        self, first: operation_pb2.CommitFilesRequest, rest: AsyncIterator[Any], call: Call
    ) -> Answer:
        header = first.header
        target = target_of(header, branch_of(header.branch), call.actor)
        wish = commit_files_of(header, self._now_s())
        async with aclosing(parts_of(rest)) as parts:  # type: ignore[type-var]
            return self._answer(await self._operations.run(target, wish, parts), call)

    async def _apply_patches(
        self, first: operation_pb2.ApplyPatchesRequest, rest: AsyncIterator[Any], call: Call
    ) -> Answer:
        target = target_of(first.header, branch_of(first.header.branch), call.actor)
        wish = mailbox_wish_of(first.header, self._now_s())
        async with aclosing(mailbox_of(rest)) as parts:  # type: ignore[type-var]
            return self._answer(await self._operations.run(target, wish, parts), call)

    async def _resolve_conflicts(
        self, first: operation_pb2.ResolveConflictsRequest, rest: AsyncIterator[Any], call: Call
    ) -> Answer:
        target = target_of(first.header, branch_of(first.header.branch), call.actor)
        wish = resolution_of(first.header, self._now_s())
        async with aclosing(parts_of(rest)) as parts:  # type: ignore[type-var]
            return self._answer(await self._operations.run(target, wish, parts), call)

    async def _create_branch(self, request: operation_pb2.CreateBranchRequest, call: Call) -> Answer:
        target = target_of(request, branch_of(request.branch), call.actor)
        return await self._run(target, PointRef(revision=request.revision), call)

    async def _delete_branch(self, request: operation_pb2.DeleteBranchRequest, call: Call) -> Answer:
        return await self._run(target_of(request, branch_of(request.branch), call.actor), DeleteRef(), call)

    async def _create_tag(self, request: operation_pb2.CreateTagRequest, call: Call) -> Answer:
        target = target_of(request, tag_of(request.tag), call.actor)
        if request.HasField("tagger"):
            tagger = person_of(request.tagger, self._now_s())
            wish: Wish = MakeTag(revision=request.revision, tagger=tagger, message=request.message.encode())
        elif request.message:
            raise InvalidRequest("a tag with a message needs a tagger")
        else:
            wish = PointRef(revision=request.revision)
        return await self._run(target, wish, call)

    async def _delete_tag(self, request: operation_pb2.DeleteTagRequest, call: Call) -> Answer:
        return await self._run(target_of(request, tag_of(request.tag), call.actor), DeleteRef(), call)

    async def _merge(self, request: operation_pb2.MergeRequest, call: Call) -> Answer:
        target = target_of(request, branch_of(request.branch), call.actor)
        return await self._run(target, merge_of(request, self._now_s()), call)

    async def _preview_merge(self, request: operation_pb2.PreviewMergeRequest, _: Call) -> Answer:
        favour = favour_of(request.favour)
        async with self._object_reads.open(request.repository, request.consistency) as read:
            target = (await read.resolve(request.target_revision, ObjectKind.COMMIT, ahead=_AHEAD)).oid
            oid = (await read.resolve(request.revision, ObjectKind.COMMIT, ahead=_AHEAD)).oid
            question = ("OperationService.PreviewMerge", target, oid, favour, request.allow_unrelated)

            async def preview() -> operation_pb2.PreviewMergeResponse:
                found = await self._previews.preview(
                    read.key,
                    read.view.snapshot.object_format,
                    target,
                    oid,
                    favour,
                    is_unrelated_allowed=request.allow_unrelated,
                )
                return preview_message(target, oid, found.relation, found.merged)

            body = await read.cached(question, preview)
            return body + operation_pb2.PreviewMergeResponse(position=read.position).SerializeToString()

    async def _cherry_pick(self, request: operation_pb2.CherryPickRequest, call: Call) -> Answer:
        target = target_of(request, branch_of(request.branch), call.actor)
        return await self._run(target, cherry_pick_of(request, self._now_s()), call)

    async def _revert(self, request: operation_pb2.RevertRequest, call: Call) -> Answer:
        target = target_of(request, branch_of(request.branch), call.actor)
        return await self._run(target, revert_of(request, self._now_s()), call)

    async def _rebase(self, request: operation_pb2.RebaseRequest, call: Call) -> Answer:
        target = target_of(request, branch_of(request.branch), call.actor)
        return await self._run(target, rebase_of(request, self._now_s()), call)

    async def _run(self, target: Target, wish: Wish, call: Call) -> Answer:
        return self._answer(await self._operations.run(target, wish), call)

    def _answer(self, result: OperationResult, call: Call) -> Answer:
        call.facts["generation"] = result.generation
        call.facts["outcome"] = result.outcome.value
        if result.round_id is not None:
            call.facts["round"] = result.round_id
        return result_message(result, self._object_reads.own)

    def _now_s(self) -> int:
        return self._clock.wall_ms() // 1000
