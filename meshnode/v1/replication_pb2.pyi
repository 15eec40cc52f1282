from meshnode.v1 import annotations_pb2 as _annotations_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReplicaKey(_message.Message):
    __slots__ = ("partition", "repository_id")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    REPOSITORY_ID_FIELD_NUMBER: _ClassVar[int]
    partition: int
    repository_id: str
    def __init__(self, partition: _Optional[int] = ..., repository_id: _Optional[str] = ...) -> None: ...

class RefEdit(_message.Message):
    __slots__ = ("name", "old", "new")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OLD_FIELD_NUMBER: _ClassVar[int]
    NEW_FIELD_NUMBER: _ClassVar[int]
    name: str
    old: str
    new: str
    def __init__(self, name: _Optional[str] = ..., old: _Optional[str] = ..., new: _Optional[str] = ...) -> None: ...

class Round(_message.Message):
    __slots__ = ("round_id", "key", "kind", "base_generation", "base_round_id", "edits", "refs_digest", "name", "object_format", "coordinator", "request_key", "actor", "fork_root", "fork_parent", "fork_generation", "has_pack", "created_at_ms")
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BASE_GENERATION_FIELD_NUMBER: _ClassVar[int]
    BASE_ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    EDITS_FIELD_NUMBER: _ClassVar[int]
    REFS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FORMAT_FIELD_NUMBER: _ClassVar[int]
    COORDINATOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    FORK_ROOT_FIELD_NUMBER: _ClassVar[int]
    FORK_PARENT_FIELD_NUMBER: _ClassVar[int]
    FORK_GENERATION_FIELD_NUMBER: _ClassVar[int]
    HAS_PACK_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    round_id: str
    key: ReplicaKey
    kind: str
    base_generation: int
    base_round_id: str
    edits: _containers.RepeatedCompositeFieldContainer[RefEdit]
    refs_digest: str
    name: str
    object_format: str
    coordinator: str
    request_key: str
    actor: str
    fork_root: str
    fork_parent: str
    fork_generation: int
    has_pack: bool
    created_at_ms: int
    def __init__(self, round_id: _Optional[str] = ..., key: _Optional[_Union[ReplicaKey, _Mapping]] = ..., kind: _Optional[str] = ..., base_generation: _Optional[int] = ..., base_round_id: _Optional[str] = ..., edits: _Optional[_Iterable[_Union[RefEdit, _Mapping]]] = ..., refs_digest: _Optional[str] = ..., name: _Optional[str] = ..., object_format: _Optional[str] = ..., coordinator: _Optional[str] = ..., request_key: _Optional[str] = ..., actor: _Optional[str] = ..., fork_root: _Optional[str] = ..., fork_parent: _Optional[str] = ..., fork_generation: _Optional[int] = ..., has_pack: _Optional[bool] = ..., created_at_ms: _Optional[int] = ...) -> None: ...

class PrepareRequest(_message.Message):
    __slots__ = ("open", "pack", "fix", "index", "round", "complete")
    class Open(_message.Message):
        __slots__ = ("key", "round_id", "object_format")
        KEY_FIELD_NUMBER: _ClassVar[int]
        ROUND_ID_FIELD_NUMBER: _ClassVar[int]
        OBJECT_FORMAT_FIELD_NUMBER: _ClassVar[int]
        key: ReplicaKey
        round_id: str
        object_format: str
        def __init__(self, key: _Optional[_Union[ReplicaKey, _Mapping]] = ..., round_id: _Optional[str] = ..., object_format: _Optional[str] = ...) -> None: ...
    class Fix(_message.Message):
        __slots__ = ("pack_id", "header", "body_end", "tail", "index_bytes")
        PACK_ID_FIELD_NUMBER: _ClassVar[int]
        HEADER_FIELD_NUMBER: _ClassVar[int]
        BODY_END_FIELD_NUMBER: _ClassVar[int]
        TAIL_FIELD_NUMBER: _ClassVar[int]
        INDEX_BYTES_FIELD_NUMBER: _ClassVar[int]
        pack_id: str
        header: bytes
        body_end: int
        tail: bytes
        index_bytes: int
        def __init__(self, pack_id: _Optional[str] = ..., header: _Optional[bytes] = ..., body_end: _Optional[int] = ..., tail: _Optional[bytes] = ..., index_bytes: _Optional[int] = ...) -> None: ...
    OPEN_FIELD_NUMBER: _ClassVar[int]
    PACK_FIELD_NUMBER: _ClassVar[int]
    FIX_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    open: PrepareRequest.Open
    pack: bytes
    fix: PrepareRequest.Fix
    index: bytes
    round: Round
    complete: bool
    def __init__(self, open: _Optional[_Union[PrepareRequest.Open, _Mapping]] = ..., pack: _Optional[bytes] = ..., fix: _Optional[_Union[PrepareRequest.Fix, _Mapping]] = ..., index: _Optional[bytes] = ..., round: _Optional[_Union[Round, _Mapping]] = ..., complete: _Optional[bool] = ...) -> None: ...

class PrepareResponse(_message.Message):
    __slots__ = ("vote", "generation", "reason")
    class Vote(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VOTE_UNSPECIFIED: _ClassVar[PrepareResponse.Vote]
        VOTE_GRANTED: _ClassVar[PrepareResponse.Vote]
        VOTE_STORED: _ClassVar[PrepareResponse.Vote]
        VOTE_REFUSED: _ClassVar[PrepareResponse.Vote]
    VOTE_UNSPECIFIED: PrepareResponse.Vote
    VOTE_GRANTED: PrepareResponse.Vote
    VOTE_STORED: PrepareResponse.Vote
    VOTE_REFUSED: PrepareResponse.Vote
    VOTE_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    vote: PrepareResponse.Vote
    generation: int
    reason: str
    def __init__(self, vote: _Optional[_Union[PrepareResponse.Vote, str]] = ..., generation: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class CommitRequest(_message.Message):
    __slots__ = ("key", "round_id", "generation")
    KEY_FIELD_NUMBER: _ClassVar[int]
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    key: ReplicaKey
    round_id: str
    generation: int
    def __init__(self, key: _Optional[_Union[ReplicaKey, _Mapping]] = ..., round_id: _Optional[str] = ..., generation: _Optional[int] = ...) -> None: ...

class CommitResponse(_message.Message):
    __slots__ = ("generation",)
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    generation: int
    def __init__(self, generation: _Optional[int] = ...) -> None: ...

class AbortRequest(_message.Message):
    __slots__ = ("key", "round_id")
    KEY_FIELD_NUMBER: _ClassVar[int]
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    key: ReplicaKey
    round_id: str
    def __init__(self, key: _Optional[_Union[ReplicaKey, _Mapping]] = ..., round_id: _Optional[str] = ...) -> None: ...

class AbortResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeReplicaRequest(_message.Message):
    __slots__ = ("key", "deep")
    KEY_FIELD_NUMBER: _ClassVar[int]
    DEEP_FIELD_NUMBER: _ClassVar[int]
    key: ReplicaKey
    deep: bool
    def __init__(self, key: _Optional[_Union[ReplicaKey, _Mapping]] = ..., deep: _Optional[bool] = ...) -> None: ...

class DescribeReplicaResponse(_message.Message):
    __slots__ = ("found", "generation", "round_id", "refs_digest", "digest_on_disk", "object_digest", "problems", "ref_count", "size_bytes", "consistent_since_s", "activity", "prepared", "prepared_known")
    FOUND_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    REFS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DIGEST_ON_DISK_FIELD_NUMBER: _ClassVar[int]
    OBJECT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    REF_COUNT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CONSISTENT_SINCE_S_FIELD_NUMBER: _ClassVar[int]
    ACTIVITY_FIELD_NUMBER: _ClassVar[int]
    PREPARED_FIELD_NUMBER: _ClassVar[int]
    PREPARED_KNOWN_FIELD_NUMBER: _ClassVar[int]
    found: bool
    generation: int
    round_id: str
    refs_digest: str
    digest_on_disk: str
    object_digest: str
    problems: _containers.RepeatedScalarFieldContainer[str]
    ref_count: int
    size_bytes: int
    consistent_since_s: int
    activity: str
    prepared: _containers.RepeatedScalarFieldContainer[str]
    prepared_known: bool
    def __init__(self, found: _Optional[bool] = ..., generation: _Optional[int] = ..., round_id: _Optional[str] = ..., refs_digest: _Optional[str] = ..., digest_on_disk: _Optional[str] = ..., object_digest: _Optional[str] = ..., problems: _Optional[_Iterable[str]] = ..., ref_count: _Optional[int] = ..., size_bytes: _Optional[int] = ..., consistent_since_s: _Optional[int] = ..., activity: _Optional[str] = ..., prepared: _Optional[_Iterable[str]] = ..., prepared_known: _Optional[bool] = ...) -> None: ...

class ReadHistoryRequest(_message.Message):
    __slots__ = ("key", "after")
    KEY_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    key: ReplicaKey
    after: int
    def __init__(self, key: _Optional[_Union[ReplicaKey, _Mapping]] = ..., after: _Optional[int] = ...) -> None: ...

class ReadHistoryResponse(_message.Message):
    __slots__ = ("round", "complete")
    ROUND_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    round: Round
    complete: bool
    def __init__(self, round: _Optional[_Union[Round, _Mapping]] = ..., complete: _Optional[bool] = ...) -> None: ...

class ReadSnapshotRequest(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: ReplicaKey
    def __init__(self, key: _Optional[_Union[ReplicaKey, _Mapping]] = ...) -> None: ...

class ReadSnapshotResponse(_message.Message):
    __slots__ = ("generation", "round_id", "refs_digest", "name", "object_format", "deleted", "fork_parent", "refs")
    class Ref(_message.Message):
        __slots__ = ("name", "value", "peeled")
        NAME_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        PEELED_FIELD_NUMBER: _ClassVar[int]
        name: str
        value: str
        peeled: str
        def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ..., peeled: _Optional[str] = ...) -> None: ...
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    REFS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FORMAT_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    FORK_PARENT_FIELD_NUMBER: _ClassVar[int]
    REFS_FIELD_NUMBER: _ClassVar[int]
    generation: int
    round_id: str
    refs_digest: str
    name: str
    object_format: str
    deleted: bool
    fork_parent: str
    refs: _containers.RepeatedCompositeFieldContainer[ReadSnapshotResponse.Ref]
    def __init__(self, generation: _Optional[int] = ..., round_id: _Optional[str] = ..., refs_digest: _Optional[str] = ..., name: _Optional[str] = ..., object_format: _Optional[str] = ..., deleted: _Optional[bool] = ..., fork_parent: _Optional[str] = ..., refs: _Optional[_Iterable[_Union[ReadSnapshotResponse.Ref, _Mapping]]] = ...) -> None: ...

class FetchObjectsRequest(_message.Message):
    __slots__ = ("key", "wants", "haves")
    KEY_FIELD_NUMBER: _ClassVar[int]
    WANTS_FIELD_NUMBER: _ClassVar[int]
    HAVES_FIELD_NUMBER: _ClassVar[int]
    key: ReplicaKey
    wants: _containers.RepeatedScalarFieldContainer[str]
    haves: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, key: _Optional[_Union[ReplicaKey, _Mapping]] = ..., wants: _Optional[_Iterable[str]] = ..., haves: _Optional[_Iterable[str]] = ...) -> None: ...

class FetchObjectsResponse(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...
