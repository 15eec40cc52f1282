r"""Reads git's raw diff format with NULs: which files changed, with modes, ids and paths. Sans I/O.

    :100644 100755 <oid> <oid> R086\0old/path\0new/path\0
    <oid> <oid>\n        before the files of each pair, where pairs are asked for on standard input

One regular expression reads a whole record: a step for each of its parts would cost three times as much.

Source: git-diff-tree(1) "RAW OUTPUT FORMAT".
"""

from __future__ import annotations

import re
from typing import Final

from meshnode.base.errors import MeshError
from meshnode.ports import ChangedFile, ChangeKind

_RECORD: Final = re.compile(
    rb":([0-7]{6}) ([0-7]{6}) ([0-9a-f]+) ([0-9a-f]+) (?:([ADMT])[0-9]*|([RC])([0-9]*)\0([^\0]+))\0([^\0]+)\0"
)
_HEADER: Final = re.compile(rb"[0-9a-f]+ [0-9a-f]+\n")
_KINDS: Final = {kind.value.encode(): kind for kind in ChangeKind}
_RECORD_NULS: Final = 3
"""At most, in one record."""


class RawReader:
    """Takes output in any pieces; gives files, and None for each header of a pair."""

    def __init__(self, *, has_counts: bool = False) -> None:
        """`has_counts`: counts of lines follow, without anything between."""
        self.is_over = False
        """What follows is a patch, or counts."""
        self._has_counts = has_counts
        self._rest = b""

    def feed(self, data: bytes) -> list[ChangedFile | None]:
        """Take more output."""
        data = self._rest + data if self._rest else data
        found: list[ChangedFile | None] = []
        at, size = 0, len(data)
        while at < size:
            record = _RECORD.match(data, at)
            if record is not None:
                found.append(_file(record))
                at = record.end()
            elif data.startswith(b":", at):
                _check_begun(data, at, b"\0", _RECORD_NULS)
                break
            elif self._has_counts or data.startswith(b"\0", at):
                self.is_over = True
                at += not self._has_counts
                break
            else:
                header = _HEADER.match(data, at)
                if header is None:
                    _check_begun(data, at, b"\n", 1)
                    break
                found.append(None)
                at = header.end()
        self._rest = data[at:]
        return found

    def rest(self) -> bytes:
        """What came after the raw diff."""
        return self._rest

    def end(self) -> None:
        """Take the end of the output. Raises MeshError where it is in the middle of something."""
        if self._rest and not self.is_over:
            raise MeshError("git's raw diff ended in the middle of a record", record=repr(self._rest[:200]))


def _check_begun(data: bytes, at: int, separator: bytes, most: int) -> None:
    """Check that what cannot be read may be something that is not complete yet. Raises MeshError."""
    if data.count(separator, at) >= most:
        raise MeshError("git gave a raw diff that cannot be read", record=repr(data[at : at + 200]))


def _file(record: re.Match[bytes]) -> ChangedFile:
    old_mode, new_mode, old, new, letter, moved, similarity, source, path = record.groups()
    kind = _KINDS[letter or moved]
    old_oid, new_oid = old.decode("ascii"), new.decode("ascii")
    return ChangedFile(
        kind,
        b"" if kind is ChangeKind.ADDED else source or path,
        b"" if kind is ChangeKind.DELETED else path,
        int(old_mode, 8),
        int(new_mode, 8),
        old_oid if old_oid.strip("0") else "",
        new_oid if new_oid.strip("0") else "",
        int(similarity or 0),
    )
