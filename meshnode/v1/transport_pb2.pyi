from meshnode.v1 import annotations_pb2 as _annotations_pb2
from meshnode.v1 import common_pb2 as _common_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TransportHeader(_message.Message):
    __slots__ = ("repository", "consistency", "protocol_version", "forwarded", "actor", "may_create")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    FORWARDED_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    MAY_CREATE_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    protocol_version: int
    forwarded: bool
    actor: str
    may_create: bool
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., protocol_version: _Optional[int] = ..., forwarded: _Optional[bool] = ..., actor: _Optional[str] = ..., may_create: _Optional[bool] = ...) -> None: ...

class InfoRefsRequest(_message.Message):
    __slots__ = ("header", "service")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    header: TransportHeader
    service: str
    def __init__(self, header: _Optional[_Union[TransportHeader, _Mapping]] = ..., service: _Optional[str] = ...) -> None: ...

class TransportChunk(_message.Message):
    __slots__ = ("header", "data")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    header: TransportHeader
    data: bytes
    def __init__(self, header: _Optional[_Union[TransportHeader, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class TransportResponse(_message.Message):
    __slots__ = ("position", "data")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    position: _common_pb2.Position
    data: bytes
    def __init__(self, position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...
