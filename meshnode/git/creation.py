"""How a replica's directory comes into being: whole, or not at all.

It is made in `incoming/`, synced with all that is in it, and renamed into place. What a set-aside replica left for its
forks (a directory that only passes on its objects) becomes a replica where it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from meshnode.base.ids import parse_repository_id
from meshnode.core.round import ReplicaKey
from meshnode.git import durable
from meshnode.git.disk import remove_tree, sync_directory, sync_tree, write_durable, write_new
from meshnode.git.layout import Layout, write_skeleton
from meshnode.git.state import encode_state
from meshnode.ports import ReplicaState


def create_replica(layout: Layout, state: ReplicaState, fill: Callable[[Path], None]) -> None:
    """Make a replica that says `state` of itself and has no references yet, durably.

    `fill` is given the journal's directory before anyone can see it. The caller holds the replica's lock.
    """
    target = layout.repository(state.key)
    if target.exists():
        _fill_mesh(target, fill)
        sync_tree(target / "mesh")
        sync_directory(target)
        write_durable(target / "mesh" / "state.json", encode_state(state))
        return
    staging = layout.incoming / f"{state.key.repository}.new"
    remove_tree(staging)
    try:
        write_skeleton(staging, state.object_format, _alternate(layout, state))
        _fill_mesh(staging, fill)
        write_new(staging / "mesh" / "state.json", encode_state(state))
        sync_tree(staging)
        install(staging, target)
    except OSError:
        remove_tree(staging)
        raise


def install(staging: Path, target: Path) -> None:
    """Rename a finished directory into place, durably, making the partition's directory where it is missing."""
    if not target.parent.exists():
        durable.make_directory(target.parent)
        sync_directory(target.parent.parent)
    durable.rename(staging, target)
    sync_directory(target.parent)


def _fill_mesh(repository: Path, fill: Callable[[Path], None]) -> None:
    journal = repository / "mesh" / "journal"
    durable.make_directory(journal)
    fill(journal)


def _alternate(layout: Layout, state: ReplicaState) -> str:
    """The alternates of a fork whose parent lives beside it; "" for others, which then hold all their objects."""
    if state.fork_parent is None:
        return ""
    parent = layout.repository(ReplicaKey(state.key.home, parse_repository_id(state.fork_parent)))
    return layout.alternate_lines(state.key, parent) if parent.exists() else ""
