"""A node's disk in a scenario: real stores, objects to push, and somebody to tell what leaves the node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from meshnode.base.ids import ObjectId
from meshnode.config import ReplicationSettings
from meshnode.core.round import Round
from meshnode.git import durable
from meshnode.git.command import GitCommands
from meshnode.git.store import open_stores
from meshnode.git.stores import Step, Stores, no_step
from meshnode.ports import PackFix
from tests.contract.replica_fixtures import Objects, Source, Writes, ingest
from tests.crash.ledger import Begun, Fact, Ledger, Published, Voted

HISTORY_ROUNDS = 4
VOTED = "voted"
"""A point where nothing changes: the vote is given and the outcome not known."""


@dataclass(frozen=True)
class Shipment:
    """A pack as a coordinator sends it to a participant."""

    raw: bytes
    fix: PackFix
    index: bytes


class Site:
    """One process's view of the directory."""

    def __init__(
        self,
        data: Path,
        source: Source,
        ledger: Ledger,
        *,
        tell: Callable[[Fact], None] | None = None,
        step: Step = no_step,
    ) -> None:
        """`ledger` is what was known before; what is told goes to it unless `tell` is given."""
        self.data = data
        self.ledger = ledger
        self.source = source
        self.tell = tell or ledger.note
        self.commands = GitCommands()
        self.stores: Stores = open_stores(
            data, self.commands, None, ReplicationSettings(history_rounds=HISTORY_ROUNDS), step=step
        )

    @property
    def objects(self) -> Objects:
        """What there is to push."""
        return self.source.objects

    async def coordinate(
        self, round_: Round, wants: Sequence[ObjectId], haves: Sequence[ObjectId] = (), hidden: Sequence[ObjectId] = ()
    ) -> Round:
        """Vote for a round whose pack comes from a client; the round as it is then."""
        return await self._vote(round_, self.source.pack(wants, haves), None, hidden or wants)

    async def receive(self, round_: Round, shipment: Shipment, hidden: Sequence[ObjectId]) -> Round:
        """Vote for a round whose pack comes from the coordinator."""
        return await self._vote(round_, None, shipment, hidden)

    async def vote(self, round_: Round) -> Round:
        """Vote for a round that brings no objects."""
        self.tell(Begun(round_))
        await self.stores.store.prepare(round_)
        self._note_vote(round_)
        return round_

    async def _vote(
        self, round_: Round, pack: bytes | None, shipment: Shipment | None, hidden: Sequence[ObjectId]
    ) -> Round:
        round_ = replace(round_, has_pack=True)
        self.tell(Begun(round_, tuple(hidden)))
        if pack is not None:
            await ingest(self.stores, round_, pack, hidden)
        if shipment is not None:
            await take(self.stores, round_, shipment)
        await self.stores.store.prepare(round_)
        self._note_vote(round_)
        return round_

    def _note_vote(self, round_: Round) -> None:
        self.tell(Voted(round_))
        with durable.by_git(VOTED, self.data):  # a node may die while nothing happens
            pass

    async def publish(self, writes: Writes, round_: Round) -> None:
        """The record names the round; this node applies it."""
        self.tell(Published(round_))
        await self.stores.store.apply(writes.publish(round_))

    async def ship(self, round_: Round, wants: Sequence[ObjectId], haves: Sequence[ObjectId] = ()) -> Shipment:
        """What a coordinator would send to the others of a round."""
        raw = self.source.pack(wants, haves)
        arriving = await self.stores.packs.open_ingest(round_.key, round_.round_id, round_.object_format)
        try:
            await arriving.write(raw)
            fix = await arriving.finish()
            assert fix is not None
            return Shipment(raw, fix, b"".join([chunk async for chunk in arriving.index()]))
        finally:
            await arriving.close()
            await self.stores.store.discard(round_.key, round_.round_id)


async def take(stores: Stores, round_: Round, shipment: Shipment) -> None:
    """Bring a pack in as a participant does."""
    arriving = await stores.packs.open_receive(round_.key, round_.round_id, round_.object_format)
    try:
        half = len(shipment.raw) // 2
        await arriving.write(shipment.raw[:half])
        await arriving.write(shipment.raw[half:])
        await arriving.finish(shipment.fix)
        await arriving.write_index(shipment.index)
        await arriving.finish_index()
    finally:
        await arriving.close()
