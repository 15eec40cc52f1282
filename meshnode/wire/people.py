"""Reads from a request who makes commits and tags, and when."""

from __future__ import annotations

from typing import Any

from meshnode.base.errors import InvalidRequest
from meshnode.ports import Person
from meshnode.v1 import operation_pb2


def person_of(message: operation_pb2.Person, now_s: int) -> Person:
    """Who and when; `now_s` where no time is given."""
    return Person(
        name=message.name,
        email=message.email,
        seconds=message.seconds if message.HasField("seconds") else now_s,
        offset_minutes=message.offset_minutes,
    )


def author_of(request: Any, now_s: int) -> Person:
    """The author of a request. Raises InvalidRequest where there is none."""
    if not request.HasField("author"):
        raise InvalidRequest("an author is needed")
    return person_of(request.author, now_s)


def committer_of(request: Any, now_s: int) -> Person:
    """The committer of a request; where there is none, the author."""
    return person_of(request.committer, now_s) if request.HasField("committer") else author_of(request, now_s)
