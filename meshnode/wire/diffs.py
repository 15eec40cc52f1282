"""Turns what DiffService is asked and answers between proto and the ports' types. Out of range is InvalidRequest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

from meshnode.base.errors import InvalidRequest
from meshnode.base.paths import ROOT, parse_tree_path
from meshnode.ports import (
    ChangedFile,
    ChangeKind,
    CommitPair,
    Detection,
    DiffAlgorithm,
    DiffLimit,
    DiffLimits,
    DiffOptions,
    DiffPart,
    DiffSummary,
    Relation,
    Whitespace,
)
from meshnode.v1 import diff_pb2

PATHS_MAX: Final = 1_000
PATHS_BYTES_MAX: Final = 100_000
"""They travel on git's command line, which may hold 128 KiB in one piece."""
FILES_MAX: Final = 50_000
LINES_MAX: Final = 1_000_000
BYTES_MAX: Final = 256 << 20

_KINDS: Final = {
    ChangeKind.ADDED: diff_pb2.CHANGE_KIND_ADDED,
    ChangeKind.DELETED: diff_pb2.CHANGE_KIND_DELETED,
    ChangeKind.MODIFIED: diff_pb2.CHANGE_KIND_MODIFIED,
    ChangeKind.RENAMED: diff_pb2.CHANGE_KIND_RENAMED,
    ChangeKind.COPIED: diff_pb2.CHANGE_KIND_COPIED,
    ChangeKind.TYPE_CHANGED: diff_pb2.CHANGE_KIND_TYPE_CHANGED,
}
_DETECTIONS: Final = {
    diff_pb2.DiffOptions.DETECTION_NONE: Detection.NONE,
    diff_pb2.DiffOptions.DETECTION_RENAMES: Detection.RENAMES,
    diff_pb2.DiffOptions.DETECTION_COPIES: Detection.COPIES,
    diff_pb2.DiffOptions.DETECTION_COPIES_OF_ALL: Detection.COPIES_OF_ALL,
}
_WHITESPACE: Final = {
    diff_pb2.DiffOptions.WHITESPACE_UNSPECIFIED: Whitespace.NONE,
    diff_pb2.DiffOptions.WHITESPACE_IGNORE_AT_EOL: Whitespace.AT_EOL,
    diff_pb2.DiffOptions.WHITESPACE_IGNORE_CHANGE: Whitespace.CHANGE,
    diff_pb2.DiffOptions.WHITESPACE_IGNORE_ALL: Whitespace.ALL,
}
_ALGORITHMS: Final = {
    diff_pb2.DiffOptions.ALGORITHM_UNSPECIFIED: DiffAlgorithm.MYERS,
    diff_pb2.DiffOptions.ALGORITHM_MYERS: DiffAlgorithm.MYERS,
    diff_pb2.DiffOptions.ALGORITHM_MINIMAL: DiffAlgorithm.MINIMAL,
    diff_pb2.DiffOptions.ALGORITHM_PATIENCE: DiffAlgorithm.PATIENCE,
    diff_pb2.DiffOptions.ALGORITHM_HISTOGRAM: DiffAlgorithm.HISTOGRAM,
}
_LIMITS: Final = {
    DiffLimit.FILES: diff_pb2.DiffSummary.LIMIT_FILES,
    DiffLimit.LINES: diff_pb2.DiffSummary.LIMIT_LINES,
    DiffLimit.BYTES: diff_pb2.DiffSummary.LIMIT_BYTES,
}
_RELATIONS: Final = {
    Relation.EQUAL: diff_pb2.CommitPair.RELATION_EQUAL,
    Relation.CHANGED: diff_pb2.CommitPair.RELATION_CHANGED,
    Relation.DROPPED: diff_pb2.CommitPair.RELATION_DROPPED,
    Relation.ADDED: diff_pb2.CommitPair.RELATION_ADDED,
}


def options_of(message: diff_pb2.DiffOptions, *, detection: Detection = Detection.RENAMES) -> DiffOptions:
    """Read options; `detection` is what unset means. Raises InvalidRequest."""
    found = _DETECTIONS.get(message.detection, detection)
    whitespace, algorithm = _WHITESPACE.get(message.whitespace), _ALGORITHMS.get(message.algorithm)
    if whitespace is None or algorithm is None or (message.detection and message.detection not in _DETECTIONS):
        raise InvalidRequest("unknown option of a diff")
    paths = tuple(parse_tree_path(path) for path in message.paths)
    if len(paths) > PATHS_MAX or sum(map(len, paths)) > PATHS_BYTES_MAX or ROOT in paths:
        raise InvalidRequest("paths are out of range", count_max=PATHS_MAX, bytes_max=PATHS_BYTES_MAX)
    return DiffOptions(
        detection=found,
        similarity_min=number_of(message.similarity_min, "similarity_min", default=50, largest=100),
        detection_limit=number_of(message.detection_limit, "detection_limit", default=1_000, largest=10_000),
        whitespace=whitespace,
        ignore_cr_at_eol=message.ignore_cr_at_eol,
        ignore_blank_lines=message.ignore_blank_lines,
        context_lines=number_of(message.context_lines, "context_lines", default=0, largest=10_000)
        if message.HasField("context_lines")
        else 3,
        function_context=message.function_context,
        algorithm=algorithm,
        paths=paths,
    )


def limits_of(message: diff_pb2.DiffLimits) -> DiffLimits:
    """Read limits. Raises InvalidRequest."""
    usual = DiffLimits()
    return DiffLimits(
        files_max=number_of(message.files_max, "files_max", default=usual.files_max, largest=FILES_MAX),
        lines_max=number_of(message.lines_max, "lines_max", default=usual.lines_max, largest=LINES_MAX),
        bytes_max=number_of(message.bytes_max, "bytes_max", default=usual.bytes_max, largest=BYTES_MAX),
        file_lines_max=number_of(
            message.file_lines_max, "file_lines_max", default=usual.file_lines_max, largest=LINES_MAX
        ),
        file_bytes_max=number_of(
            message.file_bytes_max, "file_bytes_max", default=usual.file_bytes_max, largest=BYTES_MAX
        ),
    )


def number_of(number: int, name: str, *, default: int, largest: int) -> int:
    """Check a number; 0 means `default`. Raises InvalidRequest above `largest`."""
    if number > largest:
        raise InvalidRequest(f"{name} is out of range", given=number, largest=largest)
    return number or default


def file_message(file: ChangedFile) -> diff_pb2.ChangedFile:
    """A changed file."""
    return diff_pb2.ChangedFile(
        kind=_KINDS[file.kind],
        old_path=file.old_path,
        new_path=file.new_path,
        old_mode=file.old_mode,
        new_mode=file.new_mode,
        old_oid=file.old_oid,
        new_oid=file.new_oid,
        similarity=file.similarity,
    )


def add_parts(messages: RepeatedCompositeFieldContainer[diff_pb2.FilePart], parts: Iterable[DiffPart]) -> None:
    """Put parts of files into a message: made in their place, as a message that is put into another is copied."""
    for part in parts:
        message = messages.add(index=part.index)
        file, end = part.file, part.end
        if file is not None:
            message.file.MergeFrom(file_message(file))
        for hunk in part.hunks:
            message.hunks.add(
                continued=hunk.is_continued,
                old_start=hunk.old_start,
                old_lines=hunk.old_lines,
                new_start=hunk.new_start,
                new_lines=hunk.new_lines,
                section=hunk.section,
                lines=hunk.lines,
            )
        if end is not None:
            message.end.MergeFrom(
                diff_pb2.FileEnd(
                    binary=end.is_binary,
                    truncated=end.is_truncated,
                    additions=end.additions,
                    deletions=end.deletions,
                    counted=end.is_counted,
                )
            )


def summary_message(summary: DiffSummary) -> diff_pb2.DiffSummary:
    """What a diff came to."""
    return diff_pb2.DiffSummary(
        files=summary.files,
        files_reported=summary.files_reported,
        additions=summary.additions,
        deletions=summary.deletions,
        truncated=summary.is_truncated,
        limit=diff_pb2.DiffSummary.LIMIT_UNSPECIFIED if summary.limit is None else _LIMITS[summary.limit],
    )


def pair_message(pair: CommitPair) -> diff_pb2.CommitPair:
    """A commit and what became of it."""
    return diff_pb2.CommitPair(
        relation=_RELATIONS[pair.relation],
        old_number=pair.old_number,
        old_oid=pair.old_oid,
        new_number=pair.new_number,
        new_oid=pair.new_oid,
        subject=pair.subject,
        patch=pair.patch,
        truncated=pair.is_truncated,
    )
