"""Where everything lies below a node's data directory. Paths are made of parsed ids and nothing else.

    <data>/repositories/<partition>/<repository>/        a bare repository that stock git can open
        mesh/state.json                                  what the replica said of itself when it was made or synced
        mesh/history                                     rounds applied since; the last one is the replica's position
        mesh/filling                                     a sync is going on: generation 0, whatever the state says
        mesh/journal/<round>.json|.pack|.idx             rounds voted for, with their objects, not yet readable
    <data>/incoming/<repository>.<round>.<n>/objects/    a quarantine; worth nothing after a restart
    <data>/incoming/<repository>.workshop.<n>/           where an operation builds objects; worth as little
    <data>/damaged/<partition>-<repository>-<number>/    replicas set aside
    <data>/deleted/<partition>-<repository>.json         tombstones of deleted repositories
    <data>/trash/                                        what is being deleted
    <data>/families.json                                 fork families that have a partition for themselves
    <data>/read-replicas.json                            partitions of which this node's copies never vote
    <data>/lock                                          held by the process that has the directory

A directory without `mesh/state.json` is no replica. All of it is one file system: things move by rename.

Source: gitrepository-layout(5).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Final

from meshnode.base.errors import MeshError
from meshnode.base.ids import RoundId, parse_partition_id, parse_repository_id, parse_round_id
from meshnode.core.round import ReplicaKey
from meshnode.git import durable
from meshnode.git.disk import read_file, write_new

PATHS_KEPT: Final = 10_000
"""Of directories of replicas: every question to one asks for its path several times, and it takes 10 us to make."""
NO_HEAD: Final = "ref: refs/heads/.invalid\n"
"""HEAD of a replica that has none yet or none any more: git wants a file, and no branch can have this name."""

_CONFIG: Final = """\
[core]
\trepositoryformatversion = {version}
\tfilemode = true
\tbare = true
\tlogAllRefUpdates = false
[gc]
\tauto = 0
[fsck]
\tbadTimezone = ignore
\tmissingSpaceBeforeDate = ignore
\tzeroPaddedFilemode = ignore
"""
_SHA256: Final = "[extensions]\n\tobjectformat = sha256\n"


class Layout:
    """Paths of one node's data directory."""

    def __init__(self, data: Path) -> None:
        self.data = data.absolute()
        self.repositories = self.data / "repositories"
        self.incoming = self.data / "incoming"
        self.damaged = self.data / "damaged"
        self.trash = self.data / "trash"
        self._repository = lru_cache(PATHS_KEPT)(self._make_repository)

    def repository(self, key: ReplicaKey) -> Path:
        """A replica's directory, which is its git directory."""
        return self._repository(key)

    def _make_repository(self, key: ReplicaKey) -> Path:
        return self.repositories / str(parse_partition_id(key.home)) / parse_repository_id(key.repository)

    def mesh(self, key: ReplicaKey) -> Path:
        """Our own files in a replica's directory."""
        return self.repository(key) / "mesh"

    def journal(self, key: ReplicaKey) -> Path:
        """Prepared rounds and their packs."""
        return self.mesh(key) / "journal"

    def objects(self, key: ReplicaKey) -> Path:
        """Readable objects."""
        return self.repository(key) / "objects"

    def quarantine(self, key: ReplicaKey, round_id: RoundId, number: int) -> Path:
        """Where a round's objects arrive; `number` tells apart two streams of one round."""
        return self.incoming / f"{parse_repository_id(key.repository)}.{parse_round_id(round_id)}.{number}"

    def workshop(self, key: ReplicaKey, number: int) -> Path:
        """Where an operation builds objects."""
        return self.incoming / f"{parse_repository_id(key.repository)}.workshop.{number}"

    def place_in_trash(self, path: Path) -> Path:
        """Where a directory goes by one rename. Whoever empties the trash meanwhile takes away what is in it, so there is
        no directory to be made for it first.
        """
        return next(place for number in count() if not (place := self.trash / f"{path.name}.{number}").exists())

    def is_replica(self, key: ReplicaKey) -> bool:
        """Whether the directory is a replica's, complete enough to say what it is.

        One that may not be looked into is: whoever reads it next hears why.
        """
        try:
            return (self.mesh(key) / "state.json").exists()
        except OSError:
            return True

    def list_keys(self) -> list[ReplicaKey]:
        """Every replica, in order of partition and id. Names that are no ids are passed over."""
        found: list[ReplicaKey] = []
        for partition in _names(self.repositories):
            if not partition.isdecimal():
                continue
            for name in _names(self.repositories / partition):
                try:
                    key = ReplicaKey(parse_partition_id(int(partition)), parse_repository_id(name))
                except MeshError:
                    continue
                if self.is_replica(key):
                    found.append(key)
        return sorted(found, key=lambda key: (key.home, key.repository))

    def has_dependents(self, key: ReplicaKey) -> bool:
        """Whether another directory of this node shares the replica's objects through its alternates.

        Reads one small file for each repository of the partition; asked only before something is removed.
        """
        objects = self.objects(key)
        partition = self.repository(key).parent
        others = [partition / name for name in _names(partition)] + [self.damaged / n for n in _names(self.damaged)]
        return any(objects in alternates_of(other) for other in others if other != self.repository(key))

    def alternate_lines(self, key: ReplicaKey, parent: Path) -> str:
        """The `objects/info/alternates` that leads from a replica to `parent`, a git directory.

        What the parent itself shares comes first, oldest first: git follows alternates of alternates five deep only,
        and does not follow one again that it knows.
        """
        shared = [*alternates_of(parent), parent / "objects"]
        return "".join(os.path.relpath(objects, self.objects(key)) + "\n" for objects in shared)


def alternates_of(repository: Path) -> list[Path]:
    """Object directories that a repository shares, absolute."""
    objects = repository / "objects"
    data = read_file(objects / "info" / "alternates") or b""
    lines = os.fsdecode(data).splitlines()
    return [Path(os.path.normpath(objects / line)) for line in lines if line and not line.startswith("#")]


def write_skeleton(path: Path, object_format: str, alternate: str = "") -> None:
    """Make an empty bare repository, as `git init --bare` does without templates; nothing is synced yet.

    `alternate` is the content of `objects/info/alternates`, "" for none.
    """
    for directory in ("objects/info", "objects/pack", "refs/heads", "refs/tags"):
        durable.make_directory(path / directory)
    is_sha256 = object_format == "sha256"
    config = _CONFIG.format(version=1 if is_sha256 else 0) + (_SHA256 if is_sha256 else "")
    write_new(path / "config", config.encode())
    write_new(path / "HEAD", NO_HEAD.encode())
    if alternate:
        write_new(path / "objects" / "info" / "alternates", os.fsencode(alternate))


def object_format_of(repository: Path) -> str:
    """The object format that a repository's own config names."""
    config = read_file(repository / "config") or b""
    return "sha256" if b"objectformat = sha256" in config else "sha1"


def _names(directory: Path) -> Iterator[str]:
    try:
        yield from sorted(path.name for path in directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
