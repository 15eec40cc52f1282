"""Keeps what was read of objects: an object's content follows from its id, so what was read once is true for ever.

    names      "<oid>^{tree}", "<oid>:a/b" -> kind, size and id: they start from an object id, so they cannot change
    contents   of small objects, by id: commits and trees are asked for again and again, blobs by the way

Only what was found is kept: an object that is missing may come. What is kept belongs to one directory: a replica
that was replaced may lack what its predecessor had. Bounded in bytes, a third of them for each of: a young generation, where
everything goes that is new or asked for; an old one, which was the young one until that was full; and one that is
taken down, two entries for each new one, so that nobody waits for 30,000 of them. Thus a thousand names that are known
cost a thousand looks into a dictionary; an exact order of use would cost five times that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from meshnode.base.ids import ObjectId
from meshnode.core.round import ReplicaKey
from meshnode.ports import ObjectInfo, ObjectKind, RawObject

CACHE_BYTES_MAX: Final = 64 << 20
"""Of one node, all replicas together."""
OBJECT_BYTES_MAX: Final = 64 << 10
"""A longer content is not kept, but for what is said of it: it would push out hundreds of others."""
TREE_BYTES_MAX: Final = 4 << 20
"""The same of a tree: the pages of a long directory are asked for one after the other."""
ENTRY_BYTES: Final = 500
"""What a name costs beside its own bytes and a content: dictionaries, kind, size, ids."""
_TAKEN_DOWN: Final = 3
"""Steps of taking down a generation for each entry of the next: its names, its contents, its dictionaries."""

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
        self._generation_bytes_max = bytes_max // 3
        self._young: dict[Source, _Known] = {}
        self._old: dict[Source, _Known] = {}
        self._young_bytes = 0
        self._gone: list[dict[str, Any]] = []

    def infos(self, source: Source, names: Sequence[str]) -> list[ObjectInfo | None]:
        """What is known of each name, in order."""
        self._age()
        young = self._young.get(source)
        found: list[ObjectInfo | None] = [None] * len(names) if young is None else [*map(young.infos.get, names)]
        if None in found and (old := self._old.get(source)) is not None:
            for index, info in enumerate(found):
                if info is None and (info := old.infos.get(names[index])) is not None:
                    found[index] = info
                    self._put(source, names[index], info)
        return found

    def info(self, source: Source, name: str) -> ObjectInfo | None:
        """What is known of a name."""
        return self.infos(source, [name])[0]

    def contents(self, source: Source, names: Sequence[str]) -> list[RawObject | None]:
        """The content that is known under each name, in order."""
        infos = self.infos(source, names)
        young, old = self._known(source).contents, self._old.get(source)
        found: list[RawObject | None] = []
        for info in infos:
            data = None if info is None else young.get(info.oid)
            if data is None and info is not None and old is not None:
                data = old.contents.get(info.oid)
                if data is not None:
                    self._put_data(source, info.oid, data)
            found.append(None if info is None or data is None else RawObject(info, data))
        return found

    def content(self, source: Source, name: str) -> RawObject | None:
        """The content that is known under a name."""
        young = self._young.get(source)
        if young is not None and (info := young.infos.get(name)) is not None:
            data = young.contents.get(info.oid)
            if data is not None:
                return RawObject(info, data)
        return self.contents(source, [name])[0]

    def keep(self, source: Source, name: str, info: ObjectInfo, data: bytes | None) -> None:
        """Keep what was read under a name; `data` None: the content was not read."""
        if source[1] is None:
            return
        self._age()
        if name != info.oid and _FOR_EVER.match(name):
            self._put(source, name, info)
        self._put(source, info.oid, info)
        if data is not None and len(data) <= (TREE_BYTES_MAX if info.kind is ObjectKind.TREE else OBJECT_BYTES_MAX):
            self._put_data(source, info.oid, data)

    def _put(self, source: Source, name: str, info: ObjectInfo) -> None:
        infos = self._known(source).infos
        if name not in infos:
            infos[name] = info
            self._grow(ENTRY_BYTES + len(name))

    def _put_data(self, source: Source, oid: ObjectId, data: bytes) -> None:
        contents = self._known(source).contents
        if oid not in contents:
            contents[oid] = data
            self._grow(len(data))

    def _known(self, source: Source) -> _Known:
        known = self._young.get(source)
        if known is None:
            known = self._young[source] = _Known({}, {})
        return known

    def _grow(self, size: int) -> None:
        self._young_bytes += size
        for _ in range(_TAKEN_DOWN):
            if self._gone:
                if self._gone[-1]:
                    self._gone[-1].popitem()
                else:
                    self._gone.pop()

    def _age(self) -> None:
        """Begin another generation where the young one is full; never in the middle of a question."""
        if self._young_bytes > self._generation_bytes_max:
            self._gone += [part for known in self._old.values() for part in known]
            self._young, self._old, self._young_bytes = {}, self._young, 0


class _Known(NamedTuple):
    """What one generation knows of a directory."""

    infos: dict[str, ObjectInfo]
    contents: dict[str, bytes]
    """By object id."""
