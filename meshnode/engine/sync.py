"""Brings one replica to a consistent peer's state: by the rounds it missed, or by everything at one generation.

    history connects?  yes --> rounds of it that the journal holds are applied
                               then objects the rest needs, references after the last of them
                       no  --> the peer's snapshot: objects this disk lacks, all references, HEAD
    either way: fetch a pack, index and check it, replace under the replica's lock

Transferring happens outside the replica's lock; only replacing holds it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

from meshnode.base.errors import Corrupt, ReplicaBehind, RepositoryNotFound
from meshnode.base.ids import SYMBOLIC, Generation, NodeId, ObjectId, RefName, RefValue, RoundId
from meshnode.core.record import Record
from meshnode.core.refs import digest_of, refs_after
from meshnode.core.repair import is_connected_history
from meshnode.core.round import ReplicaKey, Round, WriteKind
from meshnode.engine.meter import Meter
from meshnode.engine.pace import FillPace
from meshnode.engine.replicas import Replicas, position_of
from meshnode.ports import Entropy, Peers, RefsSnapshot, ReplicaState

log = logging.getLogger("meshnode.engine")

HISTORY_TAKEN: Final = 200
"""Rounds taken over from a peer: those a client may repeat, or a peer may ask for, in the next minutes."""
HAVES_MAX: Final = 100_000
"""Tips told to the peer; beyond that a few more objects travel than needed."""


@dataclass(frozen=True, slots=True)
class _Goal:
    """What the replica is to become, and the values among its references that may need objects."""

    state: ReplicaState
    refs: Mapping[RefName, RefValue]
    news: Collection[RefValue]
    missed: Sequence[Round] = ()
    """The rounds between this replica and the goal, where they are known."""


@dataclass(kw_only=True)
class Synchroniser:
    """Fetches from peers and replaces this node's replica."""

    replicas: Replicas
    peers: Peers
    entropy: Entropy
    meter: Meter
    pace: FillPace

    async def run(
        self, key: ReplicaKey, source: NodeId, state: ReplicaState | None, on_phase: Callable[[str], None]
    ) -> None:
        """Bring the replica to some generation that `source` has, by history where it connects.

        Raises:
            PeerUnavailable, ReplicaBehind, RepositoryNotFound: the source cannot help.
            Corrupt: what the source sent does not add up.
        """
        if state is not None and state.generation and await self._catch_up(key, source, state, on_phase):
            return
        await self._full_sync(key, source, on_phase)

    async def bury(self, key: ReplicaKey, record: Record) -> None:
        """Make the replica the tombstone that the record says."""
        async with self.replicas.locks.hold(key):
            state = await self.replicas.disk.store.load(key)
            if state is None:
                return
            tombstone = replace(
                state,
                generation=record.generation,
                round_id=record.round_id,
                refs_digest=record.refs_digest,
                is_deleted=True,
                prepared=(),
            )
            await self.replicas.disk.store.replace(tombstone, {}, None)

    async def _catch_up(
        self, key: ReplicaKey, source: NodeId, state: ReplicaState, on_phase: Callable[[str], None]
    ) -> bool:
        on_phase("repairing: reading missed writes")
        history = await self.peers.history(source, key, state.generation)
        if not is_connected_history(position_of(state), history):
            return False
        if any(step.kind is WriteKind.DELETE for step in history):
            return False
        if await self.replicas.apply_published(key, history):
            return True
        local = await self._local_snapshot(key)
        if local is None:
            return False
        if local.generation != state.generation:
            return True
        refs: Mapping[RefName, RefValue] = local.refs
        for step in history:
            refs = refs_after(refs, step.edits)
        last = history[-1]
        if digest_of(refs) != last.refs_digest:
            log.warning("catch_up_does_not_add_up", extra={"repository": key.repository, "peer": source})
            return False
        wanted = replace(
            state,
            generation=last.generation,
            round_id=last.round_id,
            refs_digest=last.refs_digest,
            name=last.name,
            prepared=(),
        )
        news = {edit.new for step in history for edit in step.edits if edit.new is not None}
        on_phase(f"repairing: {len(history)} missed writes")
        log.info("catch_up", extra={"repository": key.repository, "peer": source, "rounds": len(history)})
        goal = _Goal(wanted, refs, news & set(refs.values()), history)
        await self._transfer(key, source, goal, local)
        return True

    async def _full_sync(self, key: ReplicaKey, source: NodeId, on_phase: Callable[[str], None]) -> None:
        on_phase("repairing: reading references")
        with self.meter.repair_phase("read"):
            state, snapshot = await self.peers.snapshot(source, key)
        if state.key != key:
            raise Corrupt("the peer described another repository", peer=source)
        on_phase("repairing: fetching objects")
        log.info(
            "full_sync",
            extra={
                "repository": key.repository,
                "peer": source,
                "generation": state.generation,
                "refs": len(snapshot.refs),
            },
        )
        here = await self.replicas.disk.store.load(key)
        local = None if here is None or not here.generation else await self._local_snapshot(key)
        goal = _Goal(replace(state, prepared=()), snapshot.refs, set(snapshot.refs.values()))
        await self._transfer(key, source, goal, local)

    async def _local_snapshot(self, key: ReplicaKey) -> RefsSnapshot | None:
        """This replica's references; None where they are between two generations, or those of none: nothing to build on.

        A replica that is being filled anew may be left so by a full disk and a power cut.
        """
        try:
            return await self.replicas.disk.reader.snapshot(key)
        except (ReplicaBehind, Corrupt) as error:
            log.info("local_references_not_used", extra={"repository": key.repository, "error": str(error)})
            return None

    async def _transfer(self, key: ReplicaKey, source: NodeId, goal: _Goal, local: RefsSnapshot | None) -> None:
        wanted, refs = goal.state, goal.refs
        if digest_of(refs) != wanted.refs_digest and not wanted.is_deleted:
            raise Corrupt("references and digest do not match", peer=source, generation=wanted.generation)
        disk = self.replicas.disk
        tips = _oids(goal.news)
        missing = await disk.packs.missing(key, tips)
        quarantine: RoundId | None = None
        if missing:
            haves = [] if local is None else _oids(local.refs.values())[:HAVES_MAX]
            with self.meter.repair_phase("fetch"):
                quarantine = await self._fetch(key, source, wanted.object_format, missing, haves)
        elif tips and local is not None:
            await disk.packs.check_tips(key, tips)
        is_replaced = False
        try:
            history = await self._recent_history(key, source, goal)
            async with self.replicas.locks.hold(key):
                now = await disk.store.load(key)
                if now is None or now.generation < wanted.generation:
                    with self.meter.repair_phase("replace"):
                        await disk.store.replace(wanted, refs, quarantine, history=history)
                    is_replaced = True
        finally:
            if quarantine is not None and not is_replaced:
                await disk.store.discard(key, quarantine)

    async def _recent_history(self, key: ReplicaKey, source: NodeId, goal: _Goal) -> Sequence[Round]:
        """Rounds that led to the goal, as far back as the peer tells: to recognise repetitions, and for other peers."""
        at = goal.state.generation
        rounds = await self.peers.history(source, key, Generation(max(0, at - HISTORY_TAKEN)))
        rounds = [known for known in rounds if known.generation <= at]
        if rounds and rounds[-1].round_id == goal.state.round_id:
            return rounds
        return goal.missed

    async def _fetch(
        self, key: ReplicaKey, source: NodeId, object_format: str, wants: list[ObjectId], haves: list[ObjectId]
    ) -> RoundId | None:
        """Fetch and index a pack; the quarantine it lies in, None where it turned out to be empty."""
        round_id = RoundId(self.entropy.new_id())
        ingest = await self.replicas.disk.packs.open_ingest(key, round_id, object_format)
        is_complete = False
        try:
            async with aclosing(self.peers.fetch_objects(source, key, wants, haves)) as chunks:  # type: ignore[type-var]
                async for chunk in chunks:
                    await ingest.write(chunk)
                    await self.pace.take(key, len(chunk))
            fix = await ingest.finish()
            if fix is None:
                raise RepositoryNotFound("the peer sent no objects", peer=source)
            await ingest.check_connected(wants, is_for_others=False)
            is_complete = True
            return round_id
        finally:
            await ingest.close()
            if not is_complete:
                await self.replicas.disk.store.discard(key, round_id)


def _oids(values: Collection[RefValue]) -> list[ObjectId]:
    return sorted({ObjectId(str(value)) for value in values if not value.startswith(SYMBOLIC)})
