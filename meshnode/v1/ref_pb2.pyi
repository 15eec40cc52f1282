from meshnode.v1 import annotations_pb2 as _annotations_pb2
from meshnode.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListRefsRequest(_message.Message):
    __slots__ = ("repository", "consistency", "patterns", "page_size", "page_token", "include_head")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_HEAD_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    patterns: _containers.RepeatedScalarFieldContainer[str]
    page_size: int
    page_token: str
    include_head: bool
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., patterns: _Optional[_Iterable[str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., include_head: _Optional[bool] = ...) -> None: ...

class ListRefsResponse(_message.Message):
    __slots__ = ("refs", "next_page_token", "position")
    REFS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    refs: _containers.RepeatedCompositeFieldContainer[_common_pb2.Reference]
    next_page_token: str
    position: _common_pb2.Position
    def __init__(self, refs: _Optional[_Iterable[_Union[_common_pb2.Reference, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class FindRefsByOidRequest(_message.Message):
    __slots__ = ("repository", "consistency", "oid", "limit")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    OID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    oid: str
    limit: int
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., oid: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class FindRefsByOidResponse(_message.Message):
    __slots__ = ("refs", "position")
    REFS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    refs: _containers.RepeatedCompositeFieldContainer[_common_pb2.Reference]
    position: _common_pb2.Position
    def __init__(self, refs: _Optional[_Iterable[_Union[_common_pb2.Reference, _Mapping]]] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class GetDefaultBranchRequest(_message.Message):
    __slots__ = ("repository", "consistency")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ...) -> None: ...

class GetDefaultBranchResponse(_message.Message):
    __slots__ = ("name", "exists", "position")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXISTS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    name: str
    exists: bool
    position: _common_pb2.Position
    def __init__(self, name: _Optional[str] = ..., exists: _Optional[bool] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class SetDefaultBranchRequest(_message.Message):
    __slots__ = ("repository", "name", "request_key")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    repository: str
    name: str
    request_key: str
    def __init__(self, repository: _Optional[str] = ..., name: _Optional[str] = ..., request_key: _Optional[str] = ...) -> None: ...

class SetDefaultBranchResponse(_message.Message):
    __slots__ = ("position",)
    POSITION_FIELD_NUMBER: _ClassVar[int]
    position: _common_pb2.Position
    def __init__(self, position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class RefUpdate(_message.Message):
    __slots__ = ("name", "expected_oid", "new_oid", "new_symbolic_target")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_OID_FIELD_NUMBER: _ClassVar[int]
    NEW_OID_FIELD_NUMBER: _ClassVar[int]
    NEW_SYMBOLIC_TARGET_FIELD_NUMBER: _ClassVar[int]
    name: str
    expected_oid: str
    new_oid: str
    new_symbolic_target: str
    def __init__(self, name: _Optional[str] = ..., expected_oid: _Optional[str] = ..., new_oid: _Optional[str] = ..., new_symbolic_target: _Optional[str] = ...) -> None: ...

class UpdateRefsRequest(_message.Message):
    __slots__ = ("repository", "updates", "request_key")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    repository: str
    updates: _containers.RepeatedCompositeFieldContainer[RefUpdate]
    request_key: str
    def __init__(self, repository: _Optional[str] = ..., updates: _Optional[_Iterable[_Union[RefUpdate, _Mapping]]] = ..., request_key: _Optional[str] = ...) -> None: ...

class UpdateRefsResponse(_message.Message):
    __slots__ = ("position", "round_id")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    position: _common_pb2.Position
    round_id: str
    def __init__(self, position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ..., round_id: _Optional[str] = ...) -> None: ...
