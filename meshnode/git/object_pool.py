r"""Reads objects through `git cat-file` processes that stay: one answer costs tens of microseconds, not a process.

    look_up, read, stream -> known already? -> take an idle process of the replica, or start one -> ask -> give it back
                                                                                \-> cancelled, broken: kill it

A process belongs to one directory, known by its configuration file, which is written once (inodes alone come again): a
replica that was replaced is never asked through the old one's process. What was read is kept (`git/object_cache.py`), so
most questions need no process at all. Processes end by themselves after `LIFETIME_MS`, so nothing that was removed stays mapped for ever;
the least used one goes where more than `IDLE_MAX` wait for work.

Source: git-cat-file(1) "BATCH OUTPUT".
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from meshnode.base.errors import InvalidRequest, MeshError, NotFound, TooLarge
from meshnode.base.ids import ObjectId
from meshnode.core.round import ReplicaKey
from meshnode.git.command import GitCommands
from meshnode.git.failure import failure_of
from meshnode.git.layout import Layout
from meshnode.git.object_cache import Birth, ObjectCache, birth_of
from meshnode.git.process import GitProcess
from meshnode.git.queries import CHUNK_BYTES, PLAIN
from meshnode.ports import ObjectInfo, ObjectKind, RawObject

IDLE_MAX: Final = 16
"""Idle processes a node keeps; each maps the packs it read and holds a few MB of its own."""
LIFETIME_MS: Final = 600_000
FRESH_MS: Final = 300_000
"""A process older than this is not handed out again, so that no question meets the end of its lifetime."""
BATCH_MAX: Final = 512
BATCH_BYTES_MAX: Final = 24 << 10
"""Names asked for in one go, and their bytes: less than the 64 KiB a pipe holds, so they are out of our hands before
git, whose output pipe may be full, has read the first of them."""
NAME_BYTES_MAX: Final = 4_096
"""As long as a path can be."""


class ObjectPool:
    """Implements `ports.Objects`."""

    def __init__(self, commands: GitCommands, layout: Layout, *, idle_max: int = IDLE_MAX) -> None:
        self._commands = commands
        self._layout = layout
        self._idle_max = idle_max
        self._idle: OrderedDict[_Batch, ReplicaKey] = OrderedDict()
        self._cache = ObjectCache()

    async def close(self) -> None:
        """End the idle processes. Idempotent."""
        while self._idle:
            batch, _ = self._idle.popitem()
            await batch.process.kill()

    async def look_up(self, key: ReplicaKey, names: Sequence[str]) -> list[ObjectInfo | None]:
        """Kind and size of each name."""
        source = key, self._birth(key)
        found = {name: self._cache.info(source, name) for name in names}
        unknown = [name for name, info in found.items() if info is None]
        if unknown:
            async with self._batch(key) as batch:
                for asked in _portions(unknown):
                    await batch.ask("info", asked)
                    for name in asked:
                        info = found[name] = await batch.header(name)
                        if info is not None:
                            self._cache.keep(source, name, info, None)
                batch.is_at_rest = True
        return [found[name] for name in names]

    async def read(self, key: ReplicaKey, names: Sequence[str], *, bytes_max: int) -> list[RawObject | None]:
        """Content of each name."""
        source = key, self._birth(key)
        found = {name: self._cache.content(source, name) for name in names}
        times = Counter(names)
        room = bytes_max - sum(times[name] * len(raw.data) for name, raw in found.items() if raw is not None)
        unknown = [name for name, raw in found.items() if raw is None]
        if unknown and room >= 0:
            async with self._batch(key) as batch:
                for asked in _portions(unknown):
                    await batch.ask("contents", asked)
                    for name in asked:
                        info = await batch.header(name)
                        if info is None:
                            continue
                        room -= times[name] * info.size
                        if room < 0:  # the process must go: it is in the middle of what it says
                            raise _too_large(bytes_max)
                        raw = found[name] = RawObject(info, await batch.content(info.size))
                        self._cache.keep(source, name, info, raw.data)
                batch.is_at_rest = True
        if room < 0:
            raise _too_large(bytes_max)
        return [found[name] for name in names]

    def known(self, key: ReplicaKey, oid: ObjectId) -> RawObject | None:
        """The object where its content is in memory."""
        return self._cache.content((key, self._birth(key)), oid)

    async def stream(
        self, key: ReplicaKey, oid: ObjectId, *, start: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Content of one object, in chunks."""
        known = self.known(key, oid)
        if known is not None:
            if piece := known.data[start : None if length is None else start + length]:
                yield piece
            return
        async with self._batch(key) as batch:
            await batch.ask("contents", [oid])
            info = await batch.header(oid)
            if info is None:
                batch.is_at_rest = True
                raise NotFound("no such object", oid=oid)
            end = info.size if length is None else min(info.size, start + length)
            at = 0
            while at < end:
                chunk = await batch.some(min(CHUNK_BYTES, info.size - at))
                piece = chunk[max(0, start - at) : max(0, end - at)]
                at += len(chunk)
                if piece:
                    yield piece
            if info.size - at <= CHUNK_BYTES:  # else it is cheaper to start another process than to read on
                await batch.content(info.size - at)
                batch.is_at_rest = True

    @asynccontextmanager
    async def _batch(self, key: ReplicaKey) -> AsyncIterator[_Batch]:
        """A process of the replica; it is idle again afterwards where its answer was read to the end."""
        batch = await self._take(key) or await self._start(key)
        batch.is_at_rest = False
        try:
            yield batch
        except BrokenPipeError as error:
            raise await batch.failure() from error
        finally:
            if batch.is_at_rest:
                self._idle[batch] = key
            else:
                await batch.process.kill()
        while len(self._idle) > self._idle_max:
            oldest, _ = self._idle.popitem(last=False)
            await oldest.process.kill()

    async def _take(self, key: ReplicaKey) -> _Batch | None:
        """The process of the replica that was used last; those that must not be used any more go."""
        birth = self._birth(key)
        for batch in [one for one, of in reversed(self._idle.items()) if of == key]:
            if self._idle.pop(batch, None) is None:  # gone while another one was ended
                continue
            if batch.is_usable(birth):
                return batch
            await batch.process.kill()
        return None

    async def _start(self, key: ReplicaKey) -> _Batch:
        path = self._layout.repository(key)
        process = await self._commands.open(
            ["cat-file", "--batch-command", "--buffer", "-z"],
            git_dir=path,
            environment=PLAIN,
            deadline_ms=LIFETIME_MS,
            is_bulk=False,
        )
        return _Batch(process, path, self._birth(key))

    def _birth(self, key: ReplicaKey) -> Birth | None:
        return birth_of(self._layout.repository(key))


class _Batch:
    """One `git cat-file` process and what was read of its output, but not yet asked for."""

    def __init__(self, process: GitProcess, path: Path, birth: Birth | None) -> None:
        self.process = process
        self.is_at_rest = False
        """Everything that was asked for has been read."""
        self._path = path
        self._birth = birth
        self._started_at = asyncio.get_running_loop().time()
        self._ahead = bytearray()

    def is_usable(self, birth: Birth | None) -> bool:
        """Whether it may answer for the directory of this birth."""
        age_ms = (asyncio.get_running_loop().time() - self._started_at) * 1000
        return self.process.returncode is None and age_ms < FRESH_MS and birth is not None and birth == self._birth

    async def ask(self, command: str, names: Sequence[str]) -> None:
        """Send one command for each name, at most `BATCH_MAX`."""
        lines = [f"{command} {_checked(name)}\0" for name in names]
        await self.process.write("".join([*lines, "flush\0"]).encode(errors="surrogateescape"))

    async def header(self, name: str) -> ObjectInfo | None:
        """The header for `name`; None where it leads nowhere. Raises InvalidRequest for an ambiguous one."""
        line = await self._line()
        start, *rest = name.split("\n")
        if rest and line == start.encode(errors="surrogateescape"):  # the name comes back, line breaks and all
            for _ in rest:
                line = await self._line()
        verdict = line.rpartition(b" ")[2]
        if verdict == b"missing":
            return None
        if verdict == b"ambiguous":
            raise InvalidRequest("abbreviated object id fits several objects", name=name)
        oid, kind, size = line.decode().split(" ")
        return ObjectInfo(ObjectId(oid), ObjectKind(kind), int(size))

    async def content(self, size: int) -> bytes:
        """A content of `size` bytes, with the line break after it."""
        while len(self._ahead) <= size:
            await self._more()
        data = bytes(self._ahead[:size])
        del self._ahead[: size + 1]
        return data

    async def some(self, most: int) -> bytes:
        """The next bytes of a content, at least one."""
        if not self._ahead:
            await self._more()
        data = bytes(self._ahead[:most])
        del self._ahead[:most]
        return data

    async def failure(self) -> MeshError:
        """Why the process ended."""
        returncode = await self.process.wait()
        return failure_of("read objects", returncode, self.process.stderr_tail, self._path)

    async def _line(self) -> bytes:
        while (end := self._ahead.find(b"\n")) < 0:
            await self._more()
        line = bytes(self._ahead[:end])
        del self._ahead[: end + 1]
        return line

    async def _more(self) -> None:
        data = await self.process.read(CHUNK_BYTES)
        if not data:
            raise await self.failure()
        self._ahead += data


def _too_large(bytes_max: int) -> TooLarge:
    return TooLarge("objects are larger than one answer may be", bytes_max=bytes_max)


def _portions(names: Sequence[str]) -> list[list[str]]:
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


def _checked(name: str) -> str:
    if "\0" in name or not name or len(name.encode(errors="surrogateescape")) > NAME_BYTES_MAX:
        raise InvalidRequest("not a name of an object", name=name[:200], bytes_max=NAME_BYTES_MAX)
    return name
