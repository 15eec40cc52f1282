from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class RoundTrip(_message.Message):
    __slots__ = ("node", "peer", "min_us", "median_us", "samples", "reachable", "unreachable_since_ms", "reason", "age_s")
    NODE_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    MIN_US_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_US_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    REACHABLE_FIELD_NUMBER: _ClassVar[int]
    UNREACHABLE_SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AGE_S_FIELD_NUMBER: _ClassVar[int]
    node: str
    peer: str
    min_us: int
    median_us: int
    samples: int
    reachable: bool
    unreachable_since_ms: int
    reason: str
    age_s: int
    def __init__(self, node: _Optional[str] = ..., peer: _Optional[str] = ..., min_us: _Optional[int] = ..., median_us: _Optional[int] = ..., samples: _Optional[int] = ..., reachable: _Optional[bool] = ..., unreachable_since_ms: _Optional[int] = ..., reason: _Optional[str] = ..., age_s: _Optional[int] = ...) -> None: ...
