"""Prints of a data directory: what of it a crash would leave, to compare two moments."""

from __future__ import annotations

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
    """The print of a directory. What git's index-pack is writing meanwhile is left out: it has points of its own."""
    return Print(frozenset(_entries(root)))


def _entries(root: Path) -> Iterator[tuple[str, int]]:
    for folder, folders, files in os.walk(root):
        where = os.path.relpath(folder, root)
        for name in folders:
            yield f"{where}/{name}/", 0
        for name in files:
            if not (where.startswith("incoming") and name.startswith("tmp_")):
                yield f"{where}/{name}", zlib.crc32(Path(folder, name).read_bytes())
