"""How replicas go: deleted, set aside, and what a crash left lying about.

The rule: objects that a fork reads through its alternates stay where they are, whatever becomes of their owner.
A directory goes by one rename into `trash/`, and only then file by file.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

from meshnode.base.errors import MeshError, RepositoryNotFound
from meshnode.base.ids import parse_partition_id, parse_repository_id
from meshnode.core.round import ReplicaKey
from meshnode.git import durable
from meshnode.git.creation import install
from meshnode.git.disk import remove_tree, sync_directory, sync_tree, write_durable
from meshnode.git.journal import read_journal
from meshnode.git.layout import Layout, alternates_of, object_format_of, write_skeleton
from meshnode.git.refs import remove_stale_locks
from meshnode.git.replicas import Replicas

_UPKEEP: Final = (
    "objects/pack/tmp_*",
    "objects/pack/.tmp-*",
    "objects/info/commit-graphs/*.lock",
    "objects/info/commit-graphs/tmp_graph_*",
)
"""What git leaves that dies while it combines packs or writes a commit graph."""
_TEMPORARY: Final = (
    *_UPKEEP,
    "objects/??/tmp_obj_*",
    "objects/tmp_objdir-*",
    "objects/incoming-*",
    "objects/info/alternates.tmp",
    "mesh/*.tmp",
)
"""What a process leaves that dies while it writes a file: git's names, and those of `disk.write_file`."""
_ASIDE_MAX: Final = 1_000
"""Damaged copies of one replica; long before that somebody has looked."""


def remove_replica(layout: Layout, key: ReplicaKey) -> None:
    """Remove a replica's directory, durably; nothing happens where there is none."""
    path = layout.repository(key)
    if path.exists():
        durable.rename(path, layout.place_in_trash(path))
        sync_directory(path.parent)
    empty_trash(layout)


def remove_deleted(replicas: Replicas, key: ReplicaKey) -> list[ReplicaKey]:
    """Remove a deleted replica that no fork needs, then each deleted parent that only it still needed.

    The caller holds the partition's lock. Returns what was removed, nothing where a fork needs `key`.
    """
    layout = replicas.layout
    removed: list[ReplicaKey] = []
    waiting = [key]
    while waiting:
        one = waiting.pop()
        if layout.has_dependents(one):
            continue
        parents = _parents(layout, one)
        remove_replica(layout, one)
        removed.append(one)
        for parent in parents:
            state = replicas.read_files(parent)
            if state is not None and state.is_deleted:
                waiting.append(parent)
    return removed


def move_aside(layout: Layout, key: ReplicaKey, reason: str) -> Path:
    """Move a damaged replica to `damaged/` and keep it there; where it is now.

    Forks that read its objects find a directory in its place that leads to them, which is no replica.
    The caller holds the partition's lock. Raises RepositoryNotFound.
    """
    source = layout.repository(key)
    if not source.exists():
        raise RepositoryNotFound("no replica to set aside", repository=key.repository)
    target = _free_place(layout, key)
    durable.make_directory(source / "mesh")
    write_durable(source / "mesh" / "set-aside", f"{reason}\n".encode())
    shared = alternates_of(source)
    if shared:
        lines = "".join(f"{path}\n" for path in shared)
        write_durable(source / "objects" / "info" / "alternates", os.fsencode(lines))
    stand_in = _make_stand_in(layout, key, source, target) if layout.has_dependents(key) else None
    durable.rename(source, target)
    if stand_in is not None:
        install(stand_in, source)
    sync_directory(source.parent)
    sync_directory(target.parent)
    return target


def _make_stand_in(layout: Layout, key: ReplicaKey, copy: Path, place: Path) -> Path:
    """Make what leads the forks of `key` to its damaged copy, which is or will be at `place`."""
    stand_in = durable.make_unique_directory(layout.incoming, f"{key.repository}.")
    write_skeleton(stand_in, object_format_of(copy), layout.alternate_lines(key, place))
    sync_tree(stand_in)
    return stand_in


def tidy_directories(layout: Layout) -> None:
    """Delete what the last run had no time to delete; lead forks to copies that it was about to set aside.

    Takes as long as the trash is large; nothing is served meanwhile. Before anything else is done in the directory.
    """
    empty_trash(layout)
    for copy in sorted(layout.damaged.iterdir(), key=_set_aside_ns, reverse=True):
        key = _key_of_copy(copy)
        if key is not None and not layout.repository(key).exists() and layout.has_dependents(key):
            install(_make_stand_in(layout, key, copy, copy), layout.repository(key))


def _set_aside_ns(copy: Path) -> int:
    """When a copy was set aside; the last one leads on to those before it."""
    try:
        return (copy / "mesh" / "set-aside").stat().st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _key_of_copy(copy: Path) -> ReplicaKey | None:
    partition, _, rest = copy.name.partition("-")
    try:
        return ReplicaKey(parse_partition_id(int(partition)), parse_repository_id(rest.partition("-")[0]))
    except (ValueError, MeshError):
        return None  # not ours


def sweep(layout: Layout, key: ReplicaKey, kept: Collection[Path]) -> None:
    """Remove the replica's quarantines except `kept`, and everything in the trash."""
    for path in layout.incoming.glob(f"{parse_repository_id(key.repository)}.*"):
        if path not in kept:
            remove_tree(path)
    empty_trash(layout)


def tidy_after_crash(layout: Layout, key: ReplicaKey) -> None:
    """Remove lock and temporary files, git's and ours, of an earlier run of this node. Raises Corrupt."""
    git_dir = layout.repository(key)
    if not git_dir.exists():
        return
    remove_stale_locks(git_dir)
    for pattern in _TEMPORARY:
        for path in git_dir.glob(pattern):
            remove_tree(path)
    _remove_lone_packs(git_dir)


def tidy_after_upkeep(git_dir: Path) -> None:
    """Remove what a git that was killed has left of a pack or a commit graph; nobody else makes those in place."""
    for pattern in _UPKEEP:
        for path in git_dir.glob(pattern):
            remove_tree(path)


def _remove_lone_packs(git_dir: Path) -> None:
    """Remove packs without an index and the reverse: half made, half removed, half moved in.

    The pack of a round in the journal goes on being moved in.
    """
    files = set((git_dir / "objects" / "pack").glob("pack-*"))
    other = {".pack": ".idx", ".idx": ".pack"}
    lone = [path for path in files if path.suffix in other and path.with_suffix(other[path.suffix]) not in files]
    promised = {record.pack_id for record in read_journal(git_dir / "mesh" / "journal")} if lone else set()
    for path in sorted(lone):
        if path.stem.removeprefix("pack-") not in promised:
            remove_tree(path)


def empty_trash(layout: Layout) -> None:
    """Delete what was moved to the trash."""
    for path in layout.trash.iterdir():
        remove_tree(path)


def _free_place(layout: Layout, key: ReplicaKey) -> Path:
    for number in range(1, _ASIDE_MAX):
        target = layout.damaged / f"{key.home}-{key.repository}-{number}"
        if not target.exists():
            return target
    raise MeshError("too many damaged copies of one replica", repository=key.repository)


def _parents(layout: Layout, key: ReplicaKey) -> list[ReplicaKey]:
    """The replicas of the partition whose objects this one shares."""
    partition = layout.repository(key).parent
    return [
        ReplicaKey(key.home, parse_repository_id(objects.parent.name))
        for objects in alternates_of(layout.repository(key))
        if objects.parent.parent == partition
    ]
