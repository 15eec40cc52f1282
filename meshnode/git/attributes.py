"""Asks git which attributes a tree gives to paths, through a private index of its .gitattributes files alone.

    the .gitattributes above each path -> none: nobody says anything of any path
                                       -> some: an index file of our own making -> check-attr --cached

git 2.39 has no `check-attr --source`. A whole index of a large tree would cost more than the question; git looks at
nothing but these files, and the index says of each what the tree says. It has no times and sizes of files, for there
is no working tree that it could be held against.

Source: gitattributes(5), git-check-attr(1), gitformat-index(5).
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import BinaryIO, Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.paths import TreePath, directories_above
from meshnode.core.round import ReplicaKey
from meshnode.git.queries import Queries
from meshnode.ports import Attribute, EntryKind, TreeEntry

DEADLINE_MS: Final = 30_000
_FILE: Final = b".gitattributes"
_NAME: Final = re.compile(r"[A-Za-z0-9_.][-A-Za-z0-9_.]{0,199}\Z")

_BUILTIN: Final = "builtin_"
"""Begins names of attributes that git knows of every path; from 2.44 on."""
_UNSPECIFIED: Final = b"unspecified"
_SHA256_DIGITS: Final = 64
_HEADER: Final = struct.Struct(">4sLL")
_ENTRY: Final = struct.Struct(">24xL12x")
_NAME_BYTES_MAX: Final = 0xFFF
"""That the index can count; of a longer name git looks for the end."""
_MODES: Final = {EntryKind.FILE: 0o100644, EntryKind.EXECUTABLE: 0o100755, EntryKind.SYMLINK: 0o120000}

Find = Callable[[Sequence[TreePath]], Awaitable[list[TreeEntry | None]]]


async def read_attributes(
    queries: Queries, find: Find, key: ReplicaKey, paths: Sequence[TreePath], names: Sequence[str]
) -> list[list[Attribute]]:
    """Attributes of each path, in order, as `ports.Trees.attributes`; `find` finds entries of the tree that is asked."""
    for name in names:
        if not _NAME.match(name):
            raise InvalidRequest("not a name of an attribute", name=name[:200])
    asked = list(dict.fromkeys(paths))
    files = [entry for entry in await find(_files_above(asked)) if entry is not None and entry.kind.is_blob]
    wanted = list(dict.fromkeys(names))
    if not files and not any(name.startswith(_BUILTIN) for name in wanted) and not _has_own_attributes(queries, key):
        return [[Attribute(name, _UNSPECIFIED) for name in wanted] for _ in paths]
    answers: dict[bytes, list[Attribute]] = {path: [] for path in asked}
    async with _index(files) as index:
        done = await queries.run(
            key,
            ["check-attr", "--cached", "-z", "--stdin", *(wanted or ["--all"])],
            what="look up attributes",
            deadline_ms=DEADLINE_MS,
            stdin=b"".join(path + b"\0" for path in asked),
            environment=index,
        )
    fields = iter(done.stdout.split(b"\0"))
    for path, name_, value in zip(fields, fields, fields, strict=False):
        answers[path].append(Attribute(name_.decode(), value))
    return [answers[path] for path in paths]


def _has_own_attributes(queries: Queries, key: ReplicaKey) -> bool:
    """Whether an operator has given the replica attributes that no tree says."""
    return os.path.exists(f"{queries.path(key)}/info/attributes")  # noqa: PTH110 - a third of what a path's method takes


def _files_above(paths: Sequence[TreePath]) -> list[TreePath]:
    return [TreePath(above + b"/" + _FILE if above else _FILE) for above in directories_above(paths)]


@asynccontextmanager
async def _index(files: Sequence[TreeEntry]) -> AsyncIterator[dict[str, str]]:
    """The environment in which git sees these files in its index: a file of memory, which no crash leaves behind."""
    if not files:  # an empty one would have to know how the repository hashes
        yield {"GIT_INDEX_FILE": "/nonexistent/index"}
        return
    with _memory_file(format_index(files)) as file:
        yield {"GIT_INDEX_FILE": f"/proc/{os.getpid()}/fd/{file.fileno()}"}


def _memory_file(data: bytes) -> BinaryIO:
    file = os.fdopen(os.memfd_create("index"), "wb")
    file.write(data)
    file.flush()
    return file


def format_index(files: Sequence[TreeEntry]) -> bytes:
    """An index of some files of one tree, at least one, in git's version 2. Modes of old trees become git's own."""
    parts = [_HEADER.pack(b"DIRC", 2, len(files))]
    for file in sorted(files, key=lambda file: file.path):
        size = min(len(file.path), _NAME_BYTES_MAX)
        entry = _ENTRY.pack(_MODES[file.kind]) + bytes.fromhex(file.oid) + size.to_bytes(2, "big") + file.path
        parts.append(entry + bytes(8 - len(entry) % 8))
    data = b"".join(parts)
    is_sha256 = any(len(file.oid) == _SHA256_DIGITS for file in files)
    return data + (hashlib.sha256(data) if is_sha256 else hashlib.sha1(data, usedforsecurity=False)).digest()
