"""Linearizable reads of records, shared: a read joins the next catalog request that is still to be sent.

    arrives ---> waits in the batch ---> one catalog get for up to 64 keys ---> everyone gets the answer

A request that arrives while a get is under way must not use its answer (it may be older than the arrival), so
it waits for the next one. One get is under way at a time; under load batches grow instead of requests.

Names are looked up together with the record they led to last time, in one get at one revision; a wrong guess
costs a second get, never a wrong answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from meshnode.base.errors import Corrupt, ReplicaBehind, RepositoryNotFound
from meshnode.base.ids import PartitionId, RepositoryId, RepositoryName, parse_repository_id
from meshnode.core.keys import config_key, listing_key, name_key, partition_key, record_key
from meshnode.core.partition import Partition, decode_partition
from meshnode.core.record import Record, RepositoryState, comes_to_list, decode_record
from meshnode.core.repository_config import NO_CONFIG, RepositoryConfig, decode_repository_config
from meshnode.core.round import ReplicaKey
from meshnode.engine.supervisor import Supervisor
from meshnode.ports import Catalog, Entry, Put

BATCH_KEYS_MAX: Final = 64
NAMES_CACHED_MAX: Final = 100_000
GUESSES_MAX: Final = 4
"""Reads until record and partition fit; a family gets a partition of its own once."""


async def _ignore(_record: Record) -> None:
    return


_Waiter: TypeAlias = tuple[Sequence[str], "asyncio.Future[list[Entry | None]]"]
"""What one read asks for, and its answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordAt:
    """A record and its partition, read at one catalog revision, with what a compare-and-set must name."""

    record: Record | None
    record_revision: int
    partition: Partition
    partition_revision: int
    config_entry: bytes | None = None
    """What is configured for the repository, as it is stored."""
    config_revision: int = 0

    @property
    def config(self) -> RepositoryConfig:
        """What is configured for the repository.

        Raises ReplicaBehind where this node cannot keep to it: a newer one wrote it, and may lead the write.
        """
        if self.config_entry is None:
            return NO_CONFIG
        try:
            return decode_repository_config(self.config_entry)
        except Corrupt as error:
            raise ReplicaBehind(
                "this node does not know how the repository is configured", reason=str(error)
            ) from error


def listing_mark(before: Record | None, after: Record, partition: Partition) -> list[Put]:
    """What must be written together with `after`: the listing mark, where a move's node comes to be listed."""
    if not comes_to_list(before, after, partition):
        return []
    return [Put(listing_key(partition.partition), after.repository.encode())]


class Records:
    """Reads of names, records and partitions."""

    def __init__(
        self,
        catalog: Catalog,
        supervisor: Supervisor,
        *,
        on_elsewhere: Callable[[Record], Awaitable[None]] = _ignore,
    ) -> None:
        """`on_elsewhere` is awaited before a record is handed out whose family was not known to live where it says."""
        self._catalog = catalog
        self._supervisor = supervisor
        self._on_elsewhere = on_elsewhere
        self._elsewhere: dict[RepositoryId, PartitionId] = {}
        """Where repositories live that do not live at home, as far as was heard."""
        self._waiting: list[_Waiter] = []
        self._wanted: dict[str, None] = {}
        """The keys of all that wait, in order and once each."""
        self._sender: asyncio.Task[None] | None = None
        self._ids: dict[RepositoryName, RepositoryId] = {}
        self._places: dict[RepositoryName, tuple[PartitionId, ReplicaKey]] = {}

    async def get(self, keys: Sequence[str]) -> list[Entry | None]:
        """Read keys at one revision, in a get that is sent after this call."""
        if len(keys) > BATCH_KEYS_MAX:
            raise ValueError("too many keys for one revision")
        if len(self._wanted.keys() | set(keys)) > BATCH_KEYS_MAX:
            return await self._catalog.get(keys)
        answer: asyncio.Future[list[Entry | None]] = asyncio.get_running_loop().create_future()
        self._waiting.append((keys, answer))
        self._wanted.update(dict.fromkeys(keys))
        if self._sender is None or self._sender.done():
            self._sender = self._supervisor.spawn("records-sender", self._send())
            self._sender.add_done_callback(self._on_sender_gone)
        return await answer

    async def _send(self) -> None:
        """Send one get after the other until nobody waits."""
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            wanted, self._wanted = list(self._wanted), {}
            try:
                await self._answer(waiting, wanted)
            finally:
                for _, answer in waiting:
                    answer.cancel()  # nothing happens to those that were answered

    def _on_sender_gone(self, sender: asyncio.Task[None]) -> None:
        """End those with a sender that was ended who waited for its next get: it was there, so they started none."""
        if sender is self._sender:
            for _, answer in self._waiting:
                answer.cancel()
            self._waiting, self._wanted = [], {}

    async def _answer(self, waiting: Sequence[_Waiter], wanted: Sequence[str]) -> None:
        """Give everyone in a batch what was found, or why it was not: a defect too, which each of them reports."""
        try:
            found = dict(zip(wanted, await self._catalog.get(wanted), strict=True))
        except Exception as error:  # noqa: BLE001 - goes to whoever asked
            for _, answer in waiting:
                if not answer.done():
                    answer.set_exception(error)
            return
        for keys, answer in waiting:
            if not answer.done():
                answer.set_result([found[key] for key in keys])

    async def find(self, name: RepositoryName) -> Record:
        """The active record behind a name.

        Raises:
            RepositoryNotFound: no such name.
            CatalogUnavailable: it cannot be told now.
        """
        for _ in range(3):
            guess = self._ids.get(name)
            keys = [name_key(name)] if guess is None else [name_key(name), record_key(guess)]
            entries = await self.get(keys)
            named = entries[0]
            if named is None:
                self._ids.pop(name, None)
                self._places.pop(name, None)
                raise RepositoryNotFound("no such repository", name=name)
            repository = parse_repository_id(named.value.decode("ascii", "replace"))
            self.note_name(name, repository)
            if repository == guess:
                record = self._decode(entries[1])
                if record is not None and record.state is RepositoryState.ACTIVE and record.name == name:
                    self._places[name] = (record.partition, record.key)
                    await self.learn(record)
                    return record
        raise RepositoryNotFound("the repository is being renamed or deleted; try again", name=name)

    def note_name(self, name: RepositoryName, repository: RepositoryId) -> None:
        """Remember where a name leads; only a hint."""
        if len(self._ids) >= NAMES_CACHED_MAX:
            self._ids.clear()
            self._places.clear()
        self._ids[name] = repository

    def last_known_id(self, name: RepositoryName) -> RepositoryId | None:
        """Where the name led when it was last read, for reads that need no catalog."""
        return self._ids.get(name)

    def last_known_partition(self, name: RepositoryName) -> PartitionId | None:
        """The partition of the repository that the name led to when it was last looked up; only a hint."""
        place = self._places.get(name)
        return None if place is None else place[0]

    def last_known_key(self, name: RepositoryName) -> ReplicaKey | None:
        """Where replicas lie of the repository that the name led to when it was last looked up; only a hint."""
        place = self._places.get(name)
        return None if place is None else place[1]

    def partition_of(self, key: ReplicaKey) -> PartitionId:
        """Where a repository lives, as far as was heard; only a hint, the record says it."""
        return self._elsewhere.get(key.repository, key.home)

    async def learn(self, record: Record) -> None:
        """Take in where a repository lives, before anything is done with a record that came another way than by here."""
        if record.partition == record.home:
            self._elsewhere.pop(record.repository, None)
            return
        if self._elsewhere.get(record.repository) == record.partition:
            return
        await self._on_elsewhere(record)
        self._elsewhere[record.repository] = record.partition

    async def find_by_id(self, repository: RepositoryId) -> Record | None:
        """The record of a repository id, whatever its state."""
        record = self._decode((await self.get([record_key(repository)]))[0])
        if record is not None:
            await self.learn(record)
        return record

    async def read(self, key: ReplicaKey) -> RecordAt:
        """Record and partition of a repository at one revision, fresh; with no record, the partition it would live in."""
        return await self.read_at(key.repository, self.partition_of(key))

    async def read_at(self, repository: RepositoryId, partition: PartitionId) -> RecordAt:
        """Record and partition at one revision, fresh. `partition` is a guess where there is a record, else it counts."""
        for _ in range(GUESSES_MAX):
            found, placed, config = await self.get(
                [record_key(repository), partition_key(partition), config_key(repository)]
            )
            record = self._decode(found)
            if record is not None and record.partition != partition:
                partition = record.partition
                await self.learn(record)
            elif placed is None:
                raise RepositoryNotFound("no such partition in the catalog", partition=partition)
            else:
                return RecordAt(
                    record=record,
                    record_revision=0 if found is None else found.revision,
                    partition=decode_partition(placed.value),
                    partition_revision=placed.revision,
                    config_entry=None if config is None else config.value,
                    config_revision=0 if config is None else config.revision,
                )
        raise ReplicaBehind("the repository moves from partition to partition; try again", repository=repository)

    def _decode(self, entry: Entry | None) -> Record | None:
        return None if entry is None else decode_record(entry.value)
