"""Looks for damage on this node's disk, in the background and on demand. `core/scrub.py` judges, this looks and acts.

    quick  every `scrub.quick_interval_ms`: positions and references of every replica against memory and record
    deep   every `scrub.interval_ms`: also every byte of packs and loose objects, at `scrub.bytes_per_s_max`
    damaged --> out of the record, set aside (kept), filled again from a peer: the repairer's way

A scrub holds the replica's lock only while it compares positions and references; objects are read while writes go
on, so what git complains of counts only if a second look says the same. Nothing is done to the last replica that a
record believes in: whoever has lost the others must decide (`meshnode repo accept-data-loss`).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from typing import Final

from meshnode.base.errors import Corrupt, MeshError, Overloaded, RepositoryNotFound
from meshnode.base.ids import Generation, NodeId
from meshnode.config import ScrubSettings
from meshnode.core.round import ReplicaKey
from meshnode.core.scrub import SOUND, Account, Finding, Verdict, judge_replica, may_be_taken_out, real_problems
from meshnode.engine.activity import NodeActivity
from meshnode.engine.intervals import elapse
from meshnode.engine.lane import Lane
from meshnode.engine.meter import Meter
from meshnode.engine.records import RecordAt, Records
from meshnode.engine.repair_queue import RepairQueue
from meshnode.engine.replicas import Replicas, position_of
from meshnode.engine.supervisor import Supervisor
from meshnode.ports import Clock, ReplicaState, ScrubReport

log = logging.getLogger("meshnode.engine")

FIRST_DEEP_MS: Final = 600_000
"""From the start of a node to its first deep scrub: a starting node has better things to do."""
WAITING_MAX: Final = 256
"""Scrubs on demand that wait for a place; each may take minutes."""
QUEUE_MAX: Final = WAITING_MAX + 2
"""They, and the two passes of the background."""
RETRY_AFTER_MS: Final = 10_000
TAKE_OUT_MS: Final = 10_000
"""How long a scrub keeps its place for what it found damaged to be set aside: a full disk may take days."""
PROBLEMS_MAX: Final = 20
"""Complaints of git that a report names; one broken pack can make thousands."""


@dataclass(kw_only=True)
class _Look:
    """One look at a replica."""

    at: RecordAt
    finding: Finding
    problems: tuple[str, ...] = ()
    generation: Generation = Generation(0)


class Scrubber:
    """Implements `ports.Scrubs`."""

    def __init__(
        self,
        *,
        own: NodeId,
        records: Records,
        replicas: Replicas,
        repairs: RepairQueue,
        activity: NodeActivity,
        clock: Clock,
        supervisor: Supervisor,
        settings: ScrubSettings,
        meter: Meter,
    ) -> None:
        self._own = own
        self._records = records
        self._replicas = replicas
        self._repairs = repairs
        self._activity = activity
        self._clock = clock
        self._supervisor = supervisor
        self._settings = settings
        self._meter = meter
        self._places = Lane(places=lambda: settings.slots, queue_max=lambda: QUEUE_MAX, limit="scrub.slots")
        self._running: dict[ReplicaKey, asyncio.Task[ScrubReport]] = {}

    def start(self) -> None:
        """Begin to look in the background, when and where the settings want it."""
        self._supervisor.keep("scrub-quick", partial(self._scrub_forever, is_deep=False))
        self._supervisor.keep("scrub-deep", partial(self._scrub_forever, is_deep=True))

    async def scrub(self, key: ReplicaKey) -> ScrubReport:
        """Read everything of this node's replica now. See `ports.Scrubs`."""
        task = self._running.get(key)
        if task is None:
            if len(self._running) >= WAITING_MAX:
                raise Overloaded("too many scrubs wait", retry_after_ms=RETRY_AFTER_MS, waiting=len(self._running))
            task = self._supervisor.spawn("scrub-asked", self._scrub(key, is_deep=True))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(task)

    # ------------------------------------------------------------ the background

    def _interval_ms(self, *, is_deep: bool) -> int:
        return self._settings.interval_ms if is_deep else self._settings.quick_interval_ms

    async def _scrub_forever(self, *, is_deep: bool) -> None:
        interval_ms = partial(self._interval_ms, is_deep=is_deep)
        await elapse(self._clock, lambda: min(interval_ms(), FIRST_DEEP_MS))
        while True:
            began_ms = self._clock.monotonic_ms()
            try:
                for key in await self._replicas.disk.store.list_replicas():
                    await self._scrub_quietly(key, is_deep=is_deep)
            except MeshError as error:
                log.warning("scrub_ended_early", extra={"error": str(error)})
            await elapse(self._clock, interval_ms, since_ms=began_ms)

    async def _scrub_quietly(self, key: ReplicaKey, *, is_deep: bool) -> None:
        """One replica of a background pass, at the rate that is allowed."""
        began_ms = self._clock.monotonic_ms()
        size_bytes = 0
        try:
            await self._scrub(key, is_deep=is_deep)
            if is_deep:
                size_bytes = await self._replicas.disk.reader.size_bytes(key)
        except RepositoryNotFound:
            return  # deleted, or set aside, while the pass was on its way
        except MeshError as error:
            log.info("scrub_postponed", extra={"repository": key.repository, "error": str(error)})
        if size_bytes:
            due_ms = lambda: max(1, size_bytes * 1_000 // self._settings.bytes_per_s_max)  # noqa: E731
            await elapse(self._clock, due_ms, since_ms=began_ms)

    # ------------------------------------------------------------ one replica

    async def _scrub(self, key: ReplicaKey, *, is_deep: bool) -> ScrubReport:
        async with self._places:
            look = await self._look(key, is_deep=is_deep)
            findings = (*((look.finding.reason,) if look.finding.reason else ()), *look.problems)
            action, kept = "", ""
            if look.finding.verdict is Verdict.DAMAGED:
                action, kept = await self._take_out(key, look.at, "; ".join(findings)[:1_000])
            elif look.finding.verdict is Verdict.UNFINISHED:
                self._replicas.report_behind(key, f"scrub: {look.finding.reason}")
                action = "left to repair"
        if is_deep or look.finding.verdict is Verdict.DAMAGED:
            self._meter.count_scrub(look.finding.verdict.value)
            log.info(
                "scrubbed",
                extra={"repository": key.repository, "verdict": look.finding.verdict.value, "action": action},
            )
        return ScrubReport(
            node=self._own,
            verdict=look.finding.verdict,
            findings=findings,
            action=action,
            kept=kept,
            generation=look.generation,
        )

    async def _look(self, key: ReplicaKey, *, is_deep: bool) -> _Look:
        at = await self._records.read(key)
        if at.record is None or self._own not in at.partition.members:
            return _Look(at=at, finding=SOUND)
        if self._activity.is_damaged(key) or any(repair.key == key for repair in self._activity.repairs()):
            return _Look(at=at, finding=Finding(Verdict.UNFINISHED, "the replica is being repaired"))
        look = _Look(at=at, finding=SOUND)
        try:
            await self._replicas.settle(key, at.record)
            look.finding, look.generation = await self._compare(key, at)
            if is_deep and look.finding.verdict is Verdict.SOUND and look.generation:
                look.problems = await self._object_problems(key)
        except Corrupt as damage:
            look.finding = Finding(Verdict.DAMAGED, str(damage))
        if look.problems:
            look.finding = Finding(Verdict.DAMAGED, "objects are damaged or missing")
        return look

    async def _compare(self, key: ReplicaKey, at: RecordAt) -> tuple[Finding, Generation]:
        """The verdict on positions and references, of one moment; the generation that the files say."""
        assert at.record is not None
        disk = self._replicas.disk
        async with self._replicas.locks.hold(key):
            applied = await disk.store.load(key)
            seen = await disk.reader.inspect(key, is_deep=False)
        finding = judge_replica(
            own=self._own,
            applied=_account(applied),
            on_disk=_account(seen.state),
            digest_on_disk=seen.refs_digest,
            has_prepared=seen.state is not None and bool(seen.state.prepared),
            record=at.record,
            partition=at.partition,
        )
        is_readable = seen.state is not None and not seen.state.is_deleted
        return finding, seen.state.generation if seen.state is not None and is_readable else Generation(0)

    async def _object_problems(self, key: ReplicaKey) -> tuple[str, ...]:
        reader = self._replicas.disk.reader
        first = (await reader.inspect(key, is_deep=True)).problems
        if not first:
            return ()
        return real_problems(first, (await reader.inspect(key, is_deep=True)).problems)[:PROBLEMS_MAX]

    async def _take_out(self, key: ReplicaKey, at: RecordAt, reason: str) -> tuple[str, str]:
        """What was done about a damaged replica, and where the damaged copy is now."""
        assert at.record is not None
        if not may_be_taken_out(self._own, at.record, at.partition):
            log.error("last_replica_damaged", extra={"repository": key.repository, "reason": reason})
            return "left in place: the record believes in no other replica", ""
        task = self._repairs.take_out(key, reason)
        if task is None:
            return "being taken out already; a peer's copy takes its place", ""
        await asyncio.wait({task}, timeout=TAKE_OUT_MS / 1_000)
        if not task.done():
            return "out of use; listed and set aside as soon as catalog and disk let it be", ""
        return "taken out and set aside; a peer's copy takes its place", task.result()


def _account(state: ReplicaState | None) -> Account | None:
    return None if state is None else Account(position=position_of(state), refs_digest=state.refs_digest)
