from meshnode.v1 import annotations_pb2 as _annotations_pb2
from meshnode.v1 import cluster_applications_pb2 as _cluster_applications_pb2
from meshnode.v1 import cluster_audit_pb2 as _cluster_audit_pb2
from meshnode.v1 import cluster_hot_pb2 as _cluster_hot_pb2
from meshnode.v1 import cluster_round_trips_pb2 as _cluster_round_trips_pb2
from meshnode.v1 import cluster_settings_pb2 as _cluster_settings_pb2
from meshnode.v1 import cluster_join_pb2 as _cluster_join_pb2
from meshnode.v1 import cluster_replicas_pb2 as _cluster_replicas_pb2
from meshnode.v1 import cluster_keys_pb2 as _cluster_keys_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class NodeState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NODE_STATE_UNSPECIFIED: _ClassVar[NodeState]
    NODE_STATE_AVAILABLE: _ClassVar[NodeState]
    NODE_STATE_DRAINING: _ClassVar[NodeState]
    NODE_STATE_DISABLED: _ClassVar[NodeState]
    NODE_STATE_DELETING: _ClassVar[NodeState]
NODE_STATE_UNSPECIFIED: NodeState
NODE_STATE_AVAILABLE: NodeState
NODE_STATE_DRAINING: NodeState
NODE_STATE_DISABLED: NodeState
NODE_STATE_DELETING: NodeState

class Node(_message.Message):
    __slots__ = ("id", "grpc_url", "http_url", "zone", "weight", "state", "online", "key_ids", "version", "public_keys")
    ID_FIELD_NUMBER: _ClassVar[int]
    GRPC_URL_FIELD_NUMBER: _ClassVar[int]
    HTTP_URL_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ONLINE_FIELD_NUMBER: _ClassVar[int]
    KEY_IDS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEYS_FIELD_NUMBER: _ClassVar[int]
    id: str
    grpc_url: str
    http_url: str
    zone: str
    weight: int
    state: NodeState
    online: bool
    key_ids: _containers.RepeatedScalarFieldContainer[str]
    version: str
    public_keys: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., grpc_url: _Optional[str] = ..., http_url: _Optional[str] = ..., zone: _Optional[str] = ..., weight: _Optional[int] = ..., state: _Optional[_Union[NodeState, str]] = ..., online: _Optional[bool] = ..., key_ids: _Optional[_Iterable[str]] = ..., version: _Optional[str] = ..., public_keys: _Optional[_Iterable[str]] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("cluster_id", "format_version", "partitions", "replication_factor", "nodes", "repositories", "repositories_repairing", "repositories_read_only", "complete", "moves", "round_trips", "warnings")
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    FORMAT_VERSION_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    REPLICATION_FACTOR_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    REPOSITORIES_FIELD_NUMBER: _ClassVar[int]
    REPOSITORIES_REPAIRING_FIELD_NUMBER: _ClassVar[int]
    REPOSITORIES_READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    MOVES_FIELD_NUMBER: _ClassVar[int]
    ROUND_TRIPS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    cluster_id: str
    format_version: int
    partitions: int
    replication_factor: int
    nodes: _containers.RepeatedCompositeFieldContainer[Node]
    repositories: int
    repositories_repairing: int
    repositories_read_only: int
    complete: bool
    moves: MoveStatus
    round_trips: _containers.RepeatedCompositeFieldContainer[_cluster_round_trips_pb2.RoundTrip]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, cluster_id: _Optional[str] = ..., format_version: _Optional[int] = ..., partitions: _Optional[int] = ..., replication_factor: _Optional[int] = ..., nodes: _Optional[_Iterable[_Union[Node, _Mapping]]] = ..., repositories: _Optional[int] = ..., repositories_repairing: _Optional[int] = ..., repositories_read_only: _Optional[int] = ..., complete: _Optional[bool] = ..., moves: _Optional[_Union[MoveStatus, _Mapping]] = ..., round_trips: _Optional[_Iterable[_Union[_cluster_round_trips_pb2.RoundTrip, _Mapping]]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class MoveStatus(_message.Message):
    __slots__ = ("paused", "partitions", "planner", "age_s", "moves", "left_s", "blocked", "warnings")
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    PLANNER_FIELD_NUMBER: _ClassVar[int]
    AGE_S_FIELD_NUMBER: _ClassVar[int]
    MOVES_FIELD_NUMBER: _ClassVar[int]
    LEFT_S_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    paused: bool
    partitions: int
    planner: str
    age_s: int
    moves: _containers.RepeatedCompositeFieldContainer[Move]
    left_s: int
    blocked: _containers.RepeatedScalarFieldContainer[str]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, paused: _Optional[bool] = ..., partitions: _Optional[int] = ..., planner: _Optional[str] = ..., age_s: _Optional[int] = ..., moves: _Optional[_Iterable[_Union[Move, _Mapping]]] = ..., left_s: _Optional[int] = ..., blocked: _Optional[_Iterable[str]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class Move(_message.Message):
    __slots__ = ("partition", "step", "node", "predecessor", "repositories", "left", "size_bytes", "running_s")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    PREDECESSOR_FIELD_NUMBER: _ClassVar[int]
    REPOSITORIES_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    RUNNING_S_FIELD_NUMBER: _ClassVar[int]
    partition: int
    step: str
    node: str
    predecessor: str
    repositories: int
    left: int
    size_bytes: int
    running_s: int
    def __init__(self, partition: _Optional[int] = ..., step: _Optional[str] = ..., node: _Optional[str] = ..., predecessor: _Optional[str] = ..., repositories: _Optional[int] = ..., left: _Optional[int] = ..., size_bytes: _Optional[int] = ..., running_s: _Optional[int] = ...) -> None: ...

class RemoveNodeRequest(_message.Message):
    __slots__ = ("node",)
    NODE_FIELD_NUMBER: _ClassVar[int]
    node: str
    def __init__(self, node: _Optional[str] = ...) -> None: ...

class RemoveNodeResponse(_message.Message):
    __slots__ = ("node", "partitions")
    NODE_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    node: Node
    partitions: int
    def __init__(self, node: _Optional[_Union[Node, _Mapping]] = ..., partitions: _Optional[int] = ...) -> None: ...

class RebalanceRequest(_message.Message):
    __slots__ = ("dry_run",)
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    dry_run: bool
    def __init__(self, dry_run: _Optional[bool] = ...) -> None: ...

class RebalanceResponse(_message.Message):
    __slots__ = ("moves", "size_bytes", "blocked", "warnings")
    MOVES_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    moves: _containers.RepeatedCompositeFieldContainer[PlannedMove]
    size_bytes: int
    blocked: _containers.RepeatedScalarFieldContainer[str]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, moves: _Optional[_Iterable[_Union[PlannedMove, _Mapping]]] = ..., size_bytes: _Optional[int] = ..., blocked: _Optional[_Iterable[str]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class PlannedMove(_message.Message):
    __slots__ = ("partition", "entering", "leaving", "size_bytes")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    ENTERING_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    partition: int
    entering: _containers.RepeatedScalarFieldContainer[str]
    leaving: _containers.RepeatedScalarFieldContainer[str]
    size_bytes: int
    def __init__(self, partition: _Optional[int] = ..., entering: _Optional[_Iterable[str]] = ..., leaving: _Optional[_Iterable[str]] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class PauseMovesRequest(_message.Message):
    __slots__ = ("paused",)
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    paused: bool
    def __init__(self, paused: _Optional[bool] = ...) -> None: ...

class PauseMovesResponse(_message.Message):
    __slots__ = ("paused",)
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    paused: bool
    def __init__(self, paused: _Optional[bool] = ...) -> None: ...

class SetReplicationFactorRequest(_message.Message):
    __slots__ = ("factor", "partition")
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    factor: int
    partition: int
    def __init__(self, factor: _Optional[int] = ..., partition: _Optional[int] = ...) -> None: ...

class SetReplicationFactorResponse(_message.Message):
    __slots__ = ("factor", "warnings")
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    factor: int
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, factor: _Optional[int] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class ListPartitionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListPartitionsResponse(_message.Message):
    __slots__ = ("partitions",)
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    partitions: _containers.RepeatedCompositeFieldContainer[Partition]
    def __init__(self, partitions: _Optional[_Iterable[_Union[Partition, _Mapping]]] = ...) -> None: ...

class Partition(_message.Message):
    __slots__ = ("partition", "replicas", "joining", "leaving", "target", "factor", "read_replicas", "read_replicas_wanted", "family")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    JOINING_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    READ_REPLICAS_FIELD_NUMBER: _ClassVar[int]
    READ_REPLICAS_WANTED_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    partition: int
    replicas: _containers.RepeatedScalarFieldContainer[str]
    joining: _containers.RepeatedScalarFieldContainer[str]
    leaving: _containers.RepeatedScalarFieldContainer[str]
    target: _containers.RepeatedScalarFieldContainer[str]
    factor: int
    read_replicas: _containers.RepeatedScalarFieldContainer[str]
    read_replicas_wanted: int
    family: str
    def __init__(self, partition: _Optional[int] = ..., replicas: _Optional[_Iterable[str]] = ..., joining: _Optional[_Iterable[str]] = ..., leaving: _Optional[_Iterable[str]] = ..., target: _Optional[_Iterable[str]] = ..., factor: _Optional[int] = ..., read_replicas: _Optional[_Iterable[str]] = ..., read_replicas_wanted: _Optional[int] = ..., family: _Optional[str] = ...) -> None: ...

class ListNodesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListNodesResponse(_message.Message):
    __slots__ = ("nodes",)
    NODES_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[Node]
    def __init__(self, nodes: _Optional[_Iterable[_Union[Node, _Mapping]]] = ...) -> None: ...

class SetNodeStateRequest(_message.Message):
    __slots__ = ("node", "state")
    NODE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    node: str
    state: NodeState
    def __init__(self, node: _Optional[str] = ..., state: _Optional[_Union[NodeState, str]] = ...) -> None: ...

class SetNodeStateResponse(_message.Message):
    __slots__ = ("node",)
    NODE_FIELD_NUMBER: _ClassVar[int]
    node: Node
    def __init__(self, node: _Optional[_Union[Node, _Mapping]] = ...) -> None: ...

class GetNodeActivityRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetNodeActivityResponse(_message.Message):
    __slots__ = ("node", "ready", "draining", "requests_in_flight", "repairs", "drained")
    NODE_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    REPAIRS_FIELD_NUMBER: _ClassVar[int]
    DRAINED_FIELD_NUMBER: _ClassVar[int]
    node: str
    ready: bool
    draining: bool
    requests_in_flight: int
    repairs: _containers.RepeatedCompositeFieldContainer[Repair]
    drained: bool
    def __init__(self, node: _Optional[str] = ..., ready: _Optional[bool] = ..., draining: _Optional[bool] = ..., requests_in_flight: _Optional[int] = ..., repairs: _Optional[_Iterable[_Union[Repair, _Mapping]]] = ..., drained: _Optional[bool] = ...) -> None: ...

class Repair(_message.Message):
    __slots__ = ("repository_id", "phase", "percent", "source")
    REPOSITORY_ID_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    repository_id: str
    phase: str
    percent: int
    source: str
    def __init__(self, repository_id: _Optional[str] = ..., phase: _Optional[str] = ..., percent: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...
