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
        return {
            **_READ_RULES,
            "GIT_OBJECT_DIRECTORY": str(self.path / "objects"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": _quoted(self.git_dir / "objects"),
        }

    async def remove(self) -> None:
        """Remove it with all that is in it. Idempotent."""
        self.replicas.arriving.discard((self.key, self.round_id))
        await on_disk(remove_tree, self.path)


async def open_quarantine(
    replicas: Replicas, key: ReplicaKey, round_id: RoundId, object_format: str, *, is_repository_needed: bool
) -> Quarantine:
    """Make an empty quarantine; one that a broken stream of the same round left goes away.

    `is_repository_needed`: git will run on it, so a repository in creation gets an empty stand-in.

    Raises:
        Corrupt: the replica has another object format.
        Overloaded: no space left.
    """
    path = replicas.layout.quarantine(key, round_id)
    state = await replicas.load(key)
    if state is not None and state.object_format != object_format:
        raise Corrupt("replica has another object format", object_format=state.object_format, wanted=object_format)
    git_dir = replicas.layout.repository(key) if state is not None else path / "repository"

    def make() -> None:
        remove_tree(path)
        try:
            (path / "objects" / "pack").mkdir(parents=True)
            if state is None and is_repository_needed:
                write_skeleton(git_dir, object_format)
        except OSError:
            remove_tree(path)
            raise

    replicas.arriving.add((key, round_id))
    try:
        await on_disk(make)
    except BaseException:
        replicas.arriving.discard((key, round_id))
        raise
    return Quarantine(replicas, key, round_id, object_format, path, git_dir)


def _quoted(path: Path) -> str:
    """A path as git reads it in a list: quoted, so that a colon in it does not end it."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
