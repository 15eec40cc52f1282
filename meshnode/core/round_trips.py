"""What nodes say of the way to their peers, and what that means for writes.

    round_trips/<node>   RoundTripReport: each peer's round trip as that node measured it, or since when there is none

A write waits for the votes of a quorum, so for the slowest of the nearest peers that make one. A report is an account,
as old as it says; nothing rests on it but what people are shown.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from meshnode.base.ids import NodeId, parse_node_id
from meshnode.core.decoding import Fields, decode
from meshnode.core.keys import FORMAT_VERSION, encode_json
from meshnode.core.quorum import quorum_size

STALE_MS: Final = 180_000
"""Age of a report from which on nothing is warned of: reports are told once a minute."""
WARNINGS_MAX: Final = 20
REASON_CHARACTERS_MAX: Final = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class RoundTrip:
    """The way to one peer."""

    peer: NodeId
    min_us: int
    """Best of the last two minutes, microseconds: what the way itself takes. 0 where none was measured."""
    median_us: int
    """With what load adds to it."""
    samples: int
    unreachable_since_ms: int = 0
    """Wall clock; 0 where the last call was answered."""
    reason: str = ""
    """Why there was no answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RoundTripReport:
    """One node's account."""

    node: NodeId
    at_ms: int
    trips: tuple[RoundTrip, ...]


def plan_warnings(
    reports: Sequence[RoundTripReport], *, online: Collection[NodeId], factor: int, warn_ms: float, now_ms: int
) -> tuple[str, ...]:
    """What is wrong with the ways between nodes, and what it costs; reports of dead nodes and old ones say nothing."""
    fresh = [report for report in reports if report.node in online and now_ms - report.at_ms <= STALE_MS]
    lines = [*_unreachable(fresh), *_slow(fresh, warn_ms), *_costs(fresh, factor, warn_ms)]
    more = len(lines) - WARNINGS_MAX
    return (*lines[:WARNINGS_MAX], *([f"and {more} more about round trips"] if more > 0 else []))


def wait_for_votes_us(report: RoundTripReport, factor: int) -> int:
    """How long a write led by this node waits for its votes at least: the way to the slowest that a quorum needs.

    0 where it needs nobody, or cannot reach enough.
    """
    ways = sorted(trip.min_us for trip in report.trips if trip.min_us and not trip.unreachable_since_ms)
    others = quorum_size(min(factor, len(report.trips) + 1)) - 1
    return ways[others - 1] if 0 < others <= len(ways) else 0


def encode_report(report: RoundTripReport) -> bytes:
    """A report as JSON."""
    return encode_json(
        {
            "v": FORMAT_VERSION,
            "node": report.node,
            "at_ms": report.at_ms,
            "trips": [
                {
                    "peer": trip.peer,
                    "min_us": trip.min_us,
                    "median_us": trip.median_us,
                    "samples": trip.samples,
                    "unreachable_since_ms": trip.unreachable_since_ms,
                    "reason": trip.reason,
                }
                for trip in report.trips
            ],
        }
    )


def decode_report(value: bytes) -> RoundTripReport:
    """A report of its JSON. Raises Corrupt."""
    return decode(
        value,
        "round trip report",
        FORMAT_VERSION,
        lambda fields: RoundTripReport(
            node=fields.parsed("node", parse_node_id),
            at_ms=fields.number("at_ms"),
            trips=tuple(_trip(Fields(item)) for item in fields.items("trips")),
        ),
    )


def _trip(fields: Fields) -> RoundTrip:
    return RoundTrip(
        peer=fields.parsed("peer", parse_node_id),
        min_us=fields.number("min_us"),
        median_us=fields.number("median_us"),
        samples=fields.number("samples"),
        unreachable_since_ms=fields.number("unreachable_since_ms"),
        reason=fields.text("reason"),
    )


def _unreachable(reports: Sequence[RoundTripReport]) -> list[str]:
    """One line for each peer that somebody cannot reach."""
    found: dict[NodeId, list[tuple[NodeId, int]]] = {}
    for report in reports:
        for trip in report.trips:
            if trip.unreachable_since_ms:
                found.setdefault(trip.peer, []).append((report.node, trip.unreachable_since_ms))
    return [
        f"{peer} cannot be reached from {', '.join(node for node, _ in sorted(seen))}"
        f" since {_time_text(min(since for _, since in seen))}"
        for peer, seen in sorted(found.items())
    ]


def _slow(reports: Sequence[RoundTripReport], warn_ms: float) -> list[str]:
    """One line for each two nodes that are far apart, whoever of them measured it."""
    pairs: dict[tuple[NodeId, NodeId], int] = {}
    for report in reports:
        for trip in report.trips:
            if not trip.unreachable_since_ms and trip.min_us > warn_ms * 1_000:
                one, other = sorted((report.node, trip.peer))
                pairs[one, other] = max(trip.min_us, pairs.get((one, other), 0))
    return [
        f"{one} and {other} are {_ms_text(us)} apart, more than {warn_ms:g} ms (replication.round_trip_warn_ms)"
        for (one, other), us in sorted(pairs.items())
    ]


def _costs(reports: Sequence[RoundTripReport], factor: int, warn_ms: float) -> list[str]:
    waits = [(report.node, wait_for_votes_us(report, factor)) for report in reports]
    return [
        f"each write led by {node} waits {_ms_text(us)} or more: the way to the slowest peer that its quorum needs"
        for node, us in sorted(waits)
        if us > warn_ms * 1_000
    ]


def _ms_text(us: int) -> str:
    return f"{us / 1_000:.1f} ms"


def _time_text(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
