"""Identifiers and the only functions that turn outside text into them.

Everything that later becomes a path, a catalog key or a process argument passes through a parser here, so
a value of one of these types is safe to use as such.

Source: git-check-ref-format(1) for reference names; `docs/PROTOCOL.md` for the rest.
"""

from __future__ import annotations

import re
from typing import Final, NewType

from meshnode.base.errors import InvalidRequest

NodeId = NewType("NodeId", str)
RepositoryId = NewType("RepositoryId", str)
RepositoryName = NewType("RepositoryName", str)
PartitionId = NewType("PartitionId", int)
RoundId = NewType("RoundId", str)
Generation = NewType("Generation", int)
ObjectId = NewType("ObjectId", str)
RefName = NewType("RefName", str)
RefValue = NewType("RefValue", str)
"""What a reference holds: an object id in hex, or `ref:<name>` for a symbolic reference."""
RefsDigest = NewType("RefsDigest", str)

HEAD: Final = RefName("HEAD")
SYMBOLIC: Final = "ref:"

REPOSITORY_NAME_BYTES_MAX: Final = 255
REPOSITORY_NAME_SEGMENTS_MAX: Final = 16
REF_NAME_BYTES_MAX: Final = 1024
"""Below the 4,096 bytes of PATH_MAX with room for the data directory, and below a pkt-line."""

_EMPTY_TREES: Final = {
    "sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
_SEGMENT = re.compile(r"[A-Za-z0-9._-]{1,100}\Z")
_NODE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
_HEX32 = re.compile(r"[0-9a-f]{32}\Z")
_HEX64 = re.compile(r"[0-9a-f]{64}\Z")
_OBJECT = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_REF_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|\Z)|[/.]\Z|[\ud800-\udfff]")


def parse_repository_name(text: str) -> RepositoryName:
    """Check `project/repo` or deeper; a trailing `.git` is dropped.

    Raises:
        InvalidRequest: a segment is empty, `.`, `..`, starts with `-`, ends in `.git` or `.lock`, has a
            character outside `[A-Za-z0-9._-]`, or there are fewer than 2 or more than 16 segments.
    """
    name = text.removesuffix(".git")
    segments = name.split("/")
    if not 2 <= len(segments) <= REPOSITORY_NAME_SEGMENTS_MAX or len(name) > REPOSITORY_NAME_BYTES_MAX:
        raise InvalidRequest(
            "repository name must be project/repo or deeper",
            segments_max=REPOSITORY_NAME_SEGMENTS_MAX,
            bytes_max=REPOSITORY_NAME_BYTES_MAX,
        )
    for segment in segments:
        if (
            not _SEGMENT.match(segment)
            or segment in {".", ".."}
            or segment.startswith("-")
            or segment.endswith((".git", ".lock"))
        ):
            raise InvalidRequest(
                "repository name has a bad segment; use letters, digits, '.', '_' and '-'", segment=segment[:100]
            )
    return RepositoryName(name)


def parse_node_id(text: str) -> NodeId:
    """Check a node's id: lower case letters, digits and `-`, 1 to 63 of them."""
    if not _NODE.match(text):
        raise InvalidRequest("node id must be 1 to 63 lower case letters, digits or '-'", node=text[:100])
    return NodeId(text)


def parse_repository_id(text: str) -> RepositoryId:
    """Check a repository id: 32 lower case hex digits."""
    if not _HEX32.match(text):
        raise InvalidRequest("repository id must be 32 hex digits", repository=text[:100])
    return RepositoryId(text)


def parse_round_id(text: str) -> RoundId:
    """Check a round id: 32 lower case hex digits."""
    if not _HEX32.match(text):
        raise InvalidRequest("round id must be 32 hex digits", round=text[:100])
    return RoundId(text)


def parse_partition_id(number: int) -> PartitionId:
    """Check a partition number: 0 to 65,535."""
    if not 0 <= number <= 65_535:
        raise InvalidRequest("partition number must be 0 to 65535", partition=number)
    return PartitionId(number)


def parse_object_id(text: str, *, object_format: str = "") -> ObjectId:
    """Check an object id: 40 (sha1) or 64 (sha256) lower case hex digits; `object_format` "" takes both."""
    lengths = {"sha1": (40,), "sha256": (64,), "": (40, 64)}[object_format]
    if not _OBJECT.match(text) or len(text) not in lengths:
        raise InvalidRequest("not an object id", oid=text[:100], object_format=object_format or "any")
    return ObjectId(text)


def parse_object_format(text: str) -> str:
    """Let `sha1` and `sha256` through."""
    if text not in {"sha1", "sha256"}:
        raise InvalidRequest("unknown object format", object_format=text[:20])
    return text


def parse_refs_digest(text: str) -> RefsDigest:
    """Check a digest over references: 64 lower case hex digits."""
    if not _HEX64.match(text):
        raise InvalidRequest("digest must be 64 hex digits", digest=text[:100])
    return RefsDigest(text)


def parse_ref_name(text: str) -> RefName:
    """Check a full reference name, `HEAD` or `refs/...`, by git-check-ref-format(1).

    Raises:
        InvalidRequest: git would refuse the name, it is over 1,024 bytes, or it is not UTF-8 (it reaches this
            function with surrogate escapes).
    """
    if text == HEAD:
        return HEAD
    bad = (
        not text.startswith("refs/")
        or text.count("/") < 2
        or _REF_FORBIDDEN.search(text) is not None
        or len(text.encode()) > REF_NAME_BYTES_MAX
    )
    if bad:
        raise InvalidRequest("not a valid reference name", ref=text[:200])
    return RefName(text)


def parse_ref_value(text: str) -> RefValue:
    """Check what a reference holds: an object id or `ref:<name>`."""
    if text.startswith(SYMBOLIC):
        return symbolic(parse_ref_name(text[len(SYMBOLIC) :]))
    return RefValue(parse_object_id(text))


def is_zero(oid: str) -> bool:
    """Whether `oid` is Git's all-zero "no object" of either format."""
    return not oid.strip("0")


def zero_oid(object_format: str) -> str:
    """Git's "no object" for `sha1` or `sha256`."""
    return "0" * (64 if object_format == "sha256" else 40)


def empty_tree(object_format: str) -> ObjectId:
    """The tree without entries, of `sha1` or `sha256`; git knows it in every repository."""
    return ObjectId(_EMPTY_TREES[object_format])


def symbolic(target: RefName) -> RefValue:
    """The value of a symbolic reference to `target`."""
    return RefValue(SYMBOLIC + target)


def symbolic_target(value: RefValue) -> RefName | None:
    """The name a symbolic value points to, None for a direct one."""
    return RefName(value[len(SYMBOLIC) :]) if value.startswith(SYMBOLIC) else None
