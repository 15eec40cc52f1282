from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConsistencyLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONSISTENCY_LEVEL_UNSPECIFIED: _ClassVar[ConsistencyLevel]
    CONSISTENCY_LEVEL_VERIFIED: _ClassVar[ConsistencyLevel]
    CONSISTENCY_LEVEL_AT_LEAST: _ClassVar[ConsistencyLevel]
    CONSISTENCY_LEVEL_ANY: _ClassVar[ConsistencyLevel]

class ObjectFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OBJECT_FORMAT_UNSPECIFIED: _ClassVar[ObjectFormat]
    OBJECT_FORMAT_SHA1: _ClassVar[ObjectFormat]
    OBJECT_FORMAT_SHA256: _ClassVar[ObjectFormat]
CONSISTENCY_LEVEL_UNSPECIFIED: ConsistencyLevel
CONSISTENCY_LEVEL_VERIFIED: ConsistencyLevel
CONSISTENCY_LEVEL_AT_LEAST: ConsistencyLevel
CONSISTENCY_LEVEL_ANY: ConsistencyLevel
OBJECT_FORMAT_UNSPECIFIED: ObjectFormat
OBJECT_FORMAT_SHA1: ObjectFormat
OBJECT_FORMAT_SHA256: ObjectFormat

class Consistency(_message.Message):
    __slots__ = ("level", "generation")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    level: ConsistencyLevel
    generation: int
    def __init__(self, level: _Optional[_Union[ConsistencyLevel, str]] = ..., generation: _Optional[int] = ...) -> None: ...

class Position(_message.Message):
    __slots__ = ("generation", "node")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    generation: int
    node: str
    def __init__(self, generation: _Optional[int] = ..., node: _Optional[str] = ...) -> None: ...

class Reference(_message.Message):
    __slots__ = ("name", "oid", "symbolic_target", "peeled_oid")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OID_FIELD_NUMBER: _ClassVar[int]
    SYMBOLIC_TARGET_FIELD_NUMBER: _ClassVar[int]
    PEELED_OID_FIELD_NUMBER: _ClassVar[int]
    name: str
    oid: str
    symbolic_target: str
    peeled_oid: str
    def __init__(self, name: _Optional[str] = ..., oid: _Optional[str] = ..., symbolic_target: _Optional[str] = ..., peeled_oid: _Optional[str] = ...) -> None: ...

class Repository(_message.Message):
    __slots__ = ("name", "id", "partition", "generation", "object_format", "fork_parent_id", "refs_digest", "replicas", "round_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FORMAT_FIELD_NUMBER: _ClassVar[int]
    FORK_PARENT_ID_FIELD_NUMBER: _ClassVar[int]
    REFS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    id: str
    partition: int
    generation: int
    object_format: ObjectFormat
    fork_parent_id: str
    refs_digest: str
    replicas: _containers.RepeatedCompositeFieldContainer[Replica]
    round_id: str
    def __init__(self, name: _Optional[str] = ..., id: _Optional[str] = ..., partition: _Optional[int] = ..., generation: _Optional[int] = ..., object_format: _Optional[_Union[ObjectFormat, str]] = ..., fork_parent_id: _Optional[str] = ..., refs_digest: _Optional[str] = ..., replicas: _Optional[_Iterable[_Union[Replica, _Mapping]]] = ..., round_id: _Optional[str] = ...) -> None: ...

class Replica(_message.Message):
    __slots__ = ("node", "consistent", "online", "generation", "consistent_since_s", "activity", "read_replica")
    NODE_FIELD_NUMBER: _ClassVar[int]
    CONSISTENT_FIELD_NUMBER: _ClassVar[int]
    ONLINE_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    CONSISTENT_SINCE_S_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_FIELD_NUMBER: _ClassVar[int]
    READ_REPLICA_FIELD_NUMBER: _ClassVar[int]
    node: str
    consistent: bool
    online: bool
    generation: int
    consistent_since_s: int
    activity: str
    read_replica: bool
    def __init__(self, node: _Optional[str] = ..., consistent: _Optional[bool] = ..., online: _Optional[bool] = ..., generation: _Optional[int] = ..., consistent_since_s: _Optional[int] = ..., activity: _Optional[str] = ..., read_replica: _Optional[bool] = ...) -> None: ...
