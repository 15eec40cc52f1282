"""Objects in and out of the replicas on this node's disk.

Source: git-pack-objects(1), git-cat-file(1).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final

from meshnode.base.errors import Corrupt, MeshError, NotFound, RepositoryNotFound
from meshnode.base.ids import ObjectId, RoundId
from meshnode.config import PushSettings
from meshnode.core.round import ReplicaKey
from meshnode.git import durable
from meshnode.git.connectivity import Connectivity
from meshnode.git.disk import NO_SPACE_IN_GIT, disk_full
from meshnode.git.ingest import PACK_DEADLINE_MS, GitIngest, index_arguments
from meshnode.git.quarantine import open_quarantine, quarantine_environment
from meshnode.git.receive import GitReceive
from meshnode.git.replicas import Replicas
from meshnode.ports import PackIngest, PackReceive

ANCESTRY_MS: Final = 60_000
"""Looking whether a branch is moved forward; the write slot waits for it."""
_PLAIN: Final = {"GIT_NO_REPLACE_OBJECTS": "1"}


class GitPackStore:
    """`PackStore` over git."""

    def __init__(self, replicas: Replicas, push: PushSettings) -> None:
        """Raises InvalidRequest where `push` cannot be turned into a command line."""
        self._replicas = replicas
        self._commands = replicas.commands
        self._push = push
        index_arguments(push)

    async def open_ingest(self, key: ReplicaKey, round_id: RoundId, object_format: str) -> PackIngest:
        """Start a quarantine with git behind it. Raises Overloaded, Corrupt."""
        quarantine = await open_quarantine(self._replicas, key, round_id, object_format, is_repository_needed=True)
        try:
            with durable.by_git("index-pack", quarantine.path):
                process = await self._commands.open(
                    index_arguments(self._push),
                    git_dir=quarantine.git_dir,
                    environment=quarantine.environment(),
                    deadline_ms=PACK_DEADLINE_MS,
                    config=("core.fsync=pack,pack-metadata", "pack.writeReverseIndex=false"),
                )
        except BaseException:
            await quarantine.remove()
            raise
        return GitIngest(self._commands, quarantine, process, self._push.pack_bytes_max)

    async def open_receive(self, key: ReplicaKey, round_id: RoundId, object_format: str) -> PackReceive:
        """Start a quarantine of plain files. Raises Overloaded, Corrupt."""
        quarantine = await open_quarantine(self._replicas, key, round_id, object_format, is_repository_needed=False)
        return GitReceive(quarantine, self._push.pack_bytes_max)

    async def pack_objects(
        self, key: ReplicaKey, wants: Sequence[ObjectId], haves: Sequence[ObjectId]
    ) -> AsyncIterator[bytes]:
        """Stream a pack; git is stopped when the iterator is closed.

        Raises:
            RepositoryNotFound: no replica here.
            NotFound: a want is not here; field `oid`.
            Corrupt: git could not read an object.
        """
        absent = await self.missing(key, [*wants, *haves])
        unknown = set(absent)
        for oid in wants:
            if oid in unknown:
                raise NotFound("object is not in this replica", oid=oid)
        if await self._replicas.load(key) is None:
            raise RepositoryNotFound("replica is not on this node", repository=key.repository)
        process = await self._commands.open(
            ["pack-objects", "--revs", "--thin", "--stdout", "--delta-base-offset", "-q"],
            git_dir=self._replicas.layout.repository(key),
            environment=_PLAIN,
            deadline_ms=PACK_DEADLINE_MS,
        )
        async with process:
            lines = [f"{oid}\n" for oid in wants] + [f"^{oid}\n" for oid in haves if oid not in unknown]
            try:
                await process.write("".join(lines).encode())
            except BrokenPipeError as error:
                await process.wait()
                raise _broken(process.stderr_tail) from error
            await process.close_stdin()
            while chunk := await process.read():
                yield chunk
            if await process.wait() != 0:
                raise _broken(process.stderr_tail)

    async def missing(self, key: ReplicaKey, oids: Sequence[ObjectId]) -> list[ObjectId]:
        """Those of `oids` that are not here; one process, none for a replica that is not here."""
        if not oids or await self._replicas.load(key) is None:
            return list(oids)
        completed = await self._commands.run(
            ["cat-file", "--batch-check=%(objectname)", "--buffer"],
            git_dir=self._replicas.layout.repository(key),
            stdin="".join(f"{oid}\n" for oid in oids).encode(),
            environment=_PLAIN,
            stdout_bytes_max=100 * len(oids) + 4096,
        )
        answers = completed.stdout.decode(errors="replace").split("\n")
        if completed.returncode != 0 or len(answers) != len(oids) + 1:
            raise _broken(completed.stderr.decode(errors="replace"))
        return [oid for oid, answer in zip(oids, answers, strict=False) if answer != oid]

    async def is_ancestor(
        self, key: ReplicaKey, ancestor: ObjectId, descendant: ObjectId, *, round_id: RoundId | None = None
    ) -> bool:
        """Walk with git, over the quarantine too. Raises Corrupt, DeadlineExceeded."""
        git_dir = self._replicas.layout.repository(key)
        path = None if round_id is None else self._replicas.quarantine(key, round_id)
        completed = await self._commands.run(
            ["merge-base", "--is-ancestor", ancestor, descendant],
            git_dir=git_dir,
            environment=_PLAIN if path is None else quarantine_environment(path, git_dir),
            deadline_ms=ANCESTRY_MS,
        )
        if completed.returncode > 1:
            raise _broken(completed.stderr.decode(errors="replace"))
        return completed.returncode == 0

    async def check_tips(
        self, key: ReplicaKey, tips: Collection[ObjectId], *, commits: Collection[ObjectId] = ()
    ) -> None:
        """Check what no reference names already. Raises InvalidRequest, RepositoryNotFound."""
        refs = (await self._replicas.snapshot(key)).refs
        known: set[str] = set(refs.values())
        branches: set[str] = {value for name, value in refs.items() if name.startswith("refs/heads/")}
        connectivity = Connectivity(
            commands=self._commands, git_dir=self._replicas.layout.repository(key), environment=_PLAIN
        )
        await connectivity.check_commits(set(commits) - branches)
        await connectivity.check(set(tips) - known, None, known)


def _broken(stderr: str) -> MeshError:
    if NO_SPACE_IN_GIT in stderr:
        return disk_full()
    return Corrupt("git cannot read the repository's objects", detail=stderr.strip()[-300:])
