"""One running git process: its pipes on the running loop, its deadline, its end.

    Popen (vfork) -> GitProcess -> exited (pidfd readable) -> group killed -> reaped
                        |                                          ^
                        +-- deadline, kill(), leaving `async with` -+

The rule: once made, a process is reaped by the loop itself, whoever waits for it or is cancelled; and nothing of
its group outlives it. The group is killed while its leader is still unreaped, so its id cannot mean anyone else.

Pipes are plain non-blocking descriptors with `add_reader` and `add_writer`, the exit is a pidfd: that works the same
on asyncio's loop and on uvloop, with neither's own subprocess support. Source: pidfd_open(2), pipe(7).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
from collections.abc import Callable
from types import TracebackType
from typing import IO, Final, Self

from meshnode.base.errors import DeadlineExceeded
from meshnode.telemetry.access import git_time_here

PIPE_BYTES: Final = 1 << 20
"""Pipe buffer of bulk streams; 16 times the default saves wake-ups. 1 MiB is the most an ordinary user may ask for."""
STDERR_TAIL_BYTES: Final = 64 << 10
"""How much of standard error is kept: git's last words."""
_LINE_BYTES_MAX: Final = 4096
"""Longest line handed to `on_stderr`; longer ones are cut."""
_LAST_READS: Final = 3
"""Reads that empty the pipe of standard error at the exit: what is in it, a rest, its end."""
_LINGER_S: Final = 0.002
"""At 128 MB/s, as fast as git sends packs, a chunk of 256 KiB fills in this time; the pipe holds four of them."""
_UNWAITED_BYTES_MAX: Final = 64 << 10
"""Read without a wait before the loop gets a turn: a pipe that is always full must not keep it."""
_PIECE_BYTES: Final = 256 << 10
"""Written in one go, so that one large `write` does not keep the loop."""

OnStderr = Callable[[str], None]


class GitProcess:
    """A process with pipes. One reader and one writer at a time. Leave it by `async with` or `kill()`.

    Made by `GitCommands.open` only.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        *,
        name: str,
        deadline_ms: int,
        on_exit: Callable[[], None],
        on_stderr: OnStderr | None = None,
        is_bulk: bool = True,
    ) -> None:
        """Take over `process`, whose stdout and stderr are pipes; `on_exit` is called once, when it is reaped."""
        self._loop = asyncio.get_running_loop()
        self._process = process
        self._name = name
        self._deadline_ms = deadline_ms
        self._on_exit = on_exit
        self._on_stderr = on_stderr
        self._exited: asyncio.Future[int] = self._loop.create_future()
        self._waiting: set[asyncio.Future[None]] = set()
        self._reading: asyncio.Future[None] | None = None
        """Of who waits for output."""
        self._is_watched = False
        """The loop looks out for output."""
        self._unwaited_bytes = 0
        self._started_s = self._loop.time()
        self._git_time = git_time_here()
        self._is_expired = False
        self._stderr = bytearray()
        self._line = bytearray()
        self._feed = memoryview(b"")
        try:
            self._pidfd = os.pidfd_open(process.pid)
        except OSError:  # out of descriptors: nothing can watch it, so it must not run
            self.terminate()
            process.wait()
            for pipe in filter(None, (process.stdin, process.stdout, process.stderr)):
                pipe.close()
            raise
        self._stdin_fd = _prepare(process.stdin, is_bulk=is_bulk)
        self._stdout_fd = _prepare(process.stdout, is_bulk=is_bulk)
        self._stderr_fd = _prepare(process.stderr, is_bulk=False)
        self._loop.add_reader(self._pidfd, self._reap)
        self._loop.add_reader(self._stderr_fd, self._read_stderr)
        self._timer = self._loop.call_later(deadline_ms / 1000, self._expire)

    @property
    def pid(self) -> int:
        """The process id, which is also its group's and its session's."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal, None while it runs."""
        return self._exited.result() if self._exited.done() else None

    @property
    def stderr_tail(self) -> str:
        """The last 64 KiB of standard error so far."""
        return self._stderr.decode(errors="replace")

    @property
    def stderr_bytes(self) -> bytes:
        """`stderr_tail` as bytes."""
        return bytes(self._stderr)

    async def write(self, data: bytes | memoryview) -> None:
        """Write all of `data` to standard input; waits while the process is behind.

        Raises:
            BrokenPipeError: the process no longer reads, or its input is closed.
            DeadlineExceeded: the process's deadline passed.
        """
        rest = memoryview(data)
        while rest:
            if self._stdin_fd < 0:
                self._check_deadline()
                raise BrokenPipeError(f"standard input of {self._name} is closed")
            try:
                rest = rest[os.write(self._stdin_fd, rest[:_PIECE_BYTES]) :]
            except BlockingIOError:
                await self._until_writable()
            except BrokenPipeError:
                self._check_deadline()
                raise
            else:
                if rest:
                    await asyncio.sleep(0)

    def write_at_once(self, data: bytes) -> None:
        """Write `data`, which is known to fit the pipe: it is less than a pipe holds, and all before it was read.

        Raises:
            BrokenPipeError: it does not, the process no longer reads, or its input is closed.
        """
        try:
            is_written = self._stdin_fd >= 0 and os.write(self._stdin_fd, data) == len(data)
        except BlockingIOError:
            is_written = False
        if not is_written:
            raise BrokenPipeError(f"standard input of {self._name} does not take what it must")

    async def close_stdin(self) -> None:
        """Let the process see the end of its input. Idempotent."""
        self._close_stdin()

    def feed(self, data: bytes) -> None:
        """Write `data` in the background and close the input after it; for input held in memory anyway.

        A process that does not read all of it is not an error.
        """
        self._feed = memoryview(data)
        self._feed_more()

    async def read(self, max_bytes: int = 262_144) -> bytes:
        """Read what is there of standard output, at least one byte, at most `max_bytes`; b"" at its end.

        Raises:
            DeadlineExceeded: the process's deadline passed, so the output may be cut.
        """
        if self._unwaited_bytes >= _UNWAITED_BYTES_MAX:
            self._unwaited_bytes = 0
            await asyncio.sleep(0)
        while self._stdout_fd >= 0:
            try:
                data = os.read(self._stdout_fd, max_bytes)
            except BlockingIOError:
                self._unwaited_bytes = 0
                await self._until_readable()
                continue
            if not data:
                break
            self._unwaited_bytes += len(data)
            return data
        self._check_deadline()
        return b""

    async def read_bulk(self, max_bytes: int = 262_144) -> bytes:
        """As `read`, but give the process 2 ms to write more: fewer, larger chunks of a long stream.

        Git writes packs in pieces of 8 KiB; handed on one by one they would cost more than the pack.
        """
        data = await self.read(max_bytes)
        if data and len(data) < max_bytes and self._stdout_fd >= 0:
            await asyncio.sleep(_LINGER_S)
            with contextlib.suppress(BlockingIOError):
                if self._stdout_fd >= 0:
                    data += os.read(self._stdout_fd, max_bytes - len(data))
        return data

    async def wait(self) -> int:
        """Wait for the exit; the exit code, negative for a signal.

        A process that still wants to write more than its pipe holds does not exit: read to the end first.

        Raises:
            DeadlineExceeded: the process was killed because its deadline passed.
        """
        returncode = await asyncio.shield(self._exited)
        self._check_deadline()
        return returncode

    def terminate(self) -> None:
        """Kill the whole process group now, without waiting: readers and writers then see its end."""
        if not self._exited.done():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def kill(self) -> None:
        """Kill the whole process group, reap it and close the pipes. Idempotent; safe to cancel."""
        try:
            self.terminate()
            await asyncio.shield(self._exited)
        finally:
            self._close_pipes()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.kill()

    async def _until_readable(self) -> None:
        """Wait for output. The descriptor stays watched afterwards, as most of those who wait once wait again."""
        if not self._is_watched:
            self._loop.add_reader(self._stdout_fd, self._on_readable)
            self._is_watched = True
        ready = self._reading = self._loop.create_future()
        self._waiting.add(ready)
        try:
            await ready
        finally:
            self._waiting.discard(ready)
            self._reading = None

    def _on_readable(self) -> None:
        if self._reading is not None:
            _wake(self._reading)
        elif self._stdout_fd >= 0:  # nobody wants it yet
            self._loop.remove_reader(self._stdout_fd)
            self._is_watched = False

    async def _until_writable(self) -> None:
        fd = self._stdin_fd
        ready: asyncio.Future[None] = self._loop.create_future()
        self._waiting.add(ready)
        self._loop.add_writer(fd, _wake, ready)
        try:
            await ready
        finally:
            self._waiting.discard(ready)
            if fd == self._stdin_fd:
                self._loop.remove_writer(fd)

    def _check_deadline(self) -> None:
        if self._is_expired:
            raise DeadlineExceeded("git did not finish in time", command=self._name, deadline_ms=self._deadline_ms)

    def _expire(self) -> None:
        self._is_expired = not self._exited.done()
        self.terminate()

    def _reap(self) -> None:
        self.terminate()
        returncode = self._process.poll()
        if returncode is None:  # a hint without an exit; the descriptor stays watched
            return
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._timer.cancel()
        self._is_expired = self._is_expired and returncode == -signal.SIGKILL  # it may have been done just in time
        self._exited.set_result(returncode)
        if self._git_time is not None:
            self._git_time.ms += (self._loop.time() - self._started_s) * 1_000
        for ready in self._waiting:
            _wake(ready)
        self._on_exit()
        for _ in range(_LAST_READS):  # before anyone who waits goes on: they run in the loop's next turn
            self._read_stderr()

    def _read_stderr(self) -> None:
        if self._stderr_fd < 0:
            return
        try:
            data = os.read(self._stderr_fd, STDERR_TAIL_BYTES)  # all that its pipe can hold
        except BlockingIOError:
            return
        self._stderr += data
        del self._stderr[:-STDERR_TAIL_BYTES]
        if self._on_stderr is not None:
            self._hand_out_lines(self._on_stderr, data)
        if not data:
            self._close_stderr()

    def _hand_out_lines(self, on_stderr: OnStderr, data: bytes) -> None:
        self._line += data.replace(b"\r", b"\n")
        *lines, rest = self._line.split(b"\n")
        if len(rest) >= _LINE_BYTES_MAX or not data:
            lines, rest = [*lines, rest], bytearray()
        self._line = rest
        for line in lines:
            if line.strip():
                on_stderr(line[:_LINE_BYTES_MAX].decode(errors="replace").rstrip())

    def _feed_more(self) -> None:
        try:
            while self._feed and self._stdin_fd >= 0:
                self._feed = self._feed[os.write(self._stdin_fd, self._feed[:_PIECE_BYTES]) :]
        except BlockingIOError:
            self._loop.add_writer(self._stdin_fd, self._feed_more)
            return
        except BrokenPipeError:
            self._feed = memoryview(b"")
        self._close_stdin()

    def _close_stdin(self) -> None:
        fd, self._stdin_fd = self._stdin_fd, -1
        if fd >= 0 and self._process.stdin is not None:
            self._loop.remove_writer(fd)
            self._process.stdin.close()

    def _close_stdout(self) -> None:
        fd, self._stdout_fd = self._stdout_fd, -1
        if fd >= 0 and self._process.stdout is not None:
            self._loop.remove_reader(fd)
            self._process.stdout.close()

    def _close_stderr(self) -> None:
        fd, self._stderr_fd = self._stderr_fd, -1
        if fd >= 0 and self._process.stderr is not None:
            self._loop.remove_reader(fd)
            self._process.stderr.close()

    def _close_pipes(self) -> None:
        self._close_stdin()
        self._close_stdout()
        self._close_stderr()
        for ready in self._waiting:
            _wake(ready)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _prepare(pipe: IO[bytes] | None, *, is_bulk: bool) -> int:
    """The descriptor of one of Popen's pipes, made non-blocking and large; -1 where there is no pipe."""
    if pipe is None:
        return -1
    os.set_blocking(pipe.fileno(), False)
    if is_bulk:
        with contextlib.suppress(OSError):  # over the user's share of pipe memory: the default size works too
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return pipe.fileno()
