"""Parses bytes that someone sent as a protobuf message."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from meshnode.base.errors import InvalidRequest

M = TypeVar("M", bound=Message)


def parse(kind: type[M], body: bytes) -> M:
    """Parse a message of `kind`. Raises InvalidRequest where the bytes are not one."""
    message = kind()
    try:
        message.ParseFromString(body)
    except (DecodeError, ValueError, RecursionError) as error:
        raise InvalidRequest("malformed message", expected=kind.DESCRIPTOR.full_name) from error
    return message
