from meshnode.v1 import annotations_pb2 as _annotations_pb2
from meshnode.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EntryKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENTRY_KIND_UNSPECIFIED: _ClassVar[EntryKind]
    ENTRY_KIND_FILE: _ClassVar[EntryKind]
    ENTRY_KIND_EXECUTABLE: _ClassVar[EntryKind]
    ENTRY_KIND_SYMLINK: _ClassVar[EntryKind]
    ENTRY_KIND_DIRECTORY: _ClassVar[EntryKind]
    ENTRY_KIND_SUBMODULE: _ClassVar[EntryKind]
ENTRY_KIND_UNSPECIFIED: EntryKind
ENTRY_KIND_FILE: EntryKind
ENTRY_KIND_EXECUTABLE: EntryKind
ENTRY_KIND_SYMLINK: EntryKind
ENTRY_KIND_DIRECTORY: EntryKind
ENTRY_KIND_SUBMODULE: EntryKind

class LfsPointer(_message.Message):
    __slots__ = ("oid", "size")
    OID_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    oid: str
    size: int
    def __init__(self, oid: _Optional[str] = ..., size: _Optional[int] = ...) -> None: ...

class TreeEntry(_message.Message):
    __slots__ = ("path", "kind", "mode", "oid", "size", "lfs")
    PATH_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    OID_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    LFS_FIELD_NUMBER: _ClassVar[int]
    path: bytes
    kind: EntryKind
    mode: int
    oid: str
    size: int
    lfs: LfsPointer
    def __init__(self, path: _Optional[bytes] = ..., kind: _Optional[_Union[EntryKind, str]] = ..., mode: _Optional[int] = ..., oid: _Optional[str] = ..., size: _Optional[int] = ..., lfs: _Optional[_Union[LfsPointer, _Mapping]] = ...) -> None: ...

class ListEntriesRequest(_message.Message):
    __slots__ = ("repository", "consistency", "revision", "path", "recursive", "sizes", "lfs", "page_size", "page_token")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    RECURSIVE_FIELD_NUMBER: _ClassVar[int]
    SIZES_FIELD_NUMBER: _ClassVar[int]
    LFS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    revision: str
    path: bytes
    recursive: bool
    sizes: bool
    lfs: bool
    page_size: int
    page_token: str
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., revision: _Optional[str] = ..., path: _Optional[bytes] = ..., recursive: _Optional[bool] = ..., sizes: _Optional[bool] = ..., lfs: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListEntriesResponse(_message.Message):
    __slots__ = ("entries", "next_page_token", "tree_oid", "position")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TREE_OID_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[TreeEntry]
    next_page_token: str
    tree_oid: str
    position: _common_pb2.Position
    def __init__(self, entries: _Optional[_Iterable[_Union[TreeEntry, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., tree_oid: _Optional[str] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class StatRequest(_message.Message):
    __slots__ = ("repository", "consistency", "revision", "paths")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    revision: str
    paths: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., revision: _Optional[str] = ..., paths: _Optional[_Iterable[bytes]] = ...) -> None: ...

class StatResponse(_message.Message):
    __slots__ = ("results", "tree_oid", "position")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    TREE_OID_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[StatResult]
    tree_oid: str
    position: _common_pb2.Position
    def __init__(self, results: _Optional[_Iterable[_Union[StatResult, _Mapping]]] = ..., tree_oid: _Optional[str] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class StatResult(_message.Message):
    __slots__ = ("path", "entry")
    PATH_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    path: bytes
    entry: TreeEntry
    def __init__(self, path: _Optional[bytes] = ..., entry: _Optional[_Union[TreeEntry, _Mapping]] = ...) -> None: ...

class GetBlobRequest(_message.Message):
    __slots__ = ("repository", "consistency", "revision", "path", "start", "length", "size_max")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    SIZE_MAX_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    revision: str
    path: bytes
    start: int
    length: int
    size_max: int
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., revision: _Optional[str] = ..., path: _Optional[bytes] = ..., start: _Optional[int] = ..., length: _Optional[int] = ..., size_max: _Optional[int] = ...) -> None: ...

class GetBlobResponse(_message.Message):
    __slots__ = ("blob", "data", "position")
    BLOB_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    blob: BlobInfo
    data: bytes
    position: _common_pb2.Position
    def __init__(self, blob: _Optional[_Union[BlobInfo, _Mapping]] = ..., data: _Optional[bytes] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class BlobInfo(_message.Message):
    __slots__ = ("oid", "size", "sent", "mode", "lfs")
    OID_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    LFS_FIELD_NUMBER: _ClassVar[int]
    oid: str
    size: int
    sent: int
    mode: int
    lfs: LfsPointer
    def __init__(self, oid: _Optional[str] = ..., size: _Optional[int] = ..., sent: _Optional[int] = ..., mode: _Optional[int] = ..., lfs: _Optional[_Union[LfsPointer, _Mapping]] = ...) -> None: ...

class GetBlobsRequest(_message.Message):
    __slots__ = ("repository", "consistency", "blobs", "bytes_max")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    BLOBS_FIELD_NUMBER: _ClassVar[int]
    BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    blobs: _containers.RepeatedCompositeFieldContainer[BlobSelector]
    bytes_max: int
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., blobs: _Optional[_Iterable[_Union[BlobSelector, _Mapping]]] = ..., bytes_max: _Optional[int] = ...) -> None: ...

class BlobSelector(_message.Message):
    __slots__ = ("revision", "path")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    revision: str
    path: bytes
    def __init__(self, revision: _Optional[str] = ..., path: _Optional[bytes] = ...) -> None: ...

class GetBlobsResponse(_message.Message):
    __slots__ = ("parts", "position")
    PARTS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[BlobPart]
    position: _common_pb2.Position
    def __init__(self, parts: _Optional[_Iterable[_Union[BlobPart, _Mapping]]] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class BlobPart(_message.Message):
    __slots__ = ("index", "blob", "data")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    index: int
    blob: BlobInfo
    data: bytes
    def __init__(self, index: _Optional[int] = ..., blob: _Optional[_Union[BlobInfo, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class GetAttributesRequest(_message.Message):
    __slots__ = ("repository", "consistency", "revision", "paths", "names")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    revision: str
    paths: _containers.RepeatedScalarFieldContainer[bytes]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., revision: _Optional[str] = ..., paths: _Optional[_Iterable[bytes]] = ..., names: _Optional[_Iterable[str]] = ...) -> None: ...

class GetAttributesResponse(_message.Message):
    __slots__ = ("paths", "position")
    PATHS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    paths: _containers.RepeatedCompositeFieldContainer[PathAttributes]
    position: _common_pb2.Position
    def __init__(self, paths: _Optional[_Iterable[_Union[PathAttributes, _Mapping]]] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class PathAttributes(_message.Message):
    __slots__ = ("path", "attributes")
    PATH_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    path: bytes
    attributes: _containers.RepeatedCompositeFieldContainer[Attribute]
    def __init__(self, path: _Optional[bytes] = ..., attributes: _Optional[_Iterable[_Union[Attribute, _Mapping]]] = ...) -> None: ...

class Attribute(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: bytes
    def __init__(self, name: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
