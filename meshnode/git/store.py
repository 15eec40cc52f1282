"""Replicas on this node's disk: the durable steps of a round, each repeatable after a crash behind any of them.

    prepare   pack beside the journal -> journal record                          (the vote may be given)
    apply     pack where git looks -> references -> HEAD -> history -> journal record away

The history's last line is the replica's position, so its append is what "applied" means. A step that was done
already is passed over; whatever does not fit is damage and stops the replay.

Cost of a small push, for each replica: four fsyncs to prepare (pack, index, record, directory), four to apply (pack
directory, reference, its directory, history) and one process, `git update-ref`. The coordinator adds `git
index-pack` and `git rev-list`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from meshnode.base.errors import Corrupt, MeshError
from meshnode.base.ids import HEAD, ObjectId, RefName, RefValue, RoundId, symbolic_target
from meshnode.config import PushSettings, ReplicationSettings
from meshnode.core.refs import RefEdit
from meshnode.core.round import ReplicaKey, Round, WriteKind
from meshnode.git.command import GitCommands
from meshnode.git.creation import create_replica
from meshnode.git.disk import disk_errors, finish_once_begun, on_disk, sync_directory, write_durable
from meshnode.git.filling import Filling, replace_replica
from meshnode.git.journal import (
    JournalRecord,
    drop_record,
    drop_strays,
    publish_pack,
    read_record,
    take_pack,
    write_record,
)
from meshnode.git.loose_refs import write_loose
from meshnode.git.objects import GitPackStore
from meshnode.git.quarantine import drop_quarantine, remove_empty_quarantine
from meshnode.git.reader import GitReplicaReader
from meshnode.git.refs import remove_all_refs, sync_loose, write_symbolic
from meshnode.git.removal import (
    move_aside,
    remove_deleted,
    remove_replica,
    sweep,
    tidy_after_crash,
    tidy_directories,
)
from meshnode.git.replicas import Replicas
from meshnode.git.snapshot import snapshot_after
from meshnode.git.state import (
    check_applicable,
    check_preparable,
    check_rebase,
    encode_state,
    find_prepared,
    in_journal_order,
    is_past,
    state_after,
    state_at_creation,
    state_of_deleted,
    without,
)
from meshnode.git.stores import (
    APPLY_HEAD,
    APPLY_HISTORY,
    APPLY_JOURNAL,
    APPLY_OBJECTS,
    APPLY_REFS,
    APPLY_REMOVED,
    PREPARE_JOURNAL,
    PREPARE_OBJECTS,
    REBASE_STATE,
    Step,
    Stores,
    no_step,
)
from meshnode.git.tombstones import write_tombstone
from meshnode.git.transaction import peel, write_edits
from meshnode.git.upkeep import GitUpkeep
from meshnode.ports import ReplicaState


@dataclass(frozen=True, slots=True)
class GitStores(Stores):
    """One node's disk, and what its faces share: for the workshops beside the replicas."""

    replicas: Replicas


def open_stores(
    data: Path,
    commands: GitCommands,
    push: PushSettings | None = None,
    replication: ReplicationSettings | None = None,
    *,
    step: Step = no_step,
) -> GitStores:
    """Open a node's data directory, making it where it is missing. Only one process may have it open.

    Quarantines of an earlier run are worth nothing (what a vote promised is in the journals) and are deleted, with
    whatever else that run had no time to delete.

    Raises:
        InvalidRequest: `push` cannot be turned into a git command line.
        Overloaded: no space left.
        MeshError: another process has the directory.
    """
    replicas = Replicas(data, commands, replication or ReplicationSettings(), step)
    push = push or PushSettings()
    stores = GitStores(
        store=GitReplicaStore(replicas),
        reader=GitReplicaReader(replicas, push),
        packs=GitPackStore(replicas, push),
        upkeep=GitUpkeep(replicas),
        replicas=replicas,
    )
    replicas.open_directories()
    with disk_errors():
        tidy_directories(replicas.layout)
    return stores


class GitReplicaStore:
    """`ReplicaStore` over bare repositories."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self._layout = replicas.layout
        self._step = replicas.step
        self._tidied: set[ReplicaKey] = set()

    async def list_replicas(self) -> list[ReplicaKey]:
        """Every replica, in order of partition and id."""
        return await on_disk(self._layout.list_keys)

    async def load(self, key: ReplicaKey) -> ReplicaState | None:
        """The replica's state, from memory where possible. Raises Corrupt."""
        return await self._replicas.load(key)

    async def prepare(self, round_: Round) -> None:
        """Make objects and journal record durable. Raises Corrupt, Overloaded, ReplicaBehind."""
        await finish_once_begun(self._prepare(round_))

    async def apply(self, round_: Round, *, is_published: bool = True) -> ReplicaState:
        """Let a prepared round take effect. Raises Corrupt, InvariantViolated, Overloaded."""
        return await finish_once_begun(self._apply(round_, is_published=is_published))

    async def discard(self, key: ReplicaKey, round_id: RoundId) -> None:
        """Drop a round's record and quarantine; a CREATE's directory goes with it."""
        await finish_once_begun(self._discard(key, round_id))

    async def replace(
        self,
        state: ReplicaState,
        refs: Mapping[RefName, RefValue],
        quarantine: RoundId | None,
        *,
        history: Sequence[Round] = (),
    ) -> None:
        """Make the replica what a sync brought. Raises Corrupt, Overloaded."""
        await finish_once_begun(self._replace(state, Filling(refs, quarantine, tuple(history))))

    async def rebase(self, state: ReplicaState) -> None:
        """Give a replica another position. Raises RepositoryNotFound, InvariantViolated, Overloaded."""
        await finish_once_begun(self._rebase(state))

    async def set_aside(self, key: ReplicaKey, reason: str) -> str:
        """Move a replica to `damaged/`; forks go on reading its objects there.

        Raises RepositoryNotFound, Overloaded.
        """
        return await finish_once_begun(self._set_aside(key, reason))

    async def drop(self, key: ReplicaKey) -> bool:
        """Remove a replica that this node has left; False where a fork still reads its objects."""
        return await finish_once_begun(self._drop(key))

    async def purge(self, key: ReplicaKey) -> None:
        """Remove what no journal record names, and a deleted replica that no fork needs any more.

        Quarantines that this process still fills, or has filled for a prepare to come, stay: `discard` ends them.
        The first purge of a replica also removes lock files of git processes that died with an earlier run.
        """
        await finish_once_begun(self._purge(key))

    async def _prepare(self, round_: Round) -> None:
        async with AsyncExitStack() as held:
            await held.enter_async_context(self._replicas.changing(round_.key))
            state = await self._replicas.load_locked(round_.key)
            if state is not None and (find_prepared(state, round_) or state.round_id == round_.round_id):
                await drop_quarantine(self._replicas, round_.key, round_.round_id)
                return
            parent = None
            if round_.kind is WriteKind.CREATE and round_.fork_parent is not None:
                parent_key = ReplicaKey(round_.home, round_.fork_parent)
                parent = await self._replicas.load(parent_key)
                await held.enter_async_context(self._replicas.lock(round_.home))
                if not self._layout.is_replica(parent_key):  # deleted while its state was read
                    parent = None
            check_preparable(state, parent, round_)
            try:
                if state is None:
                    await on_disk(self._create, round_)
                else:
                    await on_disk(self._journal, round_, self._layout.journal(round_.key))
            except MeshError:
                await drop_quarantine(self._replicas, round_.key, round_.round_id)
                raise
            self._replicas.end_quarantine(round_.key, round_.round_id)
            before = state or state_at_creation(round_)
            self._replicas.remember(replace(before, prepared=in_journal_order((*before.prepared, round_))))

    def _journal(self, round_: Round, directory: Path) -> None:
        try:
            self._keep_round(round_, directory)
            sync_directory(directory)
        except (OSError, MeshError):
            drop_record(directory, round_.round_id)
            raise
        self._empty_quarantine(round_)
        self._step(PREPARE_JOURNAL)

    def _keep_round(self, round_: Round, directory: Path) -> None:
        quarantine = self._replicas.quarantine(round_.key, round_.round_id)
        pack_id = take_pack(quarantine, directory, round_) if round_.has_pack else ""
        self._step(PREPARE_OBJECTS)
        write_record(directory, JournalRecord(round_, pack_id))

    def _empty_quarantine(self, round_: Round) -> None:
        place = self._replicas.quarantine(round_.key, round_.round_id)
        if place is not None:
            remove_empty_quarantine(place)

    def _create(self, round_: Round) -> None:
        create_replica(self._layout, state_at_creation(round_), lambda path: self._keep_round(round_, path))
        self._empty_quarantine(round_)
        self._step(PREPARE_JOURNAL)

    async def _apply(self, round_: Round, *, is_published: bool) -> ReplicaState:
        key = round_.key
        async with self._replicas.changing(key):
            state = await self._replicas.load_locked(key)
            if state is None:
                if round_.kind is WriteKind.DELETE and is_published:
                    return state_of_deleted(round_)
                raise Corrupt("round is not in the journal", round=round_.round_id, repository=round_.repository)
            if is_past(state, round_):
                return await self._forget_round(state, round_.round_id)
            check_applicable(state, round_, is_published=is_published)
            if round_.kind is WriteKind.DELETE:
                return await self._delete(state, round_)
            git_dir = self._layout.repository(key)
            journalled, edits = await on_disk(self._publish, key, round_.round_id)
            if edits is None:
                edits = await write_edits(self._replicas.commands, git_dir, round_.object_format, round_.edits)
            self._step(APPLY_REFS)
            await on_disk(self._settle, key, journalled, edits)
            after = state_after(state, round_)
            await self._move_snapshot(round_)
            self._replicas.remember(after)
            return after

    def _publish(self, key: ReplicaKey, round_id: RoundId) -> tuple[Round, Sequence[RefEdit] | None]:
        """Let git see the round's objects, and move references where that takes no process.

        The round as the journal has it, and the edits whose names are not durable yet; None: they are still to be made.
        """
        record = self._publish_objects(key, round_id)
        round_ = record.round
        edits = [edit for edit in round_.edits if edit.name != HEAD]
        if not record.pack_id:
            return round_, None
        index = self._layout.objects(key) / "pack" / f"pack-{record.pack_id}.idx"
        is_done = write_loose(self._layout.repository(key), round_.object_format, edits, index)
        return round_, edits if is_done else None

    def _publish_objects(self, key: ReplicaKey, round_id: RoundId) -> JournalRecord:
        """Let git see the round's objects."""
        journal = self._layout.journal(key)
        record = read_record(journal, round_id)
        if record is None:
            raise Corrupt("round is not in the journal", round=round_id, repository=key.repository)
        if record.pack_id:
            publish_pack(journal, record, self._layout.objects(key) / "pack")
        self._step(APPLY_OBJECTS)
        return record

    def _settle(self, key: ReplicaKey, round_: Round, edits: Sequence[RefEdit]) -> None:
        sync_loose(self._layout.repository(key), edits)
        for edit in round_.edits:
            if edit.name == HEAD:
                write_symbolic(self._layout.repository(key), HEAD, edit.new)
        self._step(APPLY_HEAD)
        self._record(key, round_)

    def _record(self, key: ReplicaKey, round_: Round) -> None:
        self._replicas.history(key).append(round_)
        self._step(APPLY_HISTORY)
        drop_record(self._layout.journal(key), round_.round_id)
        self._step(APPLY_JOURNAL)

    async def _move_snapshot(self, round_: Round) -> None:
        """Move the snapshot in memory on; without one, the next reader makes it from the files."""
        snapshot = self._replicas.snapshots.get(round_.key)
        if snapshot is None or snapshot.generation != round_.base_generation:
            return
        new = {
            edit.name: ObjectId(edit.new)
            for edit in round_.edits
            if edit.new and edit.name.startswith("refs/") and not edit.name.startswith("refs/heads/")
            if symbolic_target(edit.new) is None
        }
        peeled = await peel(self._replicas.commands, self._layout.repository(round_.key), new, is_missing_fine=True)
        self._replicas.snapshots.put(round_.key, snapshot_after(snapshot, round_.generation, round_.edits, peeled))

    async def _delete(self, state: ReplicaState, round_: Round) -> ReplicaState:
        key = round_.key
        await on_disk(write_tombstone, self._layout, state_after(state, round_))
        async with self._replicas.lock(key.home):
            removed = await on_disk(remove_deleted, self._replicas, key)
        for one in removed:
            self._replicas.forget(one)
        if removed:
            self._step(APPLY_REMOVED)
            return state_of_deleted(round_)
        await on_disk(remove_all_refs, self._layout.repository(key))
        self._step(APPLY_REFS)
        await on_disk(self._record, key, round_)
        after = state_after(state, round_)
        self._replicas.snapshots.drop(key)
        self._replicas.remember(after)
        return after

    async def _forget_round(self, state: ReplicaState, round_id: RoundId) -> ReplicaState:
        await on_disk(drop_record, self._layout.journal(state.key), round_id)
        after = replace(state, prepared=without(state.prepared, round_id))
        self._replicas.remember(after)
        return after

    async def _discard(self, key: ReplicaKey, round_id: RoundId) -> None:
        await drop_quarantine(self._replicas, key, round_id)
        if not self._layout.is_replica(key):
            return
        async with self._replicas.changing(key):
            state = await self._replicas.load_locked(key)
            if state is None:
                return
            is_create = any(one.round_id == round_id and one.kind is WriteKind.CREATE for one in state.prepared)
            if is_create and not state.generation and len(state.prepared) == 1:
                await on_disk(remove_replica, self._layout, key)  # with its record: without it nobody would come back
                self._replicas.forget(key)
            else:
                await self._forget_round(state, round_id)

    async def _replace(self, state: ReplicaState, filling: Filling) -> None:
        async with self._replicas.changing(state.key):
            await replace_replica(self._replicas, state, filling)

    async def _rebase(self, state: ReplicaState) -> None:
        async with self._replicas.changing(state.key):
            old = check_rebase(await self._replicas.load_locked(state.key), state)
            after = replace(state, prepared=())
            await on_disk(write_durable, self._layout.mesh(state.key) / "state.json", encode_state(after))
            self._step(REBASE_STATE)
            await on_disk(self._replicas.history(state.key).rewrite, ())
            for one in old.prepared:
                await on_disk(drop_record, self._layout.journal(state.key), one.round_id)
            self._replicas.snapshots.drop(state.key)
            self._replicas.remember(after)

    async def _set_aside(self, key: ReplicaKey, reason: str) -> str:
        async with self._replicas.lock(key), self._replicas.lock(key.home):
            self._replicas.forget(key)
            return str(await on_disk(move_aside, self._layout, key, reason))

    async def _drop(self, key: ReplicaKey) -> bool:
        async with self._replicas.changing(key), self._replicas.lock(key.home):
            if await on_disk(self._layout.has_dependents, key):
                return False
            await on_disk(remove_replica, self._layout, key)
            self._replicas.forget(key)
            return True

    async def _purge(self, key: ReplicaKey) -> None:
        async with self._replicas.lock(key):
            if key not in self._tidied:
                await on_disk(tidy_after_crash, self._layout, key)
                self._tidied.add(key)
            state = await self._replicas.load_locked(key)
            if state is not None:
                await on_disk(drop_strays, self._layout.journal(key))
            await on_disk(sweep, self._layout, key, self._replicas.places_in_use(key))
            if state is not None and state.is_deleted:
                async with self._replicas.lock(key.home):
                    removed = await on_disk(remove_deleted, self._replicas, key)
                for one in removed:
                    self._replicas.forget(one)
