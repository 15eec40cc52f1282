"""Git's lock on one reference, packed-refs or HEAD: a file beside it, which becomes it.

    take -> write, write -> flush (durable bytes) -> replace          release: nothing is left of what was not replaced

Source: gitrepository-layout(5), git's lockfile.h.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from meshnode.git import durable


class RefLock:
    """One lock, held until it replaced what it locks or was released."""

    def __init__(self, locked: Path, path: Path, descriptor: int) -> None:
        """Made by `take`."""
        self._locked = locked
        self._path = path
        self._descriptor = descriptor
        self._is_held = True
        self._pieces: list[bytes] = []

    @classmethod
    def take(cls, locked: Path) -> Self:
        """Lock `locked`, without waiting. Raises OSError: FileExistsError where somebody else has it."""
        path = locked.with_name(locked.name + ".lock")
        return cls(locked, path, durable.create(path, os.O_WRONLY | os.O_EXCL))

    def write(self, data: bytes) -> None:
        """Add to the new content."""
        self._pieces.append(data)

    def flush(self) -> None:
        """Put the new content into the lock, durably."""
        durable.write(self._descriptor, self._path, b"".join(self._pieces))
        durable.sync(self._descriptor, self._path)

    def replace(self) -> None:
        """Make it what it locks; from here on the lock's name is somebody else's to take. The name is not synced."""
        durable.rename(self._path, self._locked)
        self._is_held = False

    def release(self) -> None:
        """Leave no lock behind."""
        os.close(self._descriptor)
        if self._is_held:
            durable.unlink(self._path, is_missing_fine=True)
