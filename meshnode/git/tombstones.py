"""Remembers on disk which repositories were deleted: their directories are gone, and the catalog may be lost too.

    <data>/deleted/<partition>-<repository>.json     the replica's last words: generation and round of the delete

Without it a node that slept through a delete would bring the repository back when the catalog is rebuilt. Written
before the directory goes, about 400 bytes each, kept for good as the catalog's tombstone is.
"""

from __future__ import annotations

from meshnode.base.errors import Corrupt, MeshError
from meshnode.base.ids import parse_partition_id, parse_repository_id
from meshnode.core.round import ReplicaKey
from meshnode.git import durable
from meshnode.git.disk import read_file, sync_directory, write_durable
from meshnode.git.layout import Layout
from meshnode.git.state import decode_state, encode_state
from meshnode.ports import ReplicaState


def write_tombstone(layout: Layout, state: ReplicaState) -> None:
    """Keep `state`, which is that after the delete, durably. Repeatable."""
    directory = layout.data / "deleted"
    if not directory.exists():
        durable.make_directory(directory)
        sync_directory(layout.data)
    path = directory / f"{state.key.home}-{state.key.repository}.json"
    if read_file(path) != encode_state(state):
        write_durable(path, encode_state(state))


def read_tombstones(layout: Layout) -> list[ReplicaState]:
    """Every tombstone of a node. Raises Corrupt where one cannot be read."""
    directory = layout.data / "deleted"
    if not directory.is_dir():
        return []
    return [
        decode_state(data, _key_of(path.stem))
        for path in sorted(directory.glob("*.json"))
        if (data := read_file(path)) is not None
    ]


def _key_of(stem: str) -> ReplicaKey:
    partition, _, repository = stem.partition("-")
    try:
        return ReplicaKey(parse_partition_id(int(partition)), parse_repository_id(repository))
    except (ValueError, MeshError) as error:
        raise Corrupt("tombstone has a strange name", path=stem[:100]) from error
