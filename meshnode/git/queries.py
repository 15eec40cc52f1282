"""Runs git for questions about one replica: read only, bounded in time and output, plain objects only.

Arguments are constants and parsed values (object ids, checked paths after `--`); what a person wrote never reaches a
command line before it was resolved (`git/revisions.py`). The process ends with its question: when the caller is
cancelled or closes the stream, git is killed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

from meshnode.core.round import ReplicaKey
from meshnode.git.command import Completed, GitCommands
from meshnode.git.failure import failure_of
from meshnode.git.layout import Layout
from meshnode.git.priority import standing_back

PLAIN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_GRAFT_FILE": "/dev/null",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_ATTR_NOSYSTEM": "1",
    }
)
"""Objects as they are: replace references and grafts are a client's private view, and differ from replica to replica;
this machine's attributes are not the repository's."""
CHUNK_BYTES: Final = 256 << 10
_OK: Final = frozenset({0})
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Queries:
    """Git commands that read one replica."""

    def __init__(self, commands: GitCommands, layout: Layout) -> None:
        self._commands = commands
        self._layout = layout

    def path(self, key: ReplicaKey) -> Path:
        """Where the replica lies."""
        return self._layout.repository(key)

    async def run(
        self,
        key: ReplicaKey,
        args: Sequence[str],
        *,
        what: str,
        deadline_ms: int,
        stdin: bytes = b"",
        bytes_max: int = 64 << 20,
        config: Sequence[str] = (),
        expected: Collection[int] = _OK,
        environment: Mapping[str, str] = _NOTHING,
    ) -> Completed:
        """Run to the end; exit codes in `expected` are answers. `what` completes "git could not ...".

        Raises:
            InvalidRequest, Corrupt: git gave another exit code (`failure_of`).
            DeadlineExceeded, Overloaded: as `GitCommands.run`.
        """
        path = self._layout.repository(key)
        done = await self._commands.run(
            args,
            git_dir=path,
            stdin=stdin,
            environment={**PLAIN, **environment},
            deadline_ms=deadline_ms,
            stdout_bytes_max=bytes_max,
            config=config,
        )
        if done.returncode not in expected:
            raise failure_of(what, done.returncode, done.stderr.decode(errors="replace"), path)
        return done

    @asynccontextmanager
    async def running(
        self,
        key: ReplicaKey,
        args: Sequence[str],
        *,
        what: str,
        deadline_ms: int,
        stdin: bytes = b"",
        config: Sequence[str] = (),
        expected: Collection[int] = _OK,
        environment: Mapping[str, str] = _NOTHING,
        niceness: int = 0,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The output in chunks of at most 256 KiB, of a process that runs from here on.

        `niceness` (0 to 19): it stands back that far where it takes longer than usual (`git/priority.py`).
        A failure comes after what git wrote before it. Raises as `run`.
        """
        path = self._layout.repository(key)
        process = await self._commands.open(
            args,
            git_dir=path,
            environment={**PLAIN, **environment},
            deadline_ms=deadline_ms,
            config=config,
            stdin=bool(stdin),
        )

        async def chunks() -> AsyncGenerator[bytes, None]:
            while chunk := await process.read(CHUNK_BYTES):
                yield chunk
            returncode = await process.wait()
            if returncode not in expected:
                raise failure_of(what, returncode, process.stderr_tail, path)

        async with process, aclosing(chunks()) as output:
            process.feed(stdin)
            with standing_back(process, niceness):
                yield output

    async def stream(
        self,
        key: ReplicaKey,
        args: Sequence[str],
        *,
        what: str,
        deadline_ms: int,
        stdin: bytes = b"",
        config: Sequence[str] = (),
        expected: Collection[int] = _OK,
        environment: Mapping[str, str] = _NOTHING,
        niceness: int = 0,
    ) -> AsyncGenerator[bytes, None]:
        """The output as of `running`, of a process that begins when the first of it is wanted."""
        async with self.running(
            key,
            args,
            what=what,
            deadline_ms=deadline_ms,
            stdin=stdin,
            config=config,
            expected=expected,
            environment=environment,
            niceness=niceness,
        ) as chunks:
            async for chunk in chunks:
                yield chunk

    async def records(
        self,
        key: ReplicaKey,
        args: Sequence[str],
        *,
        what: str,
        deadline_ms: int,
        stdin: bytes = b"",
        separator: bytes = b"\0",
        config: Sequence[str] = (),
        expected: Collection[int] = _OK,
        niceness: int = 0,
    ) -> AsyncGenerator[bytes, None]:
        """The output cut at each `separator`, which is not part of the records; raises as `run`."""
        rest = b""
        chunks = self.stream(
            key,
            args,
            what=what,
            deadline_ms=deadline_ms,
            stdin=stdin,
            config=config,
            expected=expected,
            niceness=niceness,
        )
        async with aclosing(chunks):
            async for chunk in chunks:
                *whole, rest = (rest + chunk).split(separator)
                for record in whole:
                    yield record
        if rest:
            yield rest

    async def digest(
        self, key: ReplicaKey, args: Sequence[str], data: AsyncIterator[bytes], *, what: str, deadline_ms: int
    ) -> bytes:
        """The short output of a command that reads `data` to its end; raises as `run`, and what `data` raises."""
        path = self._layout.repository(key)
        process = await self._commands.open(args, git_dir=path, environment=PLAIN, deadline_ms=deadline_ms)
        async with process:
            try:
                async for chunk in data:
                    await process.write(chunk)
            except BrokenPipeError:
                pass  # its exit code says why
            await process.close_stdin()
            output = bytearray()
            while chunk := await process.read():
                output += chunk
            returncode = await process.wait()
            if returncode != 0:
                raise failure_of(what, returncode, process.stderr_tail, path)
            return bytes(output)
