"""Replicas in memory: the ports of `git/` by the rules of the real store, without files, processes or threads.

For the simulator and for tests of the engine. `MemoryDisk` is what survives a crash: open stores over it again and
everything that was not durable (quarantines) is gone, everything that was is there.

Objects are opaque, a pack is any byte string:
- every 40 or 64 digit hex word in a pack is an object that the pack brings; the empty pack brings none;
- everything reaches everything: whoever is sent objects is sent all that he does not say he has;
- there are no annotated tags, so nothing is peeled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from meshnode.base.errors import Corrupt, MeshError, RepositoryNotFound
from meshnode.base.ids import Generation, RefName, RefValue, RoundId
from meshnode.config import PushSettings, ReplicationSettings
from meshnode.core.refs import RefEdit, digest_of, edits_between
from meshnode.core.round import ReplicaKey, Round, WriteKind
from meshnode.core.upkeep import PackFacts
from meshnode.git.memory_disk import MemoryDisk, MemoryReplica, parent_key
from meshnode.git.memory_packs import MemoryQuarantines
from meshnode.git.memory_reader import MemoryPackStore, MemoryReplicaReader
from meshnode.git.snapshot import SnapshotCache, snapshot_after
from meshnode.git.state import (
    check_applicable,
    check_history,
    check_preparable,
    check_rebase,
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
    REPLACE_BEGUN,
    REPLACE_OBJECTS,
    REPLACE_REFS,
    REPLACE_STATE,
    Step,
    Stores,
    no_step,
)
from meshnode.ports import ReplicaState, UpkeepReport


def open_memory_stores(
    disk: MemoryDisk,
    *,
    push: PushSettings | None = None,
    replication: ReplicationSettings | None = None,
    step: Step = no_step,
) -> Stores:
    """Open stores over what `disk` holds, as a starting node does: no quarantine survives."""
    quarantines = MemoryQuarantines()
    snapshots = SnapshotCache()
    history_rounds = (replication or ReplicationSettings()).history_rounds
    return Stores(
        store=MemoryReplicaStore(disk, quarantines, snapshots, history_rounds, step),
        reader=MemoryReplicaReader(disk, snapshots),
        packs=MemoryPackStore(disk, quarantines, (push or PushSettings()).pack_bytes_max),
        upkeep=MemoryUpkeep(),
    )


class MemoryUpkeep:
    """`Upkeep` of replicas that have no packs."""

    async def packs(self, key: ReplicaKey) -> list[PackFacts]:
        """None."""
        del key
        return []

    async def combine(self, key: ReplicaKey, packs: Sequence[PackFacts]) -> UpkeepReport:
        """Nothing is there to be combined."""
        del key
        return UpkeepReport(packs_before=len(packs), packs_after=len(packs))

    async def write_commit_graph(self, key: ReplicaKey) -> None:
        """Nothing is there to be written."""


class MemoryReplicaStore:
    """`ReplicaStore` in memory."""

    def __init__(
        self,
        disk: MemoryDisk,
        quarantines: MemoryQuarantines,
        snapshots: SnapshotCache,
        history_rounds: int,
        step: Step,
    ) -> None:
        self._disk = disk
        self._quarantines = quarantines
        self._snapshots = snapshots
        self._history_rounds = history_rounds
        self._step = step

    async def list_replicas(self) -> list[ReplicaKey]:
        """Every replica, in order of partition and id."""
        return sorted(self._disk.replicas, key=lambda key: (key.home, key.repository))

    async def load(self, key: ReplicaKey) -> ReplicaState | None:
        """The replica's state. Raises Corrupt, or MeshError, where a test made it so."""
        replica = self._disk.replicas.get(key)
        if replica is None:
            return None
        if replica.is_unreadable:
            raise Corrupt("replica state cannot be decoded", repository=key.repository)
        if replica.trouble:
            raise MeshError("file operation failed", cause=replica.trouble)
        return replica.state

    async def prepare(self, round_: Round) -> None:
        """Keep the quarantined pack and the round. Raises Corrupt, Overloaded, ReplicaBehind."""
        state = await self.load(round_.key)
        fork_of = _parent_of(round_)
        parent = None if fork_of is None else await self.load(fork_of)
        check_preparable(state, parent, round_)
        if state is not None and (
            find_prepared(state, round_) or (is_past(state, round_) and state.round_id == round_.round_id)
        ):
            self._quarantines.drop(round_.key, round_.round_id)
            return
        if self._disk.is_full:
            self._quarantines.drop(round_.key, round_.round_id)
        self._disk.check_space()
        pack = self._quarantines.complete_pack(round_.key, round_.round_id) if round_.has_pack else None
        replica = self._disk.replicas.get(round_.key)
        if pack is not None and replica is not None:
            replica.packs[round_.round_id] = pack
        try:
            self._step(PREPARE_OBJECTS)
        except MeshError:
            self._quarantines.drop(round_.key, round_.round_id)
            if replica is not None:
                replica.packs.pop(round_.round_id, None)
            raise
        if replica is None:
            replica = MemoryReplica(state_at_creation(round_))
            if pack is not None:
                replica.packs[round_.round_id] = pack
            self._disk.replicas[round_.key] = replica
        replica.state = replace(replica.state, prepared=in_journal_order((*replica.state.prepared, round_)))
        self._quarantines.drop(round_.key, round_.round_id)
        self._step(PREPARE_JOURNAL)

    async def apply(self, round_: Round, *, is_published: bool = True) -> ReplicaState:
        """Let the round take effect. Raises Corrupt, InvariantViolated, Overloaded."""
        state = await self.load(round_.key)
        if state is None:
            if round_.kind is WriteKind.DELETE and is_published:
                return state_of_deleted(round_)
            raise Corrupt("round is not in the journal", round=round_.round_id, repository=round_.repository)
        replica = self._disk.replicas[round_.key]
        if is_past(state, round_):
            self._forget_round(replica, round_.round_id)
            return replica.state
        check_applicable(state, round_, is_published=is_published)
        self._disk.check_space()
        snapshot = self._snapshots.get(round_.key)
        self._snapshots.drop(round_.key)  # until the round is whole, nothing can be read but what the files say
        self._take_pack(replica, round_.round_id, needed=round_.has_pack)
        self._step(APPLY_OBJECTS)
        if round_.kind is WriteKind.DELETE:
            return self._delete(replica, round_)
        _edit(replica.refs, [edit for edit in round_.edits if edit.name != "HEAD"])
        self._step(APPLY_REFS)
        _edit(replica.refs, [edit for edit in round_.edits if edit.name == "HEAD"])
        self._step(APPLY_HEAD)
        self._record(replica, round_)
        if snapshot is not None and snapshot.generation == round_.base_generation:
            self._snapshots.put(round_.key, snapshot_after(snapshot, round_.generation, round_.edits, {}))
        self._step(APPLY_HISTORY)
        self._forget_round(replica, round_.round_id)
        self._step(APPLY_JOURNAL)
        return replica.state

    async def discard(self, key: ReplicaKey, round_id: RoundId) -> None:
        """Forget a round; a CREATE's replica goes with it."""
        self._quarantines.drop(key, round_id)
        replica = self._disk.replicas.get(key)
        if replica is None:
            return
        was_prepared = any(one.round_id == round_id and one.kind is WriteKind.CREATE for one in replica.state.prepared)
        self._forget_round(replica, round_id)
        if was_prepared and replica.state.generation == 0 and not replica.state.prepared:
            del self._disk.replicas[key]
            self._snapshots.drop(key)

    async def replace(
        self,
        state: ReplicaState,
        refs: Mapping[RefName, RefValue],
        quarantine: RoundId | None,
        *,
        history: Sequence[Round] = (),
    ) -> None:
        """Make the replica what a sync brought. Raises Corrupt, Overloaded."""
        check_history(state, history)
        if not state.is_deleted and digest_of(refs) != state.refs_digest:
            raise Corrupt("references of the sync do not have its digest", repository=state.key.repository)
        self._disk.check_space()
        key = state.key
        pack = None if quarantine is None else self._quarantines.complete_pack(key, quarantine)
        empty = replace(state, generation=Generation(0), round_id=None, refs_digest=digest_of({}), prepared=())
        old = self._disk.replicas.get(key)
        prepared = () if old is None else old.state.prepared
        replica = MemoryReplica(replace(empty, prepared=prepared))
        if old is not None:
            replica.refs, replica.objects, replica.packs = old.refs, old.objects, old.packs
        self._disk.replicas[key] = replica
        self._snapshots.drop(key)
        self._step(REPLACE_BEGUN)
        if pack is not None:
            replica.objects |= pack.objects
        self._step(REPLACE_OBJECTS)
        _edit(replica.refs, edits_between(replica.refs, refs))
        self._step(REPLACE_REFS)
        kept = tuple(one for one in replica.state.prepared if one.base_generation >= state.generation)
        replica.state = replace(state, prepared=kept)
        replica.history = list(history)
        replica.packs = {one.round_id: replica.packs[one.round_id] for one in kept if one.round_id in replica.packs}
        self._step(REPLACE_STATE)
        if quarantine is not None:
            self._quarantines.drop(key, quarantine)
        if state.is_deleted:
            self._remove_deleted(key)

    async def rebase(self, state: ReplicaState) -> None:
        """Give a replica another position. Raises RepositoryNotFound, InvariantViolated, Overloaded."""
        check_rebase(await self.load(state.key), state)
        self._disk.check_space()
        replica = self._disk.replicas[state.key]
        replica.state, replica.history, replica.packs = replace(state, prepared=()), [], {}
        self._snapshots.drop(state.key)
        self._step(REBASE_STATE)

    async def set_aside(self, key: ReplicaKey, reason: str) -> str:
        """Keep a damaged replica out of the way. Raises RepositoryNotFound, Overloaded."""
        if key not in self._disk.replicas:
            raise RepositoryNotFound("no replica to set aside", repository=key.repository)
        self._disk.check_space()
        replica = self._disk.replicas.pop(key)
        self._snapshots.drop(key)
        self._disk.damaged.append((key, reason, replica))
        return f"damaged/{len(self._disk.damaged)}"

    async def drop(self, key: ReplicaKey) -> bool:
        """Forget a replica that this node has left; False where a fork still reads its objects."""
        if self._disk.has_dependents(key):
            return False
        self._disk.replicas.pop(key, None)
        self._snapshots.drop(key)
        return True

    async def purge(self, key: ReplicaKey) -> None:
        """Forget packs that no round in the journal names, and a deleted replica that no fork needs any more."""
        replica = self._disk.replicas.get(key)
        if replica is None:
            return
        named = {one.round_id for one in replica.state.prepared}
        replica.packs = {round_id: pack for round_id, pack in replica.packs.items() if round_id in named}
        if replica.state.is_deleted:
            self._remove_deleted(key)

    def _take_pack(self, replica: MemoryReplica, round_id: RoundId, *, needed: bool) -> None:
        pack = replica.packs.get(round_id)
        if pack is not None:
            replica.objects |= pack.objects
        elif needed:
            raise Corrupt("journal holds no complete pack for the round", round=round_id)

    def _record(self, replica: MemoryReplica, round_: Round) -> None:
        replica.history = [*replica.history, round_][-self._history_rounds :]
        replica.state = replace(state_after(replica.state, round_), prepared=replica.state.prepared)

    def _forget_round(self, replica: MemoryReplica, round_id: RoundId) -> None:
        replica.packs.pop(round_id, None)
        replica.state = replace(replica.state, prepared=without(replica.state.prepared, round_id))

    def _delete(self, replica: MemoryReplica, round_: Round) -> ReplicaState:
        self._snapshots.drop(round_.key)
        if self._disk.has_dependents(round_.key):
            replica.refs = {}
            self._step(APPLY_REFS)
            self._record(replica, round_)
            self._step(APPLY_HISTORY)
            self._forget_round(replica, round_.round_id)
            self._step(APPLY_JOURNAL)
            return replica.state
        self._remove_deleted(round_.key)
        self._step(APPLY_REMOVED)
        return state_of_deleted(round_)

    def _remove_deleted(self, key: ReplicaKey) -> None:
        """Remove a deleted replica, then each deleted parent that only it still needed."""
        next_key: ReplicaKey | None = key
        while next_key is not None and not self._disk.has_dependents(next_key):
            removed = self._disk.replicas.pop(next_key)
            self._snapshots.drop(next_key)
            parent = parent_key(removed.state)
            kept = None if parent is None else self._disk.replicas.get(parent)
            next_key = parent if kept is not None and kept.state.is_deleted else None


def _edit(refs: dict[RefName, RefValue], edits: Sequence[RefEdit]) -> None:
    """Change a map in place; what is at its new value already stays. Raises Corrupt before anything changes."""
    for edit in edits:
        if refs.get(edit.name) not in (edit.old, edit.new):
            raise Corrupt(
                "reference is at neither its old nor its new value",
                ref=edit.name,
                expected=edit.old,
                actual=refs.get(edit.name),
            )
    for edit in edits:
        if edit.new is None:
            refs.pop(edit.name, None)
        else:
            refs[edit.name] = edit.new


def _parent_of(round_: Round) -> ReplicaKey | None:
    is_fork = round_.kind is WriteKind.CREATE and round_.fork_parent is not None
    return ReplicaKey(round_.home, round_.fork_parent) if is_fork and round_.fork_parent else None
