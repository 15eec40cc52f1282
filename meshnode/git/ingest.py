"""A pack on its way in at the coordinator: git indexes and checks it while it arrives.

    write(raw bytes) -> index-pack --stdin --fix-thin --strict -> pack and index in the quarantine
    finish() -> how the raw bytes become the final pack, so that others need not index it again

Costs one process, and one or two more for the connectivity check; index-pack syncs both files itself.

Source: git-index-pack(1), gitformat-pack(5).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Final

from meshnode.base.errors import InvalidRequest, MeshError, Overloaded, ReplicaBehind, RepositoryNotFound
from meshnode.base.ids import ObjectId
from meshnode.config import PushSettings
from meshnode.git import durable
from meshnode.git.command import GitCommands
from meshnode.git.connectivity import Connectivity, NewPack, not_a_commit
from meshnode.git.disk import NO_SPACE_IN_GIT, disk_full, on_disk
from meshnode.git.journal import HASH_BYTES, find_complete_pack
from meshnode.git.packs import open_pack
from meshnode.git.process import GitProcess
from meshnode.git.quarantine import Quarantine
from meshnode.ports import PackFix

PACK_DEADLINE_MS: Final = 3_600_000
"""The longest push that the configuration allows by default; its own deadline cancels earlier."""
CHUNK_BYTES: Final = 512 << 10
TAIL_BYTES_MAX: Final = 512 << 20
"""Bases that a thin pack may leave out; what completes it is held in memory here and at every replica."""
_HEADER_BYTES: Final = 12
_MESSAGE_ID = re.compile(r"[A-Za-z][A-Za-z0-9]*\Z")
_DONE = re.compile(rb"(?:pack|keep)\t([0-9a-f]{40}|[0-9a-f]{64})\n\Z")


def index_arguments(push: PushSettings) -> list[str]:
    """The index-pack command line for a push.

    Raises:
        InvalidRequest: `fsck_ignore` holds something that is no message id.
    """
    for message_id in push.fsck_ignore:
        if not _MESSAGE_ID.match(message_id):
            raise InvalidRequest("fsck_ignore holds no message id of git-fsck", value=message_id)
    arguments = ["index-pack", "--stdin", "--fix-thin", f"--max-input-size={push.pack_bytes_max}"]
    if push.is_fsck_objects:
        ignored = ",".join(f"{message_id}=ignore" for message_id in push.fsck_ignore)
        arguments.append(f"--strict={ignored}" if ignored else "--strict")
    return arguments


class GitIngest:
    """`PackIngest` over index-pack. Made by `GitPackStore.open_ingest`."""

    def __init__(self, commands: GitCommands, quarantine: Quarantine, process: GitProcess, bytes_max: int) -> None:
        self._commands = commands
        self._quarantine = quarantine
        self._process = process
        self._bytes_max = bytes_max
        self._bytes_raw = 0
        self._head = b""
        self._index: Path | None = None
        self._is_complete = False
        self._is_ended = False

    async def write(self, chunk: bytes) -> None:
        """Hand bytes to git. Raises InvalidRequest, Overloaded."""
        if self._is_ended:
            raise InvalidRequest("pack is closed")
        self._bytes_raw += len(chunk)
        if self._bytes_raw > self._bytes_max:
            raise Overloaded("pack is too large", bytes_max=self._bytes_max)
        if len(self._head) < _HEADER_BYTES:
            self._head += chunk[: _HEADER_BYTES - len(self._head)]
        try:
            await self._process.write(chunk)
        except BrokenPipeError as error:
            await self._process.wait()
            raise self._refusal() from error

    async def finish(self) -> PackFix | None:
        """Let git end its work. Raises InvalidRequest, Overloaded."""
        if self._is_ended:
            raise InvalidRequest("pack is closed")
        self._is_ended = True
        if not self._bytes_raw:
            await self._process.kill()
            return None
        output = bytearray()
        with durable.by_git("index-pack", self._quarantine.path):
            await self._process.close_stdin()
            while chunk := await self._process.read():
                output += chunk[: CHUNK_BYTES - len(output)]
            if await self._process.wait() != 0:
                raise self._refusal()
        if not _DONE.match(output):
            raise InvalidRequest("pack has junk after its end")
        if int.from_bytes(self._head[8:12], "big") == 0:
            return None
        fix = await on_disk(self._complete)
        self._is_complete = True
        return fix

    async def index(self) -> AsyncIterator[bytes]:
        """The index, chunk by chunk; nothing before `finish`."""
        if self._index is None:
            return
        file = await on_disk(self._index.open, "rb")
        try:
            while chunk := await on_disk(file.read, CHUNK_BYTES):
                yield chunk
        finally:
            file.close()

    async def check_connected(
        self, tips: Collection[ObjectId], *, commits: Collection[ObjectId] = (), is_for_others: bool = True
    ) -> None:
        """Walk from `tips` to what the repository's references reach. Raises InvalidRequest."""
        quarantine = self._quarantine
        connectivity = Connectivity(
            commands=self._commands, git_dir=quarantine.git_dir, environment=quarantine.environment()
        )
        unknown = await on_disk(self._not_in_pack, commits) if commits else []
        await connectivity.check_commits(unknown)
        if is_for_others and self._index is not None:
            pack = NewPack(self._index, HASH_BYTES[quarantine.object_format])
            await connectivity.check(tips, pack, await self._references())
        else:
            await connectivity.check(tips, None, ())

    async def close(self) -> None:
        """Stop git; remove the quarantine unless it is complete."""
        self._is_ended = True
        await self._process.kill()
        if not self._is_complete or self._quarantine.is_superseded():
            await self._quarantine.remove()

    async def _references(self) -> set[str]:
        """The ids that references hold; none where they are not settled: then git reads them from the files."""
        try:
            snapshot = await self._quarantine.replicas.snapshot(self._quarantine.key)
        except (RepositoryNotFound, ReplicaBehind):
            return set()
        return {*snapshot.refs.values(), *snapshot.peeled.values()}

    def _complete(self) -> PackFix:
        found = find_complete_pack(self._quarantine.path)
        if found is None:
            raise MeshError("git left no pack behind")
        pack, self._index = found
        body_end = self._bytes_raw - HASH_BYTES[self._quarantine.object_format]
        tail_max = min(TAIL_BYTES_MAX, self._bytes_max)
        if pack.stat().st_size - body_end > tail_max:
            raise Overloaded("pack leaves out too many delta bases", bytes_max=tail_max)
        with pack.open("rb") as file:
            header = file.read(_HEADER_BYTES)
            file.seek(body_end)
            tail = file.read()
        return PackFix(
            pack_id=pack.stem.removeprefix("pack-"),
            header=header,
            body_end=body_end,
            tail=tail,
            index_bytes=self._index.stat().st_size,
        )

    def _not_in_pack(self, commits: Collection[ObjectId]) -> list[ObjectId]:
        """Those of `commits` that are not in the pack; raises InvalidRequest for what is there and no commit."""
        if self._index is None:
            return list(commits)
        unknown: list[ObjectId] = []
        length = HASH_BYTES[self._quarantine.object_format]
        with open_pack(self._index.with_suffix(".pack"), self._index, length) as pack:
            for oid in commits:
                kind = pack.kind_of(oid)
                if kind is None:
                    unknown.append(oid)
                elif kind != "commit":
                    raise not_a_commit(oid, kind)
        return unknown

    def _refusal(self) -> MeshError:
        return pack_refusal(self._process.stderr_tail, self._bytes_max)


def pack_refusal(stderr: str, bytes_max: int) -> MeshError:
    """What git's last words about a pack mean to the one who sent it."""
    if NO_SPACE_IN_GIT in stderr:
        return disk_full()
    if "exceeds maximum allowed size" in stderr:
        return Overloaded("pack is too large", bytes_max=bytes_max)
    lines = [line for line in stderr.replace("\r", "\n").split("\n") if line.startswith(("fatal: ", "error: "))]
    reason = "; ".join(line.partition(": ")[2] for line in lines[:3])
    return InvalidRequest(f"git refused the pack: {reason[:300] or 'no reason given'}")
