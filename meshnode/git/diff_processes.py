r"""Compares trees through `git diff-tree --stdin` processes that stay: most of what a short diff costs is the process.

    "<old> <new>\n"    ->  "<old> <new>\n", raw records, patch
    "<commit>\n"       ->  raw records, patch          against its first parent
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
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
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
PIECE_BYTES: Final = 32 << 10
"""Of an answer that are handed on together."""
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

    def compare(
        self, key: ReplicaKey, arguments: tuple[str, ...], pairs: Sequence[tuple[ObjectId, ObjectId]]
    ) -> AsyncGenerator[bytes, None]:
        """What `git diff-tree <arguments> --stdin` writes about 1 to `PAIRS_MAX` pairs of trees, in chunks.

        The line that names a pair is left out where it is the only one.

        Raises:
            Corrupt, InvalidRequest: git could not, or would not.
            DeadlineExceeded, Overloaded: as `GitCommands.open`.
        """
        lines = [f"{old} {new}\n".encode() for old, new in pairs]
        return self._answer((key, arguments), None, _Question(lines, lines[0], is_header_kept=len(lines) > 1))

    def begin(self, key: ReplicaKey, arguments: tuple[str, ...], commit: ObjectId) -> BegunQuestion:
        """Ask about one commit, at once where a process waits for a question, else when the answer is wanted.

        The answer is empty where there is no such commit, too: git says so elsewhere.
        """
        kind = key, arguments
        question = _Question([f"{commit}\n".encode()])
        birth = birth_of(self._layout.repository(key))
        differ = next((one for one, of in reversed(self._idle.items()) if of == kind and one.is_usable(birth)), None)
        if differ is not None:
            del self._idle[differ]
            differ.ask(question, self._deadline_ms)
        return BegunQuestion(differ, partial(self._answer, kind, differ, question))

    async def _answer(self, kind: Kind, differ: _Differ | None, question: _Question) -> AsyncGenerator[bytes, None]:
        if differ is None:
            differ = await self._take(kind) or await self._start(kind)
            differ.ask(question, self._deadline_ms)
        try:
            while not differ.is_over:
                if chunk := await differ.more():
                    yield chunk
        finally:
            differ.rest()
            if differ.may_stay:
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
            environment={**PLAIN, "GIT_SHALLOW_FILE": ""},  # a commit's parents are those it names
            deadline_ms=LIFETIME_MS,
        )
        return _Differ(process, path, birth_of(path), Watch(process, self._niceness))


class BegunQuestion:
    """A question that may have been put already. Implements `ports.BegunDiff`."""

    def __init__(self, differ: _Differ | None, answer: Callable[[], AsyncGenerator[bytes, None]]) -> None:
        self._differ = differ
        """Whose answer nobody took yet."""
        self._answer = answer

    def output(self) -> AsyncGenerator[bytes, None]:
        """What git writes; raises as `DiffProcesses.compare`."""
        self._differ = None
        return self._answer()

    async def drop(self) -> None:
        """Leave the answer, where it was not taken. Idempotent."""
        differ, self._differ = self._differ, None
        if differ is not None:
            differ.rest()
            await differ.process.kill()


@dataclass(frozen=True, slots=True)
class _Question:
    """Lines for `diff-tree --stdin`."""

    lines: Sequence[bytes]
    header: bytes = b""
    """What the answer begins with."""
    is_header_kept: bool = False


class _Differ:
    """One process, and the question it is at."""

    def __init__(self, process: GitProcess, path: Path, birth: Birth | None, watch: Watch) -> None:
        self.process = process
        self.is_over = True
        """The answer is complete: the process waits for the next question."""
        self._watch = watch
        self._path = path
        self._birth = birth
        self._loop = asyncio.get_running_loop()
        self._started_at = self._loop.time()
        self._questions = 0
        self._bytes = 0
        self._header = self._end = b""
        self._held = bytearray()
        self._is_begun = self._is_header_kept = self._is_late = False
        self._deadline_ms = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def may_stay(self) -> bool:
        """Whether it is worth keeping after its last answer."""
        return (
            self.is_over
            and self._questions < QUESTIONS_MAX
            and self._bytes <= REUSE_BYTES_MAX
            and not self._watch.is_heavy
        )

    def is_usable(self, birth: Birth | None) -> bool:
        """Whether it may answer for the directory of this birth."""
        age_ms = (self._loop.time() - self._started_at) * 1000
        return self.process.returncode is None and age_ms < FRESH_MS and birth is not None and birth == self._birth

    def ask(self, question: _Question, deadline_ms: int) -> None:
        """Put a question. Call `rest` when its answer was read, or is not wanted any more."""
        self._header, self._is_header_kept = question.header, question.is_header_kept
        self._end = f"end {os.urandom(16).hex()}\n".encode()
        self._held, self._bytes = bytearray(), 0
        self.is_over = self._is_begun = False
        self._questions += 1
        self._deadline_ms = deadline_ms
        self._timer = self._loop.call_later(deadline_ms / 1000, self._expire)
        self._watch.begin()
        try:
            self.process.write_at_once(b"".join([*question.lines, self._end]))
        except BrokenPipeError:  # it has ended, or is not what it should be: its output says so
            self.process.terminate()

    async def more(self) -> bytes:
        """What came of the answer meanwhile, at least `PIECE_BYTES` unless it ends; sets `is_over` with the last of it.

        Git writes 4 KiB at a time, each of which would cost as much to hand on as to read.
        """
        held = self._held
        while not self.is_over and len(held) < PIECE_BYTES + len(self._end):
            chunk = await self.process.read(CHUNK_BYTES)
            if not chunk:
                raise await self._failure()
            held += chunk
            if not self._is_begun and not self._begins(held):
                continue
            self.is_over = held.endswith(self._end)
        whole = len(held) - len(self._end)  # the end may be on its way
        self._held = held[whole:]
        self._bytes += whole
        return bytes(memoryview(held)[:whole])

    def _begins(self, held: bytearray) -> bool:
        """Whether the header is there; takes it away where it is not wanted. Raises Corrupt, InvalidRequest."""
        if len(held) < len(self._header) and not held.endswith(self._end):
            return False
        if not held.startswith(self._header):  # git says why on its other pipe, and would go on
            raise failure_of(WHAT, 1, self.process.stderr_tail or "bad object", self._path)
        self._is_begun = True
        if not self._is_header_kept:
            del held[: len(self._header)]
        return True

    def rest(self) -> None:
        """Watch it no more. Idempotent."""
        self._watch.end()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._is_late = True
        self.process.terminate()

    async def _failure(self) -> MeshError:
        returncode = await self.process.wait()
        if self._is_late:
            return DeadlineExceeded("git did not finish in time", command="diff-tree", deadline_ms=self._deadline_ms)
        return failure_of(WHAT, returncode, self.process.stderr_tail, self._path)
