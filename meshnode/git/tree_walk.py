"""Walks a listing of a tree from a place in it: runs of entries, whole slices at a time.

    parse_slice   up to `SLICE` entries of a tree, in one pass of a regular expression
    TreeWalk      a stack of directories, one for each level; its place is the index at each level, "3.17.250"

Directories that come next are read together, then those below them: a question for each level of depth, not for each
directory. What was read ahead and turns out to be bad counts only when the walk gets there. A directory that the caller
has kept from an earlier listing is not looked into, where it fits as a whole.

Source: git's tree-walk.c for the format.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, NoReturn

from meshnode.base.errors import InvalidRequest, TooLarge
from meshnode.base.ids import ObjectId
from meshnode.ports import EntryKind, KnownPart, KnownParts, TreeRun, WholePart

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


@dataclass(slots=True)
class Listed:
    """What a walk has listed, and which directories of it as a whole."""

    runs: list[TreeRun | KnownPart] = field(default_factory=list)
    whole: list[WholePart] = field(default_factory=list)
    entries: int = 0
    path_bytes: int = 0


class TreeWalk:
    """A place in a listing, and the trees that lead there."""

    def __init__(self, trees: Trees, refuse: Refuse, *, is_recursive: bool, known: KnownParts | None = None) -> None:
        self._trees = trees
        self._refuse = refuse
        self._is_recursive = is_recursive
        self._is_directory = IsDirectory()
        self._levels: list[_Level] = []
        self._known_parts = known
        self._held: dict[bytes, _Tree] = {}
        """Trees by their raw ids."""
        self._held_bytes = 0

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

    async def page(self, entries_max: int, bytes_max: int) -> tuple[Listed, tuple[int, ...] | None]:
        """Entries from here on, until there are `entries_max` or their paths have `bytes_max` bytes; at least one.

        With them the place after them; None: that was all.
        """
        listed = Listed()
        unrested = 0
        while self._levels and listed.entries < entries_max and listed.path_bytes < bytes_max:
            level = self._levels[-1]
            if not level.is_ready():
                self._leave(listed)
                continue
            rows, is_into = self._next_rows(level, entries_max - listed.entries)
            length = sum([len(row[1]) for row in rows]) + len(level.prefix) * len(rows)
            if listed.path_bytes + length >= bytes_max:  # the one that fills it is the last one
                length = 0
                for number, row in enumerate(rows, start=1):
                    length += len(row[1]) + len(level.prefix)
                    if listed.path_bytes + length >= bytes_max:
                        is_into = is_into and number == len(rows)
                        rows = rows[:number]
                        break
            level.at += len(rows)
            listed.runs.append(TreeRun(level.prefix, rows))
            listed.path_bytes += length
            listed.entries += len(rows)
            if is_into:
                _, name, oid = rows[-1]
                await self._go_into(oid, level.prefix + name, listed, entries_max, bytes_max)
            unrested += len(rows)
            if unrested >= SLICE:
                unrested = 0
                await asyncio.sleep(0)
        while self._levels and not self._levels[-1].is_ready():
            self._leave(listed)
        return listed, self._place()

    async def _go_into(self, oid: bytes, path: bytes, listed: Listed, entries_max: int, bytes_max: int) -> None:
        """List a directory that is known and fits, or enter it."""
        part = None if self._known_parts is None else self._known_parts(oid, path)
        if (
            part is not None
            and listed.entries + part.entries <= entries_max
            and listed.path_bytes + part.path_bytes < bytes_max
            and len(self._levels) < DEPTH_MAX
        ):
            listed.runs.append(part)
            listed.entries += part.entries
            listed.path_bytes += part.path_bytes
            return
        await self._enter(oid, path, entries_max - listed.entries)
        self._levels[-1].begun = (oid, path, len(listed.runs), listed.entries, listed.path_bytes)

    def _leave(self, listed: Listed) -> None:
        begun = self._levels.pop().begun
        if begun is not None:
            oid, path, start, entries, path_bytes = begun
            entries, path_bytes = listed.entries - entries, listed.path_bytes - path_bytes
            listed.whole.append(WholePart(oid, path, start, len(listed.runs), entries, path_bytes))

    def _next_rows(self, level: _Level, left: int) -> tuple[list[Row], bool]:
        """What comes next of a directory, up to the next one that the walk goes into, and whether it is reached."""
        end = min(len(level.rows), level.at + left)
        if self._is_recursive:
            following = level.next_directory(self._is_directory)
            if following < end:
                return level.rows[level.at : following + 1], True
        return level.rows[level.at : end], False

    def _place(self) -> tuple[int, ...] | None:
        if not self._levels:
            return None
        *above, last = [level.index for level in self._levels]
        return (*(index - 1 for index in above), last)

    async def _enter(self, oid: bytes, path: bytes, wanted: int) -> None:
        if len(self._levels) == DEPTH_MAX:
            raise TooLarge("directories are nested too deep to be listed at once", depth_max=DEPTH_MAX)
        if oid not in self._held:
            await self._fetch(oid, path, wanted)
        self._levels.append(_Level(self._held[oid], path + b"/" if path else b"", len(oid)))

    async def _fetch(self, oid: bytes, path: bytes, wanted: int) -> None:
        """Read a directory, those that come next, and those below them, as far as `wanted` entries may lead."""
        if self._held_bytes > PORTION_BYTES_MAX:
            self._held.clear()
            self._held_bytes = 0
        next_ones = [(oid, path)]
        if self._is_recursive and self._levels:
            level = self._levels[-1]
            next_ones += self._directories(level.rows[level.at :], level.prefix)
        while next_ones:
            next_ones = next_ones[:AHEAD_MAX]
            below: list[tuple[bytes, bytes]] = []
            position = 0
            async with aclosing(self._trees([one.hex() for one, _ in next_ones])) as found:
                async for data in found:
                    if data is None:
                        if next_ones[position][0] == oid:
                            await self._refuse(ObjectId(oid.hex()))
                        break
                    one, above = next_ones[position]
                    tree = self._held[one] = _Tree(data, len(oid))
                    position += 1
                    self._held_bytes += len(data)
                    if self._held_bytes > PORTION_BYTES_MAX:
                        return
                    wanted -= len(tree.rows)
                    if self._is_recursive and wanted > 0:
                        below += self._directories(tree.rows, above + b"/" if above else b"")
            next_ones = [one for one in below if one[0] not in self._held] if wanted > 0 else []
            if next_ones:
                await asyncio.sleep(0)  # all of them may have been in memory

    def _directories(self, rows: Sequence[Row], prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Raw ids and paths of the directories among entries that must be read, each id once."""
        is_directory, known = self._is_directory, self._known_parts
        found: dict[bytes, bytes] = {}
        for mode, name, oid in rows:
            if is_directory[mode] and oid not in self._held and (known is None or known(oid, prefix + name) is None):
                found.setdefault(oid, prefix + name)
        return list(found.items())


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
        self.begun: tuple[bytes, bytes, int, int, int] | None = None
        """Where a page began with its first entry: id and path, and how many runs, entries and bytes were before."""
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
