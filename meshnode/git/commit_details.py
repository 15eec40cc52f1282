"""Signatures and change counts of commits.

Counts are those of `git show --shortstat`: renames found, a merge against its first parent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from meshnode.base.errors import Corrupt
from meshnode.base.ids import ObjectId
from meshnode.core.round import ReplicaKey
from meshnode.git.commit_walks import WALK_MS
from meshnode.git.queries import Queries
from meshnode.git.signed_object import commit_signature
from meshnode.ports import CommitStats, Objects, Signature

_STATS: Final = re.compile(rb" (\d+) files? changed(?:, (\d+) insertions?\(\+\))?(?:, (\d+) deletions?\(-\))?")
_HEADER: Final = b"commit "


class GitCommitDetails:
    """Implements `ports.CommitDetails`."""

    def __init__(self, objects: Objects, queries: Queries) -> None:
        self._objects = objects
        self._queries = queries

    async def signatures(self, key: ReplicaKey, oids: Sequence[ObjectId], *, bytes_max: int) -> list[Signature]:
        """The signature of each commit."""
        found: list[Signature] = []
        for oid, raw in zip(oids, await self._objects.read(key, oids, bytes_max=bytes_max), strict=True):
            if raw is None:
                raise Corrupt("a commit went missing while it was read", oid=oid)
            found.append(commit_signature(raw.data, len(oid)))
        return found

    async def stats(self, key: ReplicaKey, oids: Sequence[ObjectId]) -> Mapping[ObjectId, CommitStats]:
        """What each commit changed."""
        options = ["--stdin", "--root", "-r", "-M", "--shortstat", "--diff-merges=first-parent", "--always"]
        done = await self._queries.run(
            key,
            ["diff-tree", *options, "--ignore-submodules=none", "--format=commit %H"],
            what="count changes",
            deadline_ms=WALK_MS,
            stdin="".join(f"{oid}\n" for oid in dict.fromkeys(oids)).encode(),
        )
        stats: dict[ObjectId, CommitStats] = {}
        oid = ObjectId("")
        for line in done.stdout.split(b"\n"):
            if line.startswith(_HEADER):
                oid = ObjectId(line.removeprefix(_HEADER).decode("ascii"))
                stats[oid] = CommitStats(0, 0, 0)
            elif counts := _STATS.fullmatch(line):
                files, additions, deletions = (int(number or 0) for number in counts.groups())
                stats[oid] = CommitStats(additions, deletions, files)
        return stats
