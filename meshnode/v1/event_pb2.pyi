from meshnode.v1 import annotations_pb2 as _annotations_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WatchRequest(_message.Message):
    __slots__ = ("repository", "prefix", "everything", "resume", "heartbeat_ms")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    EVERYTHING_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_MS_FIELD_NUMBER: _ClassVar[int]
    repository: str
    prefix: str
    everything: bool
    resume: Resume
    heartbeat_ms: int
    def __init__(self, repository: _Optional[str] = ..., prefix: _Optional[str] = ..., everything: _Optional[bool] = ..., resume: _Optional[_Union[Resume, _Mapping]] = ..., heartbeat_ms: _Optional[int] = ...) -> None: ...

class Resume(_message.Message):
    __slots__ = ("points",)
    POINTS_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[ResumePoint]
    def __init__(self, points: _Optional[_Iterable[_Union[ResumePoint, _Mapping]]] = ...) -> None: ...

class ResumePoint(_message.Message):
    __slots__ = ("repository_id", "generation")
    REPOSITORY_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    repository_id: str
    generation: int
    def __init__(self, repository_id: _Optional[str] = ..., generation: _Optional[int] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("standings", "change", "gap", "heartbeat")
    STANDINGS_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    standings: Standings
    change: Change
    gap: Gap
    heartbeat: Heartbeat
    def __init__(self, standings: _Optional[_Union[Standings, _Mapping]] = ..., change: _Optional[_Union[Change, _Mapping]] = ..., gap: _Optional[_Union[Gap, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ...) -> None: ...

class Standings(_message.Message):
    __slots__ = ("standings", "is_last")
    STANDINGS_FIELD_NUMBER: _ClassVar[int]
    IS_LAST_FIELD_NUMBER: _ClassVar[int]
    standings: _containers.RepeatedCompositeFieldContainer[Standing]
    is_last: bool
    def __init__(self, standings: _Optional[_Iterable[_Union[Standing, _Mapping]]] = ..., is_last: _Optional[bool] = ...) -> None: ...

class Standing(_message.Message):
    __slots__ = ("repository_id", "name", "generation")
    REPOSITORY_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    repository_id: str
    name: str
    generation: int
    def __init__(self, repository_id: _Optional[str] = ..., name: _Optional[str] = ..., generation: _Optional[int] = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("repository_id", "name", "generation", "kind", "references", "has_more", "actor", "created_at_ms", "round_id")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Change.Kind]
        KIND_CREATED: _ClassVar[Change.Kind]
        KIND_UPDATED: _ClassVar[Change.Kind]
        KIND_RENAMED: _ClassVar[Change.Kind]
        KIND_DELETED: _ClassVar[Change.Kind]
    KIND_UNSPECIFIED: Change.Kind
    KIND_CREATED: Change.Kind
    KIND_UPDATED: Change.Kind
    KIND_RENAMED: Change.Kind
    KIND_DELETED: Change.Kind
    REPOSITORY_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    HAS_MORE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    repository_id: str
    name: str
    generation: int
    kind: Change.Kind
    references: _containers.RepeatedCompositeFieldContainer[ReferenceChange]
    has_more: bool
    actor: str
    created_at_ms: int
    round_id: str
    def __init__(self, repository_id: _Optional[str] = ..., name: _Optional[str] = ..., generation: _Optional[int] = ..., kind: _Optional[_Union[Change.Kind, str]] = ..., references: _Optional[_Iterable[_Union[ReferenceChange, _Mapping]]] = ..., has_more: _Optional[bool] = ..., actor: _Optional[str] = ..., created_at_ms: _Optional[int] = ..., round_id: _Optional[str] = ...) -> None: ...

class ReferenceChange(_message.Message):
    __slots__ = ("name", "old_oid", "new_oid", "old_symbolic_target", "new_symbolic_target")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OLD_OID_FIELD_NUMBER: _ClassVar[int]
    NEW_OID_FIELD_NUMBER: _ClassVar[int]
    OLD_SYMBOLIC_TARGET_FIELD_NUMBER: _ClassVar[int]
    NEW_SYMBOLIC_TARGET_FIELD_NUMBER: _ClassVar[int]
    name: str
    old_oid: str
    new_oid: str
    old_symbolic_target: str
    new_symbolic_target: str
    def __init__(self, name: _Optional[str] = ..., old_oid: _Optional[str] = ..., new_oid: _Optional[str] = ..., old_symbolic_target: _Optional[str] = ..., new_symbolic_target: _Optional[str] = ...) -> None: ...

class Gap(_message.Message):
    __slots__ = ("repository_id", "name", "after", "generation")
    REPOSITORY_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    repository_id: str
    name: str
    after: int
    generation: int
    def __init__(self, repository_id: _Optional[str] = ..., name: _Optional[str] = ..., after: _Optional[int] = ..., generation: _Optional[int] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
