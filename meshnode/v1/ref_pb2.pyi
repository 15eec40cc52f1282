from meshnode.v1 import annotations_pb2 as _annotations_pb2
from meshnode.v1 import commit_pb2 as _commit_pb2
from meshnode.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RefSort(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REF_SORT_UNSPECIFIED: _ClassVar[RefSort]
    REF_SORT_CREATOR_DATE: _ClassVar[RefSort]
REF_SORT_UNSPECIFIED: RefSort
REF_SORT_CREATOR_DATE: RefSort

class ListRefsRequest(_message.Message):
    __slots__ = ("repository", "consistency", "patterns", "page_size", "page_token", "include_head", "sort", "descending", "filter", "divergence_base")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_HEAD_FIELD_NUMBER: _ClassVar[int]
    SORT_FIELD_NUMBER: _ClassVar[int]
    DESCENDING_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    DIVERGENCE_BASE_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    patterns: _containers.RepeatedScalarFieldContainer[str]
    page_size: int
    page_token: str
    include_head: bool
    sort: RefSort
    descending: bool
    filter: RefFilter
    divergence_base: str
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., patterns: _Optional[_Iterable[str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., include_head: _Optional[bool] = ..., sort: _Optional[_Union[RefSort, str]] = ..., descending: _Optional[bool] = ..., filter: _Optional[_Union[RefFilter, _Mapping]] = ..., divergence_base: _Optional[str] = ...) -> None: ...

class ListRefsResponse(_message.Message):
    __slots__ = ("refs", "next_page_token", "position", "divergences")
    REFS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    DIVERGENCES_FIELD_NUMBER: _ClassVar[int]
    refs: _containers.RepeatedCompositeFieldContainer[_common_pb2.Reference]
    next_page_token: str
    position: _common_pb2.Position
    divergences: _containers.RepeatedCompositeFieldContainer[_commit_pb2.Divergence]
    def __init__(self, refs: _Optional[_Iterable[_Union[_common_pb2.Reference, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ..., divergences: _Optional[_Iterable[_Union[_commit_pb2.Divergence, _Mapping]]] = ...) -> None: ...

class RefFilter(_message.Message):
    __slots__ = ("merged_into", "not_merged_into", "contains", "not_contains")
    MERGED_INTO_FIELD_NUMBER: _ClassVar[int]
    NOT_MERGED_INTO_FIELD_NUMBER: _ClassVar[int]
    CONTAINS_FIELD_NUMBER: _ClassVar[int]
    NOT_CONTAINS_FIELD_NUMBER: _ClassVar[int]
    merged_into: str
    not_merged_into: str
    contains: str
    not_contains: str
    def __init__(self, merged_into: _Optional[str] = ..., not_merged_into: _Optional[str] = ..., contains: _Optional[str] = ..., not_contains: _Optional[str] = ...) -> None: ...

class FindRefRequest(_message.Message):
    __slots__ = ("repository", "consistency", "name")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    name: str
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., name: _Optional[str] = ...) -> None: ...

class FindRefResponse(_message.Message):
    __slots__ = ("ref", "position")
    REF_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ref: _common_pb2.Reference
    position: _common_pb2.Position
    def __init__(self, ref: _Optional[_Union[_common_pb2.Reference, _Mapping]] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class RefsExistRequest(_message.Message):
    __slots__ = ("repository", "consistency", "names")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., names: _Optional[_Iterable[str]] = ...) -> None: ...

class RefsExistResponse(_message.Message):
    __slots__ = ("exist", "position")
    EXIST_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    exist: _containers.RepeatedScalarFieldContainer[bool]
    position: _common_pb2.Position
    def __init__(self, exist: _Optional[_Iterable[bool]] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class ListBranchesRequest(_message.Message):
    __slots__ = ("repository", "consistency", "patterns", "sort", "descending", "filter", "divergence_base", "page_size", "page_token")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    SORT_FIELD_NUMBER: _ClassVar[int]
    DESCENDING_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    DIVERGENCE_BASE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    patterns: _containers.RepeatedScalarFieldContainer[str]
    sort: RefSort
    descending: bool
    filter: RefFilter
    divergence_base: str
    page_size: int
    page_token: str
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., patterns: _Optional[_Iterable[str]] = ..., sort: _Optional[_Union[RefSort, str]] = ..., descending: _Optional[bool] = ..., filter: _Optional[_Union[RefFilter, _Mapping]] = ..., divergence_base: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListBranchesResponse(_message.Message):
    __slots__ = ("branches", "next_page_token", "position")
    BRANCHES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    branches: _containers.RepeatedCompositeFieldContainer[Branch]
    next_page_token: str
    position: _common_pb2.Position
    def __init__(self, branches: _Optional[_Iterable[_Union[Branch, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class Branch(_message.Message):
    __slots__ = ("name", "commit", "is_default", "divergence")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    DIVERGENCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    commit: _commit_pb2.Commit
    is_default: bool
    divergence: _commit_pb2.Divergence
    def __init__(self, name: _Optional[str] = ..., commit: _Optional[_Union[_commit_pb2.Commit, _Mapping]] = ..., is_default: _Optional[bool] = ..., divergence: _Optional[_Union[_commit_pb2.Divergence, _Mapping]] = ...) -> None: ...

class ListTagsRequest(_message.Message):
    __slots__ = ("repository", "consistency", "patterns", "sort", "descending", "filter", "page_size", "page_token")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    SORT_FIELD_NUMBER: _ClassVar[int]
    DESCENDING_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    patterns: _containers.RepeatedScalarFieldContainer[str]
    sort: RefSort
    descending: bool
    filter: RefFilter
    page_size: int
    page_token: str
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., patterns: _Optional[_Iterable[str]] = ..., sort: _Optional[_Union[RefSort, str]] = ..., descending: _Optional[bool] = ..., filter: _Optional[_Union[RefFilter, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTagsResponse(_message.Message):
    __slots__ = ("tags", "next_page_token", "position")
    TAGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    tags: _containers.RepeatedCompositeFieldContainer[Tag]
    next_page_token: str
    position: _common_pb2.Position
    def __init__(self, tags: _Optional[_Iterable[_Union[Tag, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class GetTagRequest(_message.Message):
    __slots__ = ("repository", "consistency", "name")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    name: str
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., name: _Optional[str] = ...) -> None: ...

class GetTagResponse(_message.Message):
    __slots__ = ("tag", "position")
    TAG_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    tag: Tag
    position: _common_pb2.Position
    def __init__(self, tag: _Optional[_Union[Tag, _Mapping]] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class Tag(_message.Message):
    __slots__ = ("name", "oid", "object", "target_oid", "commit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OID_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    TARGET_OID_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    oid: str
    object: TagObject
    target_oid: str
    commit: _commit_pb2.Commit
    def __init__(self, name: _Optional[str] = ..., oid: _Optional[str] = ..., object: _Optional[_Union[TagObject, _Mapping]] = ..., target_oid: _Optional[str] = ..., commit: _Optional[_Union[_commit_pb2.Commit, _Mapping]] = ...) -> None: ...

class TagObject(_message.Message):
    __slots__ = ("target_oid", "target_kind", "name", "tagger", "message", "message_size", "signature_kind", "signature", "payload")
    TARGET_OID_FIELD_NUMBER: _ClassVar[int]
    TARGET_KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TAGGER_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_KIND_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    target_oid: str
    target_kind: str
    name: bytes
    tagger: _commit_pb2.Identity
    message: bytes
    message_size: int
    signature_kind: _commit_pb2.SignatureKind
    signature: bytes
    payload: bytes
    def __init__(self, target_oid: _Optional[str] = ..., target_kind: _Optional[str] = ..., name: _Optional[bytes] = ..., tagger: _Optional[_Union[_commit_pb2.Identity, _Mapping]] = ..., message: _Optional[bytes] = ..., message_size: _Optional[int] = ..., signature_kind: _Optional[_Union[_commit_pb2.SignatureKind, str]] = ..., signature: _Optional[bytes] = ..., payload: _Optional[bytes] = ...) -> None: ...

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
