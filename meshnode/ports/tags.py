"""Tag objects of a replica, and the dates of what references hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from meshnode.base.ids import ObjectId
from meshnode.core.round import ReplicaKey
from meshnode.ports.commits import Identity, Signature
from meshnode.ports.objects import ObjectKind


@dataclass(frozen=True, slots=True)
class TagObject:
    """An annotated tag as it is stored."""

    oid: ObjectId
    target: ObjectId
    target_kind: ObjectKind
    name: bytes
    tagger: Identity | None
    message: bytes
    """Without the signature."""
    signature: Signature


class Tags(Protocol):
    """Reads tags. Raises Corrupt where an object cannot be parsed."""

    async def read(self, key: ReplicaKey, oids: Sequence[ObjectId]) -> list[TagObject]:
        """The tag objects, in order.

        Raises:
            TooLarge: together they hold more than 16 MiB.
        """
        ...

    async def dates(self, key: ReplicaKey, oids: Sequence[ObjectId]) -> Mapping[ObjectId, int]:
        """When each object was made, in seconds since 1970: by the tagger or committer, 0 for other objects."""
        ...
