"""Lets those who ask the same at the same references have one answer: git makes a clone's pack once, whoever asks.

    first who asks --> git --> file without a name --+--> first
    asks the same, meanwhile or within a minute -----+--> second, each at its own pace
                                                     +--> ...
    the last reader leaves before its end --> git ends, the file is gone

The file is unlinked before it is written, so nothing of it outlives the process. What a slow reader has not taken lies in
the file and not in memory, and git is done at its own pace.

Rule: an answer is for those alone who may have it anyway: each request was let in and verified by itself, and finds an
answer only at the very snapshot that it was verified at.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from meshnode.base.errors import Overloaded
from meshnode.git.disk import on_disk
from meshnode.git.layout import alternates_of

KEPT_S: Final = 60.0
"""How long a whole answer waits for the next one who asks: a storm of builds begins within seconds."""
ANSWERS_MAX: Final = 256
"""Kept or being made, each an open file; more are made for one reader alone."""
SMALL_BYTES: Final = 1 << 20
"""So much of an answer stays in memory; most repositories' clones need no file."""
PARTS: Final = 4
"""An answer of more than this part of the room is for one reader alone: it would push out all others."""
ALTERNATES_MAX: Final = 16
RETRY_S: Final = 60.0
"""After the disk was full, answers are made for one reader alone for so long."""


def _open_nameless(directory: Path) -> int:
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        return os.dup(file.fileno())


class Maker(Protocol):
    """Makes one answer."""

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the answer; closed early, it ends whatever it has started."""
        ...

    def is_whole(self) -> bool:
        """Whether what was yielded is what everyone who asks is to get, and no complaint."""
        ...


class SharedAnswers:
    """Answers by what was asked, of one node."""

    def __init__(
        self,
        directory: Path,
        bytes_max: int,
        count: Callable[[str], None] = lambda _: None,
        *,
        open_file: Callable[[Path], int] = _open_nameless,
    ) -> None:
        """`bytes_max` bounds all answers together, by what they are expected to take; 0 shares nothing.

        `count` is told of each request: "made", "shared" or "alone".
        """
        self._open_file = partial(open_file, directory)
        self._bytes_max = bytes_max
        self._count = count
        self._answers: dict[Hashable, _Answer] = {}
        self._read_out: set[_Answer] = set()
        """Nobody else gets them, and somebody still reads them: they take their room until then."""
        self._full_until_s = 0.0

    async def stream(
        self,
        key: Hashable,
        snapshot: object,
        *,
        make: Callable[[], Maker],
        expect_bytes: Callable[[], Awaitable[int]],
        chunk_bytes: int,
    ) -> AsyncGenerator[bytes, None]:
        """Yield the answer to `key` at a snapshot, in chunks of at most `chunk_bytes`. `expect_bytes` tells about how long
        it will be.

        Raises what the maker raises, for everyone who waits for its answer; Overloaded where the disk is full.
        """
        answer = self._find(key, snapshot)
        if answer is None and self._bytes_max:
            size_bytes = max(SMALL_BYTES, await expect_bytes())
            answer = self._find(key, snapshot) or self._begin(key, snapshot, size_bytes, make)
        if answer is None:
            self._count("alone")
            async with contextlib.aclosing(make().chunks()) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        answer.readers += 1
        try:
            at = 0
            while chunk := await answer.read(at, chunk_bytes):
                at += len(chunk)
                yield chunk
        finally:
            answer.readers -= 1
            if not answer.readers:
                self._read_out.discard(answer)
                if not answer.is_whole:
                    self._forget(key, answer)
                    await answer.stop()

    def _find(self, key: Hashable, snapshot: object) -> _Answer | None:
        answer = self._answers.get(key)
        if answer is None or answer.snapshot is not snapshot or answer.has_failed:
            return None
        self._count("shared")
        return answer

    def _begin(self, key: Hashable, snapshot: object, size_bytes: int, make: Callable[[], Maker]) -> _Answer | None:
        if size_bytes > self._bytes_max // PARTS or not self._has_room(size_bytes):
            return None
        self._count("made")
        if key in self._answers:
            self._forget(key, self._answers[key])
        answer = self._answers[key] = _Answer(snapshot, size_bytes, self._open_file)
        answer.begin(make(), lambda made: self._ended(key, made))
        return answer

    def _has_room(self, size_bytes: int) -> bool:
        if asyncio.get_running_loop().time() < self._full_until_s:
            return False
        idle = [key for key, answer in self._answers.items() if answer.is_whole and not answer.readers]
        while idle and not self._fits(size_bytes):
            self._forget(idle[0], self._answers[idle.pop(0)])
        return self._fits(size_bytes)

    def _fits(self, size_bytes: int) -> bool:
        there = [*self._answers.values(), *self._read_out]
        taken = sum(answer.size_bytes for answer in there)
        return taken + size_bytes <= self._bytes_max and len(there) < ANSWERS_MAX

    def _ended(self, key: Hashable, answer: _Answer) -> None:
        loop = asyncio.get_running_loop()
        if answer.met_full_disk:
            self._full_until_s = loop.time() + RETRY_S
        if answer.is_whole and self._answers.get(key) is answer:
            answer.timer = loop.call_later(KEPT_S, self._forget, key, answer)
        else:
            self._forget(key, answer)

    def _forget(self, key: Hashable, answer: _Answer) -> None:
        """Let nobody else have it; the file goes with its last reader."""
        if self._answers.get(key) is not answer:
            return
        del self._answers[key]
        if answer.timer is not None:
            answer.timer.cancel()  # it would keep the file
        if answer.readers:
            self._read_out.add(answer)


class _Answer:
    """One answer while it is made, and after."""

    def __init__(self, snapshot: object, size_bytes: int, open_file: Callable[[], int]) -> None:
        self.snapshot = snapshot
        self.readers = 0
        self.timer: asyncio.TimerHandle | None = None
        """Ends its being kept."""
        self._expected_bytes = size_bytes
        self.is_whole = False
        self._store = _Store(open_file)
        self._is_over = False
        self._grown = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def size_bytes(self) -> int:
        """What it takes, as expected, or as it is where that is more."""
        return max(self._expected_bytes, self._store.size)

    @property
    def has_failed(self) -> bool:
        """Whether it ended as something that nobody else should get."""
        return self._is_over and not self.is_whole

    @property
    def met_full_disk(self) -> bool:
        """Whether there was no room to keep it."""
        return self._store.is_full

    def begin(self, maker: Maker, on_end: Callable[[_Answer], None]) -> None:
        """Have it made."""
        # Owned by its readers: the last one that leaves early ends it and waits for that.
        self._task = asyncio.create_task(self._make(maker, on_end), name="shared answer")

    async def read(self, at: int, size: int) -> bytes:
        """Some of it from `at` on; b"" at its end. Raises what ended it early."""
        while at >= self._store.size and not self._is_over:
            await self._grown.wait()
        if at < self._store.size:
            return await self._store.read(at, size)
        assert self._task is not None
        await asyncio.wait({self._task})
        self._task.result()
        return b""

    async def stop(self) -> None:
        """End what makes it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _make(self, maker: Maker, on_end: Callable[[_Answer], None]) -> None:
        try:
            async with contextlib.aclosing(maker.chunks()) as chunks:
                async for chunk in chunks:
                    await self._store.write(chunk)
                    self._wake()
            self.is_whole = maker.is_whole()
        finally:
            self._is_over = True
            on_end(self)
            self._wake()

    def _wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()


class _Store:
    """Bytes that are appended and read anywhere: in memory while they are few, then in a file without a name."""

    def __init__(self, open_file: Callable[[], int]) -> None:
        self.size = 0
        self.is_full = False
        self._open_file = open_file
        self._small = bytearray()
        self._file: int | None = None

    def __del__(self) -> None:
        if self._file is not None:
            os.close(self._file)

    async def write(self, data: bytes) -> None:
        """Append. Raises Overloaded where the disk is full."""
        if self._file is None and self.size + len(data) <= SMALL_BYTES:
            self._small += data
        else:
            try:
                await on_disk(self._write, data)
            except Overloaded:
                self.is_full = True
                raise
        self.size += len(data)

    def _write(self, data: bytes) -> None:
        if self._file is None:
            self._file = self._open_file()
            self._write_all(bytes(self._small), 0)
        self._write_all(data, self.size)

    def _write_all(self, data: bytes, at: int) -> None:
        assert self._file is not None
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._file, rest, at)
            rest, at = rest[written:], at + written

    async def read(self, at: int, size: int) -> bytes:
        """What is there from `at` on, at most `size` bytes."""
        size = min(size, self.size - at)
        if self._file is None:
            return bytes(self._small[at : at + size])
        return await on_disk(os.pread, self._file, size, at)


def packs_bytes(repository: Path) -> int:
    """About how long a whole clone is: the packs of a repository, and of those it shares objects with. Blocking."""
    total = 0
    known: set[Path] = set()
    waiting = [repository]
    while waiting and len(known) < ALTERNATES_MAX:
        place = waiting.pop()
        if place in known:
            continue
        known.add(place)
        with contextlib.suppress(FileNotFoundError), os.scandir(place / "objects" / "pack") as entries:
            total += sum(entry.stat().st_size for entry in entries if entry.name.endswith(".pack"))
        waiting += [objects.parent for objects in alternates_of(place)]
    return total
