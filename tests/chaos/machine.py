"""One machine of the run: a program in a network namespace of its own, to be killed, paused, slowed and started again.

Its output goes to a log outside its own disk, so a full disk cannot silence it. It says when the program ended
without being asked to.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.e2e.cluster import descendants

END_S: Final = 20.0
STOP_S: Final = 60.0
_POLL_S: Final = 0.02


class Machine:
    """A host's program: a node or an etcd member."""

    def __init__(self, name: str, program: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = log
        self._program = ["ip", "netns", "exec", name, *program]
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._paused: list[int] = []
        self.ended_by_itself: list[str] = []
        """Ends that nobody asked for, with their exit codes."""

    @property
    def is_running(self) -> bool:
        """Whether the program runs; an end that nobody asked for is noted."""
        if self._process is None:
            return False
        code = self._process.poll()
        if code is not None:
            self.ended_by_itself.append(f"{self.name} ended by itself with exit code {code}")
            self._process = None
        return code is None

    @property
    def pid(self) -> int:
        """The program's process, 0 where it does not run."""
        return self._process.pid if self.is_running and self._process is not None else 0

    def start(self) -> None:
        """Start it where it does not run."""
        if self.is_running:
            return
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._program,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def kill(self) -> None:
        """`kill -9`; what it started lives on, as in life. Returns when it is gone."""
        if self.is_running and self._process is not None:
            process, self._process = self._process, None
            process.kill()
            await _gone(process, END_S)
        self._paused = []

    async def stop(self) -> int:
        """Ask it to end; its exit code, -9 where it had to be killed."""
        if not self.is_running or self._process is None:
            return 0
        process, self._process = self._process, None
        process.terminate()
        with contextlib.suppress(TimeoutError):
            return await _gone(process, STOP_S)
        process.kill()
        return await _gone(process, END_S)

    def pause(self) -> None:
        """SIGSTOP to it and what it started: connections stay open, nothing answers."""
        if pid := self.pid:
            self._send(pid, signal.SIGSTOP)
            self._paused = [pid, *(child for child, _ in descendants(pid))]
            for child in self._paused[1:]:
                self._send(child, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT to all that `pause` stopped."""
        for pid in reversed(self._paused):
            self._send(pid, signal.SIGCONT)
        self._paused = []

    async def stutter(self, *, stopped_s: float, running_s: float) -> None:
        """Pause and resume by turns until cancelled: a machine whose processor somebody else uses."""
        try:
            while True:
                self.pause()
                await asyncio.sleep(stopped_s)
                self.resume()
                await asyncio.sleep(running_s)
        finally:
            self.resume()

    @staticmethod
    def _send(pid: int, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


async def _gone(process: subprocess.Popen[bytes], within_s: float) -> int:
    deadline = time.monotonic() + within_s
    while (code := process.poll()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {process.pid} does not end")
        await asyncio.sleep(_POLL_S)
    return code
