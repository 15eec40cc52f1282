from meshnode.v1 import annotations_pb2 as _annotations_pb2
from meshnode.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ChangeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANGE_KIND_UNSPECIFIED: _ClassVar[ChangeKind]
    CHANGE_KIND_ADDED: _ClassVar[ChangeKind]
    CHANGE_KIND_DELETED: _ClassVar[ChangeKind]
    CHANGE_KIND_MODIFIED: _ClassVar[ChangeKind]
    CHANGE_KIND_RENAMED: _ClassVar[ChangeKind]
    CHANGE_KIND_COPIED: _ClassVar[ChangeKind]
    CHANGE_KIND_TYPE_CHANGED: _ClassVar[ChangeKind]
CHANGE_KIND_UNSPECIFIED: ChangeKind
CHANGE_KIND_ADDED: ChangeKind
CHANGE_KIND_DELETED: ChangeKind
CHANGE_KIND_MODIFIED: ChangeKind
CHANGE_KIND_RENAMED: ChangeKind
CHANGE_KIND_COPIED: ChangeKind
CHANGE_KIND_TYPE_CHANGED: ChangeKind

class Comparison(_message.Message):
    __slots__ = ("pair", "commit")
    PAIR_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    pair: Pair
    commit: CommitChange
    def __init__(self, pair: _Optional[_Union[Pair, _Mapping]] = ..., commit: _Optional[_Union[CommitChange, _Mapping]] = ...) -> None: ...

class Pair(_message.Message):
    __slots__ = ("old", "new", "from_merge_base")
    OLD_FIELD_NUMBER: _ClassVar[int]
    NEW_FIELD_NUMBER: _ClassVar[int]
    FROM_MERGE_BASE_FIELD_NUMBER: _ClassVar[int]
    old: str
    new: str
    from_merge_base: bool
    def __init__(self, old: _Optional[str] = ..., new: _Optional[str] = ..., from_merge_base: _Optional[bool] = ...) -> None: ...

class CommitChange(_message.Message):
    __slots__ = ("revision", "parent", "against_empty_tree")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    AGAINST_EMPTY_TREE_FIELD_NUMBER: _ClassVar[int]
    revision: str
    parent: int
    against_empty_tree: bool
    def __init__(self, revision: _Optional[str] = ..., parent: _Optional[int] = ..., against_empty_tree: _Optional[bool] = ...) -> None: ...

class DiffOptions(_message.Message):
    __slots__ = ("detection", "similarity_min", "detection_limit", "whitespace", "ignore_cr_at_eol", "ignore_blank_lines", "context_lines", "function_context", "algorithm", "paths")
    class Detection(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DETECTION_UNSPECIFIED: _ClassVar[DiffOptions.Detection]
        DETECTION_NONE: _ClassVar[DiffOptions.Detection]
        DETECTION_RENAMES: _ClassVar[DiffOptions.Detection]
        DETECTION_COPIES: _ClassVar[DiffOptions.Detection]
        DETECTION_COPIES_OF_ALL: _ClassVar[DiffOptions.Detection]
    DETECTION_UNSPECIFIED: DiffOptions.Detection
    DETECTION_NONE: DiffOptions.Detection
    DETECTION_RENAMES: DiffOptions.Detection
    DETECTION_COPIES: DiffOptions.Detection
    DETECTION_COPIES_OF_ALL: DiffOptions.Detection
    class Whitespace(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        WHITESPACE_UNSPECIFIED: _ClassVar[DiffOptions.Whitespace]
        WHITESPACE_IGNORE_AT_EOL: _ClassVar[DiffOptions.Whitespace]
        WHITESPACE_IGNORE_CHANGE: _ClassVar[DiffOptions.Whitespace]
        WHITESPACE_IGNORE_ALL: _ClassVar[DiffOptions.Whitespace]
    WHITESPACE_UNSPECIFIED: DiffOptions.Whitespace
    WHITESPACE_IGNORE_AT_EOL: DiffOptions.Whitespace
    WHITESPACE_IGNORE_CHANGE: DiffOptions.Whitespace
    WHITESPACE_IGNORE_ALL: DiffOptions.Whitespace
    class Algorithm(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ALGORITHM_UNSPECIFIED: _ClassVar[DiffOptions.Algorithm]
        ALGORITHM_MYERS: _ClassVar[DiffOptions.Algorithm]
        ALGORITHM_MINIMAL: _ClassVar[DiffOptions.Algorithm]
        ALGORITHM_PATIENCE: _ClassVar[DiffOptions.Algorithm]
        ALGORITHM_HISTOGRAM: _ClassVar[DiffOptions.Algorithm]
    ALGORITHM_UNSPECIFIED: DiffOptions.Algorithm
    ALGORITHM_MYERS: DiffOptions.Algorithm
    ALGORITHM_MINIMAL: DiffOptions.Algorithm
    ALGORITHM_PATIENCE: DiffOptions.Algorithm
    ALGORITHM_HISTOGRAM: DiffOptions.Algorithm
    DETECTION_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_MIN_FIELD_NUMBER: _ClassVar[int]
    DETECTION_LIMIT_FIELD_NUMBER: _ClassVar[int]
    WHITESPACE_FIELD_NUMBER: _ClassVar[int]
    IGNORE_CR_AT_EOL_FIELD_NUMBER: _ClassVar[int]
    IGNORE_BLANK_LINES_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_LINES_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    detection: DiffOptions.Detection
    similarity_min: int
    detection_limit: int
    whitespace: DiffOptions.Whitespace
    ignore_cr_at_eol: bool
    ignore_blank_lines: bool
    context_lines: int
    function_context: bool
    algorithm: DiffOptions.Algorithm
    paths: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, detection: _Optional[_Union[DiffOptions.Detection, str]] = ..., similarity_min: _Optional[int] = ..., detection_limit: _Optional[int] = ..., whitespace: _Optional[_Union[DiffOptions.Whitespace, str]] = ..., ignore_cr_at_eol: _Optional[bool] = ..., ignore_blank_lines: _Optional[bool] = ..., context_lines: _Optional[int] = ..., function_context: _Optional[bool] = ..., algorithm: _Optional[_Union[DiffOptions.Algorithm, str]] = ..., paths: _Optional[_Iterable[bytes]] = ...) -> None: ...

class DiffLimits(_message.Message):
    __slots__ = ("files_max", "lines_max", "bytes_max", "file_lines_max", "file_bytes_max")
    FILES_MAX_FIELD_NUMBER: _ClassVar[int]
    LINES_MAX_FIELD_NUMBER: _ClassVar[int]
    BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    FILE_LINES_MAX_FIELD_NUMBER: _ClassVar[int]
    FILE_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    files_max: int
    lines_max: int
    bytes_max: int
    file_lines_max: int
    file_bytes_max: int
    def __init__(self, files_max: _Optional[int] = ..., lines_max: _Optional[int] = ..., bytes_max: _Optional[int] = ..., file_lines_max: _Optional[int] = ..., file_bytes_max: _Optional[int] = ...) -> None: ...

class DiffRequest(_message.Message):
    __slots__ = ("repository", "consistency", "comparison", "options", "limits", "stats_only")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    STATS_ONLY_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    comparison: Comparison
    options: DiffOptions
    limits: DiffLimits
    stats_only: bool
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., comparison: _Optional[_Union[Comparison, _Mapping]] = ..., options: _Optional[_Union[DiffOptions, _Mapping]] = ..., limits: _Optional[_Union[DiffLimits, _Mapping]] = ..., stats_only: _Optional[bool] = ...) -> None: ...

class DiffResponse(_message.Message):
    __slots__ = ("position", "sides", "parts", "summary")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SIDES_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    position: _common_pb2.Position
    sides: DiffSides
    parts: _containers.RepeatedCompositeFieldContainer[FilePart]
    summary: DiffSummary
    def __init__(self, position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ..., sides: _Optional[_Union[DiffSides, _Mapping]] = ..., parts: _Optional[_Iterable[_Union[FilePart, _Mapping]]] = ..., summary: _Optional[_Union[DiffSummary, _Mapping]] = ...) -> None: ...

class DiffSides(_message.Message):
    __slots__ = ("old_tree_oid", "new_tree_oid", "merge_base_oid")
    OLD_TREE_OID_FIELD_NUMBER: _ClassVar[int]
    NEW_TREE_OID_FIELD_NUMBER: _ClassVar[int]
    MERGE_BASE_OID_FIELD_NUMBER: _ClassVar[int]
    old_tree_oid: str
    new_tree_oid: str
    merge_base_oid: str
    def __init__(self, old_tree_oid: _Optional[str] = ..., new_tree_oid: _Optional[str] = ..., merge_base_oid: _Optional[str] = ...) -> None: ...

class ChangedFile(_message.Message):
    __slots__ = ("kind", "old_path", "new_path", "old_mode", "new_mode", "old_oid", "new_oid", "similarity")
    KIND_FIELD_NUMBER: _ClassVar[int]
    OLD_PATH_FIELD_NUMBER: _ClassVar[int]
    NEW_PATH_FIELD_NUMBER: _ClassVar[int]
    OLD_MODE_FIELD_NUMBER: _ClassVar[int]
    NEW_MODE_FIELD_NUMBER: _ClassVar[int]
    OLD_OID_FIELD_NUMBER: _ClassVar[int]
    NEW_OID_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    kind: ChangeKind
    old_path: bytes
    new_path: bytes
    old_mode: int
    new_mode: int
    old_oid: str
    new_oid: str
    similarity: int
    def __init__(self, kind: _Optional[_Union[ChangeKind, str]] = ..., old_path: _Optional[bytes] = ..., new_path: _Optional[bytes] = ..., old_mode: _Optional[int] = ..., new_mode: _Optional[int] = ..., old_oid: _Optional[str] = ..., new_oid: _Optional[str] = ..., similarity: _Optional[int] = ...) -> None: ...

class FilePart(_message.Message):
    __slots__ = ("index", "file", "hunks", "end")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    HUNKS_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    index: int
    file: ChangedFile
    hunks: _containers.RepeatedCompositeFieldContainer[Hunk]
    end: FileEnd
    def __init__(self, index: _Optional[int] = ..., file: _Optional[_Union[ChangedFile, _Mapping]] = ..., hunks: _Optional[_Iterable[_Union[Hunk, _Mapping]]] = ..., end: _Optional[_Union[FileEnd, _Mapping]] = ...) -> None: ...

class Hunk(_message.Message):
    __slots__ = ("continued", "old_start", "old_lines", "new_start", "new_lines", "section", "lines")
    CONTINUED_FIELD_NUMBER: _ClassVar[int]
    OLD_START_FIELD_NUMBER: _ClassVar[int]
    OLD_LINES_FIELD_NUMBER: _ClassVar[int]
    NEW_START_FIELD_NUMBER: _ClassVar[int]
    NEW_LINES_FIELD_NUMBER: _ClassVar[int]
    SECTION_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    continued: bool
    old_start: int
    old_lines: int
    new_start: int
    new_lines: int
    section: bytes
    lines: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, continued: _Optional[bool] = ..., old_start: _Optional[int] = ..., old_lines: _Optional[int] = ..., new_start: _Optional[int] = ..., new_lines: _Optional[int] = ..., section: _Optional[bytes] = ..., lines: _Optional[_Iterable[bytes]] = ...) -> None: ...

class FileEnd(_message.Message):
    __slots__ = ("binary", "truncated", "additions", "deletions", "counted")
    BINARY_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    ADDITIONS_FIELD_NUMBER: _ClassVar[int]
    DELETIONS_FIELD_NUMBER: _ClassVar[int]
    COUNTED_FIELD_NUMBER: _ClassVar[int]
    binary: bool
    truncated: bool
    additions: int
    deletions: int
    counted: bool
    def __init__(self, binary: _Optional[bool] = ..., truncated: _Optional[bool] = ..., additions: _Optional[int] = ..., deletions: _Optional[int] = ..., counted: _Optional[bool] = ...) -> None: ...

class DiffSummary(_message.Message):
    __slots__ = ("files", "files_reported", "additions", "deletions", "truncated", "limit")
    class Limit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        LIMIT_UNSPECIFIED: _ClassVar[DiffSummary.Limit]
        LIMIT_FILES: _ClassVar[DiffSummary.Limit]
        LIMIT_LINES: _ClassVar[DiffSummary.Limit]
        LIMIT_BYTES: _ClassVar[DiffSummary.Limit]
    LIMIT_UNSPECIFIED: DiffSummary.Limit
    LIMIT_FILES: DiffSummary.Limit
    LIMIT_LINES: DiffSummary.Limit
    LIMIT_BYTES: DiffSummary.Limit
    FILES_FIELD_NUMBER: _ClassVar[int]
    FILES_REPORTED_FIELD_NUMBER: _ClassVar[int]
    ADDITIONS_FIELD_NUMBER: _ClassVar[int]
    DELETIONS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    files: int
    files_reported: int
    additions: int
    deletions: int
    truncated: bool
    limit: DiffSummary.Limit
    def __init__(self, files: _Optional[int] = ..., files_reported: _Optional[int] = ..., additions: _Optional[int] = ..., deletions: _Optional[int] = ..., truncated: _Optional[bool] = ..., limit: _Optional[_Union[DiffSummary.Limit, str]] = ...) -> None: ...

class RawDiffRequest(_message.Message):
    __slots__ = ("repository", "consistency", "comparison", "options", "binary", "bytes_max")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    BINARY_FIELD_NUMBER: _ClassVar[int]
    BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    comparison: Comparison
    options: DiffOptions
    binary: bool
    bytes_max: int
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., comparison: _Optional[_Union[Comparison, _Mapping]] = ..., options: _Optional[_Union[DiffOptions, _Mapping]] = ..., binary: _Optional[bool] = ..., bytes_max: _Optional[int] = ...) -> None: ...

class RawDiffResponse(_message.Message):
    __slots__ = ("position", "sides", "data", "truncated")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SIDES_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    position: _common_pb2.Position
    sides: DiffSides
    data: bytes
    truncated: bool
    def __init__(self, position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ..., sides: _Optional[_Union[DiffSides, _Mapping]] = ..., data: _Optional[bytes] = ..., truncated: _Optional[bool] = ...) -> None: ...

class FindChangedPathsRequest(_message.Message):
    __slots__ = ("repository", "consistency", "comparisons", "all_parents", "options", "files_max")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    COMPARISONS_FIELD_NUMBER: _ClassVar[int]
    ALL_PARENTS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    FILES_MAX_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    comparisons: _containers.RepeatedCompositeFieldContainer[Comparison]
    all_parents: bool
    options: DiffOptions
    files_max: int
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., comparisons: _Optional[_Iterable[_Union[Comparison, _Mapping]]] = ..., all_parents: _Optional[bool] = ..., options: _Optional[_Union[DiffOptions, _Mapping]] = ..., files_max: _Optional[int] = ...) -> None: ...

class FindChangedPathsResponse(_message.Message):
    __slots__ = ("position", "changes", "truncated")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    position: _common_pb2.Position
    changes: _containers.RepeatedCompositeFieldContainer[ChangedPaths]
    truncated: bool
    def __init__(self, position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ..., changes: _Optional[_Iterable[_Union[ChangedPaths, _Mapping]]] = ..., truncated: _Optional[bool] = ...) -> None: ...

class ChangedPaths(_message.Message):
    __slots__ = ("index", "parent", "files")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    index: int
    parent: int
    files: _containers.RepeatedCompositeFieldContainer[ChangedFile]
    def __init__(self, index: _Optional[int] = ..., parent: _Optional[int] = ..., files: _Optional[_Iterable[_Union[ChangedFile, _Mapping]]] = ...) -> None: ...

class CommitRange(_message.Message):
    __slots__ = ("base", "tip")
    BASE_FIELD_NUMBER: _ClassVar[int]
    TIP_FIELD_NUMBER: _ClassVar[int]
    base: str
    tip: str
    def __init__(self, base: _Optional[str] = ..., tip: _Optional[str] = ...) -> None: ...

class RangeDiffRequest(_message.Message):
    __slots__ = ("repository", "consistency", "old", "new", "creation_factor")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    OLD_FIELD_NUMBER: _ClassVar[int]
    NEW_FIELD_NUMBER: _ClassVar[int]
    CREATION_FACTOR_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    old: CommitRange
    new: CommitRange
    creation_factor: int
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., old: _Optional[_Union[CommitRange, _Mapping]] = ..., new: _Optional[_Union[CommitRange, _Mapping]] = ..., creation_factor: _Optional[int] = ...) -> None: ...

class RangeDiffResponse(_message.Message):
    __slots__ = ("position", "pairs")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    position: _common_pb2.Position
    pairs: _containers.RepeatedCompositeFieldContainer[CommitPair]
    def __init__(self, position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ..., pairs: _Optional[_Iterable[_Union[CommitPair, _Mapping]]] = ...) -> None: ...

class CommitPair(_message.Message):
    __slots__ = ("relation", "old_number", "old_oid", "new_number", "new_oid", "subject", "patch", "truncated")
    class Relation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        RELATION_UNSPECIFIED: _ClassVar[CommitPair.Relation]
        RELATION_EQUAL: _ClassVar[CommitPair.Relation]
        RELATION_CHANGED: _ClassVar[CommitPair.Relation]
        RELATION_DROPPED: _ClassVar[CommitPair.Relation]
        RELATION_ADDED: _ClassVar[CommitPair.Relation]
    RELATION_UNSPECIFIED: CommitPair.Relation
    RELATION_EQUAL: CommitPair.Relation
    RELATION_CHANGED: CommitPair.Relation
    RELATION_DROPPED: CommitPair.Relation
    RELATION_ADDED: CommitPair.Relation
    RELATION_FIELD_NUMBER: _ClassVar[int]
    OLD_NUMBER_FIELD_NUMBER: _ClassVar[int]
    OLD_OID_FIELD_NUMBER: _ClassVar[int]
    NEW_NUMBER_FIELD_NUMBER: _ClassVar[int]
    NEW_OID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    PATCH_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    relation: CommitPair.Relation
    old_number: int
    old_oid: str
    new_number: int
    new_oid: str
    subject: bytes
    patch: bytes
    truncated: bool
    def __init__(self, relation: _Optional[_Union[CommitPair.Relation, str]] = ..., old_number: _Optional[int] = ..., old_oid: _Optional[str] = ..., new_number: _Optional[int] = ..., new_oid: _Optional[str] = ..., subject: _Optional[bytes] = ..., patch: _Optional[bytes] = ..., truncated: _Optional[bool] = ...) -> None: ...

class GetPatchIdRequest(_message.Message):
    __slots__ = ("repository", "consistency", "comparison")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    comparison: Comparison
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., comparison: _Optional[_Union[Comparison, _Mapping]] = ...) -> None: ...

class GetPatchIdResponse(_message.Message):
    __slots__ = ("patch_id", "position")
    PATCH_ID_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    patch_id: str
    position: _common_pb2.Position
    def __init__(self, patch_id: _Optional[str] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...
