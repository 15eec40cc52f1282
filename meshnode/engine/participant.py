"""This node as a participant in write rounds: receives objects, votes, and hears how rounds end.

    stage stream --> quarantine --> vote (core/participant.py decides, under the replica's lock) --> journal
    Commit / Abort --> apply or drop (engine/replicas.py) --> the repairer, where something was missed

Implements `ports.Replication`, with what peers repair from and compare by.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Final, assert_never

from meshnode.base.errors import Corrupt, InvalidRequest, MeshError, ReplicaBehind, RepositoryNotFound
from meshnode.base.ids import Generation, NodeId, ObjectId, RoundId
from meshnode.core import participant as rules
from meshnode.core.round import ReplicaKey, Round, WriteKind
from meshnode.engine.meter import Meter
from meshnode.engine.replicas import Replicas, position_of
from meshnode.ports import (
    PackReceive,
    RefsSnapshot,
    ReplicaDescription,
    ReplicaState,
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

HISTORY_PAGE: Final = 200


class Participant:
    """Implements `ports.Replication`."""

    def __init__(
        self, *, own: NodeId, replicas: Replicas, on_damaged: Callable[[ReplicaKey, str], None], meter: Meter
    ) -> None:
        self._own = own
        self._replicas = replicas
        self._on_damaged = on_damaged
        self._meter = meter

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
                            receive = await self._replicas.disk.packs.open_receive(
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
        return await self._replicas.run_to_end("participant-vote", self._vote(round_))

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
        replicas, disk = self._replicas, self._replicas.disk
        async with replicas.locks.hold(key):
            if replicas.activity.is_damaged(key):
                raise ReplicaBehind("this replica is damaged and being replaced", node=self._own)
            for _ in range(rules.STORED_ROUNDS_MAX + 2):
                state = await replicas.load(key)
                if state is None and round_.kind is not WriteKind.CREATE:
                    replicas.report_behind(key, "no replica")
                    await disk.store.discard(key, round_.round_id)
                    return Vote(kind=VoteKind.REFUSED, generation=Generation(0), reason="no replica here")
                position = position_of(state)
                refs = {} if state is None or not state.generation else (await disk.reader.snapshot(key)).refs
                prepared = () if state is None else state.prepared
                effects = rules.on_prepare(position, prepared, round_, refs)
                if any(isinstance(effect, rules.Grant) for effect in effects) and await replicas.lacks(round_, refs):
                    await disk.store.discard(key, round_.round_id)
                    return Vote(kind=VoteKind.REFUSED, generation=position.generation, reason="an object is not here")
                vote = await replicas.run(key, effects, position.generation)
                if vote is not None:
                    self._meter.count_vote(vote.kind.value)
                    if vote.kind is VoteKind.REFUSED and not _holds(state, round_.round_id):
                        await disk.store.discard(key, round_.round_id)
                        log.info("vote_refused", extra={"round": round_.round_id, "reason": vote.reason})
                    elif round_.has_pack and not any(isinstance(effect, rules.Journal) for effect in effects):
                        await disk.store.prepare(round_)  # drops what a second stream of the round brought
                    return vote
            raise Corrupt("the journal does not settle", repository=key.repository)

    async def _forget_unvoted(self, key: ReplicaKey, round_id: RoundId, *, again: Round | None = None) -> None:
        """Drop objects of a stream that led to no vote; of a round that was voted for through another stream (I3) only
        those that came `again`. Of a replica that cannot be read all go: what it promised goes with it.
        """
        async with self._replicas.locks.hold(key):
            try:
                state = await self._replicas.load(key)
            except Corrupt:
                state = None
            with suppress(Corrupt):  # behind the quarantine, which goes first
                if not _holds(state, round_id):
                    await self._replicas.disk.store.discard(key, round_id)
                elif again is not None:
                    await self._replicas.disk.store.prepare(again)

    # ------------------------------------------------------------ commit, abort

    async def commit(self, key: ReplicaKey, round_id: RoundId, generation: Generation) -> Generation:
        """Apply a published round; what it cannot reach is left to the repairer."""
        return await self._replicas.run_to_end("participant-commit", self._commit(key, round_id, generation))

    async def _commit(self, key: ReplicaKey, round_id: RoundId, generation: Generation) -> Generation:
        async with self._replicas.locks.hold(key):
            state = await self._replicas.load(key)
            if state is None:
                self._replicas.report_behind(key, "no replica")
                return Generation(0)
            effects = rules.on_commit(position_of(state), state.prepared, round_id, generation)
            await self._replicas.run(key, effects, state.generation)
            state = await self._replicas.load(key)
            if not self._replicas.activity.consistent_since_ms(key):
                self._replicas.report_behind(key, "may have rejoined")
            return Generation(0) if state is None else state.generation

    async def abort(self, key: ReplicaKey, round_id: RoundId) -> None:
        """Drop a round that will never be published."""
        await self._replicas.run_to_end("participant-abort", self._abort(key, round_id))

    async def _abort(self, key: ReplicaKey, round_id: RoundId) -> None:
        async with self._replicas.locks.hold(key):
            position = position_of(await self._replicas.load(key))
            await self._replicas.run(key, rules.on_abort(position, round_id), position.generation)
            await self._replicas.load(key)

    # ------------------------------------------------------------ for repair and verify

    async def describe(self, key: ReplicaKey, *, deep: bool) -> ReplicaDescription | None:
        """This node's replica in its own words; `deep` reads everything from the disk again."""
        state = await self._replicas.load(key)
        if state is None or state.is_deleted:
            return None
        snapshot = await self._replicas.disk.reader.snapshot(key)
        description = ReplicaDescription(
            node=self._own,
            generation=state.generation,
            round_id=state.round_id,
            refs_digest=state.refs_digest,
            ref_count=len(snapshot.names),
            size_bytes=await self._replicas.disk.reader.size_bytes(key),
            prepared=tuple(known.round_id for known in state.prepared),
        )
        if not deep:
            return description
        async with self._replicas.locks.hold(key):
            state = await self._replicas.load(key)
            if state is None:
                return None
            digest = await self._replicas.disk.reader.digest_on_disk(key)
        problems = await self._replicas.disk.reader.fsck(key)
        return ReplicaDescription(
            node=self._own,
            generation=state.generation,
            round_id=state.round_id,
            refs_digest=state.refs_digest,
            ref_count=description.ref_count,
            size_bytes=description.size_bytes,
            prepared=tuple(known.round_id for known in state.prepared),
            digest_on_disk=digest,
            object_digest=await self._replicas.disk.reader.object_digest(key),
            problems=tuple(problems),
        )

    async def history(self, key: ReplicaKey, after: Generation) -> list[Round]:
        """Applied rounds after a generation, without a gap."""
        return await self._replicas.disk.reader.history(key, after, HISTORY_PAGE)

    async def snapshot(self, key: ReplicaKey) -> tuple[ReplicaState, RefsSnapshot]:
        """State and references at one generation."""
        async with self._replicas.locks.hold(key):
            state = await self._replicas.load(key)
            if state is None:
                raise RepositoryNotFound("no replica here", repository=key.repository)
            if not self._replicas.activity.consistent_since_ms(key):
                raise ReplicaBehind("this replica is not known to be consistent", generation=state.generation)
            snapshot = await self._replicas.disk.reader.snapshot(key)
        if snapshot.generation != state.generation:
            raise Corrupt("snapshot and state are at different generations", repository=key.repository)
        return state, snapshot

    async def fetch_objects(
        self, key: ReplicaKey, wants: Sequence[ObjectId], haves: Sequence[ObjectId]
    ) -> AsyncIterator[bytes]:
        """Stream a pack for a peer's repair."""
        self._replicas.readers.note(key)
        chunks = self._replicas.readers.counted(key, self._replicas.disk.packs.pack_objects(key, wants, haves))
        async with aclosing(chunks) as source:  # type: ignore[type-var]
            async for chunk in source:
                yield chunk


def _holds(state: ReplicaState | None, round_id: RoundId) -> bool:
    """Whether a round is in the journal."""
    return state is not None and any(known.round_id == round_id for known in state.prepared)
