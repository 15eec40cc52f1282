"""Talks to one `git cat-file --batch-command` process: what is asked together goes in one write and comes in order.

    ask([("info", name), ("contents", name)]) -> header(name) -> header(name), content(size)

Whoever asked reads every answer, or the process must go: `is_at_rest` says that nothing is left to be read.

Source: git-cat-file(1) "BATCH OUTPUT".
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from meshnode.base.errors import InvalidRequest, MeshError
from meshnode.base.ids import ObjectId
from meshnode.git.failure import failure_of
from meshnode.git.object_cache import Birth
from meshnode.git.process import GitProcess
from meshnode.git.queries import CHUNK_BYTES
from meshnode.ports import ObjectInfo, ObjectKind

FRESH_MS: Final = 300_000
"""A process older than this is not handed out again, so that no question meets the end of its lifetime."""
BATCH_MAX: Final = 512
BATCH_BYTES_MAX: Final = 24 << 10
"""Names asked for in one go, and their bytes: less than the 64 KiB a pipe holds, so they are out of our hands before
git, whose output pipe may be full, has read the first of them."""
NAME_BYTES_MAX: Final = 4_096
"""As long as a path can be."""

_KINDS: Final = {kind.value.encode(): kind for kind in ObjectKind}


class ObjectBatch:
    """One process, and what was read of its output but not yet asked for."""

    def __init__(self, process: GitProcess, path: Path, birth: Birth | None) -> None:
        self.process = process
        self.is_at_rest = False
        """Everything that was asked for has been read."""
        self._path = path
        self._birth = birth
        self._started_at = asyncio.get_running_loop().time()
        self._held = bytearray()
        self._at = 0
        """Of the first byte in `_held` that nobody has taken."""

    def is_usable(self, birth: Birth | None) -> bool:
        """Whether it may answer for the directory of this birth."""
        age_ms = (asyncio.get_running_loop().time() - self._started_at) * 1000
        return self.process.returncode is None and age_ms < FRESH_MS and birth is not None and birth == self._birth

    async def ask(self, commands: Iterable[tuple[str, str]]) -> None:
        """Send commands, each "info" or "contents" and a name, at most a portion of names and as much again."""
        await self.process.write(_lines(commands))

    def ask_at_once(self, commands: Iterable[tuple[str, str]]) -> None:
        """As `ask`, without waiting, of a process at rest. One that takes no question ends, and its output says so."""
        try:
            self.process.write_at_once(_lines(commands))
        except BrokenPipeError:
            self.process.terminate()

    async def header(self, name: str) -> ObjectInfo | None:
        """The header for `name`; None where it leads nowhere. Raises InvalidRequest for an ambiguous one."""
        line = await self._line()
        start, *rest = name.split("\n")
        if rest and line == start.encode(errors="surrogateescape"):  # the name comes back, line breaks and all
            for _ in rest:
                line = await self._line()
        fields = line.split(b" ")
        if fields[-1] == b"missing":
            return None
        if fields[-1] == b"ambiguous":
            raise InvalidRequest("abbreviated object id fits several objects", name=name)
        oid, kind, size = fields
        return ObjectInfo(ObjectId(oid.decode()), _KINDS[kind], int(size))

    async def content(self, size: int) -> bytes:
        """A content of `size` bytes, with the line break after it."""
        while len(self._held) - self._at <= size:
            await self._more()
        return self._take(size, size + 1)

    async def some(self, most: int) -> bytes:
        """The next bytes of a content, at least one."""
        if len(self._held) == self._at:
            await self._more()
        size = min(most, len(self._held) - self._at)
        return self._take(size, size)

    async def failure(self) -> MeshError:
        """Why the process ended."""
        returncode = await self.process.wait()
        return failure_of("read objects", returncode, self.process.stderr_tail, self._path)

    async def _line(self) -> bytes:
        while (end := self._held.find(b"\n", self._at)) < 0:
            await self._more()
        return self._take(end - self._at, end - self._at + 1)

    def _take(self, size: int, step: int) -> bytes:
        start = self._at
        self._at += step
        return bytes(memoryview(self._held)[start : start + size])

    async def _more(self) -> None:
        data = await self.process.read(CHUNK_BYTES)
        if not data:
            raise await self.failure()
        if self._at:
            del self._held[: self._at]
            self._at = 0
        self._held += data


def portions_of(names: Sequence[str]) -> list[list[str]]:
    """Names in portions, each of which can be asked for in one go."""
    portions: list[list[str]] = [[]]
    size = 0
    for name in names:
        length = len(name) if name.isascii() else 4 * len(name)
        size += length
        if len(portions[-1]) == BATCH_MAX or (size > BATCH_BYTES_MAX and portions[-1]):
            portions.append([])
            size = length
        portions[-1].append(name)
    return portions if names else []


def is_name(name: str) -> bool:
    """Whether a process can be asked for it."""
    return bool(name) and "\0" not in name and len(name.encode(errors="surrogateescape")) <= NAME_BYTES_MAX


def _lines(commands: Iterable[tuple[str, str]]) -> bytes:
    lines = [f"{command} {_checked(name)}\0" for command, name in commands]
    return "".join([*lines, "flush\0"]).encode(errors="surrogateescape")


def _checked(name: str) -> str:
    if not is_name(name):
        raise InvalidRequest("not a name of an object", name=name[:200], bytes_max=NAME_BYTES_MAX)
    return name
