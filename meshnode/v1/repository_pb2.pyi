from meshnode.v1 import annotations_pb2 as _annotations_pb2
from meshnode.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateRequest(_message.Message):
    __slots__ = ("name", "object_format", "default_branch", "request_key")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FORMAT_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_BRANCH_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    name: str
    object_format: _common_pb2.ObjectFormat
    default_branch: str
    request_key: str
    def __init__(self, name: _Optional[str] = ..., object_format: _Optional[_Union[_common_pb2.ObjectFormat, str]] = ..., default_branch: _Optional[str] = ..., request_key: _Optional[str] = ...) -> None: ...

class CreateResponse(_message.Message):
    __slots__ = ("repository", "position")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    repository: _common_pb2.Repository
    position: _common_pb2.Position
    def __init__(self, repository: _Optional[_Union[_common_pb2.Repository, _Mapping]] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class ForkRequest(_message.Message):
    __slots__ = ("source_name", "name", "request_key")
    SOURCE_NAME_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    source_name: str
    name: str
    request_key: str
    def __init__(self, source_name: _Optional[str] = ..., name: _Optional[str] = ..., request_key: _Optional[str] = ...) -> None: ...

class ForkResponse(_message.Message):
    __slots__ = ("repository", "position")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    repository: _common_pb2.Repository
    position: _common_pb2.Position
    def __init__(self, repository: _Optional[_Union[_common_pb2.Repository, _Mapping]] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class RenameRequest(_message.Message):
    __slots__ = ("name", "new_name", "request_key")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NEW_NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    name: str
    new_name: str
    request_key: str
    def __init__(self, name: _Optional[str] = ..., new_name: _Optional[str] = ..., request_key: _Optional[str] = ...) -> None: ...

class RenameResponse(_message.Message):
    __slots__ = ("repository", "position")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    repository: _common_pb2.Repository
    position: _common_pb2.Position
    def __init__(self, repository: _Optional[_Union[_common_pb2.Repository, _Mapping]] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("name", "request_key")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_key: str
    def __init__(self, name: _Optional[str] = ..., request_key: _Optional[str] = ...) -> None: ...

class DeleteResponse(_message.Message):
    __slots__ = ("position",)
    POSITION_FIELD_NUMBER: _ClassVar[int]
    position: _common_pb2.Position
    def __init__(self, position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("name", "consistency", "details")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    name: str
    consistency: _common_pb2.Consistency
    details: bool
    def __init__(self, name: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., details: _Optional[bool] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("repository", "position")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    repository: _common_pb2.Repository
    position: _common_pb2.Position
    def __init__(self, repository: _Optional[_Union[_common_pb2.Repository, _Mapping]] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class ExistsRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ExistsResponse(_message.Message):
    __slots__ = ("exists", "position")
    EXISTS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    exists: bool
    position: _common_pb2.Position
    def __init__(self, exists: _Optional[bool] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("prefix", "page_size", "page_token")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    page_size: int
    page_token: str
    def __init__(self, prefix: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ("names", "next_page_token")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    next_page_token: str
    def __init__(self, names: _Optional[_Iterable[str]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SizeRequest(_message.Message):
    __slots__ = ("name", "consistency")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    name: str
    consistency: _common_pb2.Consistency
    def __init__(self, name: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ...) -> None: ...

class SizeResponse(_message.Message):
    __slots__ = ("bytes", "position")
    BYTES_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    position: _common_pb2.Position
    def __init__(self, bytes: _Optional[int] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class VerifyRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class VerifyResponse(_message.Message):
    __slots__ = ("generation", "refs_digest", "ok", "replicas")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    REFS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    OK_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    generation: int
    refs_digest: str
    ok: bool
    replicas: _containers.RepeatedCompositeFieldContainer[ReplicaReport]
    def __init__(self, generation: _Optional[int] = ..., refs_digest: _Optional[str] = ..., ok: _Optional[bool] = ..., replicas: _Optional[_Iterable[_Union[ReplicaReport, _Mapping]]] = ...) -> None: ...

class ReplicaReport(_message.Message):
    __slots__ = ("node", "reachable", "consistent", "generation", "refs_digest", "digest_on_disk", "object_digest", "ref_count", "size_bytes", "problems")
    NODE_FIELD_NUMBER: _ClassVar[int]
    REACHABLE_FIELD_NUMBER: _ClassVar[int]
    CONSISTENT_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    REFS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DIGEST_ON_DISK_FIELD_NUMBER: _ClassVar[int]
    OBJECT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REF_COUNT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    node: str
    reachable: bool
    consistent: bool
    generation: int
    refs_digest: str
    digest_on_disk: str
    object_digest: str
    ref_count: int
    size_bytes: int
    problems: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, node: _Optional[str] = ..., reachable: _Optional[bool] = ..., consistent: _Optional[bool] = ..., generation: _Optional[int] = ..., refs_digest: _Optional[str] = ..., digest_on_disk: _Optional[str] = ..., object_digest: _Optional[str] = ..., ref_count: _Optional[int] = ..., size_bytes: _Optional[int] = ..., problems: _Optional[_Iterable[str]] = ...) -> None: ...

class GetRoundOutcomeRequest(_message.Message):
    __slots__ = ("repository_id", "round_id")
    REPOSITORY_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    repository_id: str
    round_id: str
    def __init__(self, repository_id: _Optional[str] = ..., round_id: _Optional[str] = ...) -> None: ...

class GetRoundOutcomeResponse(_message.Message):
    __slots__ = ("outcome", "position")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[GetRoundOutcomeResponse.Outcome]
        OUTCOME_PUBLISHED: _ClassVar[GetRoundOutcomeResponse.Outcome]
        OUTCOME_NOT_PUBLISHED: _ClassVar[GetRoundOutcomeResponse.Outcome]
        OUTCOME_UNDECIDED: _ClassVar[GetRoundOutcomeResponse.Outcome]
        OUTCOME_FORGOTTEN: _ClassVar[GetRoundOutcomeResponse.Outcome]
    OUTCOME_UNSPECIFIED: GetRoundOutcomeResponse.Outcome
    OUTCOME_PUBLISHED: GetRoundOutcomeResponse.Outcome
    OUTCOME_NOT_PUBLISHED: GetRoundOutcomeResponse.Outcome
    OUTCOME_UNDECIDED: GetRoundOutcomeResponse.Outcome
    OUTCOME_FORGOTTEN: GetRoundOutcomeResponse.Outcome
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    outcome: GetRoundOutcomeResponse.Outcome
    position: _common_pb2.Position
    def __init__(self, outcome: _Optional[_Union[GetRoundOutcomeResponse.Outcome, str]] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...
