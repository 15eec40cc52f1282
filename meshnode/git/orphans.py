"""Ends git processes of an earlier life of this node before its directory is touched.

A git process outlives a node that is killed alone, by the milliseconds that it takes to end its work. What it would
still change is what the journal is about to repeat, and a lock it holds looks like one that was left. Every git
process inherits the descriptor of the directory's lock file, so whoever has that file open is one of them.

Source: proc(5), "/proc/[pid]/fd".
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from meshnode.base.errors import MeshError

log = logging.getLogger("meshnode.git")

ENDED_IN_S: Final = 10.0
"""A killed process goes as soon as the kernel lets go of it; longer only where the disk hangs."""
PAUSE_S: Final = 0.002
_PROC: Final = Path("/proc")


def end_orphans(lock: int) -> int:
    """Kill every other git process that has the file of this descriptor open, and see it gone; how many there were.

    Blocks: it is for a node that serves nothing yet. Raises MeshError where one does not end.
    """
    wanted = os.fstat(lock)
    deadline = time.monotonic() + ENDED_IN_S
    ended: set[int] = set()
    while found := [pid for pid in _git_processes() if _has_open(pid, wanted)]:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        ended.update(found)
        if time.monotonic() > deadline:
            raise MeshError(
                "git processes of an earlier start do not end; is the disk hanging?",
                pids=", ".join(map(str, sorted(found))),
            )
        time.sleep(PAUSE_S)
    if ended:
        log.warning("orphans_ended", extra={"pids": sorted(ended)})
    return len(ended)


def _git_processes() -> Iterator[int]:
    for directory in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (directory / "comm").read_bytes().startswith(b"git"):
                yield int(directory.name)


def _has_open(pid: int, wanted: os.stat_result) -> bool:
    with contextlib.suppress(OSError):
        for descriptor in (_PROC / str(pid) / "fd").iterdir():
            with contextlib.suppress(OSError):
                if os.path.samestat(descriptor.stat(), wanted):
                    return True
    return False
