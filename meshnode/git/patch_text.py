r"""Reads what stands below the first line of a file's patch, and keeps what was read: equal text says the same for ever.

    index 1..2 100644\n--- a/x\n+++ b/x\n@@ -1,3 +1,4 @@ section\n unchanged\n-gone\n+new\n...

Diffs that are long have most of their files in common with those that were asked for before: of the same branch as it
was, of one beside it. Least used texts go first; bounded in bytes. Sans I/O.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Final

from meshnode.base.errors import MeshError
from meshnode.ports import FileEnd, Hunk

MEMORY_BYTES_MAX: Final = 24 << 20
TEXT_BYTES_MAX: Final = 32 << 10
"""A longer text is not kept: it would push out hundreds of others."""
TEXT_COST: Final = 4
"""What a byte of text takes: itself, and as a part of a line that is an object of its own."""
ENTRY_BYTES: Final = 1_000

HUNK: Final = b"\n@@ "
BINARY: Final = b"\nBinary files "
_NUMBERS: Final = re.compile(rb"-([0-9]+)(?:,([0-9]+))? \+([0-9]+)(?:,([0-9]+))? @@ ?")
"""Of a hunk; what stands behind them is its section."""
_SIGNS: Final = b" +-\\"
_first: Final = itemgetter(0)


@dataclass(slots=True)
class HunkLines:
    """Lines that belong to the last hunk."""

    lines: list[bytes]
    additions: int
    deletions: int
    context: int
    size: int
    is_cut: bool = False
    """A line was too long, and is not whole."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """All that one patch says. It may be part of many answers, so nothing in it is ever changed."""

    hunks: list[Hunk]
    end: FileEnd
    lines: int
    size: int
    """Bytes of these lines."""

    def pieces(self) -> Iterator[Hunk | HunkLines]:
        """Each hunk without its lines, and its lines."""
        for hunk in self.hunks:
            yield replace(hunk, lines=[])
            yield parse_lines(b"\n".join(hunk.lines))


class PatchMemory:
    """Texts that were read lately."""

    def __init__(self, bytes_max: int = MEMORY_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._changes: OrderedDict[bytes, FileChange] = OrderedDict()
        self._bytes = 0

    def read(self, text: bytes) -> FileChange:
        """What a text says; it begins with the break of the line that names the file. Raises MeshError."""
        known = self._changes.get(text)
        if known is not None:
            self._changes.move_to_end(text)
            return known
        change = parse_change(text)
        if len(text) <= TEXT_BYTES_MAX:
            self._changes[text] = change
            self._bytes += _cost(text)
            while self._bytes > self._bytes_max:
                dropped, _ = self._changes.popitem(last=False)
                self._bytes -= _cost(dropped)
        return change


def parse_change(text: bytes) -> FileChange:
    """Read the lines of a whole patch, each with the line break before it. Raises MeshError."""
    head, *parts = text.split(HUNK)
    hunks: list[Hunk] = []
    additions = deletions = lines = size = 0
    for part in parts:
        line, line_break, body = part.partition(b"\n")
        hunk = parse_hunk(line)
        found = parse_lines(body) if line_break else HunkLines([], 0, 0, 0, 0)
        if (found.deletions + found.context, found.additions + found.context) != (hunk.old_lines, hunk.new_lines):
            raise unreadable(line)
        hunk.lines = found.lines
        hunks.append(hunk)
        additions += found.additions
        deletions += found.deletions
        lines += len(found.lines)
        size += found.size
    end = FileEnd(is_binary=BINARY in head, additions=additions, deletions=deletions)
    return FileChange(hunks, end, lines, size)


def parse_hunk(line: bytes) -> Hunk:
    """Read what stands behind the first `@@ ` of a hunk. Raises MeshError."""
    numbers = _NUMBERS.match(line)
    if numbers is None:
        raise unreadable(line)
    old_start, old_lines, new_start, new_lines = numbers.groups(b"1")
    return Hunk(int(old_start), int(old_lines), int(new_start), int(new_lines), line[numbers.end() :])


def parse_lines(body: bytes) -> HunkLines:
    """Read lines of a hunk. Raises MeshError."""
    lines = body.split(b"\n")
    try:
        signs = bytes(map(_first, lines))
    except IndexError:
        raise unreadable(b"") from None
    if signs.strip(_SIGNS):
        raise unreadable(lines[-1])
    return HunkLines(lines, signs.count(b"+"), signs.count(b"-"), signs.count(b" "), len(body) + 1 - len(lines))


def unreadable(line: bytes) -> MeshError:
    """What is said of a patch that is none."""
    return MeshError("git gave a patch that cannot be read", line=repr(line[:200]))


def _cost(text: bytes) -> int:
    return ENTRY_BYTES + TEXT_COST * len(text)
