from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class NodeKeys(_message.Message):
    __slots__ = ("node", "keys", "switch_at_ms", "drop_at_ms")
    NODE_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    SWITCH_AT_MS_FIELD_NUMBER: _ClassVar[int]
    DROP_AT_MS_FIELD_NUMBER: _ClassVar[int]
    node: str
    keys: _containers.RepeatedCompositeFieldContainer[NodeKey]
    switch_at_ms: int
    drop_at_ms: int
    def __init__(self, node: _Optional[str] = ..., keys: _Optional[_Iterable[_Union[NodeKey, _Mapping]]] = ..., switch_at_ms: _Optional[int] = ..., drop_at_ms: _Optional[int] = ...) -> None: ...

class NodeKey(_message.Message):
    __slots__ = ("key_id", "public_key")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    key_id: str
    public_key: str
    def __init__(self, key_id: _Optional[str] = ..., public_key: _Optional[str] = ...) -> None: ...

class RotateNodeKeyRequest(_message.Message):
    __slots__ = ("node", "announce_s", "finish")
    NODE_FIELD_NUMBER: _ClassVar[int]
    ANNOUNCE_S_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    node: str
    announce_s: int
    finish: bool
    def __init__(self, node: _Optional[str] = ..., announce_s: _Optional[int] = ..., finish: _Optional[bool] = ...) -> None: ...

class RotateNodeKeyResponse(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: NodeKeys
    def __init__(self, keys: _Optional[_Union[NodeKeys, _Mapping]] = ...) -> None: ...

class GetNodeKeysRequest(_message.Message):
    __slots__ = ("node",)
    NODE_FIELD_NUMBER: _ClassVar[int]
    node: str
    def __init__(self, node: _Optional[str] = ...) -> None: ...

class GetNodeKeysResponse(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: NodeKeys
    def __init__(self, keys: _Optional[_Union[NodeKeys, _Mapping]] = ...) -> None: ...
