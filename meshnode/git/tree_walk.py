"""Walks a listing of a tree from a place in it: runs of entries, whole slices at a time.

    parse_slice   up to `SLICE` entries of a tree, in one pass of a regular expression
    TreeWalk      a stack of directories, one for each level; its place is the index at each level, "3.17.250"

Directories that come next are read together, then those below them: a question for each level of depth, not for each
directory. What was read ahead and turns out to be bad counts only when the walk gets there.

Source: git's tree-walk.c for the format.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Final, NoReturn

from meshnode.base.errors import InvalidRequest, TooLarge
from meshnode.base.ids import ObjectId
from meshnode.ports import EntryKind, TreeRun

PORTION_BYTES_MAX: Final = 4 << 20
"""Of trees read in one go, and of those kept for the rest of the walk."""
AHEAD_MAX: Final = 64
"""Directories fetched in one go: their round trip costs as much as parsing some of them."""
DEPTH_MAX: Final = 200
"""Levels of a recursive listing; a page token names the place in each."""
SLICE: Final = 2_000
"""Entries parsed before others get their turn: about 0.5 ms."""
_TURN: Final = 10 * SLICE
"""Entries skipped before others get their turn: about 0.7 ms."""

Row = tuple[bytes, bytes, bytes]
"""Mode in octal digits, name, raw object id."""

_ID_SIZES: Final = (20, 32)
_ROW: Final = rb"([0-7]{1,10}) ([^\0]+)\0(.{%d})"
"""Ten digits hold every mode that a number of 32 bits does."""
_UNREAD: Final = rb"(?:[0-7]{1,10} [^\0]+\0.{%d})"
_ROWS: Final = {size: re.compile(_ROW % size, re.DOTALL) for size in _ID_SIZES}
_SLICES: Final = {size: re.compile(_UNREAD % size + b"{0,%d}" % SLICE, re.DOTALL) for size in _ID_SIZES}
_STRIDES: Final = {
    size: [(count, re.compile(_UNREAD % size + b"{%d}" % count, re.DOTALL)) for count in (SLICE, 50, 1)]
    for size in _ID_SIZES
}
"""Patterns for so many entries at once, the most first."""

Trees = Callable[[Sequence[str]], AsyncGenerator[bytes | None, None]]
"""Reads trees, in order; None for what is no tree or not there."""
Refuse = Callable[[ObjectId], Awaitable[NoReturn]]
"""Says what is wrong with a directory that could not be read."""


def parse_slice(data: bytes, offset: int, oid_bytes: int) -> tuple[list[Row], int]:
    """Up to `SLICE` entries from `offset` on, at least one, and the offset after them.

    Raises:
        InvalidRequest: there is no well-formed entry.
    """
    found = _SLICES[oid_bytes].match(data, offset)
    if found is None or found.end() == offset:
        raise InvalidRequest("malformed tree object", offset=offset)
    return _ROWS[oid_bytes].findall(data, offset, found.end()), found.end()


class IsDirectory(dict[bytes, bool]):
    """Whether an entry of a mode, in octal digits, is a directory; a mode is looked at once."""

    def __missing__(self, mode: bytes) -> bool:
        result = self[mode] = EntryKind.of(int(mode, 8)) is EntryKind.DIRECTORY
        return result


class TreeWalk:
    """A place in a listing, and the trees that lead there."""

    def __init__(self, trees: Trees, refuse: Refuse, *, is_recursive: bool) -> None:
        self._trees = trees
        self._refuse = refuse
        self._is_recursive = is_recursive
        self._is_directory = IsDirectory()
        self._levels: list[_Level] = []
        self._known: dict[bytes, _Tree] = {}
        self._known_bytes = 0

    async def start(self, root: ObjectId, at: Sequence[int]) -> None:
        """Go to `at`.

        Raises:
            InvalidRequest: it is no place in this tree.
        """
        oid, path = bytes.fromhex(root), b""
        *above, last = at or (0,)
        for index in above:
            await self._enter(oid, path, 0)
            level = self._levels[-1]
            await level.skip(index)
            if not (self._is_recursive and level.is_ready() and self._is_directory[level.rows[level.at][0]]):
                raise _misfit()
            _, name, oid = level.rows[level.at]
            path = level.prefix + name
            level.at += 1
        await self._enter(oid, path, 0)
        await self._levels[-1].skip(last)

    async def page(self, entries_max: int, bytes_max: int) -> tuple[list[TreeRun], tuple[int, ...] | None]:
        """Entries from here on, until there are `entries_max` or their paths have `bytes_max` bytes; at least one.

        With them the place after them; None: that was all.
        """
        runs: list[TreeRun] = []
        size = unrested = 0
        left = entries_max
        while self._levels and left and size < bytes_max:
            level = self._levels[-1]
            if not level.is_ready():
                self._levels.pop()
                continue
            rows, is_into = self._next_rows(level, left)
            length = sum([len(row[1]) for row in rows]) + len(level.prefix) * len(rows)
            if size + length >= bytes_max:  # the one that fills it is the last one
                length = 0
                for number, row in enumerate(rows, start=1):
                    length += len(row[1]) + len(level.prefix)
                    if size + length >= bytes_max:
                        is_into = is_into and number == len(rows)
                        rows = rows[:number]
                        break
            level.at += len(rows)
            runs.append(TreeRun(level.prefix, rows))
            size += length
            left -= len(rows)
            unrested += len(rows)
            if is_into:
                _, name, oid = rows[-1]
                await self._enter(oid, level.prefix + name, left)
            if unrested >= SLICE:
                unrested = 0
                await asyncio.sleep(0)
        return runs, self._place()

    def _next_rows(self, level: _Level, left: int) -> tuple[list[Row], bool]:
        """What comes next of a directory, up to the next one that the walk goes into, and whether it is reached."""
        end = min(len(level.rows), level.at + left)
        if self._is_recursive:
            following = level.next_directory(self._is_directory)
            if following < end:
                return level.rows[level.at : following + 1], True
        return level.rows[level.at : end], False

    def _place(self) -> tuple[int, ...] | None:
        while self._levels and not self._levels[-1].is_ready():
            self._levels.pop()
        if not self._levels:
            return None
        *above, last = [level.index for level in self._levels]
        return (*(index - 1 for index in above), last)

    async def _enter(self, oid: bytes, path: bytes, wanted: int) -> None:
        if len(self._levels) == DEPTH_MAX:
            raise TooLarge("directories are nested too deep to be listed at once", depth_max=DEPTH_MAX)
        if oid not in self._known:
            await self._fetch(oid, wanted)
        self._levels.append(_Level(self._known[oid], path + b"/" if path else b"", len(oid)))

    async def _fetch(self, oid: bytes, wanted: int) -> None:
        """Read a directory, those that come next, and those below them, as far as `wanted` entries may lead."""
        if self._known_bytes > PORTION_BYTES_MAX:
            self._known.clear()
            self._known_bytes = 0
        next_ones = [oid]
        if self._is_recursive and self._levels:
            next_ones += self._directories(self._levels[-1].rows[self._levels[-1].at :])
        while next_ones:
            next_ones = next_ones[:AHEAD_MAX]
            below: list[bytes] = []
            position = 0
            async with aclosing(self._trees([one.hex() for one in next_ones])) as found:
                async for data in found:
                    if data is None:
                        if next_ones[position] == oid:
                            await self._refuse(ObjectId(oid.hex()))
                        break
                    tree = self._known[next_ones[position]] = _Tree(data, len(oid))
                    position += 1
                    self._known_bytes += len(data)
                    if self._known_bytes > PORTION_BYTES_MAX:
                        return
                    wanted -= len(tree.rows)
                    if self._is_recursive and wanted > 0:
                        below += self._directories(tree.rows)
            next_ones = [one for one in dict.fromkeys(below) if one not in self._known] if wanted > 0 else []

    def _directories(self, rows: Sequence[Row]) -> list[bytes]:
        is_directory = self._is_directory
        found = [row[2] for row in rows if is_directory[row[0]]]
        return [one for one in dict.fromkeys(found) if one not in self._known]


class _Tree:
    """One tree and the first slice of it; nothing where that is malformed: whoever enters it learns of it."""

    def __init__(self, data: bytes, oid_bytes: int) -> None:
        self.data = data
        self.rows: list[Row] = []
        self.end = 0
        if data:
            try:
                self.rows, self.end = parse_slice(data, 0, oid_bytes)
            except InvalidRequest:
                return


class _Level:
    """One tree, the slice of it that is being listed, and the place in that."""

    def __init__(self, tree: _Tree, prefix: bytes, oid_bytes: int) -> None:
        self.prefix = prefix
        self.rows = tree.rows
        self.at = 0
        """Of the next entry in `rows`."""
        self._data = tree.data
        self._end = tree.end
        self._first = 0
        """Index of the first of `rows`."""
        self._oid_bytes = oid_bytes
        self._directories: list[int] | None = None
        """Places in `rows`, the next one last; None: not looked for."""

    @property
    def index(self) -> int:
        """Of the next entry."""
        return self._first + self.at

    def is_ready(self) -> bool:
        """Whether there is a further entry; it is in `rows` then. Raises InvalidRequest where it is malformed."""
        if self.at < len(self.rows):
            return True
        if self._end >= len(self._data):
            return False
        self._first, self.at = self.index, 0
        self.rows, self._end = parse_slice(self._data, self._end, self._oid_bytes)
        self._directories = None
        return True

    def next_directory(self, is_directory: IsDirectory) -> int:
        """Place in `rows` of the next directory; their number where there is none."""
        if self._directories is None:
            places = [number for number, row in enumerate(self.rows) if is_directory[row[0]]]
            self._directories = [*reversed(places)]
        while self._directories and self._directories[-1] < self.at:
            self._directories.pop()
        return self._directories[-1] if self._directories else len(self.rows)

    async def skip(self, count: int) -> None:
        """Go on by `count` entries from the start. Raises InvalidRequest where there are fewer."""
        if count <= len(self.rows):
            self.at = count
            return
        index, offset = len(self.rows), self._end
        for stride, pattern in _STRIDES[self._oid_bytes]:
            while index + stride <= count:
                found = pattern.match(self._data, offset)
                if found is None:
                    raise _misfit()
                index, offset = index + stride, found.end()
                if index % _TURN < stride:
                    await asyncio.sleep(0)
        self.rows, self.at, self._first, self._end = [], 0, index, offset
        self._directories = None


def _misfit() -> InvalidRequest:
    return InvalidRequest("page token does not fit this directory")
