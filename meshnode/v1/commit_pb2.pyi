from meshnode.v1 import annotations_pb2 as _annotations_pb2
from meshnode.v1 import common_pb2 as _common_pb2
from meshnode.v1 import tree_pb2 as _tree_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SignatureKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIGNATURE_KIND_UNSPECIFIED: _ClassVar[SignatureKind]
    SIGNATURE_KIND_PGP: _ClassVar[SignatureKind]
    SIGNATURE_KIND_SSH: _ClassVar[SignatureKind]
    SIGNATURE_KIND_X509: _ClassVar[SignatureKind]
    SIGNATURE_KIND_OTHER: _ClassVar[SignatureKind]

class PatternSyntax(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PATTERN_SYNTAX_UNSPECIFIED: _ClassVar[PatternSyntax]
    PATTERN_SYNTAX_FIXED: _ClassVar[PatternSyntax]
    PATTERN_SYNTAX_EXTENDED: _ClassVar[PatternSyntax]

class MergeChoice(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MERGE_CHOICE_UNSPECIFIED: _ClassVar[MergeChoice]
    MERGE_CHOICE_ALL: _ClassVar[MergeChoice]
    MERGE_CHOICE_NO_MERGES: _ClassVar[MergeChoice]
    MERGE_CHOICE_MERGES_ONLY: _ClassVar[MergeChoice]

class CommitOrder(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMMIT_ORDER_UNSPECIFIED: _ClassVar[CommitOrder]
    COMMIT_ORDER_TOPOLOGICAL: _ClassVar[CommitOrder]
    COMMIT_ORDER_DATE: _ClassVar[CommitOrder]
    COMMIT_ORDER_AUTHOR_DATE: _ClassVar[CommitOrder]

class MergeBaseKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MERGE_BASE_KIND_UNSPECIFIED: _ClassVar[MergeBaseKind]
    MERGE_BASE_KIND_ALL: _ClassVar[MergeBaseKind]
    MERGE_BASE_KIND_OCTOPUS: _ClassVar[MergeBaseKind]
SIGNATURE_KIND_UNSPECIFIED: SignatureKind
SIGNATURE_KIND_PGP: SignatureKind
SIGNATURE_KIND_SSH: SignatureKind
SIGNATURE_KIND_X509: SignatureKind
SIGNATURE_KIND_OTHER: SignatureKind
PATTERN_SYNTAX_UNSPECIFIED: PatternSyntax
PATTERN_SYNTAX_FIXED: PatternSyntax
PATTERN_SYNTAX_EXTENDED: PatternSyntax
MERGE_CHOICE_UNSPECIFIED: MergeChoice
MERGE_CHOICE_ALL: MergeChoice
MERGE_CHOICE_NO_MERGES: MergeChoice
MERGE_CHOICE_MERGES_ONLY: MergeChoice
COMMIT_ORDER_UNSPECIFIED: CommitOrder
COMMIT_ORDER_TOPOLOGICAL: CommitOrder
COMMIT_ORDER_DATE: CommitOrder
COMMIT_ORDER_AUTHOR_DATE: CommitOrder
MERGE_BASE_KIND_UNSPECIFIED: MergeBaseKind
MERGE_BASE_KIND_ALL: MergeBaseKind
MERGE_BASE_KIND_OCTOPUS: MergeBaseKind

class Identity(_message.Message):
    __slots__ = ("name", "email", "time_s", "timezone")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    TIME_S_FIELD_NUMBER: _ClassVar[int]
    TIMEZONE_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    email: bytes
    time_s: int
    timezone: str
    def __init__(self, name: _Optional[bytes] = ..., email: _Optional[bytes] = ..., time_s: _Optional[int] = ..., timezone: _Optional[str] = ...) -> None: ...

class Commit(_message.Message):
    __slots__ = ("oid", "tree_oid", "parent_oids", "author", "committer", "message", "message_size", "encoding", "signature")
    OID_FIELD_NUMBER: _ClassVar[int]
    TREE_OID_FIELD_NUMBER: _ClassVar[int]
    PARENT_OIDS_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    COMMITTER_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    oid: str
    tree_oid: str
    parent_oids: _containers.RepeatedScalarFieldContainer[str]
    author: Identity
    committer: Identity
    message: bytes
    message_size: int
    encoding: str
    signature: SignatureKind
    def __init__(self, oid: _Optional[str] = ..., tree_oid: _Optional[str] = ..., parent_oids: _Optional[_Iterable[str]] = ..., author: _Optional[_Union[Identity, _Mapping]] = ..., committer: _Optional[_Union[Identity, _Mapping]] = ..., message: _Optional[bytes] = ..., message_size: _Optional[int] = ..., encoding: _Optional[str] = ..., signature: _Optional[_Union[SignatureKind, str]] = ...) -> None: ...

class GetCommitRequest(_message.Message):
    __slots__ = ("repository", "consistency", "revision")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    revision: str
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., revision: _Optional[str] = ...) -> None: ...

class GetCommitResponse(_message.Message):
    __slots__ = ("commit", "position")
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    commit: Commit
    position: _common_pb2.Position
    def __init__(self, commit: _Optional[_Union[Commit, _Mapping]] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class GetCommitsRequest(_message.Message):
    __slots__ = ("repository", "consistency", "revisions")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    revisions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., revisions: _Optional[_Iterable[str]] = ...) -> None: ...

class GetCommitsResponse(_message.Message):
    __slots__ = ("results", "position")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[CommitResult]
    position: _common_pb2.Position
    def __init__(self, results: _Optional[_Iterable[_Union[CommitResult, _Mapping]]] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class CommitResult(_message.Message):
    __slots__ = ("revision", "commit")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    revision: str
    commit: Commit
    def __init__(self, revision: _Optional[str] = ..., commit: _Optional[_Union[Commit, _Mapping]] = ...) -> None: ...

class CommitSelection(_message.Message):
    __slots__ = ("revisions", "excluded_revisions", "paths", "follow", "full_history", "author", "committer", "messages", "pattern_syntax", "ignore_case", "all_messages", "invert_messages", "since_s", "until_s", "first_parent", "merges")
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    EXCLUDED_REVISIONS_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    FULL_HISTORY_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    COMMITTER_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    PATTERN_SYNTAX_FIELD_NUMBER: _ClassVar[int]
    IGNORE_CASE_FIELD_NUMBER: _ClassVar[int]
    ALL_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    INVERT_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    SINCE_S_FIELD_NUMBER: _ClassVar[int]
    UNTIL_S_FIELD_NUMBER: _ClassVar[int]
    FIRST_PARENT_FIELD_NUMBER: _ClassVar[int]
    MERGES_FIELD_NUMBER: _ClassVar[int]
    revisions: _containers.RepeatedScalarFieldContainer[str]
    excluded_revisions: _containers.RepeatedScalarFieldContainer[str]
    paths: _containers.RepeatedScalarFieldContainer[bytes]
    follow: bool
    full_history: bool
    author: str
    committer: str
    messages: _containers.RepeatedScalarFieldContainer[str]
    pattern_syntax: PatternSyntax
    ignore_case: bool
    all_messages: bool
    invert_messages: bool
    since_s: int
    until_s: int
    first_parent: bool
    merges: MergeChoice
    def __init__(self, revisions: _Optional[_Iterable[str]] = ..., excluded_revisions: _Optional[_Iterable[str]] = ..., paths: _Optional[_Iterable[bytes]] = ..., follow: _Optional[bool] = ..., full_history: _Optional[bool] = ..., author: _Optional[str] = ..., committer: _Optional[str] = ..., messages: _Optional[_Iterable[str]] = ..., pattern_syntax: _Optional[_Union[PatternSyntax, str]] = ..., ignore_case: _Optional[bool] = ..., all_messages: _Optional[bool] = ..., invert_messages: _Optional[bool] = ..., since_s: _Optional[int] = ..., until_s: _Optional[int] = ..., first_parent: _Optional[bool] = ..., merges: _Optional[_Union[MergeChoice, str]] = ...) -> None: ...

class ListCommitsRequest(_message.Message):
    __slots__ = ("repository", "consistency", "selection", "order", "reverse", "page_size", "page_token")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    REVERSE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    selection: CommitSelection
    order: CommitOrder
    reverse: bool
    page_size: int
    page_token: str
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., selection: _Optional[_Union[CommitSelection, _Mapping]] = ..., order: _Optional[_Union[CommitOrder, str]] = ..., reverse: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCommitsResponse(_message.Message):
    __slots__ = ("commits", "next_page_token", "position")
    COMMITS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    commits: _containers.RepeatedCompositeFieldContainer[Commit]
    next_page_token: str
    position: _common_pb2.Position
    def __init__(self, commits: _Optional[_Iterable[_Union[Commit, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class CountCommitsRequest(_message.Message):
    __slots__ = ("repository", "consistency", "selection", "limit")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    selection: CommitSelection
    limit: int
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., selection: _Optional[_Union[CommitSelection, _Mapping]] = ..., limit: _Optional[int] = ...) -> None: ...

class CountCommitsResponse(_message.Message):
    __slots__ = ("count", "truncated", "position")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    count: int
    truncated: bool
    position: _common_pb2.Position
    def __init__(self, count: _Optional[int] = ..., truncated: _Optional[bool] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class IsAncestorRequest(_message.Message):
    __slots__ = ("repository", "consistency", "ancestor", "descendant")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    ANCESTOR_FIELD_NUMBER: _ClassVar[int]
    DESCENDANT_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    ancestor: str
    descendant: str
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., ancestor: _Optional[str] = ..., descendant: _Optional[str] = ...) -> None: ...

class IsAncestorResponse(_message.Message):
    __slots__ = ("is_ancestor", "ancestor_oid", "descendant_oid", "position")
    IS_ANCESTOR_FIELD_NUMBER: _ClassVar[int]
    ANCESTOR_OID_FIELD_NUMBER: _ClassVar[int]
    DESCENDANT_OID_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    is_ancestor: bool
    ancestor_oid: str
    descendant_oid: str
    position: _common_pb2.Position
    def __init__(self, is_ancestor: _Optional[bool] = ..., ancestor_oid: _Optional[str] = ..., descendant_oid: _Optional[str] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class FindMergeBasesRequest(_message.Message):
    __slots__ = ("repository", "consistency", "revisions", "merge_base_kind")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    MERGE_BASE_KIND_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    revisions: _containers.RepeatedScalarFieldContainer[str]
    merge_base_kind: MergeBaseKind
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., revisions: _Optional[_Iterable[str]] = ..., merge_base_kind: _Optional[_Union[MergeBaseKind, str]] = ...) -> None: ...

class FindMergeBasesResponse(_message.Message):
    __slots__ = ("oids", "revision_oids", "position")
    OIDS_FIELD_NUMBER: _ClassVar[int]
    REVISION_OIDS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    oids: _containers.RepeatedScalarFieldContainer[str]
    revision_oids: _containers.RepeatedScalarFieldContainer[str]
    position: _common_pb2.Position
    def __init__(self, oids: _Optional[_Iterable[str]] = ..., revision_oids: _Optional[_Iterable[str]] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class CountDivergenceRequest(_message.Message):
    __slots__ = ("repository", "consistency", "base", "revisions")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    base: str
    revisions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., base: _Optional[str] = ..., revisions: _Optional[_Iterable[str]] = ...) -> None: ...

class CountDivergenceResponse(_message.Message):
    __slots__ = ("base_oid", "divergences", "position")
    BASE_OID_FIELD_NUMBER: _ClassVar[int]
    DIVERGENCES_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    base_oid: str
    divergences: _containers.RepeatedCompositeFieldContainer[Divergence]
    position: _common_pb2.Position
    def __init__(self, base_oid: _Optional[str] = ..., divergences: _Optional[_Iterable[_Union[Divergence, _Mapping]]] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class Divergence(_message.Message):
    __slots__ = ("oid", "ahead", "behind")
    OID_FIELD_NUMBER: _ClassVar[int]
    AHEAD_FIELD_NUMBER: _ClassVar[int]
    BEHIND_FIELD_NUMBER: _ClassVar[int]
    oid: str
    ahead: int
    behind: int
    def __init__(self, oid: _Optional[str] = ..., ahead: _Optional[int] = ..., behind: _Optional[int] = ...) -> None: ...

class ListLastCommitsRequest(_message.Message):
    __slots__ = ("repository", "consistency", "revision", "path", "page_size", "page_token")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    revision: str
    path: bytes
    page_size: int
    page_token: str
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., revision: _Optional[str] = ..., path: _Optional[bytes] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListLastCommitsResponse(_message.Message):
    __slots__ = ("entries", "commits", "next_page_token", "commit_oid", "truncated", "position")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    COMMITS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    COMMIT_OID_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[LastCommit]
    commits: _containers.RepeatedCompositeFieldContainer[Commit]
    next_page_token: str
    commit_oid: str
    truncated: bool
    position: _common_pb2.Position
    def __init__(self, entries: _Optional[_Iterable[_Union[LastCommit, _Mapping]]] = ..., commits: _Optional[_Iterable[_Union[Commit, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., commit_oid: _Optional[str] = ..., truncated: _Optional[bool] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class LastCommit(_message.Message):
    __slots__ = ("entry", "commit_oid")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    COMMIT_OID_FIELD_NUMBER: _ClassVar[int]
    entry: _tree_pb2.TreeEntry
    commit_oid: str
    def __init__(self, entry: _Optional[_Union[_tree_pb2.TreeEntry, _Mapping]] = ..., commit_oid: _Optional[str] = ...) -> None: ...

class BlameRequest(_message.Message):
    __slots__ = ("repository", "consistency", "revision", "path", "ranges", "ignored_revisions", "ignored_revisions_path", "ignore_whitespace", "first_parent", "detect_moves", "detect_copies")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    IGNORED_REVISIONS_FIELD_NUMBER: _ClassVar[int]
    IGNORED_REVISIONS_PATH_FIELD_NUMBER: _ClassVar[int]
    IGNORE_WHITESPACE_FIELD_NUMBER: _ClassVar[int]
    FIRST_PARENT_FIELD_NUMBER: _ClassVar[int]
    DETECT_MOVES_FIELD_NUMBER: _ClassVar[int]
    DETECT_COPIES_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    revision: str
    path: bytes
    ranges: _containers.RepeatedCompositeFieldContainer[LineRange]
    ignored_revisions: _containers.RepeatedScalarFieldContainer[str]
    ignored_revisions_path: bytes
    ignore_whitespace: bool
    first_parent: bool
    detect_moves: bool
    detect_copies: int
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., revision: _Optional[str] = ..., path: _Optional[bytes] = ..., ranges: _Optional[_Iterable[_Union[LineRange, _Mapping]]] = ..., ignored_revisions: _Optional[_Iterable[str]] = ..., ignored_revisions_path: _Optional[bytes] = ..., ignore_whitespace: _Optional[bool] = ..., first_parent: _Optional[bool] = ..., detect_moves: _Optional[bool] = ..., detect_copies: _Optional[int] = ...) -> None: ...

class LineRange(_message.Message):
    __slots__ = ("start", "end")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    start: int
    end: int
    def __init__(self, start: _Optional[int] = ..., end: _Optional[int] = ...) -> None: ...

class BlameResponse(_message.Message):
    __slots__ = ("hunks", "commits", "commit_oid", "blob_oid", "position")
    HUNKS_FIELD_NUMBER: _ClassVar[int]
    COMMITS_FIELD_NUMBER: _ClassVar[int]
    COMMIT_OID_FIELD_NUMBER: _ClassVar[int]
    BLOB_OID_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    hunks: _containers.RepeatedCompositeFieldContainer[BlameHunk]
    commits: _containers.RepeatedCompositeFieldContainer[Commit]
    commit_oid: str
    blob_oid: str
    position: _common_pb2.Position
    def __init__(self, hunks: _Optional[_Iterable[_Union[BlameHunk, _Mapping]]] = ..., commits: _Optional[_Iterable[_Union[Commit, _Mapping]]] = ..., commit_oid: _Optional[str] = ..., blob_oid: _Optional[str] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class BlameHunk(_message.Message):
    __slots__ = ("commit_oid", "path", "start", "original_start", "lines", "previous_oid", "previous_path")
    COMMIT_OID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_START_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_OID_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_PATH_FIELD_NUMBER: _ClassVar[int]
    commit_oid: str
    path: bytes
    start: int
    original_start: int
    lines: _containers.RepeatedScalarFieldContainer[bytes]
    previous_oid: str
    previous_path: bytes
    def __init__(self, commit_oid: _Optional[str] = ..., path: _Optional[bytes] = ..., start: _Optional[int] = ..., original_start: _Optional[int] = ..., lines: _Optional[_Iterable[bytes]] = ..., previous_oid: _Optional[str] = ..., previous_path: _Optional[bytes] = ...) -> None: ...

class GetCommitSignaturesRequest(_message.Message):
    __slots__ = ("repository", "consistency", "revisions")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    revisions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., revisions: _Optional[_Iterable[str]] = ...) -> None: ...

class GetCommitSignaturesResponse(_message.Message):
    __slots__ = ("signatures", "position")
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    signatures: _containers.RepeatedCompositeFieldContainer[CommitSignature]
    position: _common_pb2.Position
    def __init__(self, signatures: _Optional[_Iterable[_Union[CommitSignature, _Mapping]]] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class CommitSignature(_message.Message):
    __slots__ = ("revision", "commit_oid", "signature_kind", "signature", "payload")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    COMMIT_OID_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_KIND_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    revision: str
    commit_oid: str
    signature_kind: SignatureKind
    signature: bytes
    payload: bytes
    def __init__(self, revision: _Optional[str] = ..., commit_oid: _Optional[str] = ..., signature_kind: _Optional[_Union[SignatureKind, str]] = ..., signature: _Optional[bytes] = ..., payload: _Optional[bytes] = ...) -> None: ...

class GetCommitStatsRequest(_message.Message):
    __slots__ = ("repository", "consistency", "revisions")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    repository: str
    consistency: _common_pb2.Consistency
    revisions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, repository: _Optional[str] = ..., consistency: _Optional[_Union[_common_pb2.Consistency, _Mapping]] = ..., revisions: _Optional[_Iterable[str]] = ...) -> None: ...

class GetCommitStatsResponse(_message.Message):
    __slots__ = ("stats", "position")
    STATS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    stats: _containers.RepeatedCompositeFieldContainer[CommitStats]
    position: _common_pb2.Position
    def __init__(self, stats: _Optional[_Iterable[_Union[CommitStats, _Mapping]]] = ..., position: _Optional[_Union[_common_pb2.Position, _Mapping]] = ...) -> None: ...

class CommitStats(_message.Message):
    __slots__ = ("commit_oid", "additions", "deletions", "files")
    COMMIT_OID_FIELD_NUMBER: _ClassVar[int]
    ADDITIONS_FIELD_NUMBER: _ClassVar[int]
    DELETIONS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    commit_oid: str
    additions: int
    deletions: int
    files: int
    def __init__(self, commit_oid: _Optional[str] = ..., additions: _Optional[int] = ..., deletions: _Optional[int] = ..., files: _Optional[int] = ...) -> None: ...
