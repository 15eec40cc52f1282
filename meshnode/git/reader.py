"""What can be asked of a replica on this node's disk: references from memory, proofs from the files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from meshnode.base.errors import Corrupt, RepositoryNotFound
from meshnode.base.ids import Generation, RefsDigest
from meshnode.config import PushSettings
from meshnode.core.refs import digest_of
from meshnode.core.round import ReplicaKey, Round
from meshnode.git.disk import on_disk
from meshnode.git.refs import read_refs
from meshnode.git.replicas import Replicas
from meshnode.ports import Inspection, RefsSnapshot, ReplicaState

_SLOW_MS: Final = 3_600_000
"""Time for a walk over all objects; git/git's 841,000 take 7 s to list and a minute to check."""
_READ_BYTES: Final = 1 << 20
_PACKS_PER_PROCESS: Final = 100
"""Paths of one command line; far below what the system allows."""
_QUIET: Final = ("notice: ", "dangling ", "warning in ", "warning: ", "Checking ")
"""What fsck says of sound repositories: unborn branches, unreachable objects, old sins let in on purpose."""

_ONLY_DAMAGE: Final = (*_QUIET, "error in ")


class GitReplicaReader:
    """`ReplicaReader` over files and git."""

    def __init__(self, replicas: Replicas, push: PushSettings) -> None:
        self._replicas = replicas
        self._push = push

    async def snapshot(self, key: ReplicaKey) -> RefsSnapshot:
        """The references of the applied generation. Raises RepositoryNotFound, ReplicaBehind, Corrupt."""
        return await self._replicas.snapshot(key)

    async def history(self, key: ReplicaKey, after: Generation, limit: int = 200) -> list[Round]:
        """Applied rounds after a generation. Raises RepositoryNotFound, Corrupt."""
        state = await self._state(key)
        if after >= state.generation:
            return []
        return await on_disk(self._replicas.history(key).after, after, limit)

    async def find_request(self, key: ReplicaKey, request_key: str) -> Round | None:
        """The newest applied round with this request key; none has the key ""."""
        if not request_key or await self._replicas.load(key) is None:
            return None
        return await on_disk(self._replicas.history(key).find_request, request_key)

    async def digest_on_disk(self, key: ReplicaKey) -> RefsDigest:
        """The digest of what the files say now. Raises RepositoryNotFound, Corrupt."""
        state = await self._state(key)
        path = self._replicas.layout.repository(key)
        async with self._replicas.lock(key):
            return await on_disk(lambda: digest_of(read_refs(path, state.object_format).refs))

    async def fsck(self, key: ReplicaKey) -> list[str]:
        """What `git fsck` has to complain about, one line each. Raises RepositoryNotFound.

        Where the settings let any object in, only damage counts, not what objects say.
        """
        state = await self._state(key)
        async with self._replicas.checking(key.home):
            quiet = _QUIET if self._push.is_fsck_objects else _ONLY_DAMAGE
            return await self._fsck(key, state, ["fsck", "--full", "--no-dangling", "--no-progress"], quiet)

    async def _fsck(
        self, key: ReplicaKey, state: ReplicaState, arguments: list[str], quiet: tuple[str, ...]
    ) -> list[str]:
        completed = await self._replicas.commands.run(
            arguments,
            git_dir=self._replicas.layout.repository(key),
            deadline_ms=_SLOW_MS,
            config=tuple(f"fsck.{message_id}=ignore" for message_id in self._push.fsck_ignore),
        )
        text = (completed.stdout + b"\n" + completed.stderr).decode(errors="replace")
        lines = [line for line in text.split("\n") if line.strip() and not line.startswith(quiet)]
        if state.is_deleted or not state.generation:
            lines = [line for line in lines if line != "error: invalid HEAD"]
        elif completed.returncode != 0 and not text.strip():
            lines = [f"error: git fsck ended with {completed.returncode}"]
        return lines

    async def inspect(self, key: ReplicaKey, *, is_deep: bool) -> Inspection:
        """What the files say now, and with `is_deep` what git says of them. Raises Corrupt."""
        layout = self._replicas.layout
        async with self._replicas.lock(key):
            state = await on_disk(self._replicas.read_files, key)
            if state is None:
                return Inspection(state=None, refs_digest=None)
            path, object_format = layout.repository(key), state.object_format
            digest = await on_disk(lambda: digest_of(read_refs(path, object_format).refs))
        problems: list[str] = []
        if is_deep:
            async with self._replicas.checking(key.home):
                problems = await self._check_objects(key, state)
        return Inspection(state=state, refs_digest=digest, problems=tuple(problems))

    async def _check_objects(self, key: ReplicaKey, state: ReplicaState) -> list[str]:
        """Every byte of the replica's own packs and loose objects, then what its references reach.

        What objects say is no damage, whatever a push may bring by now: they came in under the settings of their day,
        and no other replica has them otherwise. `git fsck --full` would also read the packs of alternates: a fork would be blamed for its parent.
        """
        layout, commands = self._replicas.layout, self._replicas.commands
        names = await on_disk(lambda: sorted(str(path) for path in (layout.objects(key) / "pack").glob("pack-*.idx")))
        lines: list[str] = []
        for start in range(0, len(names), _PACKS_PER_PROCESS):
            completed = await commands.run(
                ["verify-pack", *names[start : start + _PACKS_PER_PROCESS]],
                git_dir=layout.repository(key),
                deadline_ms=_SLOW_MS,
                config=("pack.threads=1",),
            )
            said = (completed.stdout + b"\n" + completed.stderr).decode(errors="replace").split("\n")
            if completed.returncode != 0:
                lines += [line for line in said if line.strip()] or ["error: git verify-pack failed"]
        return lines + await self._fsck(
            key, state, ["fsck", "--no-full", "--no-dangling", "--no-progress"], _ONLY_DAMAGE
        )

    async def size_bytes(self, key: ReplicaKey) -> int:
        """Bytes of all files of the replica. Raises RepositoryNotFound."""
        await self._state(key)
        return await on_disk(_tree_bytes, self._replicas.layout.repository(key))

    async def object_digest(self, key: ReplicaKey) -> str:
        """Sum over the SHA-256 of each reachable object's id, modulo 2**256. Raises RepositoryNotFound, Corrupt."""
        await self._state(key)
        process = await self._replicas.commands.open(
            ["rev-list", "--objects", "--no-object-names", "--all"],
            git_dir=self._replicas.layout.repository(key),
            environment={"GIT_NO_REPLACE_OBJECTS": "1"},
            deadline_ms=_SLOW_MS,
            stdin=False,
        )
        total, rest = 0, b""
        async with process:
            while chunk := await process.read(_READ_BYTES):
                lines, _, rest = (rest + chunk).rpartition(b"\n")
                total += await on_disk(_sum_of, lines)
            if await process.wait() != 0:
                raise Corrupt("git cannot walk the repository's objects", detail=process.stderr_tail.strip()[-300:])
        return f"{total % (1 << 256):064x}"

    async def _state(self, key: ReplicaKey) -> ReplicaState:
        state = await self._replicas.load(key)
        if state is None:
            raise RepositoryNotFound("replica is not on this node", repository=key.repository)
        return state


def _sum_of(lines: bytes) -> int:
    sha256 = hashlib.sha256
    return sum(int.from_bytes(sha256(line).digest(), "big") for line in lines.split(b"\n") if line)


def _tree_bytes(path: Path) -> int:
    total = 0
    for directory, _, files in os.walk(path):
        for file in files:
            try:
                total += os.lstat(Path(directory, file)).st_size
            except FileNotFoundError:
                continue
    return total
