"""The end of a sync: make a replica exactly what a peer said, whatever it was before.

    mark as being filled -> pack in -> references, HEAD -> history and state -> mark away

While the mark stands the replica says generation 0 of itself, so a crash half way leaves one that knows it has to be
filled again, and keeps the objects it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from meshnode.base.errors import Corrupt
from meshnode.base.ids import HEAD, Generation, RefName, RefValue, RoundId
from meshnode.core.refs import EMPTY_DIGEST, digest_of, edits_between
from meshnode.core.round import ReplicaKey, Round
from meshnode.git import durable
from meshnode.git.creation import create_replica
from meshnode.git.disk import on_disk, sync_directory, write_durable, write_new
from meshnode.git.journal import drop_record, find_complete_pack, move_pack
from meshnode.git.quarantine import drop_quarantine
from meshnode.git.refs import sync_loose, write_symbolic
from meshnode.git.removal import remove_deleted
from meshnode.git.replicas import FILLING, Replicas
from meshnode.git.state import check_history, encode_state
from meshnode.git.stores import REPLACE_BEGUN, REPLACE_OBJECTS, REPLACE_REFS, REPLACE_STATE
from meshnode.git.tombstones import write_tombstone
from meshnode.git.transaction import read_disk, write_edits
from meshnode.ports import ReplicaState


@dataclass(frozen=True, slots=True)
class Filling:
    """What a sync brought: references, the quarantine of a pack, the rounds that led there."""

    refs: Mapping[RefName, RefValue]
    quarantine: RoundId | None
    history: tuple[Round, ...]


async def replace_replica(replicas: Replicas, state: ReplicaState, filling: Filling) -> None:
    """Make the replica what `filling` says at `state.generation`; the caller holds its lock and forgets it on failure.

    Raises:
        Corrupt: references and digest do not match, the quarantine holds no pack, an object is missing.
        Overloaded: no space left.
    """
    key, refs, quarantine = state.key, filling.refs, filling.quarantine
    check_history(state, filling.history)
    old = await replicas.load_locked(key)
    if state.is_deleted:
        refs = {}
        await on_disk(write_tombstone, replicas.layout, state)
        if await _removed(replicas, key):
            return
    elif await on_disk(digest_of, refs) != state.refs_digest:
        raise Corrupt("references of the sync do not have its digest", repository=key.repository)
    git_dir = replicas.layout.repository(key)
    await on_disk(_begin, replicas, state, is_new=old is None)
    await on_disk(_take_objects, replicas, key, quarantine)
    disk = await read_disk(replicas.commands, git_dir, state.object_format)
    edits = edits_between(disk.refs, refs)
    not_durable = await write_edits(replicas.commands, git_dir, state.object_format, edits)
    await on_disk(sync_loose, git_dir, not_durable)
    if any(edit.name == HEAD for edit in edits):
        await on_disk(write_symbolic, git_dir, HEAD, refs.get(HEAD))
    replicas.step(REPLACE_REFS)
    prepared = () if old is None else old.prepared
    kept = tuple(one for one in prepared if one.base_generation >= state.generation)
    dropped = tuple(one for one in prepared if one.base_generation < state.generation)
    await on_disk(_end, replicas, replace(state, prepared=()), dropped, filling.history)
    replicas.snapshots.drop(key)
    replicas.remember(replace(state, prepared=kept))
    if quarantine is not None:
        await drop_quarantine(replicas, key, quarantine)


async def _removed(replicas: Replicas, key: ReplicaKey) -> bool:
    """Remove a replica that is to be a tombstone; False where forks need its objects."""
    async with replicas.lock(key.home):
        removed = await on_disk(remove_deleted, replicas, key)
    for one in removed:
        replicas.forget(one)
    return key in removed


def _begin(replicas: Replicas, state: ReplicaState, *, is_new: bool) -> None:
    mesh = replicas.layout.mesh(state.key)
    if is_new:
        empty = replace(
            state,
            generation=Generation(0),
            round_id=None,
            refs_digest=EMPTY_DIGEST,
            is_deleted=False,
            prepared=(),
        )
        create_replica(replicas.layout, empty, _mark_beside)
    else:
        write_durable(mesh / FILLING, b"")
    replicas.step(REPLACE_BEGUN)


def _mark_beside(journal: Path) -> None:
    write_new(journal.parent / FILLING, b"")


def _take_objects(replicas: Replicas, key: ReplicaKey, quarantine: RoundId | None) -> None:
    if quarantine is not None:
        place = replicas.quarantine(key, quarantine)
        found = None if place is None else find_complete_pack(place)
        if found is None:
            raise Corrupt("quarantine holds no complete pack", round=quarantine, repository=key.repository)
        source = found[0].with_suffix("")
        move_pack(source, replicas.layout.objects(key) / "pack", source.name.removeprefix("pack-"))
    replicas.step(REPLACE_OBJECTS)


def _end(replicas: Replicas, state: ReplicaState, dropped: tuple[Round, ...], history: tuple[Round, ...]) -> None:
    mesh = replicas.layout.mesh(state.key)
    replicas.history(state.key).rewrite(history)
    write_durable(mesh / "state.json", encode_state(state))
    for one in dropped:
        drop_record(mesh / "journal", one.round_id)
    durable.unlink(mesh / FILLING)
    sync_directory(mesh)
    replicas.step(REPLACE_STATE)
