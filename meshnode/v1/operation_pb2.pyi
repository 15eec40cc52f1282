from meshnode.v1 import annotations_pb2 as _annotations_pb2
from meshnode.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FileMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILE_MODE_UNSPECIFIED: _ClassVar[FileMode]
    FILE_MODE_REGULAR: _ClassVar[FileMode]
    FILE_MODE_EXECUTABLE: _ClassVar[FileMode]
    FILE_MODE_SYMLINK: _ClassVar[FileMode]
FILE_MODE_UNSPECIFIED: FileMode
FILE_MODE_REGULAR: FileMode
FILE_MODE_EXECUTABLE: FileMode
FILE_MODE_SYMLINK: FileMode

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
    __slots__ = ("position", "outcome", "oid", "previous_oid", "round_id", "repetition")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[OperationResponse.Outcome]
        OUTCOME_WRITTEN: _ClassVar[OperationResponse.Outcome]
        OUTCOME_UP_TO_DATE: _ClassVar[OperationResponse.Outcome]
    OUTCOME_UNSPECIFIED: OperationResponse.Outcome
    OUTCOME_WRITTEN: OperationResponse.Outcome
    OUTCOME_UP_TO_DATE: OperationResponse.Outcome
    POSITION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    OID_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_OID_FIELD_NUMBER: _ClassVar[int]
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    REPETITION_FIELD_NUMBER: _ClassVar[int]
    position: _common_pb2.Position
    outcome: OperationResponse.Outcome
    oid: str
    previous_oid: str
    round_id: str
    repetition: bool
    def __init__(self, position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ..., outcome: _Optional[_Union[OperationResponse.Outcome, str]] = ..., oid: _Optional[str] = ..., previous_oid: _Optional[str] = ..., round_id: _Optional[str] = ..., repetition: _Optional[bool] = ...) -> None: ...

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
