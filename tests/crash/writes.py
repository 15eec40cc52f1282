"""Scenarios of write rounds: what a coordinator and a participant do to their disks, step by step."""

from __future__ import annotations

from meshnode.base.ids import HEAD, Generation, ObjectId, RefName, RefValue, RepositoryName, symbolic
from meshnode.core.round import Round, WriteKind
from tests.contract.replica_fixtures import FORK, KEY, MAIN, SIDE, TAG, Writes
from tests.crash.ledger import Dropped
from tests.crash.scenario import Scenario
from tests.crash.site import Shipment, Site

NESTED = RefName("refs/heads/team/fix")
NOTE = RefName("refs/notes/x")


async def create(site: Site, writes: Writes, *, with_side: bool = False) -> None:
    """A repository with one commit on main."""
    first = site.objects.first
    changes: dict[RefName, RefValue | ObjectId | None] = {HEAD: symbolic(MAIN), MAIN: first}
    if with_side:
        changes |= {SIDE: first, TAG: first}
    round_ = await site.coordinate(writes.draft(WriteKind.CREATE, changes), [first])
    await site.publish(writes, round_)


def forked(writes: Writes, site: Site) -> Round:
    """The CREATE of a fork of KEY at generation 1."""
    return writes.draft(
        WriteKind.CREATE,
        {HEAD: symbolic(MAIN), MAIN: site.objects.first},
        name=RepositoryName("project/fork"),
        fork_parent=KEY.repository,
        fork_root=KEY.repository,
        fork_generation=Generation(1),
    )


class CreateEmpty(Scenario):
    """A repository is created without a push."""

    async def act(self, site: Site) -> None:
        writes = Writes(object_format=self.object_format)
        await site.publish(writes, await site.vote(writes.create()))


class CreateWithPush(Scenario):
    """A first push creates its repository."""

    async def act(self, site: Site) -> None:
        await create(site, Writes(object_format=self.object_format), with_side=True)


class Push(Scenario):
    """A push at its coordinator: one reference moves, one appears in a new folder."""

    async def prepare(self, site: Site) -> None:
        self.writes = Writes(object_format=self.object_format)
        await create(site, self.writes)

    async def act(self, site: Site) -> None:
        objects = site.objects
        draft = self.writes.update({MAIN: objects.third, NESTED: objects.third})
        round_ = await site.coordinate(draft, [objects.third], [objects.first])
        await site.publish(self.writes, round_)


class PushSha256(Push):
    """The same in a repository with SHA-256 names."""

    object_format = "sha256"


class PushAtParticipant(Push):
    """A push at a participant: raw bytes, how the pack is completed, the index."""

    async def prepare(self, site: Site) -> None:
        await super().prepare(site)
        objects = site.objects
        self.draft = self.writes.update({MAIN: objects.third, TAG: objects.tag})
        self.shipment: Shipment = await site.ship(self.draft, [objects.third, objects.tag], [objects.first])

    async def act(self, site: Site) -> None:
        round_ = await site.receive(self.draft, self.shipment, [site.objects.third, site.objects.tag])
        await site.publish(self.writes, round_)


class CompetingRounds(Push):
    """Two pushes are voted for on one base, one wins, and a third follows."""

    async def act(self, site: Site) -> None:
        objects, writes = site.objects, self.writes
        winner = await site.coordinate(writes.update({MAIN: objects.second}), [objects.second], [objects.first])
        draft = writes.update({TAG: objects.tag})
        loser = await site.coordinate(draft, [objects.tag], [objects.first], [objects.tag])
        await site.publish(writes, winner)
        site.tell(Dropped(loser))
        await site.stores.store.discard(KEY, loser.round_id)
        after = await site.coordinate(writes.update({MAIN: objects.third}), [objects.third], [objects.second])
        await site.publish(writes, after)


class References(Scenario):
    """References and HEAD without objects: deletions (packed and loose), a new HEAD, symbolic references."""

    async def prepare(self, site: Site) -> None:
        self.writes = Writes()
        await create(site, self.writes, with_side=True)
        await site.publish(self.writes, await site.vote(self.writes.draft(changes={NOTE: symbolic(MAIN)})))

    async def act(self, site: Site) -> None:
        first = site.objects.first
        for changes in (
            {SIDE: None, HEAD: symbolic(NESTED), NESTED: first},
            {NOTE: None, TAG: None},
            {NESTED: None, RefName("refs/heads/team"): first},
        ):
            await site.publish(self.writes, await site.vote(self.writes.draft(changes=dict(changes))))


class ManyReferences(Push):
    """More references than git is asked to move one by one."""

    async def act(self, site: Site) -> None:
        names = [RefName(f"refs/heads/many/{number:03}") for number in range(101)]
        draft = self.writes.update(dict.fromkeys(names, site.objects.first))
        await site.publish(self.writes, await site.vote(draft))


class LongHistory(Push):
    """The round with which the history grows too long and is rewritten."""

    async def prepare(self, site: Site) -> None:
        await super().prepare(site)
        for _ in range(62):
            await site.publish(self.writes, await site.vote(self.writes.update({})))

    async def act(self, site: Site) -> None:
        for changes in ({SIDE: site.objects.first}, {SIDE: None}):
            await site.publish(self.writes, await site.vote(self.writes.draft(changes=dict(changes))))


class Fork(Push):
    """A fork: another repository that shares its parent's objects."""

    async def act(self, site: Site) -> None:
        fork = Writes(FORK)
        await site.publish(fork, await site.vote(forked(fork, site)))


class Rename(Push):
    """A repository gets another name."""

    async def act(self, site: Site) -> None:
        draft = self.writes.draft(WriteKind.RENAME, name=RepositoryName("other/name"))
        await site.publish(self.writes, await site.vote(draft))


class Delete(Push):
    """A repository is deleted."""

    async def act(self, site: Site) -> None:
        await site.publish(self.writes, await site.vote(self.writes.draft(WriteKind.DELETE)))


class DeleteFamily(Push):
    """A parent is deleted while its fork needs its objects, then the fork."""

    async def prepare(self, site: Site) -> None:
        await super().prepare(site)
        self.fork = Writes(FORK)
        await site.publish(self.fork, await site.vote(forked(self.fork, site)))

    async def act(self, site: Site) -> None:
        await site.publish(self.writes, await site.vote(self.writes.draft(WriteKind.DELETE)))
        await site.publish(self.fork, await site.vote(self.fork.draft(WriteKind.DELETE)))


class Abort(Push):
    """A push that was voted for is aborted; so is one whose objects still arrive."""

    async def act(self, site: Site) -> None:
        objects = site.objects
        round_ = await site.coordinate(self.writes.update({MAIN: objects.third}), [objects.third], [objects.first])
        site.tell(Dropped(round_))
        await site.stores.store.discard(KEY, round_.round_id)
        arriving = await site.stores.packs.open_receive(KEY, self.writes.update({}).round_id, "sha1")
        await arriving.write(site.source.pack([objects.second]))
        await arriving.close()


class AbortCreate(Scenario):
    """A creation that was voted for is aborted."""

    async def act(self, site: Site) -> None:
        objects = site.objects
        draft = Writes().draft(WriteKind.CREATE, {HEAD: symbolic(MAIN), MAIN: objects.first})
        round_ = await site.coordinate(draft, [objects.first])
        site.tell(Dropped(round_))
        await site.stores.store.discard(KEY, round_.round_id)
