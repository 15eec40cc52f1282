"""Turns what a patch says into parts of files, within limits. Sans I/O.

What a limit of one file leaves out is still counted. A limit of the whole diff ends it: the file it was reached in is
cut there, and the files after it are listed without hunks or counts. Nothing is left out without a mark.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from meshnode.git.patch_reader import BINARY_DIFFERS, PatchBegins, PatchEvent, WholePatch
from meshnode.git.patch_text import HunkLines
from meshnode.ports import ChangedFile, ChangeKind, DiffLimit, DiffLimits, DiffPart, DiffSummary, FileEnd, Hunk

PORTION_BYTES: Final = 128 << 10
"""Of lines given at once."""
PORTION_FILES: Final = 500
LINE_COST: Final = 8
"""Bytes a line costs beside its content, so that many empty lines make no endless portion."""


class DiffParts:
    """Takes the events of one patch; gives portions of parts."""

    def __init__(self, files: list[ChangedFile], limits: DiffLimits) -> None:
        """`files` is filled by the reader of the patch before the first event."""
        self.limit: DiffLimit | None = None
        """The limit of the whole diff that was reached: nothing more needs to be read."""
        self._files = files
        self._limits = limits
        self._next = 0
        """The first file that is not begun."""
        self._full: list[list[DiffPart]] = []
        """Portions to hand out."""
        self._portion: list[DiffPart] = []
        self._portion_bytes = 0
        self._part: DiffPart | None = None
        """Of the file that is open."""
        self._hunk: Hunk | None = None
        self._lines = self._bytes = 0
        self._file = _Tally()
        self._sum = _Tally()

    def take(self, events: Iterable[PatchEvent]) -> list[list[DiffPart]]:
        """Take what the reader found; the portions that are full with it."""
        for event in events:
            if self.limit is not None:
                break
            if isinstance(event, WholePatch):
                self._add_whole(event)
            else:
                self._take(event)
        return self._handed_out()

    def _take(self, event: PatchEvent) -> None:
        if isinstance(event, HunkLines):
            self._add(event)
        elif isinstance(event, Hunk):
            self._hunk = event
            if self._part is not None and not self._file.is_full:
                self._part.hunks.append(event)
        elif isinstance(event, PatchBegins):
            if event.index >= self._next:  # else the second patch of a changed type
                self._begin(event.index)
            self._hunk = None
        else:
            self._file.is_binary = True

    def _add_whole(self, patch: WholePatch) -> None:
        """Take a patch as it is, where no limit cuts it and no second one follows; else piece by piece."""
        change, limits, file = patch.change, self._limits, self._files[patch.index]
        if (
            change.lines <= min(limits.file_lines_max, limits.lines_max - self._lines)
            and change.size <= min(limits.file_bytes_max, limits.bytes_max - self._bytes)
            and file.kind is not ChangeKind.TYPE_CHANGED
        ):
            self._begin(patch.index)
            if self._part is not None:
                self._part.hunks, self._part.end = change.hunks, change.end
                self._lines += change.lines
                self._bytes += change.size
                self._portion_bytes += change.size + LINE_COST * change.lines
                self._sum.additions += change.end.additions
                self._sum.deletions += change.end.deletions
                self._part = self._hunk = None
            return
        pieces: list[PatchEvent] = [PatchBegins(patch.index), *change.pieces()]
        for piece in [*pieces, BINARY_DIFFERS] if change.end.is_binary else pieces:
            if self.limit is None:
                self._take(piece)

    def end(self) -> tuple[list[list[DiffPart]], DiffSummary]:
        """The rest, and the summary."""
        self._close()
        count = min(len(self._files), self._limits.files_max)
        is_counted = self.limit is None
        while self._next < count:
            self._list(is_counted=is_counted)
        if self._portion:
            self._full.append(self._portion)
        if self.limit is None and count < len(self._files):
            self.limit = DiffLimit.FILES
        summary = DiffSummary(
            files=len(self._files),
            files_reported=count,
            additions=self._sum.additions,
            deletions=self._sum.deletions,
            is_truncated=self._sum.is_truncated or self.limit is not None,
            limit=self.limit,
        )
        return self._handed_out(), summary

    def _begin(self, index: int) -> None:
        self._close()
        while self._next < min(index, self._limits.files_max):  # files whose changes do not count
            self._list(is_counted=True)
        if index >= self._limits.files_max:
            self.limit = DiffLimit.FILES
            return
        self._flush()
        self._next = index + 1
        self._file = _Tally()
        self._part = DiffPart(index, self._files[index])
        self._portion.append(self._part)

    def _add(self, event: HunkLines) -> None:
        part, hunk, file, limits = self._part, self._hunk, self._file, self._limits
        if part is None or hunk is None:
            return
        file.additions += event.additions
        file.deletions += event.deletions
        if file.is_full:
            return
        lines, size = event.lines, event.size
        room = min(limits.file_lines_max - file.lines, limits.lines_max - self._lines)
        bytes_room = min(limits.file_bytes_max - file.bytes, limits.bytes_max - self._bytes)
        if len(lines) > room or size > bytes_room:
            lines = _fitting(lines, room, bytes_room)
            file.is_truncated = file.is_full = True
            size = sum(map(len, lines))
            # The first line that did not fit says which limit it was.
            if self._lines + len(lines) >= limits.lines_max:
                self.limit = DiffLimit.LINES
            elif self._bytes + len(event.lines[len(lines)]) + size > limits.bytes_max:
                self.limit = DiffLimit.BYTES
        file.is_truncated |= event.is_cut
        file.lines += len(lines)
        file.bytes += size
        self._lines += len(lines)
        self._bytes += size
        self._portion_bytes += size + LINE_COST * len(lines)
        hunk.lines = hunk.lines + lines if hunk.lines else lines
        if self.limit is not None:
            file.is_counted = False
            self._close()
        elif self._portion_bytes >= PORTION_BYTES:
            self._full.append(self._portion)
            self._hunk = Hunk(0, 0, 0, 0, b"", is_continued=True)
            self._part = DiffPart(part.index, hunks=[self._hunk])
            self._portion, self._portion_bytes = [self._part], 0

    def _close(self) -> None:
        part, file = self._part, self._file
        if part is None:
            return
        part.hunks = [hunk for hunk in part.hunks if hunk.lines]
        part.end = FileEnd(
            is_binary=file.is_binary,
            is_truncated=file.is_truncated,
            additions=file.additions,
            deletions=file.deletions,
            is_counted=file.is_counted,
        )
        if file.is_counted:
            self._sum.additions += file.additions
            self._sum.deletions += file.deletions
        self._sum.is_truncated |= file.is_truncated
        self._part = self._hunk = None

    def _list(self, *, is_counted: bool) -> None:
        """A file without hunks."""
        end = FileEnd(is_truncated=not is_counted, is_counted=is_counted)
        self._portion.append(DiffPart(self._next, self._files[self._next], end=end))
        self._next += 1
        self._flush()

    def _flush(self) -> None:
        if len(self._portion) >= PORTION_FILES or self._portion_bytes >= PORTION_BYTES:
            self._full.append(self._portion)
            self._portion, self._portion_bytes = [], 0

    def _handed_out(self) -> list[list[DiffPart]]:
        full, self._full = self._full, []
        return full


class _Tally:
    """What is known of a file, or of all of them."""

    def __init__(self) -> None:
        self.additions = self.deletions = 0
        self.lines = self.bytes = 0
        self.is_binary = self.is_truncated = False
        self.is_full = False
        """No more lines of it are given."""
        self.is_counted = True


def _fitting(lines: list[bytes], room: int, bytes_room: int) -> list[bytes]:
    """The first lines that fit."""
    fitting = []
    for line in lines[: max(room, 0)]:
        bytes_room -= len(line)
        if bytes_room < 0:
            break
        fitting.append(line)
    return fitting
