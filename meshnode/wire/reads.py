"""Turns what every read says and answers (consistency, position, object format, paging) between proto and core.

Unset means the default the proto names; a number out of range is InvalidRequest, never clamped silently.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import Generation, NodeId
from meshnode.ports import Consistency, ConsistencyLevel
from meshnode.v1 import common_pb2

GENERATION_MAX: Final = (1 << 63) - 1
REQUEST_KEY_BYTES_MAX: Final = 128
ACTOR_BYTES_MAX: Final = 256

_LEVELS: Final = {
    common_pb2.CONSISTENCY_LEVEL_UNSPECIFIED: ConsistencyLevel.VERIFIED,
    common_pb2.CONSISTENCY_LEVEL_VERIFIED: ConsistencyLevel.VERIFIED,
    common_pb2.CONSISTENCY_LEVEL_AT_LEAST: ConsistencyLevel.AT_LEAST,
    common_pb2.CONSISTENCY_LEVEL_ANY: ConsistencyLevel.ANY,
}
_LEVEL_NUMBERS: Final = {
    ConsistencyLevel.VERIFIED: common_pb2.CONSISTENCY_LEVEL_VERIFIED,
    ConsistencyLevel.AT_LEAST: common_pb2.CONSISTENCY_LEVEL_AT_LEAST,
    ConsistencyLevel.ANY: common_pb2.CONSISTENCY_LEVEL_ANY,
}
_FORMATS: Final[Mapping[int, str]] = {
    common_pb2.OBJECT_FORMAT_UNSPECIFIED: "sha1",
    common_pb2.OBJECT_FORMAT_SHA1: "sha1",
    common_pb2.OBJECT_FORMAT_SHA256: "sha256",
}


def consistency_of(message: common_pb2.Consistency) -> Consistency:
    """Read a request's demand. Raises InvalidRequest."""
    level = _LEVELS.get(message.level)
    if level is None:
        raise InvalidRequest("unknown consistency level", level=int(message.level))
    if message.generation and level is not ConsistencyLevel.AT_LEAST:
        raise InvalidRequest("a generation goes with AT_LEAST only", level=level.value)
    return Consistency(level, generation_of(message.generation))


def consistency_message(consistency: Consistency) -> common_pb2.Consistency:
    """A demand as the next node reads it."""
    generation = consistency.generation if consistency.level is ConsistencyLevel.AT_LEAST else 0
    return common_pb2.Consistency(level=_LEVEL_NUMBERS[consistency.level], generation=generation)


def generation_of(number: int) -> Generation:
    """Check a generation: 0 to 2**63 - 1. Raises InvalidRequest."""
    if not 0 <= number <= GENERATION_MAX:
        raise InvalidRequest("generation is out of range", generation=number)
    return Generation(number)


def position_message(generation: Generation, node: NodeId) -> common_pb2.Position:
    """Where an answer stands and who gave it."""
    return common_pb2.Position(generation=generation, node=node)


def object_format_of(number: int) -> str:
    """`sha1` or `sha256`. Raises InvalidRequest."""
    name = _FORMATS.get(number)
    if name is None:
        raise InvalidRequest("unknown object format", object_format=number)
    return name


def object_format_number(name: str) -> common_pb2.ObjectFormat:
    """The proto's number of `sha1` or `sha256`."""
    return common_pb2.OBJECT_FORMAT_SHA256 if name == "sha256" else common_pb2.OBJECT_FORMAT_SHA1


def request_key_of(text: str) -> str:
    """Check a request key: at most 128 bytes of text without control characters; "" means none given."""
    return _check_text(text, "request key", REQUEST_KEY_BYTES_MAX)


def actor_of(text: str) -> str:
    """Check the name of who asked, as a node hands it on: at most 256 bytes without control characters."""
    return _check_text(text, "actor", ACTOR_BYTES_MAX)


def page_size_of(number: int, *, default: int, largest: int) -> int:
    """Check a page size; 0 means `default`. Raises InvalidRequest above `largest`."""
    if number > largest:
        raise InvalidRequest("page is too large", page_size=number, page_size_max=largest)
    return number or default


def _check_text(text: str, what: str, bytes_max: int) -> str:
    if len(text.encode("utf-8", "surrogatepass")) > bytes_max:
        raise InvalidRequest(f"{what} is too long", bytes_max=bytes_max)
    if any(letter < " " or letter == "\x7f" or "\ud800" <= letter <= "\udfff" for letter in text):
        raise InvalidRequest(f"{what} holds control characters")
    return text
