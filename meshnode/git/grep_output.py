r"""Parses what `git grep -z --line-number --column` writes for one tree.

    match     <tree>:<path> NUL <line> NUL <column> NUL <text> LF
    context   <tree>:<path> NUL <line> NUL <text> LF            "--" LF between groups

Paths may hold line breaks, so records are found by their fields, not by lines. Of a long text only the beginning is
kept, whatever its length: a minified file of 50 MB on one line costs 4 KiB.
"""

from __future__ import annotations

import re
from typing import Final

from meshnode.base.errors import Corrupt
from meshnode.base.ids import ObjectId
from meshnode.ports import ContentMatch

LINE_BYTES_MAX: Final = 4_096
_HEAD_BYTES_MAX: Final = 16 << 10
"""Tree, the longest path, two numbers: with room."""
_NUMBERS: Final = re.compile(rb"([0-9]+)\0(?:([0-9]+)\0)?")
_SEPARATOR: Final = b"--\n"


class GrepOutput:
    """Matches out of chunks."""

    def __init__(self, tree: ObjectId) -> None:
        self._prefix = f"{tree}:".encode()
        self._rest = b""
        self._open: ContentMatch | None = None
        """A line whose end has not come yet; its text is complete as far as it is kept."""

    def feed(self, chunk: bytes) -> list[ContentMatch]:
        """The matches that are complete with this chunk. Raises Corrupt."""
        self._rest += chunk
        found: list[ContentMatch] = []
        while self._rest:
            if self._open is not None:
                end = self._rest.find(b"\n")
                if end < 0:
                    self._rest = b""
                    break
                found.append(self._open)
                self._open, self._rest = None, self._rest[end + 1 :]
            elif self._rest.startswith(_SEPARATOR):
                self._rest = self._rest[len(_SEPARATOR) :]
            elif _SEPARATOR.startswith(self._rest) or not self._begin(found):
                break
        return found

    def end(self) -> None:
        """Check that nothing is left. Raises Corrupt."""
        if self._rest or self._open is not None:
            raise Corrupt("git's search ended inside a line")

    def _begin(self, found: list[ContentMatch]) -> bool:
        """Take the next record as far as it is there; False where more must come first."""
        rest = self._rest
        if not self._prefix.startswith(rest[: len(self._prefix)]):
            raise Corrupt("git's search gave something else", start=rest[:80].decode(errors="replace"))
        path_end = rest.find(b"\0", len(self._prefix))
        numbers = _NUMBERS.match(rest, path_end + 1) if path_end >= 0 else None
        if numbers is None:
            if len(rest) > _HEAD_BYTES_MAX:
                raise Corrupt("git's search gave a record without an end")
            return False
        start = numbers.end()
        end = rest.find(b"\n", start)
        if end < 0 and len(rest) - start <= LINE_BYTES_MAX:
            return False
        text = rest[start : len(rest) if end < 0 else end]
        match = ContentMatch(
            path=rest[len(self._prefix) : path_end],
            line_number=int(numbers[1]),
            column=int(numbers[2] or 0),
            line=text[:LINE_BYTES_MAX],
            is_cut=len(text) > LINE_BYTES_MAX,
        )
        if end < 0:
            self._open, self._rest = match, b""
        else:
            found.append(match)
            self._rest = rest[end + 1 :]
        return True
