"""Tells followers what was written, out of the rounds that replicas remember. Implements `ports.Events`.

    record moved on to g --> rounds after the last one told, from a consistent replica --> told in order
                             not remembered any more                                   --> a gap, and on from there

The record decides what is published; replicas only know the details. A replica's rounds are taken where they lead,
without a gap, to the very round that the record names (or past it). Nothing is queued: a follower that is slow asks
for more rounds at once later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Final

from meshnode.base.errors import MeshError, Overloaded
from meshnode.base.ids import Generation, NodeId, RepositoryId
from meshnode.core.record import Record, RepositoryState, consistent_nodes
from meshnode.core.round import Round, WriteKind
from meshnode.engine.membership import ClusterMembership
from meshnode.engine.participant import Participant
from meshnode.engine.replicas import Replicas
from meshnode.engine.standings import Follower, StandingsTable
from meshnode.ports import Change, Deleted, Event, Gap, Heartbeat, Peers, Scope, Standing, Standings

log = logging.getLogger("meshnode.engine")

FOLLOWERS_MAX: Final = 1_000
RETRY_MS: Final = 500
"""Pause before replicas that could not tell are asked again."""


class Feed:
    """Follows committed writes for callers of this node."""

    def __init__(
        self,
        *,
        own: NodeId,
        table: StandingsTable,
        membership: ClusterMembership,
        replicas: Replicas,
        participant: Participant,
        peers: Peers,
    ) -> None:
        self._own = own
        self._table = table
        self._membership = membership
        self._replicas = replicas
        self._participant = participant
        self._peers = peers
        self._followers: set[Follower] = set()
        self._is_closing = False

    def close(self) -> None:
        """End every watch after what it is telling. Idempotent."""
        self._is_closing = True
        for follower in self._followers:
            follower.wake()

    async def watch(
        self, scope: Scope, resume: Mapping[RepositoryId, Generation] | None, heartbeat_ms: int
    ) -> AsyncIterator[Event]:
        """Events of the scope."""
        if self._table.follower_count >= FOLLOWERS_MAX:
            raise Overloaded("too many follow changes at this node", retry_after_ms=1_000, followers_max=FOLLOWERS_MAX)
        follower = Follower()
        self._followers.add(follower)
        try:
            with self._table.following(follower):
                await self._table.until_complete()
                told = _Told(scope, dict(resume or {}))
                if resume is None:
                    yield Standings(told.begin(self._table.records.values()))
                for repository in list(self._table.records):
                    follower.note(repository)
                while not self._is_closing:
                    stuck: list[RepositoryId] = []
                    while follower.moved and not self._is_closing:
                        repository = next(iter(follower.moved))
                        del follower.moved[repository]
                        record = self._table.records.get(repository)
                        if record is None or not told.is_news(record):
                            continue
                        events = await self._events(record, told.after(repository))
                        if events is None:
                            stuck.append(repository)
                            continue
                        for event in events:
                            if told.take(event):
                                yield event
                        follower.moved[repository] = None  # rounds come a page at a time
                    follower.moved.update(dict.fromkeys(stuck))
                    if await self._is_silent(follower, RETRY_MS if stuck else heartbeat_ms) and not stuck:
                        self._table.check_current()
                        yield Heartbeat()
        finally:
            self._followers.discard(follower)

    async def _is_silent(self, follower: Follower, time_ms: int) -> bool:
        """Wait until something moves; True where nothing did for `time_ms`."""
        if self._is_closing:
            return False
        try:
            async with asyncio.timeout(time_ms / 1000):
                await follower.wait()
        except TimeoutError:
            return True
        if not follower.moved and not self._is_closing:
            self._table.check_current()
        return False

    async def _events(self, record: Record, after: Generation) -> Sequence[Change | Deleted | Gap] | None:
        """What was written after a generation, a page of it; None where nobody can tell just now."""
        is_forgotten = False
        for node in self._sources(record):
            try:
                rounds, reached = await self._rounds(node, record, after)
            except MeshError as error:
                log.info("feed_source_failed", extra={"peer": node, "error": str(error)})
                continue
            if rounds:
                return [Change(round_) for round_ in rounds]
            is_forgotten |= reached
        standing = Standing(record.repository, record.name, record.generation)
        if record.state is RepositoryState.DELETED:
            return [Deleted(standing)]
        return [Gap(standing, after)] if is_forgotten else None

    async def _rounds(self, node: NodeId, record: Record, after: Generation) -> tuple[list[Round], bool]:
        """Rounds right after `after` at one replica, and whether it has applied what the record names."""
        key = record.key
        if node == self._own:
            state = await self._replicas.settle(key, record)
            generation = Generation(0) if state is None else state.generation
            rounds = await self._participant.history(key, after)
        else:
            description = await self._peers.describe(node, key, deep=False)
            generation = Generation(0) if description is None else description.generation
            rounds = await self._peers.history(node, key, after)
        reached = generation >= record.generation
        is_whole = bool(rounds) and rounds[0].generation == after + 1
        return (rounds if is_whole and _leads_to(rounds, record) else []), reached

    def _sources(self, record: Record) -> list[NodeId]:
        """Replicas that the record believes in, this node first."""
        try:
            partition = self._membership.partition(record.partition)
        except MeshError:
            return []
        nodes = [node for node in consistent_nodes(record, partition) if node in self._membership.online()]
        return sorted(nodes, key=lambda node: (node != self._own, self._membership.is_suspect(node)))


class _Told:
    """What a follower was told of each repository."""

    def __init__(self, scope: Scope, generations: Mapping[RepositoryId, Generation]) -> None:
        self._scope = scope
        self._generations = dict(generations)
        self._known = set(generations)
        """Repositories the follower has heard of, and so must hear the end of."""

    def begin(self, records: Iterable[Record]) -> tuple[Standing, ...]:
        """Take everything as told that stands now; the standings of the scope, by name."""
        found = []
        for record in records:
            if record.state is RepositoryState.ACTIVE and self._scope.has(record.repository, record.name):
                self._generations[record.repository] = record.generation
                self._known.add(record.repository)
                found.append(Standing(record.repository, record.name, record.generation))
        return tuple(sorted(found, key=lambda standing: standing.name))

    def is_news(self, record: Record) -> bool:
        """Whether the follower wants to hear of a record that stands like this."""
        if record.generation <= self.after(record.repository):
            return False
        if record.repository in self._known:
            return True
        return record.state is RepositoryState.ACTIVE and self._scope.has(record.repository, record.name)

    def after(self, repository: RepositoryId) -> Generation:
        """The generation up to which everything was told."""
        return self._generations.get(repository, Generation(0))

    def take(self, event: Change | Deleted | Gap) -> bool:
        """Note an event as told; False for one that is none of the follower's business."""
        if isinstance(event, Change):
            repository, name, generation = event.round.repository, event.round.name, event.round.generation
            is_end = event.round.kind is WriteKind.DELETE
        else:
            standing = event.standing
            repository, name, generation = standing.repository, standing.name, standing.generation
            is_end = isinstance(event, Deleted)
        self._generations[repository] = generation
        is_followed = self._scope.has(repository, name)
        is_wanted = is_followed or repository in self._known
        if is_followed and not is_end:
            self._known.add(repository)
        else:
            self._known.discard(repository)
        return is_wanted


def _leads_to(rounds: Sequence[Round], record: Record) -> bool:
    """Whether the rounds are of the history that the record stands for, as far as the record can tell."""
    published = dict(zip(range(record.generation, 0, -1), reversed(record.recent), strict=False))
    return all(published.get(one.generation, one.round_id) == one.round_id for one in rounds)
