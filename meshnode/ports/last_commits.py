"""Which commit changed each entry of a directory last."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from meshnode.base.ids import ObjectId
from meshnode.base.paths import TreePath
from meshnode.core.round import ReplicaKey


@dataclass(frozen=True, slots=True)
class LastChanges:
    """What a search found."""

    commits: Mapping[bytes, ObjectId]
    """By the entry's name. A directory without a file anywhere below it has none: git sees no change of it."""
    is_complete: bool
    """False: its time was over first; entries without a commit may have one."""


class LastCommits(Protocol):
    """Searches history for the entries of a directory, all at once."""

    async def find(
        self, key: ReplicaKey, commit: ObjectId, directory: TreePath, names: Collection[bytes], *, time_ms: int
    ) -> LastChanges:
        """For each entry `names` of `directory` in `commit`: the commit that `git log -1 <commit> -- <path>` shows."""
        ...
