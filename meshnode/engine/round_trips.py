"""Measures the way to each peer: a signed health call on the channel that is there anyway, every few seconds.

    every peer, eight at once -> the last two minutes of each -> metrics, and an account in the catalog

It is what a vote costs beside its work: signing and checking on both sides are in it, two milliseconds on a machine that
is not busy. So the best of the window says what the way takes, the median what load adds. At most `PEERS_MAX` peers are
asked, the next ones by name in a ring, so that large clusters are covered by all nodes together. The account is told once
a minute, and sooner where a peer comes or goes or the way changes for good.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final, Protocol

from meshnode.base.errors import MeshError
from meshnode.base.ids import NodeId
from meshnode.config import ReplicationSettings
from meshnode.core.keys import round_trips_key
from meshnode.core.round_trips import REASON_CHARACTERS_MAX, RoundTrip, RoundTripReport, encode_report
from meshnode.engine.intervals import elapse
from meshnode.engine.supervisor import Supervisor
from meshnode.ports import Catalog, Clock, Entropy, Membership, Put

log = logging.getLogger("meshnode.engine")

PEERS_MAX: Final = 64
AT_ONCE: Final = 8
SAMPLES_MAX: Final = 24
"""Two minutes at five seconds."""
FIRST_SAMPLES: Final = 3
"""Of a way that was not measured before: nodes that have just started are busy, and one slow answer would be told."""
TELL_MS: Final = 60_000
CHANGED: Final = 0.25
"""Share by which the best of a window changes before it is told out of turn."""
CHANGED_US_MIN: Final = 1_000

Ping = Callable[[NodeId], Awaitable[None]]
"""One call to a peer and back. Raises PeerUnavailable."""


class RoundTripMetrics(Protocol):
    """`telemetry.metrics.Metrics`."""

    def set_round_trip(self, peer: str, seconds: float | None) -> None:
        """The way to a peer, None while it cannot be reached."""
        ...

    def forget_round_trip(self, peer: str) -> None:
        """The peer is no longer there."""
        ...


@dataclass(slots=True)
class _Way:
    samples: deque[int] = field(default_factory=lambda: deque(maxlen=SAMPLES_MAX))
    unreachable_since_ms: int = 0
    reason: str = ""


@dataclass(kw_only=True)
class RoundTrips:
    """One node's measurements."""

    own: NodeId
    membership: Membership
    catalog: Catalog
    ping: Ping
    clock: Clock
    entropy: Entropy
    supervisor: Supervisor
    settings: ReplicationSettings
    metrics: RoundTripMetrics
    now_s: Callable[[], float] = time.perf_counter
    _ways: dict[NodeId, _Way] = field(default_factory=dict)
    _told: RoundTripReport | None = None
    _told_ms: int = 0

    def start(self) -> None:
        """Begin to measure."""
        self.supervisor.keep("peers-timed", self._run_forever)

    async def measure_once(self) -> RoundTripReport:
        """Ask every peer once."""
        peers = ring_of(self.own, list(self.membership.nodes()))
        for gone in set(self._ways) - set(peers):
            del self._ways[gone]
            self.metrics.forget_round_trip(gone)
        places = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for peer in peers:
                group.create_task(self._measure(peer, places), name=f"round trip {peer}")
        return self.report()

    def report(self) -> RoundTripReport:
        """What is known now."""
        return RoundTripReport(
            node=self.own,
            at_ms=self.clock.wall_ms(),
            trips=tuple(_trip(peer, way) for peer, way in sorted(self._ways.items())),
        )

    async def tell(self, report: RoundTripReport) -> None:
        """Put the account into the catalog where it is news or the last one grows old; later where that fails."""
        now_ms = self.clock.monotonic_ms()
        if self._told is not None and now_ms - self._told_ms < TELL_MS and not is_news(self._told, report):
            return
        try:
            await self.catalog.transact([], [Put(round_trips_key(self.own), encode_report(report))])
        except MeshError as error:
            log.info("round_trips_not_told", extra={"error": str(error)})
            return
        self._told, self._told_ms = report, now_ms

    async def _run_forever(self) -> None:
        while True:
            await self.tell(await self.measure_once())
            # A fifth more or less, so that nodes that started together do not stay together.
            percent = 80 + self.entropy.below(41)
            await elapse(self.clock, lambda: self.settings.round_trip_interval_ms * percent // 100)  # noqa: B023

    async def _measure(self, peer: NodeId, places: asyncio.Semaphore) -> None:
        way = self._ways.setdefault(peer, _Way())
        async with places:
            is_new = not way.samples
            try:
                if is_new:
                    await self.ping(peer)  # connects
                for _ in range(FIRST_SAMPLES if is_new else 1):
                    started_s = self.now_s()
                    await self.ping(peer)
                    way.samples.append(max(1, round((self.now_s() - started_s) * 1_000_000)))
            except MeshError as error:
                self._note_unreachable(peer, way, error)
                return
        if way.unreachable_since_ms:
            log.info("peer_reachable_again", extra={"peer": peer})
        way.unreachable_since_ms, way.reason = 0, ""
        self.metrics.set_round_trip(peer, min(way.samples) / 1_000_000)

    def _note_unreachable(self, peer: NodeId, way: _Way, error: MeshError) -> None:
        if not way.unreachable_since_ms:
            way.unreachable_since_ms = self.clock.wall_ms()
            log.info("peer_unreachable", extra={"peer": peer, "error": str(error)})
        way.reason = str(error)[:REASON_CHARACTERS_MAX]
        way.samples.clear()  # what the way took before says nothing of the way it comes back by
        self.metrics.set_round_trip(peer, None)


def ring_of(own: NodeId, nodes: Sequence[NodeId]) -> list[NodeId]:
    """The peers that a node asks: those that follow it by name, around the end, as many as it may."""
    others = sorted(node for node in nodes if node != own)
    return [*(node for node in others if node > own), *(node for node in others if node < own)][:PEERS_MAX]


def is_news(told: RoundTripReport, report: RoundTripReport) -> bool:
    """Whether peers came or went, or the way to one changed for good."""
    before = {trip.peer: trip for trip in told.trips}
    for trip in report.trips:
        last = before.pop(trip.peer, None)
        if last is None or bool(last.unreachable_since_ms) != bool(trip.unreachable_since_ms):
            return True
        if abs(trip.min_us - last.min_us) > max(CHANGED_US_MIN, CHANGED * last.min_us):
            return True
    return bool(before)


def _trip(peer: NodeId, way: _Way) -> RoundTrip:
    return RoundTrip(
        peer=peer,
        min_us=min(way.samples, default=0),
        median_us=round(median(way.samples)) if way.samples else 0,
        samples=len(way.samples),
        unreachable_since_ms=way.unreachable_since_ms,
        reason=way.reason,
    )
