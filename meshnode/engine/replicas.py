"""This node's replicas: does what the rules of `core/participant.py` decide, and settles what rounds left open.

    a vote, a Commit, the record, a peer's history --> the rules --> effects --> journal, references, objects

A replica's lock covers every change of its state, so effects of one decision are done before the next decision is made.
A round whose coordinator has gone quiet is looked up in the record; what the record does not decide is fenced off.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, assert_never

from meshnode.base.errors import CatalogUnavailable, Corrupt, MeshError, OutcomeUnknown, ReplicaBehind
from meshnode.base.ids import SYMBOLIC, Generation, ObjectId, RefName, RefValue, RoundId
from meshnode.config import ReplicationSettings
from meshnode.core import participant as rules
from meshnode.core.keys import record_key
from meshnode.core.participant import Position
from meshnode.core.record import Record, encode_record, record_fenced
from meshnode.core.round import ReplicaKey, Round, WriteKind
from meshnode.engine.activity import NodeActivity
from meshnode.engine.intervals import elapse
from meshnode.engine.readers import Readers
from meshnode.engine.records import RecordAt, Records
from meshnode.engine.slots import KeyedLocks
from meshnode.engine.supervisor import Supervisor
from meshnode.ports import (
    Catalog,
    Clock,
    Compare,
    PackStore,
    Put,
    ReplicaReader,
    ReplicaState,
    ReplicaStore,
    Vote,
    VoteKind,
)

log = logging.getLogger("meshnode.engine")

T = TypeVar("T")

FENCES_MAX: Final = 5
"""Compare-and-sets tried on one record in one go; the next look comes with the next tick anyway."""


@dataclass(frozen=True, kw_only=True)
class Disk:
    """The three faces of this node's replicas."""

    store: ReplicaStore
    reader: ReplicaReader
    packs: PackStore


class Replicas:
    """The disk of this node's replicas, and every way in which a decision changes one."""

    def __init__(
        self,
        *,
        disk: Disk,
        catalog: Catalog,
        records: Records,
        clock: Clock,
        supervisor: Supervisor,
        settings: ReplicationSettings,
        on_repair: Callable[[ReplicaKey, str], None],
        activity: NodeActivity,
    ) -> None:
        self.disk = disk
        self.locks = KeyedLocks()
        self.activity = activity
        self.readers = Readers(clock)
        self._catalog = catalog
        self._records = records
        self._clock = clock
        self._supervisor = supervisor
        self._settings = settings
        self._on_repair = on_repair
        self._open_since_ms: dict[ReplicaKey, dict[RoundId, int]] = {}

    def start(self) -> None:
        """Begin to look after rounds whose coordinator has gone quiet."""
        self._supervisor.keep("participant-settle", self._settle_forever)

    # ------------------------------------------------------------ decisions

    def report_behind(self, key: ReplicaKey, reason: str) -> None:
        """Have the repairer compare this replica with its record."""
        self._on_repair(key, reason)

    async def run_to_end(self, name: str, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end even if the caller goes away: a decision and its effects belong together."""
        return await asyncio.shield(self._supervisor.spawn(name, work))

    async def load(self, key: ReplicaKey) -> ReplicaState | None:
        """A replica's state, None where there is none. Notes on the way which rounds are open, and since when."""
        state = await self.disk.store.load(key)
        if state is not None and state.prepared:
            now, ages = self._clock.monotonic_ms(), self._open_since_ms.get(key, {})
            self._open_since_ms[key] = {known.round_id: ages.get(known.round_id, now) for known in state.prepared}
        else:
            self._open_since_ms.pop(key, None)
        return state

    async def run(self, key: ReplicaKey, effects: Iterable[rules.Effect], generation: Generation) -> Vote | None:
        """Do the effects in order; the answer, if there is one among them."""
        vote: Vote | None = None
        for effect in effects:
            match effect:
                case rules.Journal(round_):
                    try:
                        await self.disk.store.prepare(round_)
                    except Corrupt as lost:  # an Abort was faster than the vote: the replica itself is whole
                        return Vote(kind=VoteKind.REFUSED, generation=generation, reason=lost.message)
                    self._open_since_ms.setdefault(key, {}).setdefault(round_.round_id, self._clock.monotonic_ms())
                case rules.Apply(round_):
                    if await self._is_out_of_reach(round_):
                        log.info("round_out_of_reach", extra={"round": round_.round_id, "repository": key.repository})
                        return Vote(kind=VoteKind.REFUSED, generation=generation, reason="an object is not here")
                    state = await self.disk.store.apply(round_)
                    generation = state.generation
                    if round_.kind is WriteKind.CREATE:
                        self.activity.note_consistent(key)
                    log.debug("round_applied", extra={"round": round_.round_id, "generation": generation})
                case rules.Drop(round_id):
                    await self.disk.store.discard(key, round_id)
                case rules.Grant():
                    vote = Vote(kind=VoteKind.GRANTED, generation=generation)
                case rules.Store(reason):
                    vote = Vote(kind=VoteKind.STORED, generation=generation, reason=reason)
                case rules.Refuse(reason):
                    vote = Vote(kind=VoteKind.REFUSED, generation=generation, reason=reason)
                case rules.Repair(reason):
                    self._on_repair(key, reason)
                case rules.FenceRound():
                    raise AssertionError("fences are done by settle")
                case _:
                    assert_never(effect)
        return vote

    async def lacks(self, round_: Round, refs: Mapping[RefName, RefValue]) -> bool:
        """Whether a round that brings no objects names one that this replica has not got.

        Equal references do not make equal objects: what nothing named any more when a replica was filled is not
        there, and may still be at the coordinator.
        """
        if round_.has_pack or round_.kind is not WriteKind.UPDATE:
            return False
        new = {edit.new for edit in round_.edits if edit.new is not None and not edit.new.startswith(SYMBOLIC)}
        unnamed = sorted(ObjectId(value) for value in new.difference(refs.values()))
        return bool(unnamed) and bool(await self.disk.packs.missing(round_.key, unnamed))

    async def _is_out_of_reach(self, round_: Round) -> bool:
        """Whether a published round cannot be applied for want of an object that it names.

        It was kept without a vote when the replica was behind, and what brought the replica to the round's base did not
        bring what nothing named there.
        """
        if round_.has_pack or round_.kind is not WriteKind.UPDATE:
            return False
        try:
            refs = (await self.disk.reader.snapshot(round_.key)).refs
        except ReplicaBehind:  # half applied: it was begun, so everything was here
            return False
        return await self.lacks(round_, refs)

    # ------------------------------------------------------------ what rounds left open

    async def settle(
        self, key: ReplicaKey, record: Record | None, *, given_up: Collection[RoundId] = ()
    ) -> ReplicaState | None:
        """Apply and drop what the record decides; undecided rounds that are `given_up` are fenced off first.

        Returns the replica's state afterwards, None where there is no replica.
        """
        at: RecordAt | None = None
        for _ in range(FENCES_MAX):
            async with self.locks.hold(key):
                state = await self.load(key)
                if state is None:
                    return None
                effects = rules.on_record(position_of(state), state.prepared, record)
                undecided = [effect.round for effect in effects if isinstance(effect, rules.FenceRound)]
                others = [effect for effect in effects if not isinstance(effect, rules.FenceRound | rules.Repair)]
                await self.run(key, others, state.generation)
                state = await self.load(key)
            fenced = [known for known in undecided if known.round_id in given_up]
            if not fenced:
                return state
            at = await self._records.read(key)
            if at.record == record:
                await self._fence(key, at, fenced[0])
                at = await self._records.read(key)
                if at.record is not None and record is not None and at.record.fence > record.fence:
                    await self._drop_fenced(key, [known.round_id for known in fenced], at.record)
            record = at.record
        return state

    async def apply_published(self, key: ReplicaKey, published: Sequence[Round]) -> bool:
        """Apply what the journal holds of a consistent peer's history; whether that was anything."""
        async with self.locks.hold(key):
            state = await self.load(key)
            if state is None:
                return False
            effects = rules.on_history(position_of(state), state.prepared, published)
            await self.run(key, effects, state.generation)
            return position_of(await self.load(key)) != position_of(state)

    async def _fence(self, key: ReplicaKey, at: RecordAt, round_: Round) -> None:
        record = record_fenced(at.record, round_, at.partition.partition)
        log.info("round_fenced", extra={"repository": key.repository, "round": round_.round_id})
        try:
            await self._catalog.transact(
                [Compare(record_key(key.repository), at.record_revision)],
                [Put(record_key(key.repository), encode_record(record))],
            )
        except OutcomeUnknown as error:
            log.info("fence_unknown", extra={"repository": key.repository, "error": str(error)})

    async def _drop_fenced(self, key: ReplicaKey, rounds: Sequence[RoundId], record: Record) -> None:
        """Drop rounds that a fence has passed: same generation, another revision than any publish they had."""
        async with self.locks.hold(key):
            state = await self.load(key)
            if state is None or state.generation != record.generation:
                return
            stale = [known.round_id for known in state.prepared if known.round_id in set(rounds)]
            await self.run(key, [rules.Drop(round_id) for round_id in stale], state.generation)

    async def _settle_forever(self) -> None:
        while True:
            await elapse(self._clock, lambda: max(100, self._settings.prepared_age_ms // 4))
            now = self._clock.monotonic_ms()
            for key, ages in list(self._open_since_ms.items()):
                old = [round_id for round_id, since in ages.items() if now - since >= self._settings.prepared_age_ms]
                if not old:
                    continue
                try:
                    ages.update(dict.fromkeys(old, now))
                    record = (await self._records.read(key)).record
                    await self.settle(key, record, given_up=old)
                    self._on_repair(key, "an open round was settled")
                except (CatalogUnavailable, OutcomeUnknown) as error:
                    log.warning("round_not_settled", extra={"repository": key.repository, "error": str(error)})
                except MeshError:
                    log.exception("round_not_settled", extra={"repository": key.repository})


def position_of(state: ReplicaState | None) -> Position:
    """Where a replica stands; nothing applied where there is none."""
    return Position(Generation(0), None) if state is None else Position(state.generation, state.round_id)
