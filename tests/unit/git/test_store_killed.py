"""What a git leaves that is killed at its work goes at once: locks of references, half packs, locks of commit graphs."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from meshnode.base.errors import Corrupt, DeadlineExceeded, MeshError
from meshnode.git.command import Completed, GitCommands
from meshnode.ports import UpkeepReport
from tests.contract.replica_fixtures import KEY, MAIN, SIDE, GitTestDisk, Source, created, source, write

__all__ = ["source"]

LOCKS: Final = ("packed-refs.lock", "refs/heads/main.lock")
UPKEEP: Final = ("objects/pack/tmp_pack_x", "objects/info/commit-graphs/commit-graph-chain.lock")
KILLED: Final = "kill -9 $$"
HANGING: Final = "exec sleep 600"
_DYING: Final = """#!/bin/sh
if [ "$1" = {command} ] && mv {flag} {flag}.met 2>/dev/null; then
    for name in {leftovers}; do mkdir -p "$(dirname "$GIT_DIR/$name")"; : >"$GIT_DIR/$name"; done
    {end}
fi
exec {git} "$@"
"""


class Hasty(GitCommands):
    """Gives git a moment only."""

    async def run(
        self,
        args: Sequence[str],
        *,
        git_dir: Path | None,
        stdin: bytes = b"",
        environment: Mapping[str, str] = {},
        deadline_ms: int = 0,
        stdout_bytes_max: int = 64 << 20,
        config: Sequence[str] = (),
    ) -> Completed:
        del deadline_ms
        return await super().run(
            args,
            git_dir=git_dir,
            stdin=stdin,
            environment=environment,
            deadline_ms=2_000,
            stdout_bytes_max=stdout_bytes_max,
            config=config,
        )


class Dying:
    """A disk whose git ends half way, when it is told to, and leaves what such a git leaves."""

    def __init__(
        self, folder: Path, source: Source, monkeypatch: pytest.MonkeyPatch, command: str, end: str, *leftovers: str
    ) -> None:
        git = shutil.which("git")
        assert git is not None
        self.flag = folder / "die"
        (folder / "bin").mkdir()
        script = folder / "bin" / "git"
        script.write_text(
            _DYING.format(flag=self.flag, git=git, command=command, end=end, leftovers=" ".join(leftovers))
        )
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
        self.disk = GitTestDisk(folder / "data", source, Hasty())
        self._leftovers = leftovers

    @property
    def is_dead(self) -> bool:
        """Whether a git has met its end."""
        return self.flag.with_name("die.met").exists()

    def left(self) -> list[str]:
        """What lies there still."""
        return [name for name in self._leftovers if (self.disk.repository(KEY) / name).exists()]


async def test_a_round_is_applied_though_git_was_killed_with_its_locks_taken(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the kernel, for want of memory, say. The locks stayed until the node was started again, and every round that
    deletes a reference waited ten seconds for them, in vain.
    """
    dying = Dying(tmp_path, source, monkeypatch, "update-ref", KILLED, *LOCKS)
    stores = dying.disk.open()
    first = dying.disk.objects.first
    writes = await created(stores)
    await write(stores, writes, writes.update({SIDE: first}, has_pack=True), dying.disk.pack([first]))
    dying.flag.touch()
    await write(stores, writes, writes.update({MAIN: first}))
    assert dying.is_dead
    assert dying.left() == []
    await write(stores, writes, writes.update({SIDE: None}))
    snapshot = await stores.reader.snapshot(KEY)
    assert {name: str(value) for name, value in snapshot.refs.items() if name.startswith("refs/")} == {MAIN: first}


async def test_a_git_that_hangs_is_ended_with_its_locks(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = Dying(tmp_path, source, monkeypatch, "update-ref", HANGING, *LOCKS)
    stores = dying.disk.open()
    first = dying.disk.objects.first
    writes = await created(stores)
    await write(stores, writes, writes.update({SIDE: first}, has_pack=True), dying.disk.pack([first]))
    dying.flag.touch()
    round_ = writes.update({MAIN: first})
    with pytest.raises(DeadlineExceeded):
        await write(stores, writes, round_)
    assert dying.is_dead
    assert dying.left() == []
    await stores.store.apply(round_)
    assert str((await stores.reader.snapshot(KEY)).refs[MAIN]) == first


@pytest.mark.parametrize("end", [KILLED, HANGING])
@pytest.mark.parametrize("command", ["pack-objects", "commit-graph"])
async def test_upkeep_that_is_killed_leaves_no_half_pack_and_no_lock(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch, command: str, end: str
) -> None:
    """A pack as large as all that it was to combine stayed until the next start, and the next try left another."""
    dying = Dying(tmp_path, source, monkeypatch, command, end, *UPKEEP)
    stores = dying.disk.open()
    objects = dying.disk.objects
    writes = await created(stores)
    for oid, haves in ((objects.first, []), (objects.third, [objects.first])):
        await write(stores, writes, writes.update({MAIN: oid}, has_pack=True), dying.disk.pack([oid], haves))

    async def keep_up() -> UpkeepReport:
        report = await stores.upkeep.combine(KEY, await stores.upkeep.packs(KEY))
        await stores.upkeep.write_commit_graph(KEY)
        return report

    dying.flag.touch()
    with pytest.raises(MeshError) as failed:
        await keep_up()
    assert not isinstance(failed.value, Corrupt), "the replica is whole"
    assert dying.is_dead
    assert dying.left() == []
    assert (await keep_up()).packs_after == 1


async def test_upkeep_that_nobody_waits_for_any_more_leaves_nothing(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = Dying(tmp_path, source, monkeypatch, "commit-graph", HANGING, *UPKEEP)
    stores = dying.disk.open()
    await created(stores)
    dying.flag.touch()
    waiting = asyncio.ensure_future(stores.upkeep.write_commit_graph(KEY))
    async with asyncio.timeout(10):
        while len(dying.left()) < len(UPKEEP):  # noqa: ASYNC110 - another process makes them
            await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert dying.left() == []
