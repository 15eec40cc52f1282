r"""Reads `git diff-tree --raw --numstat -z`: changed files, then how many lines each gained and lost. Sans I/O.

    3\t1\tpath\0        -\t-\tbinary\0        3\t1\t\0old\0new\0        in the order of the files, some left out

Source: git-diff(1) "--numstat", "-z".
"""

from __future__ import annotations

from meshnode.base.errors import MeshError
from meshnode.git.raw_diff import RawReader
from meshnode.ports import ChangedFile, FileEnd


class CountReader:
    """Takes output in any pieces."""

    def __init__(self) -> None:
        self.files: list[ChangedFile] = []
        self.ends: list[FileEnd] = []
        """What is known of the first files; for the rest nothing came yet."""
        self._raw = RawReader(has_counts=True)
        self._rest = b""
        self._facts: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Take more output."""
        if not self._raw.is_over:
            self.files.extend(file for file in self._raw.feed(data) if file is not None)
            if not self._raw.is_over:
                return
            data = self._raw.rest()
        *records, self._rest = (self._rest + data).split(b"\0")
        for record in records:
            if not self._facts:
                self._facts = record.split(b"\t", 2)
                if len(self._facts) != 3:
                    raise MeshError("git gave counts that cannot be read", record=repr(record[:200]))
                if not self._facts[2]:
                    continue
            elif len(self._facts) == 3:
                self._facts.append(record)
                continue
            else:
                self._facts.append(record)
            self._count(self._facts)
            self._facts = []

    def end(self) -> None:
        """Take the end: files that have no counts did not change in a way that counts."""
        self.ends += [FileEnd()] * (len(self.files) - len(self.ends))

    def _count(self, facts: list[bytes]) -> None:
        paths = (facts[3], facts[4]) if len(facts) == 5 else (facts[2], facts[2])
        while len(self.ends) < len(self.files):
            file = self.files[len(self.ends)]
            if (file.old_path or file.new_path, file.new_path or file.old_path) == paths:
                is_binary = facts[0] == b"-"
                self.ends.append(
                    FileEnd(
                        is_binary=is_binary,
                        additions=0 if is_binary else int(facts[0]),
                        deletions=0 if is_binary else int(facts[1]),
                    )
                )
                return
            self.ends.append(FileEnd())
        raise MeshError("git counted lines of a file it did not list", path=repr(paths[0][:200]))
