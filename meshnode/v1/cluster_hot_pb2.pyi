from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetHotRepositoriesRequest(_message.Message):
    __slots__ = ("window_s", "limit", "cluster", "suggest")
    WINDOW_S_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    SUGGEST_FIELD_NUMBER: _ClassVar[int]
    window_s: int
    limit: int
    cluster: bool
    suggest: bool
    def __init__(self, window_s: _Optional[int] = ..., limit: _Optional[int] = ..., cluster: _Optional[bool] = ..., suggest: _Optional[bool] = ...) -> None: ...

class GetHotRepositoriesResponse(_message.Message):
    __slots__ = ("repositories", "nodes")
    REPOSITORIES_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    repositories: _containers.RepeatedCompositeFieldContainer[HotRepository]
    nodes: _containers.RepeatedCompositeFieldContainer[HotNode]
    def __init__(self, repositories: _Optional[_Iterable[_Union[HotRepository, _Mapping]]] = ..., nodes: _Optional[_Iterable[_Union[HotNode, _Mapping]]] = ...) -> None: ...

class HotRepository(_message.Message):
    __slots__ = ("name", "reads", "writes", "bytes_in", "bytes_out", "git_ms", "replicas", "shares", "suggestion", "read_replicas", "partition", "read_replica_reads")
    NAME_FIELD_NUMBER: _ClassVar[int]
    READS_FIELD_NUMBER: _ClassVar[int]
    WRITES_FIELD_NUMBER: _ClassVar[int]
    BYTES_IN_FIELD_NUMBER: _ClassVar[int]
    BYTES_OUT_FIELD_NUMBER: _ClassVar[int]
    GIT_MS_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    SUGGESTION_FIELD_NUMBER: _ClassVar[int]
    READ_REPLICAS_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    READ_REPLICA_READS_FIELD_NUMBER: _ClassVar[int]
    name: str
    reads: int
    writes: int
    bytes_in: int
    bytes_out: int
    git_ms: int
    replicas: int
    shares: _containers.RepeatedCompositeFieldContainer[HotShare]
    suggestion: ReplicaSuggestion
    read_replicas: int
    partition: int
    read_replica_reads: int
    def __init__(self, name: _Optional[str] = ..., reads: _Optional[int] = ..., writes: _Optional[int] = ..., bytes_in: _Optional[int] = ..., bytes_out: _Optional[int] = ..., git_ms: _Optional[int] = ..., replicas: _Optional[int] = ..., shares: _Optional[_Iterable[_Union[HotShare, _Mapping]]] = ..., suggestion: _Optional[_Union[ReplicaSuggestion, _Mapping]] = ..., read_replicas: _Optional[int] = ..., partition: _Optional[int] = ..., read_replica_reads: _Optional[int] = ...) -> None: ...

class HotShare(_message.Message):
    __slots__ = ("node", "reads", "writes")
    NODE_FIELD_NUMBER: _ClassVar[int]
    READS_FIELD_NUMBER: _ClassVar[int]
    WRITES_FIELD_NUMBER: _ClassVar[int]
    node: str
    reads: int
    writes: int
    def __init__(self, node: _Optional[str] = ..., reads: _Optional[int] = ..., writes: _Optional[int] = ...) -> None: ...

class HotNode(_message.Message):
    __slots__ = ("node", "reachable", "reason", "observed_s", "cores", "missed_work_ms")
    NODE_FIELD_NUMBER: _ClassVar[int]
    REACHABLE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_S_FIELD_NUMBER: _ClassVar[int]
    CORES_FIELD_NUMBER: _ClassVar[int]
    MISSED_WORK_MS_FIELD_NUMBER: _ClassVar[int]
    node: str
    reachable: bool
    reason: str
    observed_s: int
    cores: int
    missed_work_ms: int
    def __init__(self, node: _Optional[str] = ..., reachable: _Optional[bool] = ..., reason: _Optional[str] = ..., observed_s: _Optional[int] = ..., cores: _Optional[int] = ..., missed_work_ms: _Optional[int] = ...) -> None: ...

class ReplicaSuggestion(_message.Message):
    __slots__ = ("replicas", "read_replicas", "factor", "reasons")
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    READ_REPLICAS_FIELD_NUMBER: _ClassVar[int]
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    replicas: int
    read_replicas: int
    factor: int
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, replicas: _Optional[int] = ..., read_replicas: _Optional[int] = ..., factor: _Optional[int] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...
