from meshnode.v1 import annotations_pb2 as _annotations_pb2
from meshnode.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FileMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILE_MODE_UNSPECIFIED: _ClassVar[FileMode]
    FILE_MODE_REGULAR: _ClassVar[FileMode]
    FILE_MODE_EXECUTABLE: _ClassVar[FileMode]
    FILE_MODE_SYMLINK: _ClassVar[FileMode]

class Favour(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAVOUR_UNSPECIFIED: _ClassVar[Favour]
    FAVOUR_OURS: _ClassVar[Favour]
    FAVOUR_THEIRS: _ClassVar[Favour]

class MergeMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MERGE_MODE_UNSPECIFIED: _ClassVar[MergeMode]
    MERGE_MODE_COMMIT: _ClassVar[MergeMode]
    MERGE_MODE_FAST_FORWARD: _ClassVar[MergeMode]
    MERGE_MODE_FAST_FORWARD_ONLY: _ClassVar[MergeMode]
    MERGE_MODE_SQUASH: _ClassVar[MergeMode]

class EmptyPick(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EMPTY_PICK_UNSPECIFIED: _ClassVar[EmptyPick]
    EMPTY_PICK_DROP: _ClassVar[EmptyPick]
    EMPTY_PICK_KEEP: _ClassVar[EmptyPick]
FILE_MODE_UNSPECIFIED: FileMode
FILE_MODE_REGULAR: FileMode
FILE_MODE_EXECUTABLE: FileMode
FILE_MODE_SYMLINK: FileMode
FAVOUR_UNSPECIFIED: Favour
FAVOUR_OURS: Favour
FAVOUR_THEIRS: Favour
MERGE_MODE_UNSPECIFIED: MergeMode
MERGE_MODE_COMMIT: MergeMode
MERGE_MODE_FAST_FORWARD: MergeMode
MERGE_MODE_FAST_FORWARD_ONLY: MergeMode
MERGE_MODE_SQUASH: MergeMode
EMPTY_PICK_UNSPECIFIED: EmptyPick
EMPTY_PICK_DROP: EmptyPick
EMPTY_PICK_KEEP: EmptyPick

class Person(_message.Message):
    __slots__ = ("name", "email", "seconds", "offset_minutes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    OFFSET_MINUTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    email: str
    seconds: int
    offset_minutes: int
    def __init__(self, name: _Optional[str] = ..., email: _Optional[str] = ..., seconds: _Optional[int] = ..., offset_minutes: _Optional[int] = ...) -> None: ...

class OperationResponse(_message.Message):
    __slots__ = ("position", "outcome", "oid", "previous_oid", "round_id", "repetition", "conflicts", "conflict_count", "notes", "stopped_at")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[OperationResponse.Outcome]
        OUTCOME_WRITTEN: _ClassVar[OperationResponse.Outcome]
        OUTCOME_UP_TO_DATE: _ClassVar[OperationResponse.Outcome]
        OUTCOME_CONFLICTS: _ClassVar[OperationResponse.Outcome]
        OUTCOME_NOT_FAST_FORWARD: _ClassVar[OperationResponse.Outcome]
        OUTCOME_EMPTY: _ClassVar[OperationResponse.Outcome]
    OUTCOME_UNSPECIFIED: OperationResponse.Outcome
    OUTCOME_WRITTEN: OperationResponse.Outcome
    OUTCOME_UP_TO_DATE: OperationResponse.Outcome
    OUTCOME_CONFLICTS: OperationResponse.Outcome
    OUTCOME_NOT_FAST_FORWARD: OperationResponse.Outcome
    OUTCOME_EMPTY: OperationResponse.Outcome
    POSITION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    OID_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_OID_FIELD_NUMBER: _ClassVar[int]
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    REPETITION_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_COUNT_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    STOPPED_AT_FIELD_NUMBER: _ClassVar[int]
    position: _common_pb2.Position
    outcome: OperationResponse.Outcome
    oid: str
    previous_oid: str
    round_id: str
    repetition: bool
    conflicts: _containers.RepeatedCompositeFieldContainer[MergeConflict]
    conflict_count: int
    notes: _containers.RepeatedCompositeFieldContainer[MergeNote]
    stopped_at: str
    def __init__(self, position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ..., outcome: _Optional[_Union[OperationResponse.Outcome, str]] = ..., oid: _Optional[str] = ..., previous_oid: _Optional[str] = ..., round_id: _Optional[str] = ..., repetition: _Optional[bool] = ..., conflicts: _Optional[_Iterable[_Union[MergeConflict, _Mapping]]] = ..., conflict_count: _Optional[int] = ..., notes: _Optional[_Iterable[_Union[MergeNote, _Mapping]]] = ..., stopped_at: _Optional[str] = ...) -> None: ...

class MergeConflict(_message.Message):
    __slots__ = ("path", "stages")
    PATH_FIELD_NUMBER: _ClassVar[int]
    STAGES_FIELD_NUMBER: _ClassVar[int]
    path: bytes
    stages: _containers.RepeatedCompositeFieldContainer[ConflictStage]
    def __init__(self, path: _Optional[bytes] = ..., stages: _Optional[_Iterable[_Union[ConflictStage, _Mapping]]] = ...) -> None: ...

class ConflictStage(_message.Message):
    __slots__ = ("stage", "mode", "oid")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    OID_FIELD_NUMBER: _ClassVar[int]
    stage: int
    mode: str
    oid: str
    def __init__(self, stage: _Optional[int] = ..., mode: _Optional[str] = ..., oid: _Optional[str] = ...) -> None: ...

class MergeNote(_message.Message):
    __slots__ = ("kind", "paths", "text")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    paths: _containers.RepeatedScalarFieldContainer[bytes]
    text: str
    def __init__(self, kind: _Optional[str] = ..., paths: _Optional[_Iterable[bytes]] = ..., text: _Optional[str] = ...) -> None: ...

class CommitFilesRequest(_message.Message):
    __slots__ = ("header", "action", "content")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    header: CommitFilesHeader
    action: FileAction
    content: bytes
    def __init__(self, header: _Optional[_Union[CommitFilesHeader, _Mapping]] = ..., action: _Optional[_Union[FileAction, _Mapping]] = ..., content: _Optional[bytes] = ...) -> None: ...

class CommitFilesHeader(_message.Message):
    __slots__ = ("repository", "request_key", "branch", "expected_oid", "start_revision", "author", "committer", "message", "allow_empty")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_OID_FIELD_NUMBER: _ClassVar[int]
    START_REVISION_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    COMMITTER_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ALLOW_EMPTY_FIELD_NUMBER: _ClassVar[int]
    repository: str
    request_key: str
    branch: str
    expected_oid: str
    start_revision: str
    author: Person
    committer: Person
    message: str
    allow_empty: bool
    def __init__(self, repository: _Optional[str] = ..., request_key: _Optional[str] = ..., branch: _Optional[str] = ..., expected_oid: _Optional[str] = ..., start_revision: _Optional[str] = ..., author: _Optional[_Union[Person, _Mapping]] = ..., committer: _Optional[_Union[Person, _Mapping]] = ..., message: _Optional[str] = ..., allow_empty: _Optional[bool] = ...) -> None: ...

class FileAction(_message.Message):
    __slots__ = ("kind", "path", "source_path", "mode", "content", "expected_blob_oid", "recursive")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[FileAction.Kind]
        KIND_CREATE: _ClassVar[FileAction.Kind]
        KIND_UPDATE: _ClassVar[FileAction.Kind]
        KIND_PUT: _ClassVar[FileAction.Kind]
        KIND_MOVE: _ClassVar[FileAction.Kind]
        KIND_DELETE: _ClassVar[FileAction.Kind]
        KIND_CHMOD: _ClassVar[FileAction.Kind]
    KIND_UNSPECIFIED: FileAction.Kind
    KIND_CREATE: FileAction.Kind
    KIND_UPDATE: FileAction.Kind
    KIND_PUT: FileAction.Kind
    KIND_MOVE: FileAction.Kind
    KIND_DELETE: FileAction.Kind
    KIND_CHMOD: FileAction.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    SOURCE_PATH_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_BLOB_OID_FIELD_NUMBER: _ClassVar[int]
    RECURSIVE_FIELD_NUMBER: _ClassVar[int]
    kind: FileAction.Kind
    path: bytes
    source_path: bytes
    mode: FileMode
    content: bytes
    expected_blob_oid: str
    recursive: bool
    def __init__(self, kind: _Optional[_Union[FileAction.Kind, str]] = ..., path: _Optional[bytes] = ..., source_path: _Optional[bytes] = ..., mode: _Optional[_Union[FileMode, str]] = ..., content: _Optional[bytes] = ..., expected_blob_oid: _Optional[str] = ..., recursive: _Optional[bool] = ...) -> None: ...

class CreateBranchRequest(_message.Message):
    __slots__ = ("repository", "request_key", "branch", "revision")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    repository: str
    request_key: str
    branch: str
    revision: str
    def __init__(self, repository: _Optional[str] = ..., request_key: _Optional[str] = ..., branch: _Optional[str] = ..., revision: _Optional[str] = ...) -> None: ...

class DeleteBranchRequest(_message.Message):
    __slots__ = ("repository", "request_key", "branch", "expected_oid")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_OID_FIELD_NUMBER: _ClassVar[int]
    repository: str
    request_key: str
    branch: str
    expected_oid: str
    def __init__(self, repository: _Optional[str] = ..., request_key: _Optional[str] = ..., branch: _Optional[str] = ..., expected_oid: _Optional[str] = ...) -> None: ...

class CreateTagRequest(_message.Message):
    __slots__ = ("repository", "request_key", "tag", "revision", "tagger", "message")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    TAGGER_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    repository: str
    request_key: str
    tag: str
    revision: str
    tagger: Person
    message: str
    def __init__(self, repository: _Optional[str] = ..., request_key: _Optional[str] = ..., tag: _Optional[str] = ..., revision: _Optional[str] = ..., tagger: _Optional[_Union[Person, _Mapping]] = ..., message: _Optional[str] = ...) -> None: ...

class DeleteTagRequest(_message.Message):
    __slots__ = ("repository", "request_key", "tag", "expected_oid")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_OID_FIELD_NUMBER: _ClassVar[int]
    repository: str
    request_key: str
    tag: str
    expected_oid: str
    def __init__(self, repository: _Optional[str] = ..., request_key: _Optional[str] = ..., tag: _Optional[str] = ..., expected_oid: _Optional[str] = ...) -> None: ...

class MergeRequest(_message.Message):
    __slots__ = ("repository", "request_key", "branch", "expected_oid", "revision", "mode", "favour", "allow_unrelated", "author", "committer", "message")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_OID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    FAVOUR_FIELD_NUMBER: _ClassVar[int]
    ALLOW_UNRELATED_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    COMMITTER_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    repository: str
    request_key: str
    branch: str
    expected_oid: str
    revision: str
    mode: MergeMode
    favour: Favour
    allow_unrelated: bool
    author: Person
    committer: Person
    message: str
    def __init__(self, repository: _Optional[str] = ..., request_key: _Optional[str] = ..., branch: _Optional[str] = ..., expected_oid: _Optional[str] = ..., revision: _Optional[str] = ..., mode: _Optional[_Union[MergeMode, str]] = ..., favour: _Optional[_Union[Favour, str]] = ..., allow_unrelated: _Optional[bool] = ..., author: _Optional[_Union[Person, _Mapping]] = ..., committer: _Optional[_Union[Person, _Mapping]] = ..., message: _Optional[str] = ...) -> None: ...

class PreviewMergeRequest(_message.Message):
    __slots__ = ("repository", "consistency", "target_revision", "revision", "favour", "allow_unrelated")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    TARGET_REVISION_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    FAVOUR_FIELD_NUMBER: _ClassVar[int]
    ALLOW_UNRELATED_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    target_revision: str
    revision: str
    favour: Favour
    allow_unrelated: bool
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., target_revision: _Optional[str] = ..., revision: _Optional[str] = ..., favour: _Optional[_Union[Favour, str]] = ..., allow_unrelated: _Optional[bool] = ...) -> None: ...

class PreviewMergeResponse(_message.Message):
    __slots__ = ("position", "target_oid", "oid", "relation", "mergeable", "conflicts", "conflict_count", "notes", "tree_oid")
    class Relation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        RELATION_UNSPECIFIED: _ClassVar[PreviewMergeResponse.Relation]
        RELATION_UP_TO_DATE: _ClassVar[PreviewMergeResponse.Relation]
        RELATION_FAST_FORWARD: _ClassVar[PreviewMergeResponse.Relation]
        RELATION_DIVERGED: _ClassVar[PreviewMergeResponse.Relation]
        RELATION_UNRELATED: _ClassVar[PreviewMergeResponse.Relation]
    RELATION_UNSPECIFIED: PreviewMergeResponse.Relation
    RELATION_UP_TO_DATE: PreviewMergeResponse.Relation
    RELATION_FAST_FORWARD: PreviewMergeResponse.Relation
    RELATION_DIVERGED: PreviewMergeResponse.Relation
    RELATION_UNRELATED: PreviewMergeResponse.Relation
    POSITION_FIELD_NUMBER: _ClassVar[int]
    TARGET_OID_FIELD_NUMBER: _ClassVar[int]
    OID_FIELD_NUMBER: _ClassVar[int]
    RELATION_FIELD_NUMBER: _ClassVar[int]
    MERGEABLE_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_COUNT_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    TREE_OID_FIELD_NUMBER: _ClassVar[int]
    position: _common_pb2.Position
    target_oid: str
    oid: str
    relation: PreviewMergeResponse.Relation
    mergeable: bool
    conflicts: _containers.RepeatedCompositeFieldContainer[MergeConflict]
    conflict_count: int
    notes: _containers.RepeatedCompositeFieldContainer[MergeNote]
    tree_oid: str
    def __init__(self, position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ..., target_oid: _Optional[str] = ..., oid: _Optional[str] = ..., relation: _Optional[_Union[PreviewMergeResponse.Relation, str]] = ..., mergeable: _Optional[bool] = ..., conflicts: _Optional[_Iterable[_Union[MergeConflict, _Mapping]]] = ..., conflict_count: _Optional[int] = ..., notes: _Optional[_Iterable[_Union[MergeNote, _Mapping]]] = ..., tree_oid: _Optional[str] = ...) -> None: ...

class CherryPickRequest(_message.Message):
    __slots__ = ("repository", "request_key", "branch", "expected_oid", "revisions", "mainline", "committer", "message", "empty", "favour")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_OID_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    MAINLINE_FIELD_NUMBER: _ClassVar[int]
    COMMITTER_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    EMPTY_FIELD_NUMBER: _ClassVar[int]
    FAVOUR_FIELD_NUMBER: _ClassVar[int]
    repository: str
    request_key: str
    branch: str
    expected_oid: str
    revisions: _containers.RepeatedScalarFieldContainer[str]
    mainline: int
    committer: Person
    message: str
    empty: EmptyPick
    favour: Favour
    def __init__(self, repository: _Optional[str] = ..., request_key: _Optional[str] = ..., branch: _Optional[str] = ..., expected_oid: _Optional[str] = ..., revisions: _Optional[_Iterable[str]] = ..., mainline: _Optional[int] = ..., committer: _Optional[_Union[Person, _Mapping]] = ..., message: _Optional[str] = ..., empty: _Optional[_Union[EmptyPick, str]] = ..., favour: _Optional[_Union[Favour, str]] = ...) -> None: ...

class RevertRequest(_message.Message):
    __slots__ = ("repository", "request_key", "branch", "expected_oid", "revisions", "mainline", "author", "committer", "message", "empty", "favour")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_OID_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    MAINLINE_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    COMMITTER_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    EMPTY_FIELD_NUMBER: _ClassVar[int]
    FAVOUR_FIELD_NUMBER: _ClassVar[int]
    repository: str
    request_key: str
    branch: str
    expected_oid: str
    revisions: _containers.RepeatedScalarFieldContainer[str]
    mainline: int
    author: Person
    committer: Person
    message: str
    empty: EmptyPick
    favour: Favour
    def __init__(self, repository: _Optional[str] = ..., request_key: _Optional[str] = ..., branch: _Optional[str] = ..., expected_oid: _Optional[str] = ..., revisions: _Optional[_Iterable[str]] = ..., mainline: _Optional[int] = ..., author: _Optional[_Union[Person, _Mapping]] = ..., committer: _Optional[_Union[Person, _Mapping]] = ..., message: _Optional[str] = ..., empty: _Optional[_Union[EmptyPick, str]] = ..., favour: _Optional[_Union[Favour, str]] = ...) -> None: ...

class RebaseRequest(_message.Message):
    __slots__ = ("repository", "request_key", "branch", "expected_oid", "onto", "upstream", "committer", "favour")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_OID_FIELD_NUMBER: _ClassVar[int]
    ONTO_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_FIELD_NUMBER: _ClassVar[int]
    COMMITTER_FIELD_NUMBER: _ClassVar[int]
    FAVOUR_FIELD_NUMBER: _ClassVar[int]
    repository: str
    request_key: str
    branch: str
    expected_oid: str
    onto: str
    upstream: str
    committer: Person
    favour: Favour
    def __init__(self, repository: _Optional[str] = ..., request_key: _Optional[str] = ..., branch: _Optional[str] = ..., expected_oid: _Optional[str] = ..., onto: _Optional[str] = ..., upstream: _Optional[str] = ..., committer: _Optional[_Union[Person, _Mapping]] = ..., favour: _Optional[_Union[Favour, str]] = ...) -> None: ...

class ApplyPatchesRequest(_message.Message):
    __slots__ = ("header", "content")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    header: ApplyPatchesHeader
    content: bytes
    def __init__(self, header: _Optional[_Union[ApplyPatchesHeader, _Mapping]] = ..., content: _Optional[bytes] = ...) -> None: ...

class ApplyPatchesHeader(_message.Message):
    __slots__ = ("repository", "request_key", "branch", "expected_oid", "committer")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_OID_FIELD_NUMBER: _ClassVar[int]
    COMMITTER_FIELD_NUMBER: _ClassVar[int]
    repository: str
    request_key: str
    branch: str
    expected_oid: str
    committer: Person
    def __init__(self, repository: _Optional[str] = ..., request_key: _Optional[str] = ..., branch: _Optional[str] = ..., expected_oid: _Optional[str] = ..., committer: _Optional[_Union[Person, _Mapping]] = ...) -> None: ...

class ResolveConflictsRequest(_message.Message):
    __slots__ = ("header", "action", "content")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    header: MergeRequest
    action: FileAction
    content: bytes
    def __init__(self, header: _Optional[_Union[MergeRequest, _Mapping]] = ..., action: _Optional[_Union[FileAction, _Mapping]] = ..., content: _Optional[bytes] = ...) -> None: ...
