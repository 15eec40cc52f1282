"""This node as a participant in write rounds: receives objects, votes, applies, and settles what was left open.

    stage stream --> quarantine --> vote (core/participant.py decides, under the replica's lock) --> journal
    Commit / Abort / record --> apply or drop --> the repairer, where something was missed

Implements `ports.Replication`. The replica's lock covers every change of its state, so effects of one decision
are done before the next decision is made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar, assert_never

from meshnode.base.errors import (
    CatalogUnavailable,
    Corrupt,
    InvalidRequest,
    MeshError,
    OutcomeUnknown,
    ReplicaBehind,
    RepositoryNotFound,
)
from meshnode.base.ids import SYMBOLIC, Generation, NodeId, ObjectId, RefName, RefValue, RoundId
from meshnode.config import ReplicationSettings
from meshnode.core import participant as rules
from meshnode.core.keys import record_key
from meshnode.core.participant import Position
from meshnode.core.record import Record, encode_record, record_fenced
from meshnode.core.round import ReplicaKey, Round, WriteKind
from meshnode.engine.activity import NodeActivity
from meshnode.engine.intervals import elapse
from meshnode.engine.meter import Meter
from meshnode.engine.readers import Readers
from meshnode.engine.records import RecordAt, Records
from meshnode.engine.slots import KeyedLocks
from meshnode.engine.supervisor import Supervisor
from meshnode.ports import (
    Catalog,
    Clock,
    Compare,
    PackReceive,
    PackStore,
    Put,
    RefsSnapshot,
    ReplicaDescription,
    ReplicaReader,
    ReplicaState,
    ReplicaStore,
    StageChunk,
    StageFix,
    StageIndex,
    StageMessage,
    StageOpen,
    StagePrepare,
    Vote,
    VoteKind,
)

log = logging.getLogger("meshnode.engine")

T = TypeVar("T")

HISTORY_PAGE: Final = 200
FENCES_MAX: Final = 5
"""Compare-and-sets tried on one record in one go; the next look comes with the next tick anyway."""


@dataclass(frozen=True, kw_only=True)
class Disk:
    """The three faces of this node's replicas."""

    store: ReplicaStore
    reader: ReplicaReader
    packs: PackStore


class Participant:
    """Implements `ports.Replication`."""

    def __init__(
        self,
        *,
        own: NodeId,
        disk: Disk,
        catalog: Catalog,
        records: Records,
        clock: Clock,
        supervisor: Supervisor,
        settings: ReplicationSettings,
        on_repair: Callable[[ReplicaKey, str], None],
        on_damaged: Callable[[ReplicaKey, str], None],
        activity: NodeActivity,
        meter: Meter,
    ) -> None:
        self.own = own
        self.disk = disk
        self.locks = KeyedLocks()
        self._catalog = catalog
        self._records = records
        self._clock = clock
        self._supervisor = supervisor
        self._settings = settings
        self._on_repair = on_repair
        self._on_damaged = on_damaged
        self.activity = activity
        self.readers = Readers(clock)
        self._meter = meter
        self._open_since_ms: dict[ReplicaKey, dict[RoundId, int]] = {}

    def start(self) -> None:
        """Begin to look after rounds whose coordinator has gone quiet."""
        self._supervisor.keep("participant-settle", self._settle_forever)

    # ------------------------------------------------------------ prepare

    async def prepare(self, opening: StageOpen, messages: AsyncIterator[StageMessage]) -> Vote:
        """Receive objects, then vote; a stream that ends early leaves nothing behind."""
        receive: PackReceive | None = None
        fix_bytes = 0
        is_complete = False
        try:
            async for message in messages:
                match message:
                    case StageChunk(data):
                        if receive is None:
                            receive = await self.disk.packs.open_receive(
                                opening.key, opening.round_id, opening.object_format
                            )
                        await receive.write(data)
                    case StageFix(fix):
                        if receive is None:
                            raise InvalidRequest("a pack fix before any pack bytes")
                        fix_bytes = fix.index_bytes
                        await receive.finish(fix)
                    case StageIndex(data):
                        fix_bytes -= len(data)
                        if receive is None or fix_bytes < 0:
                            raise InvalidRequest("index bytes where none are expected")
                        await receive.write_index(data)
                    case StagePrepare(round_):
                        if (round_.key, round_.round_id) != (opening.key, opening.round_id):
                            raise InvalidRequest("the round is not the one the stream was opened for")
                        if round_.has_pack:
                            if receive is None or fix_bytes:
                                raise InvalidRequest("the round came before its objects were complete")
                            await receive.finish_index()
                        if receive is not None:
                            await receive.close()
                        is_complete = True
                        return await self.vote(round_)
                    case _:
                        assert_never(message)
            raise InvalidRequest("the stream ended before the round was prepared")
        finally:
            if not is_complete:
                if receive is not None:
                    await receive.close()
                await self._forget_unvoted(opening.key, opening.round_id)

    async def vote(self, round_: Round) -> Vote:
        """Decide on a round whose objects are in the quarantine; the coordinator's own vote comes here too."""
        return await self.run_to_end("participant-vote", self._vote(round_))

    async def _vote(self, round_: Round) -> Vote:
        key = round_.key
        try:
            return await self._vote_locked(key, round_)
        except Corrupt as damage:
            self._on_damaged(key, str(damage))
            await self._forget_unvoted(key, round_.round_id, again=round_ if round_.has_pack else None)
            raise
        except MeshError:
            await self._forget_unvoted(key, round_.round_id, again=round_ if round_.has_pack else None)
            raise

    async def _vote_locked(self, key: ReplicaKey, round_: Round) -> Vote:
        async with self.locks.hold(key):
            if self.activity.is_damaged(key):
                raise ReplicaBehind("this replica is damaged and being replaced", node=self.own)
            for _ in range(rules.STORED_ROUNDS_MAX + 2):
                state = await self._load(key)
                if state is None and round_.kind is not WriteKind.CREATE:
                    self._on_repair(key, "no replica")
                    await self.disk.store.discard(key, round_.round_id)
                    return Vote(kind=VoteKind.REFUSED, generation=Generation(0), reason="no replica here")
                position = position_of(state)
                refs = {} if state is None or not state.generation else (await self.disk.reader.snapshot(key)).refs
                prepared = () if state is None else state.prepared
                effects = rules.on_prepare(position, prepared, round_, refs)
                if any(isinstance(effect, rules.Grant) for effect in effects) and await self._lacks(round_, refs):
                    await self.disk.store.discard(key, round_.round_id)
                    return Vote(kind=VoteKind.REFUSED, generation=position.generation, reason="an object is not here")
                vote = await self._run(key, effects, position.generation)
                if vote is not None:
                    self._meter.count_vote(vote.kind.value)
                    if vote.kind is VoteKind.REFUSED and not _holds(state, round_.round_id):
                        await self.disk.store.discard(key, round_.round_id)
                        log.info("vote_refused", extra={"round": round_.round_id, "reason": vote.reason})
                    elif round_.has_pack and not any(isinstance(effect, rules.Journal) for effect in effects):
                        await self.disk.store.prepare(round_)  # drops what a second stream of the round brought
                    return vote
            raise Corrupt("the journal does not settle", repository=key.repository)

    async def _lacks(self, round_: Round, refs: Mapping[RefName, RefValue]) -> bool:
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
        return await self._lacks(round_, refs)

    async def _forget_unvoted(self, key: ReplicaKey, round_id: RoundId, *, again: Round | None = None) -> None:
        """Drop objects of a stream that led to no vote; of a round that was voted for through another stream (I3) only
        those that came `again`. Of a replica that cannot be read all go: what it promised goes with it.
        """
        async with self.locks.hold(key):
            try:
                state = await self._load(key)
            except Corrupt:
                state = None
            with suppress(Corrupt):  # behind the quarantine, which goes first
                if not _holds(state, round_id):
                    await self.disk.store.discard(key, round_id)
                elif again is not None:
                    await self.disk.store.prepare(again)

    # ------------------------------------------------------------ commit, abort, record

    async def commit(self, key: ReplicaKey, round_id: RoundId, generation: Generation) -> Generation:
        """Apply a published round; what it cannot reach is left to the repairer."""
        return await self.run_to_end("participant-commit", self._commit(key, round_id, generation))

    async def _commit(self, key: ReplicaKey, round_id: RoundId, generation: Generation) -> Generation:
        async with self.locks.hold(key):
            state = await self._load(key)
            if state is None:
                self._on_repair(key, "no replica")
                return Generation(0)
            effects = rules.on_commit(position_of(state), state.prepared, round_id, generation)
            await self._run(key, effects, state.generation)
            state = await self._load(key)
            if not self.activity.consistent_since_ms(key):
                self._on_repair(key, "may have rejoined")
            return Generation(0) if state is None else state.generation

    async def abort(self, key: ReplicaKey, round_id: RoundId) -> None:
        """Drop a round that will never be published."""
        await self.run_to_end("participant-abort", self._abort(key, round_id))

    async def _abort(self, key: ReplicaKey, round_id: RoundId) -> None:
        async with self.locks.hold(key):
            position = position_of(await self._load(key))
            await self._run(key, rules.on_abort(position, round_id), position.generation)
            await self._load(key)

    async def settle(
        self, key: ReplicaKey, record: Record | None, *, given_up: Collection[RoundId] = ()
    ) -> ReplicaState | None:
        """Apply and drop what the record decides; undecided rounds that are `given_up` are fenced off first.

        Returns the replica's state afterwards, None where there is no replica.
        """
        at: RecordAt | None = None
        for _ in range(FENCES_MAX):
            async with self.locks.hold(key):
                state = await self._load(key)
                if state is None:
                    return None
                effects = rules.on_record(position_of(state), state.prepared, record)
                undecided = [effect.round for effect in effects if isinstance(effect, rules.FenceRound)]
                others = [effect for effect in effects if not isinstance(effect, rules.FenceRound | rules.Repair)]
                await self._run(key, others, state.generation)
                state = await self._load(key)
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
            state = await self._load(key)
            if state is None:
                return False
            effects = rules.on_history(position_of(state), state.prepared, published)
            await self._run(key, effects, state.generation)
            return position_of(await self._load(key)) != position_of(state)

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
            state = await self._load(key)
            if state is None or state.generation != record.generation:
                return
            stale = [known.round_id for known in state.prepared if known.round_id in set(rounds)]
            await self._run(key, [rules.Drop(round_id) for round_id in stale], state.generation)

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

    # ------------------------------------------------------------ for repair and verify

    async def describe(self, key: ReplicaKey, *, deep: bool) -> ReplicaDescription | None:
        """This node's replica in its own words; `deep` reads everything from the disk again."""
        state = await self._load(key)
        if state is None or state.is_deleted:
            return None
        snapshot = await self.disk.reader.snapshot(key)
        description = ReplicaDescription(
            node=self.own,
            generation=state.generation,
            round_id=state.round_id,
            refs_digest=state.refs_digest,
            ref_count=len(snapshot.names),
            size_bytes=await self.disk.reader.size_bytes(key),
            prepared=tuple(known.round_id for known in state.prepared),
        )
        if not deep:
            return description
        async with self.locks.hold(key):
            state = await self._load(key)
            if state is None:
                return None
            digest = await self.disk.reader.digest_on_disk(key)
        problems = await self.disk.reader.fsck(key)
        return ReplicaDescription(
            node=self.own,
            generation=state.generation,
            round_id=state.round_id,
            refs_digest=state.refs_digest,
            ref_count=description.ref_count,
            size_bytes=description.size_bytes,
            prepared=tuple(known.round_id for known in state.prepared),
            digest_on_disk=digest,
            object_digest=await self.disk.reader.object_digest(key),
            problems=tuple(problems),
        )

    async def history(self, key: ReplicaKey, after: Generation) -> list[Round]:
        """Applied rounds after a generation, without a gap."""
        return await self.disk.reader.history(key, after, HISTORY_PAGE)

    async def snapshot(self, key: ReplicaKey) -> tuple[ReplicaState, RefsSnapshot]:
        """State and references at one generation."""
        async with self.locks.hold(key):
            state = await self._load(key)
            if state is None:
                raise RepositoryNotFound("no replica here", repository=key.repository)
            if not self.activity.consistent_since_ms(key):
                raise ReplicaBehind("this replica is not known to be consistent", generation=state.generation)
            snapshot = await self.disk.reader.snapshot(key)
        if snapshot.generation != state.generation:
            raise Corrupt("snapshot and state are at different generations", repository=key.repository)
        return state, snapshot

    async def fetch_objects(
        self, key: ReplicaKey, wants: Sequence[ObjectId], haves: Sequence[ObjectId]
    ) -> AsyncIterator[bytes]:
        """Stream a pack for a peer's repair."""
        self.readers.note(key)
        chunks = self.readers.counted(key, self.disk.packs.pack_objects(key, wants, haves))
        async with aclosing(chunks) as source:  # type: ignore[type-var]
            async for chunk in source:
                yield chunk

    # ------------------------------------------------------------ effects

    def report_behind(self, key: ReplicaKey, reason: str) -> None:
        """Have the repairer compare this replica with its record."""
        self._on_repair(key, reason)

    async def run_to_end(self, name: str, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end even if the caller goes away: a decision and its effects belong together."""
        return await asyncio.shield(self._supervisor.spawn(name, work))

    async def _load(self, key: ReplicaKey) -> ReplicaState | None:
        state = await self.disk.store.load(key)
        if state is not None and state.prepared:
            now, ages = self._clock.monotonic_ms(), self._open_since_ms.get(key, {})
            self._open_since_ms[key] = {known.round_id: ages.get(known.round_id, now) for known in state.prepared}
        else:
            self._open_since_ms.pop(key, None)
        return state

    async def _run(self, key: ReplicaKey, effects: Iterable[rules.Effect], generation: Generation) -> Vote | None:
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


def _holds(state: ReplicaState | None, round_id: RoundId) -> bool:
    """Whether a round is in the journal."""
    return state is not None and any(known.round_id == round_id for known in state.prepared)


def position_of(state: ReplicaState | None) -> Position:
    """Where a replica stands; nothing applied where there is none."""
    return Position(Generation(0), None) if state is None else Position(state.generation, state.round_id)
