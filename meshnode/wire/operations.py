"""Turns operations between proto and core: identities, what is expected of a reference, streamed files, results."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import (
    NodeId,
    RefName,
    RefValue,
    is_zero,
    parse_object_id,
    parse_ref_name,
    parse_repository_name,
)
from meshnode.ports import (
    ActionKind,
    CommitFiles,
    FileMode,
    FilePart,
    OperationResult,
    Outcome,
    Target,
    TreeAction,
)
from meshnode.v1 import operation_pb2
from meshnode.wire.merges import conflict_messages, note_messages
from meshnode.wire.people import author_of, committer_of
from meshnode.wire.reads import position_message, request_key_of

TAGS: Final = "refs/tags/"

_KINDS: Final[Mapping[int, ActionKind]] = {
    operation_pb2.FileAction.KIND_CREATE: ActionKind.CREATE,
    operation_pb2.FileAction.KIND_UPDATE: ActionKind.UPDATE,
    operation_pb2.FileAction.KIND_PUT: ActionKind.PUT,
    operation_pb2.FileAction.KIND_MOVE: ActionKind.MOVE,
    operation_pb2.FileAction.KIND_DELETE: ActionKind.DELETE,
    operation_pb2.FileAction.KIND_CHMOD: ActionKind.CHMOD,
}
_MODES: Final[Mapping[int, FileMode | None]] = {
    operation_pb2.FILE_MODE_UNSPECIFIED: None,
    operation_pb2.FILE_MODE_REGULAR: FileMode.REGULAR,
    operation_pb2.FILE_MODE_EXECUTABLE: FileMode.EXECUTABLE,
    operation_pb2.FILE_MODE_SYMLINK: FileMode.SYMLINK,
}
_OUTCOMES: Final = {
    Outcome.WRITTEN: operation_pb2.OperationResponse.OUTCOME_WRITTEN,
    Outcome.UP_TO_DATE: operation_pb2.OperationResponse.OUTCOME_UP_TO_DATE,
    Outcome.CONFLICTS: operation_pb2.OperationResponse.OUTCOME_CONFLICTS,
    Outcome.NOT_FAST_FORWARD: operation_pb2.OperationResponse.OUTCOME_NOT_FAST_FORWARD,
    Outcome.EMPTY: operation_pb2.OperationResponse.OUTCOME_EMPTY,
}
_WITH_CONTENT: Final = {ActionKind.CREATE, ActionKind.UPDATE, ActionKind.PUT}


def tag_of(text: str) -> RefName:
    """Check the full name of a tag. Raises InvalidRequest."""
    name = parse_ref_name(text)
    if not name.startswith(TAGS):
        raise InvalidRequest("not a tag", ref=text[:200])
    return name


def target_of(header: Any, ref: RefName, actor: str) -> Target:
    """What a request changes, and what it expects of it. Raises InvalidRequest."""
    expected: RefValue | str | None = None
    if "expected_oid" in header.DESCRIPTOR.fields_by_name and header.HasField("expected_oid"):
        oid = parse_object_id(header.expected_oid)
        expected = "" if is_zero(oid) else RefValue(oid)
    return Target(
        repository=parse_repository_name(header.repository),
        ref=ref,
        expected=expected,
        request_key=request_key_of(header.request_key),
        actor=actor,
    )


def commit_files_of(header: operation_pb2.CommitFilesHeader, now_s: int) -> CommitFiles:
    """What the header of CommitFiles wishes. Raises InvalidRequest."""
    return CommitFiles(
        author=author_of(header, now_s),
        committer=committer_of(header, now_s),
        message=header.message.encode(),
        start=header.start_revision,
        is_empty_allowed=header.allow_empty,
    )


async def parts_of(messages: AsyncIterator[Any]) -> AsyncIterator[FilePart]:
    """The file actions of a stream, each with its content as it comes in.

    Raises:
        InvalidRequest: a second header, content without an action, an action that does not fit.
    """
    reader = _Reader(messages)
    while (message := await reader.next()) is not None:
        if message.WhichOneof("part") != "action":
            raise InvalidRequest("a file action is needed here", part=message.WhichOneof("part"))
        action = _action_of(message.action)
        has_content = message.action.HasField("content")
        if action.kind in _WITH_CONTENT and not has_content:
            raise InvalidRequest("the action needs a content, if only an empty one", kind=action.kind.value)
        yield FilePart(action=action, content=reader.content(message.action.content) if has_content else None)


async def mailbox_of(messages: AsyncIterator[Any]) -> AsyncIterator[FilePart]:
    """The mailbox of a stream, as it comes in. Raises InvalidRequest for anything else in it."""

    async def content() -> AsyncIterator[bytes]:
        async for message in messages:
            if message.WhichOneof("part") != "content":
                raise InvalidRequest("only the first message is a header", part=message.WhichOneof("part"))
            yield message.content

    yield FilePart(action=None, content=content())


def result_message(result: OperationResult, own: NodeId) -> operation_pb2.OperationResponse:
    """An operation's result."""
    merged = result.merged
    return operation_pb2.OperationResponse(
        position=position_message(result.generation, own),
        outcome=_OUTCOMES[result.outcome],
        oid=result.oid or "",
        previous_oid=result.previous or "",
        round_id=result.round_id or "",
        repetition=result.is_repetition,
        conflicts=conflict_messages(merged),
        conflict_count=0 if merged is None else len(merged.conflicts),
        notes=note_messages(merged),
        stopped_at=result.stopped_at,
    )


class _Reader:
    """Messages with one put back: a content ends where something else begins."""

    def __init__(self, messages: AsyncIterator[Any]) -> None:
        self._messages = messages
        self._held: Any = None

    async def next(self) -> Any:
        held, self._held = self._held, None
        return held if held is not None else await anext(self._messages, None)

    async def content(self, first: bytes) -> AsyncIterator[bytes]:
        if first:
            yield first
        while (message := await self.next()) is not None:
            if message.WhichOneof("part") != "content":
                self._held = message
                return
            yield message.content


def _action_of(message: operation_pb2.FileAction) -> TreeAction:
    kind, mode = _KINDS.get(message.kind), _MODES.get(message.mode)
    if kind is None or message.mode not in _MODES:
        raise InvalidRequest("unknown kind of file action or file mode", kind=int(message.kind), mode=int(message.mode))
    if kind not in _WITH_CONTENT | {ActionKind.MOVE} and message.HasField("content"):
        raise InvalidRequest("the action takes no content", kind=kind.value)
    if (kind is ActionKind.MOVE) != bool(message.source_path):
        raise InvalidRequest("a source path goes with a move, and only with one", kind=kind.value)
    if message.recursive and kind is not ActionKind.DELETE:
        raise InvalidRequest("only a deletion can be recursive", kind=kind.value)
    return TreeAction(
        kind=kind,
        path=message.path,
        source=message.source_path,
        mode=mode,
        expected=parse_object_id(message.expected_blob_oid) if message.expected_blob_oid else None,
        is_recursive=message.recursive,
    )
