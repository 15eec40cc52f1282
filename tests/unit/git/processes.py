"""Which processes a test has started and not reaped; those of the test run itself do not count."""

from __future__ import annotations

import os
from pathlib import Path

_KNOWN: set[int] = set()
"""Children from before the test, such as a catalog that lives for the session."""


def note_known_children() -> None:
    """Leave out what runs now; called before each test of this folder."""
    _KNOWN.clear()
    _KNOWN.update(children())


def children() -> list[int]:
    """Children of this process, unreaped ones included."""
    pids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in pids if int(pid) not in _KNOWN]
