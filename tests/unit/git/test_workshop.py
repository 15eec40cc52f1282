"""Workshops on a real disk: how many there may be, how much comes in, and that nothing of them stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from meshnode.base.errors import Overloaded
from meshnode.base.ids import ObjectId, PartitionId, RepositoryId
from meshnode.config import OperationSettings, ReplicationSettings
from meshnode.core.round import ReplicaKey
from meshnode.git.command import GitCommands
from meshnode.git.merges import GitMerges
from meshnode.git.object_pool import ObjectPool
from meshnode.git.patches import GitPatches
from meshnode.git.replicas import Replicas
from meshnode.git.workshop import REMOVALS_MAX, REMOVERS, GitWorkshops
from tests.unit.git.sample import build_repository, git

KEY = ReplicaKey(PartitionId(1), RepositoryId("0" * 32))


class Site:
    """A replica and its workshops."""

    def __init__(self, data: Path, settings: OperationSettings) -> None:
        commands = GitCommands()
        self.replicas = Replicas(data, commands, ReplicationSettings(), lambda _: None)
        self.path = build_repository(self.replicas.layout.repository(KEY))
        self.incoming = self.replicas.layout.workshop(KEY, 0).parent
        self.incoming.mkdir(parents=True)
        self.pool = ObjectPool(commands, self.replicas.layout)
        self.workshops = GitWorkshops(self.replicas, self.pool, settings, GitMerges, GitPatches)

    def id_of(self, revision: str) -> ObjectId:
        """What a revision leads to."""
        return ObjectId(git("rev-parse", revision, path=self.path).decode().strip())


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


async def test_only_so_many_workshops_are_open_and_each_place_comes_back(tmp_path: Path) -> None:
    site = Site(tmp_path, OperationSettings(workshops_max=2))
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(site.workshops.open(KEY, "sha1"))
        with pytest.raises(Overloaded, match="too many operations") as refusal:
            await stack.enter_async_context(site.workshops.open(KEY, "sha1"))
        assert refusal.value.fields["count_max"] == 2
        assert len(list(site.incoming.iterdir())) == 2
    async with site.workshops.open(KEY, "sha1") as workshop:
        assert (await workshop.read_commit(site.id_of("main"))).oid == site.id_of("main")
    await site.workshops.close()
    assert list(site.incoming.iterdir()) == []
    await site.pool.close()


async def test_more_workshops_than_may_wait_to_be_removed_all_go(tmp_path: Path) -> None:
    site = Site(tmp_path, OperationSettings(workshops_max=2 * REMOVALS_MAX))
    async with AsyncExitStack() as stack:
        for _ in range(REMOVALS_MAX + REMOVERS):
            await stack.enter_async_context(site.workshops.open(KEY, "sha1"))
    assert len(list(site.incoming.iterdir())) <= REMOVALS_MAX
    await site.workshops.close()
    assert list(site.incoming.iterdir()) == []


async def test_workshop_that_cannot_be_made_leaves_its_place_to_others(tmp_path: Path) -> None:
    site = Site(tmp_path, OperationSettings(workshops_max=1))
    site.incoming.rmdir()
    site.incoming.write_text("in the way")
    for _ in range(2):
        with pytest.raises(Exception, match="file operation failed"):
            async with site.workshops.open(KEY, "sha1"):
                pass
    site.incoming.unlink()
    site.incoming.mkdir()
    async with site.workshops.open(KEY, "sha1"):
        assert len(list(site.incoming.iterdir())) == 1
    await site.workshops.close()


async def test_mailbox_is_bounded_in_bytes_and_in_patches(tmp_path: Path) -> None:
    site = Site(tmp_path, OperationSettings())
    mails = git("format-patch", "--stdout", "main~3..main", path=site.path)
    async with site.workshops.open(KEY, "sha1") as workshop:
        with pytest.raises(Overloaded, match="mailbox is too large") as refusal:
            await GitPatches(workshop, bytes_max=len(mails) - 1).split(pieces(mails[:100], mails[100:]), 3)
        assert refusal.value.fields["bytes_max"] == len(mails) - 1
    async with site.workshops.open(KEY, "sha1") as workshop:
        with pytest.raises(Overloaded, match="too many patches") as refusal:
            await GitPatches(workshop).split(pieces(mails), 2)
        assert (refusal.value.fields["patches"], refusal.value.fields["patches_max"]) == (3, 2)
    async with site.workshops.open(KEY, "sha1") as workshop:
        found = await GitPatches(workshop, bytes_max=len(mails)).split(pieces(mails), 3)
        assert [patch.message for patch in found] == [b"commit 2\n", b"commit 3\n", b"commit 4\n"]


async def test_rebase_of_too_many_commits_is_refused(tmp_path: Path) -> None:
    site = Site(tmp_path, OperationSettings())
    async with site.workshops.open(KEY, "sha1") as workshop:
        picks = await workshop.merges.list_picks(site.id_of("main~3"), site.id_of("main"), 3)
        assert picks == [site.id_of(revision) for revision in ("main~2", "main~1", "main")]
        with pytest.raises(Overloaded, match="too many commits") as refusal:
            await workshop.merges.list_picks(site.id_of("main~3"), site.id_of("main"), 2)
        assert (refusal.value.fields["commits"], refusal.value.fields["commits_max"]) == (3, 2)
