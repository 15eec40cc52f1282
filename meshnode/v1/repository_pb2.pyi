from meshnode.v1 import annotations_pb2 as _annotations_pb2
from meshnode.v1 import common_pb2 as _common_pb2
from meshnode.v1 import repository_config_pb2 as _repository_config_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateRequest(_message.Message):
    __slots__ = ("name", "object_format", "default_branch", "request_key", "replication_factor")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FORMAT_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_BRANCH_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    REPLICATION_FACTOR_FIELD_NUMBER: _ClassVar[int]
    name: str
    object_format: _common_pb2.ObjectFormat
    default_branch: str
    request_key: str
    replication_factor: int
    def __init__(self, name: _Optional[str] = ..., object_format: _Optional[_Union[_common_pb2.ObjectFormat, str]] = ..., default_branch: _Optional[str] = ..., request_key: _Optional[str] = ..., replication_factor: _Optional[int] = ...) -> None: ...

class CreateResponse(_message.Message):
    __slots__ = ("repository", "position")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    repository: _common_pb2.Repository
    position: _common_pb2.Position
    def __init__(self, repository: _Optional[_Union[_common_pb2.Repository, _Mapping]] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class ImportHeader(_message.Message):
    __slots__ = ("name", "default_branch", "request_key")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_BRANCH_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    name: str
    default_branch: str
    request_key: str
    def __init__(self, name: _Optional[str] = ..., default_branch: _Optional[str] = ..., request_key: _Optional[str] = ...) -> None: ...

class CreateFromBundleRequest(_message.Message):
    __slots__ = ("header", "data")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    header: ImportHeader
    data: bytes
    def __init__(self, header: _Optional[_Union[ImportHeader, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class CreateFromArchiveRequest(_message.Message):
    __slots__ = ("header", "data")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    header: ImportHeader
    data: bytes
    def __init__(self, header: _Optional[_Union[ImportHeader, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class ForkRequest(_message.Message):
    __slots__ = ("source_name", "name", "request_key")
    SOURCE_NAME_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    source_name: str
    name: str
    request_key: str
    def __init__(self, source_name: _Optional[str] = ..., name: _Optional[str] = ..., request_key: _Optional[str] = ...) -> None: ...

class ForkResponse(_message.Message):
    __slots__ = ("repository", "position")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    repository: _common_pb2.Repository
    position: _common_pb2.Position
    def __init__(self, repository: _Optional[_Union[_common_pb2.Repository, _Mapping]] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class RenameRequest(_message.Message):
    __slots__ = ("name", "new_name", "request_key")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NEW_NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    name: str
    new_name: str
    request_key: str
    def __init__(self, name: _Optional[str] = ..., new_name: _Optional[str] = ..., request_key: _Optional[str] = ...) -> None: ...

class RenameResponse(_message.Message):
    __slots__ = ("repository", "position")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    repository: _common_pb2.Repository
    position: _common_pb2.Position
    def __init__(self, repository: _Optional[_Union[_common_pb2.Repository, _Mapping]] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("name", "request_key")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_KEY_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_key: str
    def __init__(self, name: _Optional[str] = ..., request_key: _Optional[str] = ...) -> None: ...

class DeleteResponse(_message.Message):
    __slots__ = ("position",)
    POSITION_FIELD_NUMBER: _ClassVar[int]
    position: _common_pb2.Position
    def __init__(self, position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("name", "consistency", "details")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    name: str
    consistency: _common_pb2.Consistency
    details: bool
    def __init__(self, name: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., details: _Optional[bool] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("repository", "position")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    repository: _common_pb2.Repository
    position: _common_pb2.Position
    def __init__(self, repository: _Optional[_Union[_common_pb2.Repository, _Mapping]] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class ExistsRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ExistsResponse(_message.Message):
    __slots__ = ("exists", "position")
    EXISTS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    exists: bool
    position: _common_pb2.Position
    def __init__(self, exists: _Optional[bool] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("prefix", "page_size", "page_token")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    page_size: int
    page_token: str
    def __init__(self, prefix: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ("names", "next_page_token")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    next_page_token: str
    def __init__(self, names: _Optional[_Iterable[str]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SizeRequest(_message.Message):
    __slots__ = ("name", "consistency")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    name: str
    consistency: _common_pb2.Consistency
    def __init__(self, name: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ...) -> None: ...

class SizeResponse(_message.Message):
    __slots__ = ("bytes", "position")
    BYTES_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    position: _common_pb2.Position
    def __init__(self, bytes: _Optional[int] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class VerifyRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class VerifyResponse(_message.Message):
    __slots__ = ("generation", "refs_digest", "ok", "replicas")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    REFS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    OK_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    generation: int
    refs_digest: str
    ok: bool
    replicas: _containers.RepeatedCompositeFieldContainer[ReplicaReport]
    def __init__(self, generation: _Optional[int] = ..., refs_digest: _Optional[str] = ..., ok: _Optional[bool] = ..., replicas: _Optional[_Iterable[_Union[ReplicaReport, _Mapping]]] = ...) -> None: ...

class ReplicaReport(_message.Message):
    __slots__ = ("node", "reachable", "consistent", "generation", "refs_digest", "digest_on_disk", "object_digest", "ref_count", "size_bytes", "problems")
    NODE_FIELD_NUMBER: _ClassVar[int]
    REACHABLE_FIELD_NUMBER: _ClassVar[int]
    CONSISTENT_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    REFS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DIGEST_ON_DISK_FIELD_NUMBER: _ClassVar[int]
    OBJECT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REF_COUNT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    node: str
    reachable: bool
    consistent: bool
    generation: int
    refs_digest: str
    digest_on_disk: str
    object_digest: str
    ref_count: int
    size_bytes: int
    problems: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, node: _Optional[str] = ..., reachable: _Optional[bool] = ..., consistent: _Optional[bool] = ..., generation: _Optional[int] = ..., refs_digest: _Optional[str] = ..., digest_on_disk: _Optional[str] = ..., object_digest: _Optional[str] = ..., ref_count: _Optional[int] = ..., size_bytes: _Optional[int] = ..., problems: _Optional[_Iterable[str]] = ...) -> None: ...

class GetRoundOutcomeRequest(_message.Message):
    __slots__ = ("repository_id", "round_id")
    REPOSITORY_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_ID_FIELD_NUMBER: _ClassVar[int]
    repository_id: str
    round_id: str
    def __init__(self, repository_id: _Optional[str] = ..., round_id: _Optional[str] = ...) -> None: ...

class GetRoundOutcomeResponse(_message.Message):
    __slots__ = ("outcome", "position")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[GetRoundOutcomeResponse.Outcome]
        OUTCOME_PUBLISHED: _ClassVar[GetRoundOutcomeResponse.Outcome]
        OUTCOME_NOT_PUBLISHED: _ClassVar[GetRoundOutcomeResponse.Outcome]
        OUTCOME_UNDECIDED: _ClassVar[GetRoundOutcomeResponse.Outcome]
        OUTCOME_FORGOTTEN: _ClassVar[GetRoundOutcomeResponse.Outcome]
    OUTCOME_UNSPECIFIED: GetRoundOutcomeResponse.Outcome
    OUTCOME_PUBLISHED: GetRoundOutcomeResponse.Outcome
    OUTCOME_NOT_PUBLISHED: GetRoundOutcomeResponse.Outcome
    OUTCOME_UNDECIDED: GetRoundOutcomeResponse.Outcome
    OUTCOME_FORGOTTEN: GetRoundOutcomeResponse.Outcome
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    outcome: GetRoundOutcomeResponse.Outcome
    position: _common_pb2.Position
    def __init__(self, outcome: _Optional[_Union[GetRoundOutcomeResponse.Outcome, str]] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class GetStatsRequest(_message.Message):
    __slots__ = ("name", "consistency")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    name: str
    consistency: _common_pb2.Consistency
    def __init__(self, name: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ...) -> None: ...

class GetStatsResponse(_message.Message):
    __slots__ = ("position", "loose_objects", "packed_objects", "packs", "loose_bytes", "pack_bytes", "branches", "tags", "references")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    LOOSE_OBJECTS_FIELD_NUMBER: _ClassVar[int]
    PACKED_OBJECTS_FIELD_NUMBER: _ClassVar[int]
    PACKS_FIELD_NUMBER: _ClassVar[int]
    LOOSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PACK_BYTES_FIELD_NUMBER: _ClassVar[int]
    BRANCHES_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    position: _common_pb2.Position
    loose_objects: int
    packed_objects: int
    packs: int
    loose_bytes: int
    pack_bytes: int
    branches: int
    tags: int
    references: int
    def __init__(self, position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ..., loose_objects: _Optional[int] = ..., packed_objects: _Optional[int] = ..., packs: _Optional[int] = ..., loose_bytes: _Optional[int] = ..., pack_bytes: _Optional[int] = ..., branches: _Optional[int] = ..., tags: _Optional[int] = ..., references: _Optional[int] = ...) -> None: ...

class FsckRequest(_message.Message):
    __slots__ = ("name", "consistency")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    name: str
    consistency: _common_pb2.Consistency
    def __init__(self, name: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ...) -> None: ...

class FsckResponse(_message.Message):
    __slots__ = ("position", "problems")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    position: _common_pb2.Position
    problems: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ..., problems: _Optional[_Iterable[str]] = ...) -> None: ...

class GetArchiveRequest(_message.Message):
    __slots__ = ("name", "consistency", "revision", "format", "prefix", "paths")
    class Format(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        FORMAT_UNSPECIFIED: _ClassVar[GetArchiveRequest.Format]
        FORMAT_TAR: _ClassVar[GetArchiveRequest.Format]
        FORMAT_TAR_GZ: _ClassVar[GetArchiveRequest.Format]
        FORMAT_ZIP: _ClassVar[GetArchiveRequest.Format]
    FORMAT_UNSPECIFIED: GetArchiveRequest.Format
    FORMAT_TAR: GetArchiveRequest.Format
    FORMAT_TAR_GZ: GetArchiveRequest.Format
    FORMAT_ZIP: GetArchiveRequest.Format
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    name: str
    consistency: _common_pb2.Consistency
    revision: str
    format: GetArchiveRequest.Format
    prefix: str
    paths: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, name: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., revision: _Optional[str] = ..., format: _Optional[_Union[GetArchiveRequest.Format, str]] = ..., prefix: _Optional[str] = ..., paths: _Optional[_Iterable[bytes]] = ...) -> None: ...

class GetArchiveResponse(_message.Message):
    __slots__ = ("position", "data")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    position: _common_pb2.Position
    data: bytes
    def __init__(self, position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class GetBundleRequest(_message.Message):
    __slots__ = ("name", "consistency", "references", "known_oids")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    KNOWN_OIDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    consistency: _common_pb2.Consistency
    references: _containers.RepeatedScalarFieldContainer[str]
    known_oids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., references: _Optional[_Iterable[str]] = ..., known_oids: _Optional[_Iterable[str]] = ...) -> None: ...

class GetBundleResponse(_message.Message):
    __slots__ = ("position", "data")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    position: _common_pb2.Position
    data: bytes
    def __init__(self, position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class SearchContentRequest(_message.Message):
    __slots__ = ("name", "consistency", "revision", "pattern", "is_regex", "ignore_case", "whole_word", "paths", "context_lines", "limit", "limit_per_file")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    IS_REGEX_FIELD_NUMBER: _ClassVar[int]
    IGNORE_CASE_FIELD_NUMBER: _ClassVar[int]
    WHOLE_WORD_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_LINES_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_PER_FILE_FIELD_NUMBER: _ClassVar[int]
    name: str
    consistency: _common_pb2.Consistency
    revision: str
    pattern: bytes
    is_regex: bool
    ignore_case: bool
    whole_word: bool
    paths: _containers.RepeatedScalarFieldContainer[bytes]
    context_lines: int
    limit: int
    limit_per_file: int
    def __init__(self, name: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., revision: _Optional[str] = ..., pattern: _Optional[bytes] = ..., is_regex: _Optional[bool] = ..., ignore_case: _Optional[bool] = ..., whole_word: _Optional[bool] = ..., paths: _Optional[_Iterable[bytes]] = ..., context_lines: _Optional[int] = ..., limit: _Optional[int] = ..., limit_per_file: _Optional[int] = ...) -> None: ...

class SearchContentResponse(_message.Message):
    __slots__ = ("position", "matches", "truncated")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    MATCHES_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    position: _common_pb2.Position
    matches: _containers.RepeatedCompositeFieldContainer[ContentMatch]
    truncated: bool
    def __init__(self, position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ..., matches: _Optional[_Iterable[_Union[ContentMatch, _Mapping]]] = ..., truncated: _Optional[bool] = ...) -> None: ...

class ContentMatch(_message.Message):
    __slots__ = ("path", "line_number", "column", "line", "is_cut", "is_context")
    PATH_FIELD_NUMBER: _ClassVar[int]
    LINE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    IS_CUT_FIELD_NUMBER: _ClassVar[int]
    IS_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    path: bytes
    line_number: int
    column: int
    line: bytes
    is_cut: bool
    is_context: bool
    def __init__(self, path: _Optional[bytes] = ..., line_number: _Optional[int] = ..., column: _Optional[int] = ..., line: _Optional[bytes] = ..., is_cut: _Optional[bool] = ..., is_context: _Optional[bool] = ...) -> None: ...

class SearchFilesRequest(_message.Message):
    __slots__ = ("name", "consistency", "revision", "pattern", "is_glob", "ignore_case", "limit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    IS_GLOB_FIELD_NUMBER: _ClassVar[int]
    IGNORE_CASE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    consistency: _common_pb2.Consistency
    revision: str
    pattern: bytes
    is_glob: bool
    ignore_case: bool
    limit: int
    def __init__(self, name: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., revision: _Optional[str] = ..., pattern: _Optional[bytes] = ..., is_glob: _Optional[bool] = ..., ignore_case: _Optional[bool] = ..., limit: _Optional[int] = ...) -> None: ...

class SearchFilesResponse(_message.Message):
    __slots__ = ("position", "paths", "truncated")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    position: _common_pb2.Position
    paths: _containers.RepeatedScalarFieldContainer[bytes]
    truncated: bool
    def __init__(self, position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ..., paths: _Optional[_Iterable[bytes]] = ..., truncated: _Optional[bool] = ...) -> None: ...

class FindLicenseRequest(_message.Message):
    __slots__ = ("name", "consistency", "revision")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    name: str
    consistency: _common_pb2.Consistency
    revision: str
    def __init__(self, name: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., revision: _Optional[str] = ...) -> None: ...

class FindLicenseResponse(_message.Message):
    __slots__ = ("position", "spdx_id", "path")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SPDX_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    position: _common_pb2.Position
    spdx_id: str
    path: bytes
    def __init__(self, position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ..., spdx_id: _Optional[str] = ..., path: _Optional[bytes] = ...) -> None: ...

class GetLanguagesRequest(_message.Message):
    __slots__ = ("name", "consistency", "revision")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    name: str
    consistency: _common_pb2.Consistency
    revision: str
    def __init__(self, name: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., revision: _Optional[str] = ...) -> None: ...

class GetLanguagesResponse(_message.Message):
    __slots__ = ("position", "languages")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    LANGUAGES_FIELD_NUMBER: _ClassVar[int]
    position: _common_pb2.Position
    languages: _containers.RepeatedCompositeFieldContainer[Language]
    def __init__(self, position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ..., languages: _Optional[_Iterable[_Union[Language, _Mapping]]] = ...) -> None: ...

class Language(_message.Message):
    __slots__ = ("name", "bytes", "files")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    name: str
    bytes: int
    files: int
    def __init__(self, name: _Optional[str] = ..., bytes: _Optional[int] = ..., files: _Optional[int] = ...) -> None: ...
