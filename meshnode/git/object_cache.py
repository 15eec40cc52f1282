"""Keeps what was read of objects: an object's content follows from its id, so what was read once is true for ever.

    names      "<oid>^{tree}", "<oid>:a/b" -> kind, size and id: they start from an object id, so they cannot change
    contents   of small objects: commits and trees are asked for again and again, blobs by the way

Only what was found is kept: an object that is missing may come. What is kept belongs to one directory: a replica
that was replaced may lack what its predecessor had. Least used entries go first; bounded in bytes.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from pathlib import Path
from typing import Final, TypeAlias

from meshnode.core.round import ReplicaKey
from meshnode.ports import ObjectInfo, ObjectKind, RawObject

CACHE_BYTES_MAX: Final = 64 << 20
"""Of one node, all replicas together."""
OBJECT_BYTES_MAX: Final = 64 << 10
"""A longer content is not kept, but for what is said of it: it would push out hundreds of others."""
TREE_BYTES_MAX: Final = 4 << 20
"""The same of a tree: the pages of a long directory are asked for one after the other."""
ENTRY_BYTES: Final = 700
"""What an entry costs beside its name and content: key, links, dictionary, ids."""

Birth: TypeAlias = tuple[int, int]
"""What tells a directory from the one that was in its place: inode and change time of a file written once."""
Source: TypeAlias = tuple[ReplicaKey, Birth | None]
"""A directory; None where it is not there, and nothing can be kept."""

_FOR_EVER: Final = re.compile(r"(?:[0-9a-f]{64}|[0-9a-f]{40})(?![0-9a-f])")
"""A name that starts from a whole object id."""


def birth_of(repository: Path) -> Birth | None:
    """The birth of the directory that is there now; None where there is none."""
    try:
        found = os.stat(f"{repository}/config")  # noqa: PTH116 - a third of what it takes with a path's methods
    except OSError:
        return None
    return found.st_ino, found.st_ctime_ns


class ObjectCache:
    """What was read, by directory and name."""

    def __init__(self, bytes_max: int = CACHE_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._entries: OrderedDict[tuple[Source, str], tuple[ObjectInfo, bytes | None]] = OrderedDict()
        self._bytes = 0

    def info(self, source: Source, name: str) -> ObjectInfo | None:
        """What is known of a name."""
        found = self._find(source, name)
        return None if found is None else found[0]

    def content(self, source: Source, name: str) -> RawObject | None:
        """The content that is known under a name."""
        found = self._find(source, name)
        if found is not None and found[1] is None and name != found[0].oid:
            found = self._find(source, found[0].oid)
        return None if found is None or found[1] is None else RawObject(found[0], found[1])

    def keep(self, source: Source, name: str, info: ObjectInfo, data: bytes | None) -> None:
        """Keep what was read under a name; `data` None: the content was not read."""
        if source[1] is None:
            return
        if data is not None and len(data) > (TREE_BYTES_MAX if info.kind is ObjectKind.TREE else OBJECT_BYTES_MAX):
            data = None
        if name != info.oid and _FOR_EVER.match(name):
            self._put((source, name), info, None)
        self._put((source, info.oid), info, data)

    def _find(self, source: Source, name: str) -> tuple[ObjectInfo, bytes | None] | None:
        place = (source, name)
        found = self._entries.get(place)
        if found is not None:
            self._entries.move_to_end(place)
        return found

    def _put(self, place: tuple[Source, str], info: ObjectInfo, data: bytes | None) -> None:
        known = self._entries.get(place)
        if known is not None:
            if data is None or known[1] is not None:
                return
            self._bytes -= _cost(place[1], known[1])
        self._entries[place] = info, data
        self._bytes += _cost(place[1], data)
        while self._bytes > self._bytes_max:
            (_, name), (_, dropped) = self._entries.popitem(last=False)
            self._bytes -= _cost(name, dropped)


def _cost(name: str, data: bytes | None) -> int:
    return ENTRY_BYTES + len(name) + (0 if data is None else len(data))
