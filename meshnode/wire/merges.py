"""Turns merges between proto and core: what is wished for, and conflicts as git tells of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from google.protobuf.message import Message

from meshnode.base.errors import InvalidRequest
from meshnode.ports import (
    ApplyMailbox,
    EmptyPick,
    Favour,
    MergedTree,
    MergeMode,
    MergeRelation,
    MergeRevision,
    Person,
    PickCommits,
    RebaseBranch,
    ResolveConflicts,
)
from meshnode.v1 import operation_pb2
from meshnode.wire.people import author_of, committer_of, person_of

T = TypeVar("T")
M = TypeVar("M", bound=Message)

CONFLICTS_MAX: Final = 1_000
TOLD_BYTES_MAX: Final = 1 << 20
"""Of conflicts and of notes each, so that an answer stays below gRPC's 4 MiB."""

_FAVOURS: Final[Mapping[int, Favour]] = {
    operation_pb2.FAVOUR_UNSPECIFIED: Favour.NONE,
    operation_pb2.FAVOUR_OURS: Favour.OURS,
    operation_pb2.FAVOUR_THEIRS: Favour.THEIRS,
}
_MODES: Final[Mapping[int, MergeMode]] = {
    operation_pb2.MERGE_MODE_UNSPECIFIED: MergeMode.COMMIT,
    operation_pb2.MERGE_MODE_COMMIT: MergeMode.COMMIT,
    operation_pb2.MERGE_MODE_FAST_FORWARD: MergeMode.FAST_FORWARD,
    operation_pb2.MERGE_MODE_FAST_FORWARD_ONLY: MergeMode.FAST_FORWARD_ONLY,
    operation_pb2.MERGE_MODE_SQUASH: MergeMode.SQUASH,
}
_EMPTIES: Final[Mapping[int, EmptyPick]] = {
    operation_pb2.EMPTY_PICK_UNSPECIFIED: EmptyPick.REFUSE,
    operation_pb2.EMPTY_PICK_DROP: EmptyPick.DROP,
    operation_pb2.EMPTY_PICK_KEEP: EmptyPick.KEEP,
}
_RELATIONS: Final = {
    MergeRelation.CONTAINED: operation_pb2.PreviewMergeResponse.RELATION_UP_TO_DATE,
    MergeRelation.AHEAD: operation_pb2.PreviewMergeResponse.RELATION_FAST_FORWARD,
    MergeRelation.DIVERGED: operation_pb2.PreviewMergeResponse.RELATION_DIVERGED,
    MergeRelation.UNRELATED: operation_pb2.PreviewMergeResponse.RELATION_UNRELATED,
}
_NOBODY: Final = Person(name="", email="", seconds=0)
"""The author of a fast-forward, which makes no commit; a commit by nobody would be refused."""


def favour_of(number: int) -> Favour:
    """Whom a request favours. Raises InvalidRequest."""
    return _known(_FAVOURS, number, "favour")


def merge_of(request: Any, now_s: int) -> MergeRevision:
    """What Merge, or the header of ResolveConflicts, wishes. Raises InvalidRequest."""
    mode = _known(_MODES, request.mode, "merge mode")
    is_commit_made = mode is not MergeMode.FAST_FORWARD_ONLY
    return MergeRevision(
        revision=_needed(request.revision),
        mode=mode,
        author=author_of(request, now_s) if is_commit_made else _NOBODY,
        committer=committer_of(request, now_s) if is_commit_made else _NOBODY,
        message=request.message.encode(),
        favour=favour_of(request.favour),
        is_unrelated_allowed=request.allow_unrelated,
    )


def resolution_of(request: operation_pb2.MergeRequest, now_s: int) -> ResolveConflicts:
    """What the header of ResolveConflicts wishes. Raises InvalidRequest."""
    merge = merge_of(request, now_s)
    if merge.mode not in {MergeMode.COMMIT, MergeMode.SQUASH}:
        raise InvalidRequest("a merge with conflicts is no fast-forward", mode=merge.mode.value)
    return ResolveConflicts(merge=merge)


def mailbox_wish_of(header: operation_pb2.ApplyPatchesHeader, now_s: int) -> ApplyMailbox:
    """What the header of ApplyPatches wishes. Raises InvalidRequest."""
    return ApplyMailbox(committer=_committer(header, now_s))


def cherry_pick_of(request: operation_pb2.CherryPickRequest, now_s: int) -> PickCommits:
    """What CherryPick wishes. Raises InvalidRequest."""
    return PickCommits(
        revisions=tuple(_needed(revision) for revision in request.revisions),
        is_revert=False,
        committer=_committer(request, now_s),
        mainline=request.mainline,
        message=request.message.encode(),
        empty=_known(_EMPTIES, request.empty, "treatment of empty picks"),
        favour=favour_of(request.favour),
    )


def revert_of(request: operation_pb2.RevertRequest, now_s: int) -> PickCommits:
    """What Revert wishes. Raises InvalidRequest."""
    return PickCommits(
        revisions=tuple(_needed(revision) for revision in request.revisions),
        is_revert=True,
        committer=committer_of(request, now_s),
        author=author_of(request, now_s),
        mainline=request.mainline,
        message=request.message.encode(),
        empty=_known(_EMPTIES, request.empty, "treatment of empty picks"),
        favour=favour_of(request.favour),
    )


def rebase_of(request: operation_pb2.RebaseRequest, now_s: int) -> RebaseBranch:
    """What Rebase wishes. Raises InvalidRequest."""
    return RebaseBranch(
        onto=_needed(request.onto),
        upstream=request.upstream,
        committer=_committer(request, now_s),
        favour=favour_of(request.favour),
    )


def preview_message(
    target: str, oid: str, relation: MergeRelation, merged: MergedTree | None
) -> operation_pb2.PreviewMergeResponse:
    """What a merge would find; `merged` None: it was not tried."""
    is_mergeable = merged is not None and not merged.conflicts
    return operation_pb2.PreviewMergeResponse(
        target_oid=target,
        oid=oid,
        relation=_RELATIONS[relation],
        mergeable=is_mergeable,
        conflicts=conflict_messages(merged),
        conflict_count=0 if merged is None else len(merged.conflicts),
        notes=note_messages(merged),
        tree_oid=merged.tree if merged is not None and is_mergeable else "",
    )


def conflict_messages(merged: MergedTree | None) -> list[operation_pb2.MergeConflict]:
    """The conflicts of a merge, as many as are told."""
    return _told(
        operation_pb2.MergeConflict(
            path=conflict.path,
            stages=[
                operation_pb2.ConflictStage(stage=stage.number, mode=stage.mode, oid=stage.oid)
                for stage in conflict.stages
            ],
        )
        for conflict in (() if merged is None else merged.conflicts)
    )


def note_messages(merged: MergedTree | None) -> list[operation_pb2.MergeNote]:
    """What git says of a merge, as much as is told."""
    return _told(
        operation_pb2.MergeNote(kind=note.kind, paths=note.paths, text=note.text)
        for note in (() if merged is None else merged.notes)
    )


def _told(messages: Iterable[M]) -> list[M]:
    told: list[M] = []
    size = 0
    for message in messages:
        size += message.ByteSize()
        if len(told) == CONFLICTS_MAX or size > TOLD_BYTES_MAX:
            break
        told.append(message)
    return told


def _committer(request: Any, now_s: int) -> Person:
    if not request.HasField("committer"):
        raise InvalidRequest("a committer is needed")
    return person_of(request.committer, now_s)


def _known(table: Mapping[int, T], number: int, what: str) -> T:
    if number not in table:
        raise InvalidRequest(f"unknown {what}", number=number)
    return table[number]


def _needed(revision: str) -> str:
    if not revision:
        raise InvalidRequest("a revision is needed")
    return revision
