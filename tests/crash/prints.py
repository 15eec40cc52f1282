"""Prints of a data directory: what of it a crash would leave, to compare two moments."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Print:
    """Names and contents; directories have no content."""

    entries: frozenset[tuple[str, int]]

    def differs(self, other: Print) -> list[str]:
        """Names that are not the same in both."""
        return sorted({name for name, _ in self.entries ^ other.entries})


def print_of(root: Path) -> Print:
    """The print of a directory."""
    return Print(frozenset(_entries(root)))


def _entries(root: Path) -> Iterator[tuple[str, int]]:
    for folder, folders, files in os.walk(root):
        where = os.path.relpath(folder, root)
        for name in folders:
            yield f"{where}/{name}/", 0
        for name in files:
            with contextlib.suppress(FileNotFoundError):  # git renames what it writes
                yield f"{where}/{name}", zlib.crc32(Path(folder, name).read_bytes())
