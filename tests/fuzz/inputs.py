"""Turns the bytes of one input into what a target feeds on: choices, pieces of a stream, coroutines run to their end."""

from __future__ import annotations

import asyncio
import atexit
import os
import tempfile
import zlib
from collections.abc import AsyncGenerator, Coroutine, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

SINGLE_BYTES_MAX = 512
"""Longest input that is also fed byte by byte."""


class Draw:
    """Choices out of bytes; zeros once they are used up."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, count: int) -> int:
        """0 to count - 1."""
        width = max(1, ((count - 1).bit_length() + 7) // 8)
        taken = self._data[self._at : self._at + width].ljust(width, b"\0")
        self._at += width
        return int.from_bytes(taken, "big") % count

    def pick(self, choices: Sequence[T]) -> T:
        """One of `choices`."""
        return choices[self.number(len(choices))]

    def is_true(self) -> bool:
        """Yes or no."""
        return self.number(2) == 1

    def take(self, length_max: int) -> bytes:
        """Up to `length_max` bytes; one or two bytes in front say how many."""
        length = self.number(length_max + 1)
        taken = self._data[self._at : self._at + length]
        self._at += length
        return taken

    def text(self, length_max: int) -> str:
        """The same as text: bytes that are not UTF-8 become lone surrogates, as in arguments and headers."""
        return self.take(length_max).decode("utf-8", "surrogateescape")

    def rest(self) -> bytes:
        """Everything that is left."""
        taken = self._data[self._at :]
        self._at = len(self._data)
        return taken

    @property
    def is_empty(self) -> bool:
        """Whether all is used up."""
        return self._at >= len(self._data)


def cuttings(data: bytes) -> Iterator[list[bytes]]:
    """The same bytes as a stream brings them: at once, in pieces that depend on the bytes alone, one by one."""
    yield [data]
    pieces: list[bytes] = []
    at, seed = 0, zlib.crc32(data)
    while at < len(data):
        seed = seed * 1_103_515_245 + 12_345 & 0xFFFFFFFF
        length = (seed >> 16) % 97 if seed & 1 else (seed >> 16) % 5
        pieces.append(data[at : at + length])
        at += length
    yield pieces
    if len(data) <= SINGLE_BYTES_MAX:
        yield [data[place : place + 1] for place in range(len(data))]


async def stream(pieces: Sequence[bytes]) -> AsyncGenerator[bytes, None]:
    """The pieces, without ever waiting."""
    for piece in pieces:
        yield piece


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that has nothing to wait for: no event loop, so no time lost on one."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise AssertionError("the coroutine waits for something")


def finish_in_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that needs an event loop, in one that is kept: a new one each time costs more than the rest."""
    return _loop().run_until_complete(coroutine)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop


@cache
def directory(name: str) -> Path:
    """A directory for a target's files, gone with the process."""
    made = tempfile.TemporaryDirectory(prefix=f"meshnode-fuzz-{name}-", dir=memory_directory())
    atexit.register(made.cleanup)
    return Path(made.name)


def memory_directory() -> str | None:
    """A place in memory for files that are synced a thousand times; None where TMPDIR says where, or there is none."""
    shared_memory = "/dev/shm"
    return shared_memory if "TMPDIR" not in os.environ and os.access(shared_memory, os.W_OK) else None


def damaged(data: bytes, draw: Draw) -> bytes:
    """Another byte, a cut, a lost piece or bytes put in somewhere: what disks and strangers do to good data."""
    at = draw.number(len(data) + 1)
    how = draw.number(8)
    if how >= 4:  # ends are where checks are forgotten
        at = max(0, len(data) - at % 4)
    match how % 4:
        case 0:
            return data[:at] + bytes([draw.number(256)]) + data[at + 1 :]
        case 1:
            return data[:at]
        case 2:
            return data[:at] + data[at + 1 + draw.number(64) :]
        case _:
            return data[:at] + draw.take(16) + data[at:]
