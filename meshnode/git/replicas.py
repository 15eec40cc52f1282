"""What the store, the reader and the packs share of one node's disk: paths, locks, states and snapshots in memory.

The rule: a replica's files change only under its lock, and memory changes only after the files did. Where a change
fails half way, memory is forgotten and the files are read again.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import weakref
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from meshnode.base.errors import Corrupt, MeshError, Overloaded, ReplicaBehind, RepositoryNotFound
from meshnode.base.ids import Generation, PartitionId, RoundId
from meshnode.config import ReplicationSettings
from meshnode.core.refs import EMPTY_DIGEST, digest_of
from meshnode.core.round import ReplicaKey, Round
from meshnode.git import durable
from meshnode.git.command import GitCommands
from meshnode.git.disk import disk_errors, on_disk, read_file
from meshnode.git.history import History
from meshnode.git.journal import drop_record, read_journal
from meshnode.git.layout import Layout
from meshnode.git.orphans import end_orphans
from meshnode.git.snapshot import SnapshotCache, snapshot_of
from meshnode.git.state import decode_state, in_journal_order, state_after
from meshnode.git.stores import Step
from meshnode.git.transaction import read_disk
from meshnode.ports import RefsSnapshot, ReplicaState

RETRY_AFTER_MS: Final = 1_000
FILLING: Final = "filling"
"""While this file stands beside a replica's state, a sync is going on: whatever the state says, it is generation 0."""


class Replicas:
    """The replicas of one data directory. One process has it to itself."""

    def __init__(self, data: Path, commands: GitCommands, replication: ReplicationSettings, step: Step) -> None:
        self.layout = Layout(data)
        self.commands = commands
        self.step = step
        self.snapshots = SnapshotCache()
        self._quarantines: dict[tuple[ReplicaKey, RoundId], Path] = {}
        self._workshops: dict[Path, ReplicaKey] = {}
        self._quarantine_count = 0
        self._replication = replication
        self._states: dict[ReplicaKey, ReplicaState] = {}
        self._checks: Counter[PartitionId] = Counter()
        self._locks: WeakValueDictionary[ReplicaKey | PartitionId, asyncio.Lock] = WeakValueDictionary()

    def lock(self, of: ReplicaKey | PartitionId) -> asyncio.Lock:
        """The lock of a replica's files, or of a partition's alternates: taken last, no other lock is taken under it."""
        return self._locks.setdefault(of, asyncio.Lock())

    @asynccontextmanager
    async def checking(self, partition: PartitionId) -> AsyncIterator[None]:
        """Read packs of a partition one by one: none of them is removed meanwhile."""
        async with self.lock(partition):
            self._checks[partition] += 1
        try:
            yield
        finally:
            self._checks[partition] -= 1

    def is_checking(self, partition: PartitionId) -> bool:
        """Whether packs of the partition are read one by one; asked under the partition's lock."""
        return self._checks[partition] > 0

    def new_quarantine(self, key: ReplicaKey, round_id: RoundId) -> tuple[Path, Path | None]:
        """A new place for a round's objects, and the place that it replaces: a stream may come twice."""
        self._quarantine_count += 1
        path = self.layout.quarantine(key, round_id, self._quarantine_count)
        old = self._quarantines.get((key, round_id))
        self._quarantines[key, round_id] = path
        return path, old

    def quarantine(self, key: ReplicaKey, round_id: RoundId) -> Path | None:
        """Where this process collects or has collected a round's objects, None for nowhere."""
        return self._quarantines.get((key, round_id))

    def places_in_use(self, key: ReplicaKey) -> set[Path]:
        """All such places of a replica, and its open workshops."""
        found = {path for (one, _), path in self._quarantines.items() if one == key}
        return found | {path for path, one in self._workshops.items() if one == key}

    def new_workshop(self, key: ReplicaKey, count_max: int) -> Path:
        """A new place to build objects in. Raises Overloaded where `count_max` are in use."""
        if len(self._workshops) >= count_max:
            raise Overloaded("too many operations run on this node", retry_after_ms=RETRY_AFTER_MS, count_max=count_max)
        self._quarantine_count += 1
        path = self.layout.workshop(key, self._quarantine_count)
        self._workshops[path] = key
        return path

    def end_workshop(self, path: Path) -> None:
        """Forget such a place. The directory is the caller's to remove."""
        self._workshops.pop(path, None)

    def end_quarantine(self, key: ReplicaKey, round_id: RoundId, path: Path | None = None) -> None:
        """Forget a round's place; with `path` only if it is that one. The directory is the caller's to remove."""
        if path is None or self._quarantines.get((key, round_id)) == path:
            self._quarantines.pop((key, round_id), None)

    def history(self, key: ReplicaKey) -> History:
        """The replica's history file."""
        return History(self.layout.mesh(key) / "history", self._replication.history_rounds)

    async def load(self, key: ReplicaKey) -> ReplicaState | None:
        """The replica's state, read under its lock where it is not in memory. Raises Corrupt."""
        state = self._states.get(key)
        if state is not None or not self.layout.is_replica(key):
            return state
        async with self.lock(key):
            return await self.load_locked(key)

    async def load_locked(self, key: ReplicaKey) -> ReplicaState | None:
        """`load` for a caller that holds the lock."""
        state = self._states.get(key)
        if state is None:
            state = await on_disk(self.read_files, key)
            if state is not None:
                self._states[key] = state
        return state

    def remember(self, state: ReplicaState) -> None:
        """Keep the state that the files now say."""
        self._states[state.key] = state

    def forget(self, key: ReplicaKey) -> None:
        """Read the files again next time."""
        self._states.pop(key, None)
        self.snapshots.drop(key)

    @asynccontextmanager
    async def changing(self, key: ReplicaKey) -> AsyncIterator[None]:
        """Hold the replica's lock; where the change inside fails, forget what memory says of it."""
        async with self.lock(key):
            try:
                yield
            except BaseException:
                self.forget(key)
                raise

    async def snapshot(self, key: ReplicaKey) -> RefsSnapshot:
        """The references of the applied generation, from memory where possible.

        Raises:
            RepositoryNotFound: no replica here.
            ReplicaBehind: a round is half applied and waits to be finished.
            Corrupt: the files do not have the digest that the replica says of itself.
        """
        state = await self.load(key)
        snapshot = self.snapshots.get(key)
        if state is not None and snapshot is not None and snapshot.generation == state.generation:
            return snapshot
        async with self.lock(key):
            state = await self.load_locked(key)
            if state is None:
                raise RepositoryNotFound("replica is not on this node", repository=key.repository)
            snapshot = self.snapshots.get(key)
            if snapshot is not None and snapshot.generation == state.generation:
                return snapshot
            disk = await read_disk(self.commands, self.layout.repository(key), state.object_format)
            if not state.is_deleted and await on_disk(digest_of, disk.refs) != state.refs_digest:
                if state.prepared or state.generation == 0:
                    raise ReplicaBehind("replica is between two generations", generation=state.generation)
                raise Corrupt("references on disk do not have the replica's digest", repository=key.repository)
            snapshot = await on_disk(snapshot_of, state.generation, disk.refs, disk.peeled, state.object_format)
            self.snapshots.put(key, snapshot)
            return snapshot

    def read_files(self, key: ReplicaKey) -> ReplicaState | None:
        """What the files say, None for no replica; what a crash left of an applied round's record goes away.

        Raises:
            Corrupt: state, history or journal cannot be read back.
        """
        data = read_file(self.layout.mesh(key) / "state.json")
        if data is None:
            return None
        state = decode_state(data, key)
        last = self.history(key).last()
        if (self.layout.mesh(key) / FILLING).exists():
            state = replace(state, generation=Generation(0), round_id=None, refs_digest=EMPTY_DIGEST)
        elif last is not None and last.generation > state.generation:
            if last.key != key:
                raise Corrupt("history is of another repository", repository=key.repository)
            state = state_after(state, last)
        elif last is not None and last.generation < state.generation:
            self.history(key).rewrite(())  # of the line before a rebase that was interrupted behind its deciding step
        journal = self.layout.journal(key)
        rounds: list[Round] = []
        for record in read_journal(journal):
            if record.round.round_id == state.round_id:
                drop_record(journal, record.round.round_id)
            else:
                rounds.append(record.round)
        if not (self.layout.mesh(key) / "state.json").exists():
            return None  # a deleted parent goes with its last fork, under that one's lock: what was read is half of it
        return replace(state, prepared=in_journal_order(rounds))

    def open_directories(self) -> None:
        """Take the data directory for this process and make its folders; old quarantines become trash, and git
        processes of a node that was killed end.

        The lock ends with the process, however that ends. Raises MeshError where another process has it.
        """
        layout = self.layout
        with disk_errors():
            durable.make_directory(layout.data)
            lock = durable.create(layout.data / "lock", os.O_RDWR, 0o600)
            weakref.finalize(self, _let_go, self.commands, lock)
            try:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as error:
                raise MeshError("data directory is in use by another process", path=str(layout.data)) from error
            end_orphans(lock)
            self.commands.hand_down(lock)
            for directory in (layout.repositories, layout.incoming, layout.damaged, layout.trash):
                durable.make_directory(directory)
            if any(layout.incoming.iterdir()):
                durable.rename(layout.incoming, layout.place_in_trash(layout.incoming))
                durable.make_directory(layout.incoming)


def _let_go(commands: GitCommands, lock: int) -> None:
    commands.withhold(lock)
    os.close(lock)
