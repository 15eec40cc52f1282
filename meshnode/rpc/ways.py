"""Reads what all nodes say of the ways between them, for the cluster at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import Corrupt
from meshnode.config import ReplicationSettings
from meshnode.core.keys import ROUND_TRIPS
from meshnode.core.round_trips import RoundTripReport, decode_report, plan_warnings
from meshnode.ports import Catalog, Clock, Membership
from meshnode.v1 import cluster_round_trips_pb2 as pb

REPORTS_MAX: Final = 1_000
"""Nodes whose account is read."""


@dataclass(frozen=True, slots=True)
class WaysTold:
    """Every way, and what is wrong with some."""

    messages: Sequence[pb.RoundTrip]
    warnings: Sequence[str]


class Ways:
    """Round trips between nodes."""

    def __init__(
        self, *, catalog: Catalog, membership: Membership, clock: Clock, settings: ReplicationSettings
    ) -> None:
        self._catalog = catalog
        self._membership = membership
        self._clock = clock
        self._settings = settings

    async def read(self) -> WaysTold:
        """What nodes have told, of those that are in the cluster. Raises CatalogUnavailable."""
        nodes, now_ms = self._membership.nodes(), self._clock.wall_ms()
        reports = []
        for entry in await self._catalog.range(ROUND_TRIPS, limit=REPORTS_MAX):
            try:
                report = decode_report(entry.value)
            except Corrupt:
                continue  # told by a newer version: nothing rests on it
            if report.node in nodes:
                reports.append(report)
        return WaysTold(
            [message for report in reports for message in _messages(report, now_ms)],
            plan_warnings(
                reports,
                online=self._membership.online().keys(),
                factor=self._membership.settings().replication_factor,
                warn_ms=self._settings.round_trip_warn_ms,
                now_ms=now_ms,
            ),
        )


def _messages(report: RoundTripReport, now_ms: int) -> list[pb.RoundTrip]:
    return [
        pb.RoundTrip(
            node=report.node,
            peer=trip.peer,
            min_us=trip.min_us,
            median_us=trip.median_us,
            samples=trip.samples,
            reachable=not trip.unreachable_since_ms,
            unreachable_since_ms=trip.unreachable_since_ms,
            reason=trip.reason,
            age_s=max(0, now_ms - report.at_ms) // 1_000,
        )
        for trip in report.trips
    ]
