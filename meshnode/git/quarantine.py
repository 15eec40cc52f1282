"""A round's quarantine: a directory where objects arrive, readable to nobody but the checks of that round.

    opened -> filled -> (prepare takes the pack)     or    closed, discarded, purged -> gone

It holds no promise: a node that starts throws every quarantine away.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshnode.base.errors import Corrupt
from meshnode.base.ids import RoundId
from meshnode.core.round import ReplicaKey
from meshnode.git import durable
from meshnode.git.disk import on_disk, remove_tree
from meshnode.git.layout import write_skeleton
from meshnode.git.replicas import Replicas

_READ_RULES: Final = {"GIT_NO_REPLACE_OBJECTS": "1"}


@dataclass(frozen=True, slots=True)
class Quarantine:
    """One round's quarantine."""

    replicas: Replicas
    key: ReplicaKey
    round_id: RoundId
    object_format: str
    path: Path
    git_dir: Path
    """The repository, or an empty stand-in for one in creation."""

    @property
    def packs(self) -> Path:
        """Where packs lie in it."""
        return self.path / "objects" / "pack"

    def environment(self) -> dict[str, str]:
        """What lets git read the repository's objects and write to the quarantine. Source: git(1)."""
        return quarantine_environment(self.path, self.git_dir)

    def is_superseded(self) -> bool:
        """Whether a later stream of the same round collects its objects elsewhere, or the round is dropped."""
        return self.replicas.quarantine(self.key, self.round_id) != self.path

    async def remove(self) -> None:
        """Remove it with all that is in it. Idempotent."""
        self.replicas.end_quarantine(self.key, self.round_id, self.path)
        await on_disk(remove_tree, self.path)


def quarantine_environment(path: Path, git_dir: Path) -> dict[str, str]:
    """`Quarantine.environment` of the quarantine at `path`, for a repository that exists."""
    return {
        **_READ_RULES,
        "GIT_OBJECT_DIRECTORY": str(path / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": _quoted(git_dir / "objects"),
    }


async def open_quarantine(
    replicas: Replicas, key: ReplicaKey, round_id: RoundId, object_format: str, *, is_repository_needed: bool
) -> Quarantine:
    """Make an empty quarantine; one of an earlier stream of the same round goes away.

    `is_repository_needed`: git will run on it, so a repository in creation gets an empty stand-in.

    Raises:
        Corrupt: the replica has another object format.
        Overloaded: no space left.
    """
    state = await replicas.load(key)
    if state is not None and state.object_format != object_format:
        raise Corrupt("replica has another object format", object_format=state.object_format, wanted=object_format)
    path, old = replicas.new_quarantine(key, round_id)
    git_dir = replicas.layout.repository(key) if state is not None else path / "repository"

    def make() -> None:
        if old is not None:
            remove_tree(old)
        try:
            durable.make_directory(path / "objects" / "pack")
            if state is None and is_repository_needed:
                write_skeleton(git_dir, object_format)
        except OSError:
            remove_tree(path)
            raise

    try:
        await on_disk(make)
    except BaseException:
        replicas.end_quarantine(key, round_id, path)
        raise
    return Quarantine(replicas, key, round_id, object_format, path, git_dir)


def remove_empty_quarantine(path: Path) -> None:
    """Remove a quarantine whose pack was taken: three system calls where nothing else is in it."""
    try:
        for directory in (path / "objects" / "pack", path / "objects", path):
            durable.remove_directory(directory)
    except OSError:
        remove_tree(path)


async def drop_quarantine(replicas: Replicas, key: ReplicaKey, round_id: RoundId) -> None:
    """Remove a round's quarantine, whoever fills it; nothing happens where there is none."""
    path = replicas.quarantine(key, round_id)
    if path is not None:
        replicas.end_quarantine(key, round_id)
        await on_disk(remove_tree, path)


def _quoted(path: Path) -> str:
    """A path as git reads it in a list: quoted, so that a colon in it does not end it."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
