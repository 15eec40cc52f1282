from meshnode.v1 import annotations_pb2 as _annotations_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ScrubRepositoryRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ScrubRepositoryResponse(_message.Message):
    __slots__ = ("name", "ok", "replicas")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OK_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    name: str
    ok: bool
    replicas: _containers.RepeatedCompositeFieldContainer[ReplicaScrub]
    def __init__(self, name: _Optional[str] = ..., ok: _Optional[bool] = ..., replicas: _Optional[_Iterable[_Union[ReplicaScrub, _Mapping]]] = ...) -> None: ...

class ReplicaScrub(_message.Message):
    __slots__ = ("node", "verdict", "findings", "action", "kept", "generation")
    class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VERDICT_UNSPECIFIED: _ClassVar[ReplicaScrub.Verdict]
        VERDICT_SOUND: _ClassVar[ReplicaScrub.Verdict]
        VERDICT_UNFINISHED: _ClassVar[ReplicaScrub.Verdict]
        VERDICT_DAMAGED: _ClassVar[ReplicaScrub.Verdict]
    VERDICT_UNSPECIFIED: ReplicaScrub.Verdict
    VERDICT_SOUND: ReplicaScrub.Verdict
    VERDICT_UNFINISHED: ReplicaScrub.Verdict
    VERDICT_DAMAGED: ReplicaScrub.Verdict
    NODE_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    node: str
    verdict: ReplicaScrub.Verdict
    findings: _containers.RepeatedScalarFieldContainer[str]
    action: str
    kept: str
    generation: int
    def __init__(self, node: _Optional[str] = ..., verdict: _Optional[_Union[ReplicaScrub.Verdict, str]] = ..., findings: _Optional[_Iterable[str]] = ..., action: _Optional[str] = ..., kept: _Optional[str] = ..., generation: _Optional[int] = ...) -> None: ...

class OptimizeRepositoryRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class OptimizeRepositoryResponse(_message.Message):
    __slots__ = ("name", "ok", "replicas")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OK_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    name: str
    ok: bool
    replicas: _containers.RepeatedCompositeFieldContainer[ReplicaUpkeep]
    def __init__(self, name: _Optional[str] = ..., ok: _Optional[bool] = ..., replicas: _Optional[_Iterable[_Union[ReplicaUpkeep, _Mapping]]] = ...) -> None: ...

class ReplicaUpkeep(_message.Message):
    __slots__ = ("node", "packs_before", "packs_after", "removed", "note")
    NODE_FIELD_NUMBER: _ClassVar[int]
    PACKS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    PACKS_AFTER_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    node: str
    packs_before: int
    packs_after: int
    removed: int
    note: str
    def __init__(self, node: _Optional[str] = ..., packs_before: _Optional[int] = ..., packs_after: _Optional[int] = ..., removed: _Optional[int] = ..., note: _Optional[str] = ...) -> None: ...

class AcceptDataLossRequest(_message.Message):
    __slots__ = ("name", "node", "dry_run")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    name: str
    node: str
    dry_run: bool
    def __init__(self, name: _Optional[str] = ..., node: _Optional[str] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class AcceptDataLossResponse(_message.Message):
    __slots__ = ("name", "node", "generation", "chosen_generation", "new_generation", "members", "lost", "obstacle")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    CHOSEN_GENERATION_FIELD_NUMBER: _ClassVar[int]
    NEW_GENERATION_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    OBSTACLE_FIELD_NUMBER: _ClassVar[int]
    name: str
    node: str
    generation: int
    chosen_generation: int
    new_generation: int
    members: _containers.RepeatedCompositeFieldContainer[MemberAccount]
    lost: _containers.RepeatedCompositeFieldContainer[LostRound]
    obstacle: str
    def __init__(self, name: _Optional[str] = ..., node: _Optional[str] = ..., generation: _Optional[int] = ..., chosen_generation: _Optional[int] = ..., new_generation: _Optional[int] = ..., members: _Optional[_Iterable[_Union[MemberAccount, _Mapping]]] = ..., lost: _Optional[_Iterable[_Union[LostRound, _Mapping]]] = ..., obstacle: _Optional[str] = ...) -> None: ...

class MemberAccount(_message.Message):
    __slots__ = ("node", "believed", "generation", "trouble")
    NODE_FIELD_NUMBER: _ClassVar[int]
    BELIEVED_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    TROUBLE_FIELD_NUMBER: _ClassVar[int]
    node: str
    believed: bool
    generation: int
    trouble: str
    def __init__(self, node: _Optional[str] = ..., believed: _Optional[bool] = ..., generation: _Optional[int] = ..., trouble: _Optional[str] = ...) -> None: ...

class LostRound(_message.Message):
    __slots__ = ("round_id", "generation", "actor", "refs", "known_to")
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REFS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_TO_FIELD_NUMBER: _ClassVar[int]
    round_id: str
    generation: int
    actor: str
    refs: _containers.RepeatedScalarFieldContainer[str]
    known_to: str
    def __init__(self, round_id: _Optional[str] = ..., generation: _Optional[int] = ..., actor: _Optional[str] = ..., refs: _Optional[_Iterable[str]] = ..., known_to: _Optional[str] = ...) -> None: ...
