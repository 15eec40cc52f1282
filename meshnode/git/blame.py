r"""Blames files with `git blame --porcelain`, and reads what it prints line by line.

    <oid> <line in that commit> <line> [<lines in this run>]
    author ...                                  details of a commit come with its first run only
    previous <oid> <path>                       so does its path, unless the commit has lines under several
    filename <path>
    \t<content>

Source: git-blame(1) "THE PORCELAIN FORMAT".
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import Corrupt, TooLarge
from meshnode.base.ids import ObjectId
from meshnode.base.paths import TreePath, shown
from meshnode.core.round import ReplicaKey
from meshnode.git.commit_walks import WALK_MS
from meshnode.git.queries import Queries
from meshnode.git.quoting import unquoted
from meshnode.ports import BlameHunk, BlameOptions

LINE_BYTES_MAX: Final = 1 << 20
HUNK_BYTES_MAX: Final = 256 << 10
"""A run of more comes in several hunks."""
SLICE: Final = 1_000
"""Lines of output read before the loop runs again: about 1 ms."""


class GitBlames:
    """Implements `ports.Blames`."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    @asynccontextmanager
    async def blame(
        self, key: ReplicaKey, commit: ObjectId, path: TreePath, options: BlameOptions
    ) -> AsyncIterator[AsyncIterator[BlameHunk]]:
        """The lines of a file, in order."""
        async with (
            self._queries.running(
                key,
                [
                    "blame",
                    "--porcelain",
                    "--root",
                    "--no-textconv",
                    *_arguments(options),
                    commit,
                    "--",
                    os.fsdecode(path),
                ],
                what="blame the file",
                deadline_ms=WALK_MS,
            ) as chunks,
            aclosing(_hunks(chunks, path)) as hunks,
        ):
            yield hunks


async def _hunks(chunks: AsyncIterator[bytes], path: TreePath) -> AsyncGenerator[BlameHunk, None]:
    parser = PorcelainParser()
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > LINE_BYTES_MAX or max(map(len, lines), default=0) > LINE_BYTES_MAX:
            raise TooLarge("a line is too long to be blamed", path=shown(path), bytes_max=LINE_BYTES_MAX)
        for start in range(0, len(lines), SLICE):
            if start:
                await asyncio.sleep(0)
            for hunk in filter(None, map(parser.take, lines[start : start + SLICE])):
                yield hunk
    last = parser.finish(rest)
    if last is not None:
        yield last


@dataclass(slots=True)
class _Origin:
    """Where a commit has its lines."""

    path: bytes = b""
    previous: tuple[ObjectId, bytes] | None = None


class PorcelainParser:
    """Puts hunks together from lines of output."""

    def __init__(self) -> None:
        self._origins: dict[ObjectId, _Origin] = {}
        self._hunk: BlameHunk | None = None
        self._size = 0
        self._header: tuple[ObjectId, int, int, bool] | None = None
        """Of the line that comes: commit, line there, line here, whether a run begins."""
        self._details: _Origin | None = None
        self._previous: tuple[ObjectId, bytes] | None = None

    def take(self, line: bytes) -> BlameHunk | None:
        """Take a line of output; a hunk that is complete with it. Raises Corrupt."""
        try:
            return self._take(line)
        except ValueError as error:
            raise Corrupt("git blame printed something else", line=shown(line[:200])) from error

    def _take(self, line: bytes) -> BlameHunk | None:
        if self._header is None:
            self._begin(line)
        elif line.startswith(b"\t"):
            return self._add(line[1:])
        elif line.startswith(b"previous "):
            _, oid, path = line.split(b" ", 2)
            self._previous = (ObjectId(oid.decode("ascii")), unquoted(path))
        elif line.startswith(b"filename "):
            self._details = _Origin(unquoted(line.removeprefix(b"filename ")), self._previous)
        return None

    def finish(self, rest: bytes = b"") -> BlameHunk | None:
        """The last hunk. `rest` is what came behind the last line break. Raises Corrupt where it stops in the middle."""
        if self._header is not None or rest:
            raise Corrupt("git blame ended before a line's content")
        return self._hunk

    def _begin(self, line: bytes) -> None:
        fields = line.decode("ascii").split(" ")
        if len(fields) not in {3, 4}:
            raise ValueError("not the header of a line")
        self._header = (ObjectId(fields[0]), int(fields[1]), int(fields[2]), len(fields) == 4)
        self._details = self._previous = None

    def _add(self, content: bytes) -> BlameHunk | None:
        assert self._header is not None
        oid, original, final, is_start = self._header
        self._header = None
        if self._details is not None:
            self._origins[oid] = self._details
        done = None
        if self._hunk is None or is_start or self._size + len(content) > HUNK_BYTES_MAX:
            origin = self._origins.setdefault(oid, _Origin())
            done, self._size = self._hunk, 0
            self._hunk = BlameHunk(oid, origin.path, final, original, [], origin.previous)
        self._hunk.lines.append(content)
        self._size += len(content) + 1
        return done


def _arguments(options: BlameOptions) -> list[str]:
    arguments = [f"-L{start},{end or ''}" for start, end in options.ranges]
    arguments += [f"--ignore-rev={oid}" for oid in options.ignored]
    if options.ignore_whitespace:
        arguments.append("-w")
    if options.first_parent:
        arguments.append("--first-parent")
    if options.detect_moves:
        arguments.append("-M")
    return arguments + ["-C"] * options.copies
