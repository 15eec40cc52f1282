"""Drives one write round at its coordinator: feeds `core/write.py` with what happens, does what it says.

    votes (shipment, own) --+
    timers -----------------+--> events --> WriteRound.on() --> effects --> catalog, commits, aborts
    catalog answers --------+

Once driving has begun it ends by itself within the bounds of its settings, whoever goes away meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, assert_never

from meshnode.base.errors import CatalogUnavailable, Forbidden, InvalidRequest, MeshError, NotFound, Unauthenticated
from meshnode.base.ids import NodeId
from meshnode.config import ReplicationSettings
from meshnode.core import write as rules
from meshnode.core.keys import config_key, partition_key, record_key
from meshnode.core.record import Record, encode_record
from meshnode.core.round import Round
from meshnode.core.write import Finish, WriteRound
from meshnode.engine.meter import Meter
from meshnode.engine.participant import Participant
from meshnode.engine.records import RecordAt, Records, listing_mark
from meshnode.engine.shipping import Shipment
from meshnode.engine.supervisor import Supervisor
from meshnode.ports import Catalog, Clock, Compare, Delete, Peers, Put, VoteKind

log = logging.getLogger("meshnode.engine")

REREAD_PAUSE_MS: Final = 100
"""Between two looks at a catalog that does not answer."""
TELL_TRIES: Final = 3
NOT_APPLIED: Final = (CatalogUnavailable, Forbidden, Unauthenticated, InvalidRequest, NotFound)
"""What says of a transaction that it was surely not applied; any other error leaves that open."""


@dataclass(frozen=True, kw_only=True)
class NameChange:
    """What a publish also does to names: reserve, release."""

    compares: Sequence[Compare] = ()
    writes: Sequence[Put | Delete] = ()


@dataclass(kw_only=True)
class RoundDriver:
    """Runs rounds for this node as coordinator."""

    own: NodeId
    catalog: Catalog
    records: Records
    peers: Peers
    participant: Participant
    clock: Clock
    supervisor: Supervisor
    settings: ReplicationSettings
    on_unreachable: Callable[[NodeId], None]
    meter: Meter

    async def run(self, round_: Round, at: RecordAt, shipment: Shipment, names: NameChange) -> Finish:
        """Take the round from its votes to its end. The shipment has everything but the round itself."""
        started_ms = self.clock.monotonic_ms()
        run = _Run(self, round_, at, shipment, names)
        finish = await run.drive()
        elapsed_ms = self.clock.monotonic_ms() - started_ms
        log.info(
            "round_finished",
            extra={
                "repository": round_.repository,
                "round": round_.round_id,
                "kind": round_.kind.value,
                "outcome": finish.outcome.value,
                "generation": round_.generation,
                "reason": finish.reason,
                "excluded": sorted(finish.record.inconsistent) if finish.record else [],
                "ms": elapsed_ms,
            },
        )
        self.meter.count_round(kind=round_.kind.value, outcome=finish.outcome.value)
        self.meter.time_round("total", elapsed_ms / 1000)
        return finish


class _Run:
    """One round being driven."""

    def __init__(self, driver: RoundDriver, round_: Round, at: RecordAt, shipment: Shipment, names: NameChange) -> None:
        self._driver = driver
        self._round = round_
        self._at = at
        self._shipment = shipment
        self._names = names
        self._config = Compare(config_key(round_.repository), at.config_revision)
        """Of the configuration that the round was checked by, whatever is read later."""
        self._events: asyncio.Queue[rules.Event] = asyncio.Queue()
        self._voting: asyncio.Task[None] | None = None
        self._begun_ms = driver.clock.monotonic_ms()
        self._machine = WriteRound(
            round=round_,
            own=driver.own,
            base=at.record,
            partition=at.partition,
            invited=shipment.nodes | {driver.own},
        )

    async def drive(self) -> Finish:
        driver = self._driver
        self._shipment.deliver_votes_to(self._events.put_nowait)
        async with asyncio.TaskGroup() as group:
            timers = [
                group.create_task(self._after(driver.settings.prepare_ms, rules.VotingDeadline())),
                group.create_task(self._after(driver.settings.prepare_ms + driver.settings.publish_ms, rules.TimeUp())),
            ]
            self._voting = group.create_task(self._vote())
            shipping = group.create_task(self._ship())
            try:
                while True:
                    for effect in self._machine.on(await self._events.get()):
                        if isinstance(effect, Finish):
                            return effect
                        await self._do(effect, group, timers)
            finally:
                for task in (*timers, shipping):
                    task.cancel()
                await asyncio.wait({self._voting})

    async def _ship(self) -> None:
        await self._shipment.finish(self._round)

    async def _vote(self) -> None:
        own = self._driver.own
        try:
            vote = await self._driver.participant.vote(self._round)
        except MeshError as error:
            self._events.put_nowait(rules.VoteMissing(own, error.message))
            return
        if vote.kind is VoteKind.GRANTED:
            self._events.put_nowait(rules.VoteGranted(own))
        else:
            self._events.put_nowait(rules.VoteMissing(own, vote.reason))

    async def _after(self, duration_ms: int, event: rules.Event) -> None:
        await self._driver.clock.sleep(duration_ms)
        self._events.put_nowait(event)

    async def _do(self, effect: rules.Effect, group: asyncio.TaskGroup, timers: list[asyncio.Task[None]]) -> None:
        match effect:
            case rules.StartGrace():
                timers.append(group.create_task(self._after(self._driver.settings.grace_ms, rules.GraceElapsed())))
            case rules.Publish(record):
                await self._publish(record)
            case rules.ReadRecord():
                await self._read()
            case rules.Fence(record):
                await self._fence(record)
            case rules.TellCommit(nodes):
                await self._tell_commit(nodes)
            case rules.TellAbort(nodes):
                await self._tell_abort(nodes)
            case Finish():
                raise AssertionError("the loop takes Finish")
            case _:
                assert_never(effect)

    # ------------------------------------------------------------ catalog

    async def _publish(self, record: Record) -> None:
        at = self._at
        begun_ms = self._driver.clock.monotonic_ms()
        self._driver.meter.time_round("votes", (begun_ms - self._begun_ms) / 1000)
        key = record_key(self._round.repository)
        try:
            revision = await self._driver.catalog.transact(
                [
                    Compare(key, at.record_revision),
                    Compare(partition_key(at.partition.partition), at.partition_revision),
                    self._config,
                    *self._names.compares,
                ],
                [
                    Put(key, encode_record(record)),
                    *listing_mark(at.record, record, at.partition),
                    *self._names.writes,
                ],
            )
        except NOT_APPLIED as error:
            self._events.put_nowait(rules.PublishRefused(str(error)))
        except MeshError as error:
            log.warning("publish_unknown", extra={"round": self._round.round_id, "error": str(error)})
            self._events.put_nowait(rules.PublishUnknown())
        else:
            self._driver.meter.time_round("publish", (self._driver.clock.monotonic_ms() - begun_ms) / 1000)
            self._events.put_nowait(rules.PublishConflict() if revision is None else rules.PublishDone())

    async def _read(self) -> None:
        """Read until the catalog answers or the round's time is up."""
        deadline_ms = self._driver.clock.monotonic_ms() + self._driver.settings.publish_ms
        while True:
            try:
                self._at = await self._driver.records.read_at(self._round.repository, self._at.partition.partition)
            except MeshError as error:
                log.info("record_not_read", extra={"round": self._round.round_id, "error": str(error)})
                if self._driver.clock.monotonic_ms() >= deadline_ms:
                    self._events.put_nowait(rules.TimeUp())
                    return
                await self._driver.clock.sleep(REREAD_PAUSE_MS)
            else:
                has_new_config = self._at.config_revision != self._config.revision
                self._events.put_nowait(rules.RecordRead(self._at.record, self._at.partition, has_new_config))
                return

    async def _fence(self, record: Record) -> None:
        """Fence once; a catalog that takes no writes is asked again after a pause, with a look at the record in between."""
        key = record_key(self._round.repository)
        try:
            revision = await self._driver.catalog.transact(
                [Compare(key, self._at.record_revision)], [Put(key, encode_record(record))]
            )
        except MeshError as error:
            log.info("fence_failed", extra={"round": self._round.round_id, "error": str(error)})
            await self._driver.clock.sleep(REREAD_PAUSE_MS)
            revision = None
        self._events.put_nowait(rules.FenceFailed() if revision is None else rules.FenceDone())

    # ------------------------------------------------------------ the last word

    async def _tell_commit(self, nodes: Sequence[NodeId]) -> None:
        """Let everyone apply, this node included, while the client already has its answer.

        The record is published: that is what the answer promises. A read or a write that comes before the round is
        applied here finds it in the journal, named by the record, and applies it first.
        """
        for node in nodes:
            self._driver.supervisor.spawn(f"round-commit-{node}", self._committing(node))

    def _committing(self, node: NodeId) -> Coroutine[Any, Any, None]:
        if node == self._driver.own:
            return self._commit_here()
        if node in self._shipment.read_replicas:
            self._shipment.let_finish(node)
            return self._commit_at_read_replica(node)
        return self._commit_at(node)

    async def _commit_here(self) -> None:
        driver, round_ = self._driver, self._round
        begun_ms = driver.clock.monotonic_ms()
        try:
            await driver.participant.commit(round_.key, round_.round_id, round_.generation)
            driver.meter.time_round("commit", (driver.clock.monotonic_ms() - begun_ms) / 1000)
        except MeshError:
            log.exception("commit_failed_here", extra={"round": round_.round_id, "repository": round_.repository})

    async def _commit_at(self, node: NodeId) -> None:
        round_ = self._round
        for attempt in range(1, TELL_TRIES + 1):
            try:
                await self._driver.peers.commit(node, round_.key, round_.round_id, round_.generation)
                return
            except MeshError as error:
                if attempt == TELL_TRIES:
                    log.info("commit_not_told", extra={"peer": node, "round": round_.round_id, "error": str(error)})
                    self._driver.on_unreachable(node)
                    return
                await self._driver.clock.sleep(REREAD_PAUSE_MS * attempt)

    async def _commit_at_read_replica(self, node: NodeId) -> None:
        """Nobody has waited for its vote: let it take the round in first."""
        await self._shipment.end_of(node, self._driver.settings.prepare_ms)
        await self._commit_at(node)

    async def _tell_abort(self, nodes: Sequence[NodeId]) -> None:
        driver, round_ = self._driver, self._round
        for node in nodes:
            if node != driver.own:
                driver.supervisor.spawn(f"round-abort-{node}", self._abort_at(node))
        if self._voting is not None:
            await asyncio.wait({self._voting})
        try:
            await driver.participant.abort(round_.key, round_.round_id)
        except MeshError:
            log.exception("abort_failed_here", extra={"round": round_.round_id, "repository": round_.repository})

    async def _abort_at(self, node: NodeId) -> None:
        """Once is enough: a participant that does not hear it fences the round off by itself."""
        try:
            await self._driver.peers.abort(node, self._round.key, self._round.round_id)
        except MeshError as error:
            log.info("abort_not_told", extra={"peer": node, "round": self._round.round_id, "error": str(error)})
