r"""Reads objects through `git cat-file` processes that stay: one answer costs tens of microseconds, not a process.

    look_up, read, stream -> known already? -> take an idle process of the replica, or start one -> ask -> give it back
                                                                                \-> cancelled, broken: kill it

A process belongs to one directory, known by its configuration file, which is written once (inodes alone come again): a
replica that was replaced is never asked through the old one's process. What was read is kept (`git/object_cache.py`), so
most questions need no process at all. Processes end by themselves after `LIFETIME_MS`, so nothing that was removed stays mapped for ever;
the least used one goes where more than `IDLE_MAX` wait for work.

Every round trip costs as much as the answer. So a question may name what will be asked next (`Ahead`): it travels with
the question, its answers go to what is kept, and the next question finds them there.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from meshnode.base.errors import MeshError, NotFound, TooLarge
from meshnode.base.ids import ObjectId
from meshnode.core.round import ReplicaKey
from meshnode.git.command import GitCommands
from meshnode.git.layout import Layout
from meshnode.git.object_batch import ObjectBatch, is_name, portions_of
from meshnode.git.object_cache import Birth, ObjectCache, Source, birth_of
from meshnode.git.queries import CHUNK_BYTES, PLAIN
from meshnode.ports import NOTHING_AHEAD, Ahead, BegunLookUp, ObjectInfo, RawObject

IDLE_MAX: Final = 16
"""Idle processes a node keeps; each maps the packs it read and holds a few MB of its own."""
LIFETIME_MS: Final = 600_000
AHEAD_MAX: Final = 128
"""Names of each kind that are asked for ahead of their question."""
AHEAD_BYTES_MAX: Final = 1 << 20
"""Of contents read ahead; where one is longer, its process goes."""
_BELOW_TREE: Final = "^{tree}:"


class ObjectPool:
    """Implements `ports.Objects`."""

    def __init__(self, commands: GitCommands, layout: Layout, *, idle_max: int = IDLE_MAX) -> None:
        self._commands = commands
        self._layout = layout
        self._idle_max = idle_max
        self._idle: OrderedDict[ObjectBatch, ReplicaKey] = OrderedDict()
        self._cache = ObjectCache()

    async def close(self) -> None:
        """End the idle processes. Idempotent."""
        while self._idle:
            batch, _ = self._idle.popitem()
            await batch.process.kill()

    async def look_up(
        self, key: ReplicaKey, names: Sequence[str], *, ahead: Ahead = NOTHING_AHEAD
    ) -> list[ObjectInfo | None]:
        """Kind and size of each name."""
        source = key, self._birth(key)
        found = self._cache.infos(source, names)
        if None not in found:
            return found
        unknown = list(dict.fromkeys(name for name, info in zip(names, found, strict=True) if info is None))
        answers: dict[str, ObjectInfo | None] = {}
        async with self._batch(source) as batch:
            *portions, last = portions_of(unknown)
            for asked in portions:
                await batch.ask(("info", name) for name in asked)
                await self._take_infos(batch, source, asked, answers)
            wished = _names_ahead(ahead.infos, AHEAD_MAX), _names_ahead(ahead.contents, AHEAD_MAX)
            await batch.ask(
                [*(("info", name) for name in (*last, *wished[0])), *(("contents", name) for name in wished[1])]
            )
            await self._take_infos(batch, source, last, answers)
            batch.is_at_rest = await self._take_ahead(batch, source, *wished)
        return [answers.get(name) if info is None else info for name, info in zip(names, found, strict=True)]

    def begin(self, key: ReplicaKey, names: Sequence[str], *, ahead: Ahead = NOTHING_AHEAD) -> BegunLookUp | None:
        """Ask for names at once, where a process waits for a question."""
        source = key, self._birth(key)
        if None not in self._cache.infos(source, names):
            return None
        batch = next((one for one, of in reversed(self._idle.items()) if of == key and one.is_usable(source[1])), None)
        if batch is None:
            return None
        del self._idle[batch]
        batch.is_at_rest = False
        infos = _names_ahead([*names, *ahead.infos], AHEAD_MAX)
        contents = _names_ahead(ahead.contents, AHEAD_MAX)
        batch.ask_at_once([*(("info", name) for name in infos), *(("contents", name) for name in contents)])
        return _Begun(batch, lambda: self._finish(batch, source, infos, contents))

    async def _finish(self, batch: ObjectBatch, source: Source, infos: Sequence[str], contents: Sequence[str]) -> None:
        try:
            batch.is_at_rest = await self._take_ahead(batch, source, infos, contents)
        finally:
            await self._give_back(batch, source[0])

    async def _take_infos(
        self, batch: ObjectBatch, source: Source, names: Sequence[str], answers: dict[str, ObjectInfo | None]
    ) -> None:
        for name in names:
            info = answers[name] = await batch.header(name)
            if info is not None:
                self._cache.keep(source, name, info, None)

    async def _take_ahead(
        self, batch: ObjectBatch, source: Source, infos: Sequence[str], contents: Sequence[str]
    ) -> bool:
        """Keep what was asked for ahead; whether all of it was read. What fails is asked for again, and told then."""
        room = AHEAD_BYTES_MAX
        try:
            for number, name in enumerate((*infos, *contents)):
                info = await batch.header(name)
                if info is None:
                    continue
                data = None
                if number >= len(infos):
                    room -= info.size
                    if room < 0:
                        return False
                    data = await batch.content(info.size)
                self._cache.keep(source, name, info, data)
                tree, is_below, path = name.partition(_BELOW_TREE)
                if is_below and (root := self._cache.info(source, f"{tree}^{{tree}}")) is not None:
                    self._cache.keep(source, f"{root.oid}:{path}", info, None)
        except MeshError:
            return False
        return True

    async def read(self, key: ReplicaKey, names: Sequence[str], *, bytes_max: int) -> list[RawObject | None]:
        """Content of each name."""
        source = key, self._birth(key)
        found = self._cache.contents(source, names)
        room = bytes_max - sum([len(raw.data) for raw in found if raw is not None])
        times = Counter([name for name, raw in zip(names, found, strict=True) if raw is None])
        if times and room >= 0:
            answers: dict[str, RawObject] = {}
            async with self._batch(source) as batch:
                for asked in portions_of(list(times)):
                    await batch.ask(("contents", name) for name in asked)
                    for name in asked:
                        info = await batch.header(name)
                        if info is None:
                            continue
                        room -= times[name] * info.size
                        if room < 0:  # the process must go: it is in the middle of what it says
                            raise _too_large(bytes_max)
                        raw = answers[name] = RawObject(info, await batch.content(info.size))
                        self._cache.keep(source, name, info, raw.data)
                batch.is_at_rest = True
            found = [answers.get(name) if raw is None else raw for name, raw in zip(names, found, strict=True)]
        if room < 0:
            raise _too_large(bytes_max)
        return found

    def memory(self, key: ReplicaKey) -> Callable[[ObjectId], RawObject | None]:
        """What finds objects whose content is in memory."""
        return partial(self._cache.content, (key, self._birth(key)))

    async def stream(
        self, key: ReplicaKey, oid: ObjectId, *, start: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Content of one object, in chunks."""
        source = key, self._birth(key)
        known = self._cache.content(source, oid)
        if known is not None:
            if piece := known.data[start : None if length is None else start + length]:
                yield piece
            return
        async with self._batch(source) as batch:
            await batch.ask([("contents", oid)])
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
    async def _batch(self, source: Source) -> AsyncIterator[ObjectBatch]:
        """A process of the replica; it is idle again afterwards where its answer was read to the end."""
        batch = await self._take(source) or await self._start(source)
        batch.is_at_rest = False
        try:
            yield batch
        except BrokenPipeError as error:
            raise await batch.failure() from error
        finally:
            await self._give_back(batch, source[0])

    async def _give_back(self, batch: ObjectBatch, key: ReplicaKey) -> None:
        """Keep a process whose answer was read to the end, as one of few; end any other."""
        if batch.is_at_rest:
            self._idle[batch] = key
        else:
            await batch.process.kill()
        while len(self._idle) > self._idle_max:
            oldest, _ = self._idle.popitem(last=False)
            await oldest.process.kill()

    async def _take(self, source: Source) -> ObjectBatch | None:
        """The process of the replica that was used last; those that must not be used any more go."""
        key, birth = source
        for batch in [one for one, of in reversed(self._idle.items()) if of == key]:
            if self._idle.pop(batch, None) is None:  # gone while another one was ended
                continue
            if batch.is_usable(birth):
                return batch
            await batch.process.kill()
        return None

    async def _start(self, source: Source) -> ObjectBatch:
        key, birth = source
        path = self._layout.repository(key)
        process = await self._commands.open(
            ["cat-file", "--batch-command", "--buffer", "-z"],
            git_dir=path,
            environment=PLAIN,
            deadline_ms=LIFETIME_MS,
            is_bulk=False,
        )
        # Its birth as it was before: if the directory is replaced meanwhile, the process is not asked again.
        return ObjectBatch(process, path, birth)

    def _birth(self, key: ReplicaKey) -> Birth | None:
        return birth_of(self._layout.repository(key))


class _Begun:
    """A question that was put already. Implements `ports.BegunLookUp`."""

    def __init__(self, batch: ObjectBatch, finish: Callable[[], Awaitable[None]]) -> None:
        self._batch: ObjectBatch | None = batch
        """Whose answer nobody took yet."""
        self._finish = finish

    async def finish(self) -> None:
        """Take the answer."""
        batch, self._batch = self._batch, None
        if batch is not None:
            await self._finish()

    async def drop(self) -> None:
        """Leave it."""
        batch, self._batch = self._batch, None
        if batch is not None:
            await batch.process.kill()


def _too_large(bytes_max: int) -> TooLarge:
    return TooLarge("objects are larger than one answer may be", bytes_max=bytes_max)


def _names_ahead(names: Sequence[str], count_max: int) -> list[str]:
    """Those that fit beside a portion of others."""
    portions = portions_of([name for name in names[:count_max] if is_name(name)])
    return portions[0] if portions else []
