"""Scenarios of everything else that changes a disk: syncs, set-asides, an operator's decision, a start after a crash."""

from __future__ import annotations

from dataclasses import replace

from meshnode.base.ids import HEAD, Generation, RefName, RefValue, RoundId, symbolic
from meshnode.core.losses import record_after_loss
from meshnode.core.record import Record, RepositoryState, record_excluding
from meshnode.core.refs import digest_of
from meshnode.ports import ReplicaState
from tests.contract.replica_fixtures import FORK, KEY, MAIN, SIDE, Writes, ingest
from tests.crash.ledger import OWN, PARTITION, Begun, Published, Recorded
from tests.crash.recovery import started
from tests.crash.scenario import Scenario
from tests.crash.site import Site
from tests.crash.writes import Push, create, forked

ROUND = RoundId("9" * 32)


class Sync(Scenario):
    """A replica is made from a peer's where there was none."""

    async def prepare(self, site: Site) -> None:
        third = site.objects.third
        self.refs = {HEAD: symbolic(MAIN), MAIN: RefValue(third), RefName("refs/x/y"): RefValue(site.objects.first)}
        self.state = ReplicaState(
            key=KEY,
            name=Writes().name,
            generation=Generation(9),
            round_id=ROUND,
            refs_digest=digest_of(self.refs),
            object_format="sha1",
            is_deleted=False,
        )
        site.tell(Recorded(record_of(self.state), self.refs))

    async def act(self, site: Site) -> None:
        await self.heal(site)

    async def heal(self, site: Site) -> None:
        found = await site.stores.store.load(KEY)
        if found is not None and found.generation >= self.state.generation:
            return
        sync = replace(Writes().update({}, has_pack=True), round_id=RoundId("5" * 32))
        await ingest(site.stores, sync, site.source.pack([site.objects.third]))
        await site.stores.store.replace(self.state, self.refs, sync.round_id)


class SyncOver(Sync):
    """A replica that is behind is overwritten; of its journal one round is too old and one is not."""

    async def prepare(self, site: Site) -> None:
        self.writes = Writes()
        await create(site, self.writes, with_side=True)
        await site.vote(self.writes.update({}))
        later = self.writes.update({}, base_generation=Generation(9), base_round_id=ROUND)
        await site.stores.store.prepare(later)
        await super().prepare(site)


class SyncHistory(Push):
    """A replica that missed two rounds catches up with what a peer remembers."""

    async def prepare(self, site: Site) -> None:
        await super().prepare(site)
        objects = site.objects
        self.missed = []
        for target in (objects.second, objects.third):
            self.missed.append(self.writes.publish(self.writes.update({MAIN: target}, has_pack=True)))
            site.tell(Published(self.missed[-1]))
        found = await site.stores.store.load(KEY)
        assert found is not None
        last = self.missed[-1]
        self.state = replace(
            found, generation=last.generation, round_id=last.round_id, refs_digest=last.refs_digest, prepared=()
        )
        site.tell(Recorded(record_of(self.state), self.writes.refs))

    async def act(self, site: Site) -> None:
        await self.heal(site)

    async def heal(self, site: Site) -> None:
        found = await site.stores.store.load(KEY)
        if found is not None and found.generation >= self.state.generation:
            return
        sync = replace(self.missed[0], round_id=RoundId("5" * 32))
        await ingest(site.stores, sync, site.source.pack([site.objects.third], [site.objects.first]))
        await site.stores.store.replace(self.state, self.writes.refs, sync.round_id, history=self.missed)


class Bury(Push):
    """A replica that slept through the delete of its repository, and has a fork that needs its objects."""

    has_fork = True

    async def prepare(self, site: Site) -> None:
        await super().prepare(site)
        if self.has_fork:
            fork = Writes(FORK)
            await site.publish(fork, await site.vote(forked(fork, site)))
        found = await site.stores.store.load(KEY)
        assert found is not None
        self.state = replace(found, generation=Generation(9), round_id=ROUND, is_deleted=True)
        record = replace(record_of(self.state), state=RepositoryState.DELETED)
        site.tell(Recorded(record, {}))

    async def act(self, site: Site) -> None:
        await self.heal(site)

    async def heal(self, site: Site) -> None:
        if await site.stores.store.load(KEY) is not None:
            await site.stores.store.replace(self.state, {}, None)


class BuryAlone(Bury):
    """The same without a fork: nothing may stay."""

    has_fork = False


class Rebase(Push):
    """An operator makes the replica the truth: another position, the same references, the journal is forgotten."""

    async def prepare(self, site: Site) -> None:
        await super().prepare(site)
        await site.stores.store.prepare(self.writes.update({SIDE: site.objects.first}))
        found = await site.stores.store.load(KEY)
        assert found is not None
        self.state = replace(found, generation=Generation(9), round_id=ROUND, prepared=())

    async def act(self, site: Site) -> None:
        before = record_of(replace(self.state, generation=Generation(8)))
        record = record_after_loss(
            before, PARTITION, generation=Generation(9), round_id=ROUND, refs_digest=self.state.refs_digest
        )
        site.tell(Recorded(record, self.writes.refs))
        await self.heal(site)

    async def heal(self, site: Site) -> None:
        found = await site.stores.store.load(KEY)
        assert found is not None
        if found.generation < self.state.generation:
            await site.stores.store.rebase(self.state)


class Combine(Push):
    """Three packs become one, and the commit graph is written."""

    async def prepare(self, site: Site) -> None:
        await super().prepare(site)
        objects = site.objects
        for target, base in ((objects.second, objects.first), (objects.third, objects.second)):
            round_ = await site.coordinate(self.writes.update({MAIN: target}), [target], [base])
            await site.publish(self.writes, round_)

    async def act(self, site: Site) -> None:
        report = await site.stores.upkeep.combine(KEY, await site.stores.upkeep.packs(KEY))
        assert report.packs_after == 1
        await site.stores.upkeep.write_commit_graph(KEY)

    async def heal(self, site: Site) -> None:
        await site.stores.upkeep.write_commit_graph(KEY)


class Leave(Push):
    """A replica is removed because its partition has moved to other nodes."""

    async def prepare(self, site: Site) -> None:
        await super().prepare(site)
        found = await site.stores.store.load(KEY)
        assert found is not None
        self.state = found
        site.tell(Recorded(record_of(found), self.writes.refs))

    async def act(self, site: Site) -> None:
        await site.stores.store.drop(KEY)

    async def heal(self, site: Site) -> None:
        """Come back to the partition: whatever is left must not be in the way."""
        await site.stores.store.drop(KEY)
        sync = replace(self.writes.update({}, has_pack=True), round_id=RoundId("5" * 32))
        await ingest(site.stores, sync, site.source.pack([site.objects.first]))
        await site.stores.store.replace(self.state, self.writes.refs, sync.round_id)


class SetAside(Push):
    """A damaged replica is set aside and filled again."""

    has_fork = False
    is_set_aside = True

    async def prepare(self, site: Site) -> None:
        await super().prepare(site)
        if self.has_fork:
            fork = Writes(FORK)
            await site.publish(fork, await site.vote(forked(fork, site)))
            # the parent lets go of what its fork needs: a sync of the parent would not bring it back
            await site.publish(self.writes, await site.vote(self.writes.update({MAIN: None})))
        found = await site.stores.store.load(KEY)
        assert found is not None
        self.state = found
        site.tell(Recorded(record_of(found), self.writes.refs))

    async def act(self, site: Site) -> None:
        await site.stores.store.set_aside(KEY, "a test says so")
        await self._fill(site)

    async def heal(self, site: Site) -> None:
        if not any((site.data / "damaged").iterdir()):
            await site.stores.store.set_aside(KEY, "a test says so")
        await self._fill(site)

    async def _fill(self, site: Site) -> None:
        found = await site.stores.store.load(KEY)
        if found is not None and found.generation >= self.state.generation:
            return
        sync = replace(self.writes.update({}, has_pack=True), round_id=RoundId("5" * 32))
        if not self.has_fork:
            await ingest(site.stores, sync, site.source.pack([site.objects.first]))
        await site.stores.store.replace(self.state, self.writes.refs, None if self.has_fork else sync.round_id)


class SetAsideParent(SetAside):
    """The same with a fork that reads the replica's objects all the while."""

    has_fork = True


class StartAfterCrash(Push):
    """A start that dies as well: a round to apply, locks, a half transaction, quarantines, half written files."""

    async def prepare(self, site: Site) -> None:
        await super().prepare(site)
        objects = site.objects
        draft = self.writes.update({MAIN: objects.second, SIDE: objects.second})
        round_ = await site.coordinate(draft, [objects.second], [objects.first])
        site.tell(Published(round_))
        lost = self.writes.update({SIDE: objects.third}, has_pack=True)
        await ingest(site.stores, lost, site.source.pack([objects.third]))
        site.tell(Begun(lost, (objects.third,)))
        repository = site.data / "repositories" / str(KEY.home) / KEY.repository
        for name in ("HEAD.lock", "refs/heads/main.lock", "packed-refs.lock", "objects/pack/tmp_pack_1", "mesh/x.tmp"):
            (repository / name).write_bytes(b"half")
        with (repository / "mesh" / "history").open("ab") as file:
            file.write(b"0123456789abcdef {")
        stray = repository / "mesh" / "journal" / ("e" * 32)
        for suffix in (".pack", ".json.tmp"):
            stray.with_suffix(suffix).write_bytes(b"half")

    async def act(self, site: Site) -> None:
        async with started(site):
            pass


def record_of(state: ReplicaState) -> Record:
    """A record of the generation that a replica is to have, which does not believe in this node yet."""
    record = Record(
        repository=state.key.repository,
        name=state.name,
        partition=state.key.home,
        home=state.key.home,
        generation=state.generation,
        round_id=state.round_id,
        refs_digest=state.refs_digest,
        inconsistent=frozenset(),
        state=RepositoryState.ACTIVE,
        object_format=state.object_format,
        recent=() if state.round_id is None else (state.round_id,),
        fork_root=KEY.repository,
    )
    return record_excluding(record, OWN)
