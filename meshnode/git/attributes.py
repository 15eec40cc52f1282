"""Asks git which attributes a tree gives to paths, through a private index of its .gitattributes files alone.

    the .gitattributes above each path -> update-index in a directory of its own -> check-attr --cached

git 2.39 has no `check-attr --source`. A whole index of a large tree would cost more than the question; git looks at
nothing but these files, and the index says of each what the tree says.

Source: gitattributes(5), git-check-attr(1).
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from meshnode.base.errors import InvalidRequest, TooLarge
from meshnode.base.paths import TreePath
from meshnode.core.round import ReplicaKey
from meshnode.git.disk import on_disk
from meshnode.git.queries import Queries
from meshnode.ports import Attribute, TreeEntry

DIRECTORIES_MAX: Final = 10_000
"""Directories above all paths of one question."""
DEADLINE_MS: Final = 30_000
_FILE: Final = b".gitattributes"
_NAME: Final = re.compile(r"[A-Za-z0-9_.][-A-Za-z0-9_.]{0,199}\Z")

Find = Callable[[Sequence[TreePath]], Awaitable[list[TreeEntry | None]]]


async def read_attributes(
    queries: Queries, find: Find, key: ReplicaKey, paths: Sequence[TreePath], names: Sequence[str]
) -> list[list[Attribute]]:
    """Attributes of each path, in order, as `ports.Trees.attributes`; `find` finds entries of the tree that is asked."""
    for name in names:
        if not _NAME.match(name):
            raise InvalidRequest("not a name of an attribute", name=name[:200])
    files = [entry for entry in await find(_files_above(paths)) if entry is not None and entry.kind.is_blob]
    asked = list(dict.fromkeys(paths))
    answers: dict[bytes, list[Attribute]] = {path: [] for path in asked}
    async with _index(queries, key, files) as index:
        done = await queries.run(
            key,
            ["check-attr", "--cached", "-z", "--stdin", *(dict.fromkeys(names) if names else ["--all"])],
            what="look up attributes",
            deadline_ms=DEADLINE_MS,
            stdin=b"".join(path + b"\0" for path in asked),
            environment=index,
        )
    fields = iter(done.stdout.split(b"\0"))
    for path, name_, value in zip(fields, fields, fields, strict=False):
        answers[path].append(Attribute(name_.decode(), value))
    return [answers[path] for path in paths]


def _files_above(paths: Sequence[TreePath]) -> list[TreePath]:
    directories = {b""}
    for path in paths:
        parent = path.rpartition(b"/")[0]
        while parent not in directories:
            directories.add(parent)
            parent = parent.rpartition(b"/")[0]
        if len(directories) > DIRECTORIES_MAX:
            raise TooLarge("paths lie in too many directories", directories_max=DIRECTORIES_MAX)
    return [TreePath(directory + b"/" + _FILE if directory else _FILE) for directory in sorted(directories)]


@asynccontextmanager
async def _index(queries: Queries, key: ReplicaKey, files: Sequence[TreeEntry]) -> AsyncIterator[dict[str, str]]:
    """The environment in which git sees these files in its index."""
    directory = Path(await on_disk(tempfile.mkdtemp, prefix="meshnode-attributes-"))
    try:
        environment = {"GIT_INDEX_FILE": str(directory / "index")}
        if files:
            await queries.run(
                key,
                ["update-index", "-z", "--index-info"],
                what="prepare a look at attributes",
                deadline_ms=DEADLINE_MS,
                stdin=b"".join(b"%06o %s 0\t%s\0" % (file.mode, file.oid.encode(), file.path) for file in files),
                environment=environment,
            )
        yield environment
    finally:
        await on_disk(shutil.rmtree, directory)
