r"""Reads git's raw diff format with NULs: which files changed, with modes, ids and paths. Sans I/O.

    :100644 100755 <oid> <oid> R086\0old/path\0new/path\0
    <oid> <oid>\n        before the files of each pair, where pairs are asked for on standard input

Source: git-diff-tree(1) "RAW OUTPUT FORMAT".
"""

from __future__ import annotations

from collections.abc import Iterator

from meshnode.base.errors import MeshError
from meshnode.ports import ChangedFile, ChangeKind

_TWO_PATHS = frozenset({ChangeKind.RENAMED, ChangeKind.COPIED})


class RawReader:
    """Takes output in any pieces; gives files, and None for each header of a pair."""

    def __init__(self, *, has_counts: bool = False) -> None:
        """`has_counts`: counts of lines follow, without anything between."""
        self.is_over = False
        """What follows is a patch, or counts."""
        self._has_counts = has_counts
        self._rest = b""
        self._facts: list[bytes] = []
        """A record's facts and the paths that came so far."""
        self._kind = ChangeKind.MODIFIED

    def feed(self, data: bytes) -> Iterator[ChangedFile | None]:
        """Take more output."""
        *records, self._rest = (self._rest + data).split(b"\0")
        for number, record in enumerate(records):
            if not self._facts:
                if not record or (self._has_counts and not record.startswith(b":")):
                    self.is_over = True
                    begin = number if self._has_counts else number + 1
                    self._rest = b"\0".join([*records[begin:], self._rest])
                    return
                while not record.startswith(b":"):
                    header, line_break, record = record.partition(b"\n")  # noqa: PLW2901 - what is left of it
                    if not line_break:
                        raise MeshError("git gave a raw diff that cannot be read", record=repr(header[:200]))
                    yield None
                self._facts = record.split(b" ")
                self._kind = ChangeKind(self._facts[4][:1].decode("ascii"))
                continue
            self._facts.append(record)
            if len(self._facts) == (7 if self._kind in _TWO_PATHS else 6):
                yield _file(self._kind, self._facts)
                self._facts = []

    def rest(self) -> bytes:
        """What came after the raw diff."""
        return self._rest

    def end(self) -> Iterator[None]:
        """Take the end of the output: headers without files behind them."""
        yield from [None] * self._rest.count(b"\n")


def _file(kind: ChangeKind, facts: list[bytes]) -> ChangedFile:
    old_mode, new_mode, old_oid, new_oid, status = (fact.decode("ascii") for fact in facts[:5])
    first, last = facts[5], facts[-1]
    return ChangedFile(
        kind=kind,
        old_path=b"" if kind is ChangeKind.ADDED else first,
        new_path=b"" if kind is ChangeKind.DELETED else last,
        old_mode=int(old_mode[1:], 8),
        new_mode=int(new_mode, 8),
        old_oid=old_oid if old_oid.strip("0") else "",
        new_oid=new_oid if new_oid.strip("0") else "",
        similarity=int(status[1:] or 0) if kind in _TWO_PATHS else 0,
    )
