r"""Finds last changes of entries among the newest commits, without a git process: most pages change near the top.

    a commit, some of its first parents, and their second ones   one question
    their trees of the directory: contents                        one more, for those that are not in memory
                                  ids, where it is not the root   one more

Each entry waits at a commit (`git/last_commits.py`); one whose commit and parents are known here is sent on by what the
trees say. What is not known after `AHEAD` questions waits where it is, and git goes on from there. Anything odd, such as
a directory that was not always one, is git's to judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import MeshError
from meshnode.base.ids import ObjectId
from meshnode.base.paths import TreePath, name_in
from meshnode.core.round import ReplicaKey
from meshnode.ports import EntryKind, ObjectKind, Objects, RawObject

AHEAD: Final = (4, 16, 24)
"""First parents read by each question; all of them together cost about as much as to start git."""
COMMIT_BYTES_EACH: Final = 8 << 10
TREES_BYTES_MAX: Final = 128 << 10
"""Of the trees of one question; larger directories are git's."""

_HEADER: Final = re.compile(rb"tree ([0-9a-f]+)\n((?:parent [0-9a-f]+\n)*)")
_ENTRIES: Final = {size: re.compile(rb"([0-7]+) ([^\0]+)\0(.{%d})" % size, re.DOTALL) for size in (20, 32)}

Entries = dict[bytes, tuple[bytes, bytes]]
"""Mode and id of each name."""


@dataclass(frozen=True, slots=True)
class NearCommit:
    """What is known of a commit."""

    parents: list[ObjectId]
    entries: Entries


class NearCommits:
    """Commits read so far, for one directory."""

    def __init__(self, objects: Objects, key: ReplicaKey, directory: TreePath) -> None:
        self._objects = objects
        self._key = key
        self._directory = directory
        self._found: dict[ObjectId, NearCommit] = {}
        self._trees: dict[ObjectId, Entries] = {}

    def is_known(self, commit: ObjectId) -> bool:
        """Whether `sources` can tell of a commit."""
        own = self._found.get(commit)
        return own is not None and all(parent in self._found for parent in own.parents)

    def sources(self, commit: ObjectId, names: set[bytes]) -> Iterator[tuple[ObjectId, set[bytes]]]:
        """Each parent that has some of these entries as the commit has them, each entry once, and which."""
        own = self._found[commit]
        left = set(names)
        for oid in own.parents:
            theirs = self._found[oid].entries
            is_one_tree = own.entries is theirs
            same = {name for name in left if is_one_tree or _is_same(own.entries.get(name), theirs.get(name))}
            left -= same
            yield oid, same

    async def read(self, commit: ObjectId, ahead: int) -> bool:
        """Read a commit and first parents of it, as far as they can be; False where git must be asked."""
        chain = [commit, *(f"{commit}~{back}" for back in range(1, ahead + 1))]
        names = [*chain, *(f"{one}^2" for one in chain[:-1])]
        try:
            raws = await self._objects.read(self._key, names, bytes_max=len(names) * COMMIT_BYTES_EACH)
            commits = {raw.info.oid: raw for raw in raws if raw is not None and raw.info.oid not in self._found}
            return await self._take(commits)
        except MeshError:  # whatever is wrong, git says it better
            return False

    async def _take(self, commits: dict[ObjectId, RawObject]) -> bool:
        headers = {oid: _HEADER.match(raw.data) for oid, raw in commits.items()}
        if self._directory:
            infos = await self._objects.look_up(self._key, [name_in(oid, self._directory) for oid in commits])
            trees = [info.oid if info is not None and info.kind is ObjectKind.TREE else None for info in infos]
        else:
            trees = [None if header is None else ObjectId(header[1].decode("ascii")) for header in headers.values()]
        unknown = [oid for oid in dict.fromkeys(trees) if oid is not None and oid not in self._trees]
        for raw in await self._objects.read(self._key, unknown, bytes_max=TREES_BYTES_MAX):
            entries = None if raw is None else _entries(raw.data, len(raw.info.oid) // 2)
            if raw is None or entries is None:
                return False
            self._trees[raw.info.oid] = entries
        for (oid, header), tree in zip(headers.items(), trees, strict=True):
            if header is not None and tree is not None:
                parents = [ObjectId(line[7:].decode("ascii")) for line in header[2].splitlines()]
                self._found[oid] = NearCommit(parents, self._trees[tree])
        return True


def _entries(data: bytes, oid_bytes: int) -> Entries | None:
    """The entries of a tree; None of one that is not well-formed."""
    entries: Entries = {}
    size = 0
    for mode, name, oid in _ENTRIES[oid_bytes].findall(data):
        entries[name] = mode, oid
        size += len(mode) + len(name) + len(oid) + 2
    return entries if size == len(data) else None


def _is_same(own: tuple[bytes, bytes] | None, theirs: tuple[bytes, bytes] | None) -> bool:
    if own is None or theirs is None or own[1] != theirs[1]:
        return False
    return own[0] == theirs[0] or EntryKind.of(int(own[0], 8)) is EntryKind.of(int(theirs[0], 8))
