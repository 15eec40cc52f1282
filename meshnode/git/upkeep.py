"""Combines packs and writes commit graphs. Implements `ports.Upkeep`.

    pack-objects --stdin-packs -> new pack, synced -> directory synced -> every object of the old ones is in it?
                                                                          yes: old ones removed, index first

Rules: what is removed was proven to be elsewhere, object by object, on disk; nothing is dropped for being unreachable
(forks, and pushes under way, may lean on it); nothing is removed under a check that reads packs one by one. A reader
that finds a pack gone looks into the directory again and finds the objects in the new one; git does so by itself.

Bitmaps are not written: over one well-made pack they saved at most 24 % of a clone's CPU, and every new pack would
need them written again.

Source: git-pack-objects(1), git-commit-graph(1), gitformat-pack(5).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from meshnode.base.errors import Corrupt, MeshError, RepositoryNotFound
from meshnode.core.round import ReplicaKey
from meshnode.core.upkeep import PackFacts
from meshnode.git import durable
from meshnode.git.disk import NO_SPACE_IN_GIT, disk_full, on_disk, sync_directory
from meshnode.git.packs import pack_names
from meshnode.git.removal import tidy_after_upkeep
from meshnode.git.replicas import Replicas
from meshnode.ports import UpkeepReport

COMBINE_MS: Final = 3_600_000
GRAPH_MS: Final = 600_000
_SUFFIXES: Final = (".idx", ".rev", ".bitmap", ".mtimes", ".pack")
"""In the order of removal: no reader may see an index whose pack is gone."""
_MAGIC: Final = b"\377tOc\0\0\0\2"
_COUNT_AT: Final = 8 + 255 * 4
_NAMES_AT: Final = 8 + 256 * 4
_CONFIG: Final = ("core.fsync=pack,pack-metadata,commit-graph", "pack.threads=1", "pack.writeReverseIndex=false")


class GitUpkeep:
    """Housekeeping by git."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas

    async def packs(self, key: ReplicaKey) -> list[PackFacts]:
        """The replica's own packs."""
        if await self._replicas.load(key) is None:
            raise RepositoryNotFound("replica is not on this node", repository=key.repository)
        return await on_disk(_list_packs, self._replicas.layout.objects(key) / "pack")

    async def combine(self, key: ReplicaKey, packs: Sequence[PackFacts]) -> UpkeepReport:
        """Make one pack of several."""
        state = await self._replicas.load(key)
        if state is None:
            raise RepositoryNotFound("replica is not on this node", repository=key.repository)
        directory = self._replicas.layout.objects(key) / "pack"
        names = {pack.name for pack in packs if pack.objects}
        before = await on_disk(_list_packs, directory)
        if not names <= {pack.name for pack in before}:
            return UpkeepReport(packs_before=len(before), packs_after=len(before), note="the packs changed meanwhile")
        made = await self._pack(key, directory, sorted(names))
        await on_disk(sync_directory, directory)
        old = [name for name in sorted(names) if name != made]
        missing = await on_disk(_first_missing, directory, made, old, 32 if state.object_format == "sha256" else 20)
        if missing:
            raise Corrupt("the combined pack lacks an object; nothing was removed", oid=missing, pack=made)
        async with self._replicas.lock(key.home):
            is_checked = self._replicas.is_checking(key.home)
            if not is_checked:
                await on_disk(_remove, directory, old)
        after = await on_disk(_list_packs, directory)
        return UpkeepReport(
            packs_before=len(before),
            packs_after=len(after),
            removed=0 if is_checked else len(old),
            note="old packs stay while objects are checked" if is_checked else "",
        )

    async def write_commit_graph(self, key: ReplicaKey) -> None:
        """Write a new layer, or all of it where layers became many."""
        await self._run(key, ["commit-graph", "write", "--reachable", "--split", "--no-progress"], b"", GRAPH_MS)

    async def _pack(self, key: ReplicaKey, directory: Path, names: Sequence[str]) -> str:
        """Every object of the packs, also those that others have too: what is proven is proven of one pack."""
        args = ["pack-objects", "--stdin-packs", "--delta-base-offset", "-q", str(directory / "pack")]
        said = await self._run(key, args, "".join(f"{name}.pack\n" for name in names).encode(), COMBINE_MS)
        return f"pack-{said.decode().strip()}"

    async def _run(self, key: ReplicaKey, args: Sequence[str], stdin: bytes, deadline_ms: int) -> bytes:
        git_dir = self._replicas.layout.repository(key)
        try:
            with durable.by_git(args[0], git_dir, stdin):
                done = await self._replicas.commands.run(
                    args,
                    git_dir=git_dir,
                    stdin=stdin,
                    environment={"GIT_NO_REPLACE_OBJECTS": "1"},
                    deadline_ms=deadline_ms,
                    config=_CONFIG,
                )
        except BaseException:  # killed, by its deadline or because nobody waits any more
            await on_disk(tidy_after_upkeep, git_dir)
            raise
        if done.returncode < 0:
            await on_disk(tidy_after_upkeep, git_dir)
            raise MeshError("git was killed", command=args[0], signal=-done.returncode)
        if done.returncode != 0:
            complaint = done.stderr.decode(errors="replace").strip()[-500:]
            if NO_SPACE_IN_GIT in complaint:
                raise disk_full()
            raise Corrupt(f"git {args[0]} failed", complaint=complaint)
        return done.stdout


def _list_packs(directory: Path) -> list[PackFacts]:
    found = []
    for index in sorted(directory.glob("pack-*.idx")):
        try:
            with index.open("rb") as file:
                head = file.read(_NAMES_AT)
        except FileNotFoundError:
            continue
        if len(head) < _NAMES_AT or not head.startswith(_MAGIC):
            raise Corrupt("pack index is damaged", path=index.name)
        kept = index.with_suffix(".keep").exists() or index.with_suffix(".promisor").exists()
        found.append(PackFacts(index.stem, struct.unpack_from(">I", head, _COUNT_AT)[0], kept))
    return found


def _first_missing(directory: Path, made: str, old: Sequence[str], hash_bytes: int) -> str:
    """The first object of the old packs that the new one lacks, in hex; "" for none."""
    have = set(pack_names(directory / f"{made}.idx", hash_bytes))
    for name in old:
        for oid in pack_names(directory / f"{name}.idx", hash_bytes):
            if oid not in have:
                return oid.hex()
    return ""


def _remove(directory: Path, names: Sequence[str]) -> None:
    for name in names:
        for suffix in _SUFFIXES:
            durable.unlink(directory / f"{name}{suffix}", is_missing_fine=True)
    sync_directory(directory)
