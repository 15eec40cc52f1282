"""Reads a raw diff with the patch behind it, in whatever pieces git's output comes. Sans I/O.

    raw records | "diff --git a/x b/x" -> headers -> "@@ -1,3 +1,4 @@ section" -> lines, counted down -> next

Which file a patch belongs to is told by its first line alone, which is compared with what git must write for the
next records: files whose only change does not count (white space) have a record but no patch, and a changed type has
two patches. Lines of hunks are never looked at for anything but their first byte, so no content can look like a header.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import MeshError
from meshnode.git.raw_diff import RawReader
from meshnode.ports import ChangedFile, Hunk

LINE_BYTES_MAX: Final = 1 << 20
"""What is kept of one line."""
_ESCAPES: Final = dict(zip(b'\a\b\t\n\v\f\r"\\', (b"\\" + bytes([letter]) for letter in b'abtnvfr"\\'), strict=True))
_QUOTED: Final = [
    _ESCAPES.get(byte) or (bytes([byte]) if 0x20 <= byte < 0x7F else b"\\%03o" % byte) for byte in range(256)
]


@dataclass(frozen=True, slots=True)
class PatchBegins:
    """The patch of a file begins."""

    index: int


@dataclass(frozen=True, slots=True)
class BinaryDiffers:
    """git takes the file for binary."""


@dataclass(slots=True)
class HunkLines:
    """Lines that belong to the last hunk."""

    lines: list[bytes]
    additions: int
    deletions: int
    size: int
    is_cut: bool = False
    """A line was too long, and is not whole."""


PatchEvent = PatchBegins | BinaryDiffers | Hunk | HunkLines


class PatchReader:
    """Takes output; gives what it says. `files` is complete as soon as the first event came, or at the end."""

    def __init__(self) -> None:
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

    def feed(self, data: bytes) -> Iterator[PatchEvent]:
        """Take more output."""
        if not self._raw.is_over:
            self.files.extend(file for file in self._raw.feed(data) if file is not None)
            if not self._raw.is_over:
                return
            data = self._raw.rest()
        if b"\n" not in data:
            self._hold(data)
            return
        head, _, data = data.partition(b"\n")
        self._hold(head)
        first, is_cut = b"".join(self._pending), self._is_cut
        *lines, rest = data.split(b"\n")
        self._pending, self._pending_bytes, self._is_cut = [], 0, False
        self._hold(rest)
        yield from self._lines([first], is_cut=is_cut)
        yield from self._lines(lines)

    def end(self) -> Iterator[PatchEvent]:
        """Take the end of the output."""
        if self._pending_bytes:
            yield from self._lines([b"".join(self._pending)], is_cut=self._is_cut)
        if self._old_left or self._new_left:
            raise MeshError("git's patch ended in the middle of a hunk")

    def _hold(self, part: bytes) -> None:
        room = LINE_BYTES_MAX - self._pending_bytes
        self._is_cut |= len(part) > room
        if part and room > 0:
            self._pending.append(part[:room])
            self._pending_bytes += min(len(part), room)

    def _lines(self, lines: list[bytes], *, is_cut: bool = False) -> Iterator[PatchEvent]:
        at = 0
        while at < len(lines):
            if self._old_left or self._new_left:
                event = self._content(lines, at)
                at += len(event.lines)
                event.is_cut = is_cut
                yield event
                continue
            line = lines[at]
            at += 1
            if line.startswith(b"diff --git "):
                yield self._begin(line)
            elif line.startswith(b"@@ ") and self._has_begun:
                self._is_in_hunks = True
                yield self._hunk(line)
            elif line.startswith(b"\\") and self._is_in_hunks:
                yield HunkLines([line], 0, 0, len(line))
            elif self._is_in_hunks:
                raise MeshError("git gave a patch that cannot be read", line=repr(line[:200]))
            elif line.startswith(b"Binary files "):
                yield BinaryDiffers()

    def _content(self, lines: list[bytes], at: int) -> HunkLines:
        """As many lines of the running hunk as there are."""
        begin = at
        additions = deletions = size = 0
        old_left, new_left = self._old_left, self._new_left
        while at < len(lines) and (old_left or new_left):
            line = lines[at]
            at += 1
            size += len(line)
            sign = line[:1]
            if sign == b" ":
                old_left -= 1
                new_left -= 1
            elif sign == b"+":
                new_left -= 1
                additions += 1
            elif sign == b"-":
                old_left -= 1
                deletions += 1
            elif sign != b"\\":
                raise MeshError("git gave a patch that cannot be read", line=repr(line[:200]))
        self._old_left, self._new_left = old_left, new_left
        return HunkLines(lines[begin:at], additions, deletions, size)

    def _begin(self, line: bytes) -> PatchBegins:
        # A changed type is two patches of one record: the one that began last may begin again.
        start = max(self._next - 1, 0)
        for index in range(start, len(self.files)):
            if first_line(self.files[index]) == line:
                self._next = index + 1
                self._has_begun, self._is_in_hunks = True, False
                return PatchBegins(index)
        raise MeshError("git gave a patch of a file it did not list", line=repr(line[:200]))

    def _hunk(self, line: bytes) -> Hunk:
        try:
            _, old, new, rest = line.split(b" ", 3)
            old_start, _, old_lines = old[1:].partition(b",")
            new_start, _, new_lines = new[1:].partition(b",")
            hunk = Hunk(
                old_start=int(old_start),
                old_lines=int(old_lines or 1),
                new_start=int(new_start),
                new_lines=int(new_lines or 1),
                section=rest[3:],
            )
        except ValueError as error:
            raise MeshError("git gave a patch that cannot be read", line=repr(line[:200])) from error
        self._old_left, self._new_left = hunk.old_lines, hunk.new_lines
        return hunk


def first_line(file: ChangedFile) -> bytes:
    """The line that begins the patch of a file."""
    old, new = file.old_path or file.new_path, file.new_path or file.old_path
    return b"diff --git " + _quoted(b"a/" + old) + b" " + _quoted(b"b/" + new)


def _quoted(path: bytes) -> bytes:
    """A path as git writes it in patches: quoted as in C where a byte of it is not plain (core.quotePath)."""
    quoted = b"".join(_QUOTED[byte] for byte in path)
    return path if quoted == path else b'"' + quoted + b'"'
