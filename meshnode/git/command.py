"""Runs git: the only place of this program where a process is spawned.

Every argv is `git` and constants, plus values that passed a parser of `base.ids`; never a shell. The environment is
built from nothing: no user or system configuration, no prompts, nothing inherited whose name starts with `GIT_`.
Configuration travels as GIT_CONFIG_COUNT, which git treats like `-c` and no process list shows.

`subprocess.Popen` without preexec_fn uses vfork, so a spawn costs the same in a process of 600 MB (fork: nine times
as much, and uvloop's own spawn was seen to mix up descriptors beside grpcio). `start_new_session` keeps the vfork
and takes the terminal away, so that nothing can prompt. Popen is called on the loop: it takes 0.3 ms. In a thread
it takes 1.8 ms, as the interpreter lock is handed back and forth, and the loop still stalls for half as long as it
does without (`tests/bench/spawn.py`).

Source: git(1) "ENVIRONMENT", git-config(1) "SCOPES", CPython Modules/_posixsubprocess.c.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from meshnode.base.errors import DeadlineExceeded, MeshError, Overloaded
from meshnode.git.process import GitProcess, OnStderr

_CONFIG: Final = (
    "safe.directory=*",  # the data directory is ours by configuration, whoever owns its files
    "gc.auto=0",
    "maintenance.auto=false",  # housekeeping is scheduled, never a side effect
    "core.hooksPath=/dev/null",
)
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_EXHAUSTED: Final = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
_RETRY_AFTER_MS: Final = 1_000
_PIPES: Final = 5
"""What a spawn needs at most: three pipes, one of Popen's own, and a pidfd."""
_IS_LEAKING: Final = sys.version_info < (3, 11, 4)
"""Popen leaves pipes open where it runs out of descriptors between two of them (CPython issue 87474)."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A process that ended by itself; `returncode` is negative for a signal, `stderr` the last 64 KiB."""

    returncode: int
    stdout: bytes
    stderr: bytes


class GitCommands:
    """Git processes with bounds: how many at once, how many waiting, for how long, how much output."""

    def __init__(self, *, concurrency_max: int = 32, streams_max: int = 256, queue_max: int = 4_096) -> None:
        """Bound `run` and `open` apart, so that long transfers never keep short commands waiting.

        Raises:
            MeshError: there is no git on the PATH.
        """
        path = os.environ.get("PATH", os.defpath)
        git = shutil.which("git", path=path)
        if git is None:
            raise MeshError("git is not installed", path=path)
        self._git = git
        self._path = path
        self._inherited: tuple[int, ...] = ()
        self._runs = _Places(concurrency_max, queue_max)
        self._streams = _Places(streams_max, queue_max)

    def hand_down(self, descriptor: int) -> None:
        """Let every process inherit a descriptor, by which it is known when this one is gone (`git/orphans.py`)."""
        self._inherited = (descriptor,)

    def withhold(self, descriptor: int) -> None:
        """Let nobody inherit this descriptor any more: it is about to be closed."""
        if self._inherited == (descriptor,):
            self._inherited = ()

    async def run(
        self,
        args: Sequence[str],
        *,
        git_dir: Path | None,
        stdin: bytes = b"",
        environment: Mapping[str, str] = _NOTHING,
        deadline_ms: int = 60_000,
        stdout_bytes_max: int = 64 << 20,
        config: Sequence[str] = (),
    ) -> Completed:
        """Run `git <args>` to its end; a non-zero exit is an answer, not an error.

        `config` holds `key=value` strings; `environment` is added to the clean one (quarantines need GIT_* there).
        The deadline includes the wait for a place.

        Raises:
            DeadlineExceeded: not finished within `deadline_ms`; the process group is killed.
            Overloaded: too many wait already, the machine is out of processes, or more output than
                `stdout_bytes_max`.
        """
        process = await self._spawn(
            self._runs,
            args,
            environment=self._environment(git_dir, environment, config),
            deadline_ms=deadline_ms,
            has_stdin=bool(stdin),
            is_bulk=False,
        )
        async with process:
            process.feed(stdin)
            chunks: list[bytes] = []
            size = 0
            while chunk := await process.read():
                size += len(chunk)
                if size > stdout_bytes_max:
                    raise Overloaded("git gave more output than expected", command=args[0], bytes_max=stdout_bytes_max)
                chunks.append(chunk)
            returncode = await process.wait()
            return Completed(returncode, b"".join(chunks), process.stderr_bytes)

    async def open(
        self,
        args: Sequence[str],
        *,
        git_dir: Path | None,
        environment: Mapping[str, str] = _NOTHING,
        deadline_ms: int,
        config: Sequence[str] = (),
        stdin: bool = True,
        is_bulk: bool = True,
        on_stderr: OnStderr | None = None,
    ) -> GitProcess:
        """Start `git <args>` with pipes; the caller owns it: `async with await commands.open(...) as process`.

        `stdin` False gives it an empty input, `is_bulk` False small pipes. `on_stderr` is called with each line of
        standard error.

        Raises:
            DeadlineExceeded: no place came free within `deadline_ms`.
            Overloaded: too many wait already, or the machine is out of processes.
        """
        return await self._spawn(
            self._streams,
            args,
            environment=self._environment(git_dir, environment, config),
            deadline_ms=deadline_ms,
            has_stdin=stdin,
            is_bulk=is_bulk,
            on_stderr=on_stderr,
        )

    async def _spawn(
        self,
        places: _Places,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        deadline_ms: int,
        has_stdin: bool,
        is_bulk: bool,
        on_stderr: OnStderr | None = None,
    ) -> GitProcess:
        loop = asyncio.get_running_loop()
        expires_at = loop.time() + deadline_ms / 1000
        await places.enter(argv[0], deadline_ms)
        try:
            return GitProcess(
                self._start(argv, environment, has_stdin=has_stdin),
                name=argv[0],
                deadline_ms=max(int((expires_at - loop.time()) * 1000), 1),
                on_exit=places.leave,
                on_stderr=on_stderr,
                is_bulk=is_bulk,
            )
        except OSError as error:
            places.leave()
            if error.errno in _EXHAUSTED:
                raise Overloaded(
                    "cannot start git now", command=argv[0], cause=str(error), retry_after_ms=_RETRY_AFTER_MS
                ) from error
            raise MeshError("cannot start git", command=argv[0], cause=str(error)) from error
        except BaseException:  # a NUL in an argument, say: the place must not stay taken
            places.leave()
            raise

    def _start(
        self, argv: Sequence[str], environment: Mapping[str, str], *, has_stdin: bool
    ) -> subprocess.Popen[bytes]:
        if _IS_LEAKING:
            _check_descriptors()
        return subprocess.Popen(
            [self._git, *argv],
            stdin=subprocess.PIPE if has_stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            close_fds=True,
            pass_fds=self._inherited,
            start_new_session=True,
            env=environment,
        )

    def _environment(self, git_dir: Path | None, extra: Mapping[str, str], config: Sequence[str]) -> dict[str, str]:
        result = {
            "PATH": self._path,
            "HOME": "/nonexistent",
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_COUNT": str(len(_CONFIG) + len(config)),
        }
        for number, setting in enumerate((*_CONFIG, *config)):
            result[f"GIT_CONFIG_KEY_{number}"], _, result[f"GIT_CONFIG_VALUE_{number}"] = setting.partition("=")
        if git_dir is not None:
            result["GIT_DIR"] = str(git_dir.absolute())
        result.update(extra)
        return result


def _check_descriptors() -> None:
    """Check that a spawn will not run out of descriptors. Raises OSError, with none taken."""
    taken: list[int] = []
    try:
        for _ in range(_PIPES):
            taken.extend(os.pipe())
    finally:
        for descriptor in taken:
            os.close(descriptor)


class _Places:
    """Processes at once and callers waiting, both bounded."""

    def __init__(self, places_max: int, queue_max: int) -> None:
        self._free = asyncio.Semaphore(places_max)
        self._waiting = 0
        self._queue_max = queue_max

    async def enter(self, name: str, deadline_ms: int) -> None:
        if not self._free.locked():
            await self._free.acquire()
            return
        if self._waiting >= self._queue_max:
            raise Overloaded(
                "too many git commands wait", command=name, queue_max=self._queue_max, retry_after_ms=_RETRY_AFTER_MS
            )
        self._waiting += 1
        try:
            async with asyncio.timeout(deadline_ms / 1000):
                await self._free.acquire()
        except TimeoutError as error:
            raise DeadlineExceeded("no place for git came free in time", command=name) from error
        finally:
            self._waiting -= 1

    def leave(self) -> None:
        self._free.release()
