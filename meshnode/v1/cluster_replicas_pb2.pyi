from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class SetReadReplicasRequest(_message.Message):
    __slots__ = ("repository", "partition", "count", "nodes")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    repository: str
    partition: int
    count: int
    nodes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, repository: _Optional[str] = ..., partition: _Optional[int] = ..., count: _Optional[int] = ..., nodes: _Optional[_Iterable[str]] = ...) -> None: ...

class SetReadReplicasResponse(_message.Message):
    __slots__ = ("partition", "nodes")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    partition: int
    nodes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, partition: _Optional[int] = ..., nodes: _Optional[_Iterable[str]] = ...) -> None: ...

class SetRepositoryFactorRequest(_message.Message):
    __slots__ = ("repository", "factor")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    repository: str
    factor: int
    def __init__(self, repository: _Optional[str] = ..., factor: _Optional[int] = ...) -> None: ...

class SetRepositoryFactorResponse(_message.Message):
    __slots__ = ("partition", "factor", "warnings")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    partition: int
    factor: int
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, partition: _Optional[int] = ..., factor: _Optional[int] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...
