"""Remembers how far each repository was seen, so that no later answer is older.

Reads that name no consistency of their own are asked at the level the client was made with: VERIFIED asks the
catalog; OWN_WRITES asks for the last generation seen here, which costs no catalog request and still never goes back.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from typing import Any, Final

from google.protobuf.message import Message

from meshnode.v1 import common_pb2

REPOSITORIES_MAX: Final = 100_000


class ReadLevel(Enum):
    """How fresh reads are that say nothing themselves."""

    VERIFIED = "verified"
    """At or past everything anybody committed before the read."""
    OWN_WRITES = "own-writes"
    """At or past everything this client has seen."""


class Positions:
    """Last seen generations, by repository name; the least used names go first."""

    def __init__(self, level: ReadLevel) -> None:
        self._level = level
        self._seen: OrderedDict[str, int] = OrderedDict()

    def of(self, name: str) -> int:
        """The last generation seen of a repository; 0 for none."""
        return self._seen.get(name.removesuffix(".git"), 0)

    def demand(self, name: str, consistency: Any) -> None:
        """Fill in the consistency of a read that has none."""
        seen = self.of(name)
        if (
            consistency.level == common_pb2.CONSISTENCY_LEVEL_UNSPECIFIED
            and self._level is ReadLevel.OWN_WRITES
            and seen
        ):
            consistency.level = common_pb2.CONSISTENCY_LEVEL_AT_LEAST
            consistency.generation = seen

    def forget(self, name: str, consistency: Any) -> None:
        """Take back what `demand` filled in: nobody is that far, so the name belongs to another repository now."""
        if consistency.level == common_pb2.CONSISTENCY_LEVEL_AT_LEAST and consistency.generation == self.of(name):
            self._seen.pop(name.removesuffix(".git"), None)
            consistency.level = common_pb2.CONSISTENCY_LEVEL_VERIFIED
            consistency.generation = 0

    def note(self, name: str, response: Message) -> None:
        """Take note of where an answer stands."""
        if "position" not in response.DESCRIPTOR.fields_by_name or not response.HasField("position"):
            return
        position = response.position  # type: ignore[attr-defined]
        key = name.removesuffix(".git")
        self._seen[key] = max(self._seen.get(key, 0), position.generation)
        self._seen.move_to_end(key)
        if len(self._seen) > REPOSITORIES_MAX:
            self._seen.popitem(last=False)
