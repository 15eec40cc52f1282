r"""Compares trees through `git diff-tree --stdin` processes that stay: most of what a short diff costs is the process.

    "<old> <new>\n"    ->  "<old> <new>\n", raw records, patch
    "end <nonce>\n"    ->  "end <nonce>\n", and what was written is flushed: the answer is complete

diff-tree echoes a line that is no object id; nobody who makes content can know the nonce of the answer it will be in. A
process belongs to one directory and one set of arguments. It goes when it gave a long answer (its memory stays large) or
a heavy one (it stands back then, and cannot come forward again), after `QUESTIONS_MAX` questions or `FRESH_MS`, when its
question was left in the middle, or as the least used of many.

Source: git-diff-tree(1) "--stdin"; git's builtin/diff-tree.c (diff_tree_stdin, stdin_diff_trees).
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final, TypeAlias

from meshnode.base.errors import DeadlineExceeded, MeshError
from meshnode.base.ids import ObjectId
from meshnode.core.round import ReplicaKey
from meshnode.git.command import GitCommands
from meshnode.git.failure import failure_of
from meshnode.git.layout import Layout
from meshnode.git.object_cache import Birth, birth_of
from meshnode.git.priority import Watch
from meshnode.git.process import GitProcess
from meshnode.git.queries import CHUNK_BYTES, PLAIN

IDLE_MAX: Final = 8
LIFETIME_MS: Final = 600_000
FRESH_MS: Final = 120_000
"""A process older than this is not handed out again; with the longest answer it stays below its lifetime."""
QUESTIONS_MAX: Final = 200
PAIRS_MAX: Final = 400
"""In one question: less than the 64 KiB a pipe holds, so they are out of our hands before git, whose output pipe may be
full, has read the first of them."""
REUSE_BYTES_MAX: Final = 4 << 20
"""Of one answer; what git took for it would be kept for the next ones."""
WHAT: Final = "compare trees"

Kind: TypeAlias = tuple[ReplicaKey, tuple[str, ...]]


class DiffProcesses:
    """Idle processes, and those at work."""

    def __init__(
        self, commands: GitCommands, layout: Layout, *, deadline_ms: int, niceness: int, idle_max: int = IDLE_MAX
    ) -> None:
        """An answer takes at most `deadline_ms`; a process with a heavy one stands back by `niceness`."""
        self._commands = commands
        self._layout = layout
        self._deadline_ms = deadline_ms
        self._niceness = niceness
        self._idle_max = idle_max
        self._idle: OrderedDict[_Differ, Kind] = OrderedDict()

    async def close(self) -> None:
        """End the idle processes. Idempotent."""
        while self._idle:
            differ, _ = self._idle.popitem()
            await differ.process.kill()

    async def compare(
        self, key: ReplicaKey, arguments: tuple[str, ...], pairs: Sequence[tuple[ObjectId, ObjectId]]
    ) -> AsyncGenerator[bytes, None]:
        """What `git diff-tree <arguments> --stdin` writes about 1 to `PAIRS_MAX` pairs of trees, in chunks.

        The line that names a pair is left out where it is the only one.

        Raises:
            Corrupt, InvalidRequest: git could not, or would not.
            DeadlineExceeded, Overloaded: as `GitCommands.open`.
        """
        kind = key, arguments
        differ = await self._take(kind) or await self._start(kind)
        is_over = False
        try:
            async with aclosing(differ.answer(pairs, self._deadline_ms)) as chunks:
                async for chunk in chunks:
                    yield chunk
            is_over = True
        finally:
            if is_over and differ.may_stay:
                self._idle[differ] = kind
            else:
                await differ.process.kill()
        while len(self._idle) > self._idle_max:
            oldest, _ = self._idle.popitem(last=False)
            await oldest.process.kill()

    async def _take(self, kind: Kind) -> _Differ | None:
        birth = birth_of(self._layout.repository(kind[0]))
        for differ in [one for one, of in reversed(self._idle.items()) if of == kind]:
            if self._idle.pop(differ, None) is None:  # gone while another one was ended
                continue
            if differ.is_usable(birth):
                return differ
            await differ.process.kill()
        return None

    async def _start(self, kind: Kind) -> _Differ:
        key, arguments = kind
        path = self._layout.repository(key)
        process = await self._commands.open(
            [*arguments, "--stdin", "--"],
            git_dir=path,
            environment=PLAIN,
            deadline_ms=LIFETIME_MS,
        )
        return _Differ(process, path, birth_of(path), Watch(process, self._niceness))


class _Differ:
    """One process."""

    def __init__(self, process: GitProcess, path: Path, birth: Birth | None, watch: Watch) -> None:
        self.process = process
        self._watch = watch
        self._path = path
        self._birth = birth
        self._started_at = asyncio.get_running_loop().time()
        self._questions = 0
        self._bytes = 0

    @property
    def may_stay(self) -> bool:
        """Whether it is worth keeping after its last answer."""
        return self._questions < QUESTIONS_MAX and self._bytes <= REUSE_BYTES_MAX and not self._watch.is_heavy

    def is_usable(self, birth: Birth | None) -> bool:
        """Whether it may answer for the directory of this birth."""
        age_ms = (asyncio.get_running_loop().time() - self._started_at) * 1000
        return self.process.returncode is None and age_ms < FRESH_MS and birth is not None and birth == self._birth

    async def answer(self, pairs: Sequence[tuple[ObjectId, ObjectId]], deadline_ms: int) -> AsyncGenerator[bytes, None]:
        """The differences; afterwards the process waits for the next question."""
        self._watch.begin()
        try:
            async with aclosing(self._answer(pairs, deadline_ms)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            self._watch.end()

    async def _answer(
        self, pairs: Sequence[tuple[ObjectId, ObjectId]], deadline_ms: int
    ) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline_ms / 1000
        header, *others = [f"{old} {new}\n".encode() for old, new in pairs]
        end = f"end {os.urandom(16).hex()}\n".encode()
        self._questions += 1
        self._bytes = 0
        try:
            await self.process.write(b"".join([header, *others, end]))
        except BrokenPipeError as error:
            raise await self._failure() from error
        held = b""
        is_begun = False
        while True:
            held += await self._read(until, deadline_ms)
            if not is_begun:
                if len(held) < len(header) and not held.endswith(end):
                    continue
                if not held.startswith(header):  # git says why on its other pipe, and would go on
                    raise failure_of(WHAT, 1, self.process.stderr_tail or "bad object", self._path)
                is_begun = True
                if not others:
                    held = held[len(header) :]
            is_over = held.endswith(end)
            whole = len(held) - len(end)  # the end may be on its way
            if whole > 0:
                self._bytes += whole
                yield held[:whole]
                held = held[whole:]
            if is_over:
                return

    async def _read(self, until: float, deadline_ms: int) -> bytes:
        try:
            async with asyncio.timeout_at(until) as waiting:
                chunk = await self.process.read(CHUNK_BYTES)
        except TimeoutError as error:
            if not waiting.expired():
                raise
            raise DeadlineExceeded(
                "git did not finish in time", command="diff-tree", deadline_ms=deadline_ms
            ) from error
        if not chunk:
            raise await self._failure()
        return chunk

    async def _failure(self) -> MeshError:
        returncode = await self.process.wait()
        return failure_of(WHAT, returncode, self.process.stderr_tail, self._path)
