"""Reads a raw diff with the patch behind it, in whatever pieces git's output comes. Sans I/O.

    raw records | "diff --git a/x b/x" -> headers -> "@@ -1,3 +1,4 @@ section" -> lines, counted -> next

Which file a patch belongs to is told by its first line alone, which is compared with what git must write for the
next records: files whose only change does not count (white space) have a record but no patch, and a changed type has
two patches. Every line of a hunk begins with its sign, so no content can look like a header; each hunk must have as many
lines of each kind as its own header says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import MeshError
from meshnode.git.patch_text import (
    BINARY,
    HUNK,
    FileChange,
    HunkLines,
    PatchMemory,
    parse_hunk,
    parse_lines,
    unreadable,
)
from meshnode.git.raw_diff import RawReader
from meshnode.ports import ChangedFile, ChangeKind, Hunk

LINE_BYTES_MAX: Final = 1 << 20
"""What is kept of one line."""
_ESCAPES: Final = dict(zip(b'\a\b\t\n\v\f\r"\\', (b"\\" + bytes([letter]) for letter in b'abtnvfr"\\'), strict=True))
_QUOTED: Final = [_ESCAPES.get(byte) or b"\\%03o" % byte for byte in range(256)]
"""How a byte is written that is not written as it is."""

_ODD: Final = re.compile(rb"[^ !#-\[\]-~]")
"""A byte that is not written as it is."""
_PATCH: Final = b"\ndiff --git "


@dataclass(frozen=True, slots=True)
class PatchBegins:
    """The patch of a file begins."""

    index: int


@dataclass(frozen=True, slots=True)
class BinaryDiffers:
    """git takes the file for binary."""


@dataclass(frozen=True, slots=True)
class WholePatch:
    """The patch of a file, all of it."""

    index: int
    change: FileChange


BINARY_DIFFERS: Final = BinaryDiffers()
PatchEvent = PatchBegins | BinaryDiffers | Hunk | HunkLines | WholePatch


class PatchReader:
    """Takes output; gives what it says. `files` is complete as soon as the first event came, or at the end."""

    def __init__(self, memory: PatchMemory | None = None) -> None:
        self._memory = memory or PatchMemory(0)
        self.files: list[ChangedFile] = []
        self._raw = RawReader()
        self._next = 0
        """Record whose patch may come next."""
        self._has_begun = False
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._is_cut = False
        self._old_left = self._new_left = 0
        self._is_in_hunks = False

    def feed(self, data: bytes) -> list[PatchEvent]:
        """Take more output."""
        if not self._raw.is_over:
            self.files += [file for file in self._raw.feed(data) if file is not None]
            if not self._raw.is_over:
                return []
            data = self._raw.rest()
        events: list[PatchEvent] = []
        begin = 0
        if self._pending or self._is_cut:
            begin = data.find(b"\n") + 1
            self._hold(data[: begin - 1] if begin else data)
            if not begin:
                return events
            first, is_cut = b"".join(self._pending), self._is_cut
            self._pending, self._pending_bytes, self._is_cut = [], 0, False
            self._lines(b"\n" + first, events, is_cut=is_cut)
        end = data.rfind(b"\n", begin)
        if end >= 0:
            self._lines(b"\n" + data[begin:end], events)
            begin = end + 1
        self._hold(data[begin:])
        return events

    def end(self) -> list[PatchEvent]:
        """Take the end of the output."""
        self._raw.end()
        events: list[PatchEvent] = []
        if self._pending_bytes:
            self._lines(b"\n" + b"".join(self._pending), events, is_cut=self._is_cut)
        if self._old_left or self._new_left:
            raise MeshError("git's patch ended in the middle of a hunk")
        return events

    def _hold(self, part: bytes) -> None:
        room = LINE_BYTES_MAX - self._pending_bytes
        self._is_cut |= len(part) > room
        if part and room > 0:
            self._pending.append(part[:room])
            self._pending_bytes += min(len(part), room)

    def _lines(self, block: bytes, events: list[PatchEvent], *, is_cut: bool = False) -> None:
        """Read whole lines, each with the line break before it.

        Nothing but the begin of a patch or of a hunk starts with a `d` or an `@` below a hunk, so the block is split at
        them, and what lies between is counted and split as a whole: a loop over its lines would cost ten times as much.
        """
        rest, *patches = block.split(_PATCH)
        if rest:
            self._hunks(rest, events, is_cut=is_cut)
        for number, patch in enumerate(patches, start=1):
            end = _find(patch, b"\n", 0)
            begins = self._begin(patch[:end])
            if number < len(patches):
                events.append(WholePatch(begins.index, self._memory.read(patch[end:])))
            else:  # it may go on
                events.append(begins)
                self._hunks(patch[end:], events, is_cut=is_cut)

    def _hunks(self, block: bytes, events: list[PatchEvent], *, is_cut: bool) -> None:
        """Read lines of one patch below its first one."""
        rest, *hunks = block.split(HUNK)
        if rest and self._is_in_hunks:
            events.append(self._content(rest[1:], is_cut=is_cut))
        elif rest and self._has_begun and BINARY in rest:
            events.append(BINARY_DIFFERS)
        for part in hunks:
            line, line_break, body = part.partition(b"\n")
            self._check_whole(line)
            if not self._has_begun:
                raise unreadable(line)
            hunk = parse_hunk(line)
            self._is_in_hunks = True
            self._old_left, self._new_left = hunk.old_lines, hunk.new_lines
            events.append(hunk)
            if line_break:
                events.append(self._content(body, is_cut=is_cut))

    def _content(self, body: bytes, *, is_cut: bool) -> HunkLines:
        """Lines of the running hunk, or a mark behind its last one."""
        found = parse_lines(body)
        found.is_cut = is_cut
        self._old_left -= found.deletions + found.context
        self._new_left -= found.additions + found.context
        if self._old_left < 0 or self._new_left < 0:
            raise unreadable(found.lines[-1])
        return found

    def _begin(self, names: bytes) -> PatchBegins:
        """`names`: both paths as the first line of a patch has them."""
        self._check_whole(names)
        start = self._next
        if start and self.files[start - 1].kind is ChangeKind.TYPE_CHANGED:
            start -= 1  # two patches of one record: the one that began last may begin again
        for index in range(start, len(self.files)):
            if _names(self.files[index]) == names:
                self._next = index + 1
                self._has_begun, self._is_in_hunks = True, False
                return PatchBegins(index)
        raise MeshError("git gave a patch of a file it did not list", line=repr(names[:200]))

    def _check_whole(self, line: bytes) -> None:
        """Check that the hunk before a line has all its lines. Raises MeshError."""
        if self._old_left or self._new_left:
            raise unreadable(line)


def _find(block: bytes, part: bytes, start: int) -> int:
    """Where a part begins; where there is none, the end."""
    found = block.find(part, start)
    return len(block) if found < 0 else found


def first_line(file: ChangedFile) -> bytes:
    """The line that begins the patch of a file."""
    return b"diff --git " + _names(file)


def _names(file: ChangedFile) -> bytes:
    old, new = file.old_path or file.new_path, file.new_path or file.old_path
    return _quoted(b"a/" + old) + b" " + _quoted(b"b/" + new)


def _quoted(path: bytes) -> bytes:
    """A path as git writes it in patches: quoted as in C where a byte of it is not plain (core.quotePath)."""
    return b'"' + _ODD.sub(_escape, path) + b'"' if _ODD.search(path) else path


def _escape(found: re.Match[bytes]) -> bytes:
    return _QUOTED[found[0][0]]
