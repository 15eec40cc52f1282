"""Makes heavy git processes stand back where others want the processor too.

    short work    as important as the node's own: somebody waits for it
    heavy work    `HEAVY_MS` of processor time later at a low priority, so that it delays nobody else's short work

A process in a session of its own is scheduled in a group of its own where autogroups are on, as they are on most
desktops and many servers: its priority then counts inside that group only, and the group has one as well.

Source: sched(7) "The autogroup feature", setpriority(2), clock_getcpuclockid(3).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from meshnode.git.process import GitProcess

HEAVY_MS: Final = 5
"""Processor time of one answer after which it is heavy; the diff of a usual commit takes a tenth of it."""


LONG_MS: Final = 20
"""Time after which a process of one question is heavy, with all that it started; a short range-diff takes half of it."""


def stand_back(pid: int, niceness: int) -> None:
    """Lower the priority of a process that is not reaped, of its group and of what they will start. For good."""
    # From outside: a preexec_fn would cost the vfork. The whole group, as git may have started others by now.
    with contextlib.suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PGRP, pid, niceness)
    # No autogroups here; or set too often by somebody who is not root: then the priority above must do.
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness))


@contextlib.contextmanager
def standing_back(process: GitProcess, niceness: int) -> Iterator[None]:
    """Have a process stand back, with those it starts, that is not done soon: what it starts is not watched one by one."""
    if not niceness:
        yield
        return

    def look() -> None:
        if process.returncode is None:
            stand_back(process.pid, niceness)

    timer = asyncio.get_running_loop().call_later(LONG_MS / 1_000, look)
    try:
        yield
    finally:
        timer.cancel()


class Watch:
    """Has a process stand back as soon as one piece of work of it turns out to be heavy."""

    def __init__(self, process: GitProcess, niceness: int) -> None:
        self.is_heavy = False
        """It stands back, and cannot be given its priority again."""
        self._process = process
        self._niceness = niceness
        self._begun_ms = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """A piece of work begins."""
        self._begun_ms = _used_ms(self._process)
        self._wait(HEAVY_MS)

    def end(self) -> None:
        """It is over. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, time_ms: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(time_ms / 1_000, self._look)

    def _look(self) -> None:
        if self._process.returncode is not None:
            return
        left_ms = self._begun_ms + HEAVY_MS - _used_ms(self._process)
        if left_ms > 0:
            self._wait(max(left_ms, 1))
            return
        self.is_heavy = True
        stand_back(self._process.pid, self._niceness)


def _used_ms(process: GitProcess) -> float:
    """Processor time of a process so far; 0 where it has ended."""
    if process.returncode is not None:
        return 0
    try:
        return time.clock_gettime((~process.pid << 3) | 2) * 1_000  # as clock_getcpuclockid makes the number
    except OSError:
        return 0
