"""Reference snapshots: made once from a whole map, then moved on by a round's edits, kept within a bound.

A snapshot is never changed after it is made, so that a reader that holds one sees one generation to its end.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

from meshnode.base.ids import HEAD, Generation, ObjectId, RefName, RefValue
from meshnode.core.refs import RefEdit, refs_after
from meshnode.core.round import ReplicaKey
from meshnode.ports import RefsSnapshot

CACHED_REFS_MAX: Final = 2_000_000
"""References kept in memory over all snapshots; about 300 bytes each, so 600 MB at the worst."""

_SORT_AGAIN: Final = 64
"""From this many edits on, sorting the names again is cheaper than inserting each."""


def snapshot_of(
    generation: Generation, refs: Mapping[RefName, RefValue], peeled: Mapping[RefName, ObjectId], object_format: str
) -> RefsSnapshot:
    """Make a snapshot of a whole map of references."""
    return RefsSnapshot(
        generation=generation,
        refs=refs,
        peeled=peeled,
        object_format=object_format,
        names=sorted(name for name in refs if name != HEAD),
    )


def snapshot_after(
    snapshot: RefsSnapshot,
    generation: Generation,
    edits: Sequence[RefEdit],
    peeled: Mapping[RefName, ObjectId],
) -> RefsSnapshot:
    """The snapshot after `edits`; `peeled` tells which of the new values are annotated tags, and of what."""
    if not edits:
        return RefsSnapshot(
            generation=generation,
            refs=snapshot.refs,
            peeled=snapshot.peeled,
            object_format=snapshot.object_format,
            names=snapshot.names,
        )
    refs = refs_after(snapshot.refs, edits)
    names = _names_after(snapshot, refs, edits)
    touched = {edit.name for edit in edits}
    all_peeled = snapshot.peeled
    if peeled or not touched.isdisjoint(all_peeled):
        all_peeled = {name: oid for name, oid in snapshot.peeled.items() if name not in touched} | dict(peeled)
    return RefsSnapshot(
        generation=generation, refs=refs, peeled=all_peeled, object_format=snapshot.object_format, names=names
    )


def _names_after(
    snapshot: RefsSnapshot, refs: Mapping[RefName, RefValue], edits: Sequence[RefEdit]
) -> Sequence[RefName]:
    changed = [e for e in edits if e.name != HEAD and (e.name in snapshot.refs) != (e.new is not None)]
    if not changed:
        return snapshot.names
    if len(changed) >= _SORT_AGAIN:
        return sorted(name for name in refs if name != HEAD)
    names = list(snapshot.names)
    for edit in changed:
        place = bisect_left(names, edit.name)
        if edit.new is None:
            del names[place]
        else:
            names.insert(place, edit.name)
    return names


class SnapshotCache:
    """Snapshots of the replicas used last; at most `refs_max` references in all, but always the newest one."""

    def __init__(self, refs_max: int = CACHED_REFS_MAX) -> None:
        self._refs_max = refs_max
        self._snapshots: OrderedDict[ReplicaKey, RefsSnapshot] = OrderedDict()
        self._refs_held = 0

    def get(self, key: ReplicaKey) -> RefsSnapshot | None:
        """The snapshot kept for `key`, now the most recently used one."""
        snapshot = self._snapshots.get(key)
        if snapshot is not None:
            self._snapshots.move_to_end(key)
        return snapshot

    def put(self, key: ReplicaKey, snapshot: RefsSnapshot) -> None:
        """Keep a snapshot, dropping those used longest ago where the bound asks for it."""
        self.drop(key)
        self._snapshots[key] = snapshot
        self._refs_held += len(snapshot.refs)
        while self._refs_held > self._refs_max and len(self._snapshots) > 1:
            _, oldest = self._snapshots.popitem(last=False)
            self._refs_held -= len(oldest.refs)

    def drop(self, key: ReplicaKey) -> None:
        """Forget `key`; nothing happens where it is not kept."""
        old = self._snapshots.pop(key, None)
        if old is not None:
            self._refs_held -= len(old.refs)
