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
    __slots__ = ("repository", "factor", "with_others")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    WITH_OTHERS_FIELD_NUMBER: _ClassVar[int]
    repository: str
    factor: int
    with_others: bool
    def __init__(self, repository: _Optional[str] = ..., factor: _Optional[int] = ..., with_others: _Optional[bool] = ...) -> None: ...

class SetRepositoryFactorResponse(_message.Message):
    __slots__ = ("partition", "factor", "others", "warnings")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    OTHERS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    partition: int
    factor: int
    others: int
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, partition: _Optional[int] = ..., factor: _Optional[int] = ..., others: _Optional[int] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...
