"""A node's own keys on its disk: the one it signs with, and beside it the one that is to follow.

    node.pem        the key
    node.pem.next   its successor, while a rotation is under way; takes its place by a rename

Blocking, and making a key takes half a second of CPU: called from a thread, or before anything is served.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from meshnode.auth.keys import PrivateKey, load_or_create_private_key, load_private_key
from meshnode.base.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """Where a node's keys are."""

    path: Path

    @property
    def next_path(self) -> Path:
        """The file of the key that is to follow."""
        return self.path.with_name(self.path.name + ".next")

    def load(self) -> tuple[PrivateKey, PrivateKey | None]:
        """The key and, where there is one, its successor. Raises InvalidRequest: as `load_private_key`."""
        return load_private_key(self.path), load_private_key(self.next_path) if self.next_path.exists() else None

    def make_next(self) -> PrivateKey:
        """Make a successor, durably; the one that is there already, where there is one. Raises InvalidRequest."""
        return load_or_create_private_key(self.next_path)

    def adopt_next(self) -> None:
        """Let the successor take the key's place, durably; nothing happens where there is none.

        Raises:
            InvalidRequest: the files cannot be changed.
        """
        try:
            if self.next_path.exists():
                self.next_path.replace(self.path)
            directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise InvalidRequest("key file cannot be replaced", file=str(self.path), detail=error.strerror) from error
