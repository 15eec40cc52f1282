"""The part of `meshnode cluster status` that shows how far nodes are apart."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from meshnode.cli.output import print_table
from meshnode.v1 import cluster_round_trips_pb2 as pb

NODES_MAX: Final = 12
"""Nodes whose ways fit a table; of larger clusters the warnings are shown, and `--json` has it all."""


def describe_round_trip(trip: pb.RoundTrip) -> dict[str, Any]:
    """One way for programs."""
    return {
        "node": trip.node,
        "peer": trip.peer,
        "reachable": trip.reachable,
        "min_ms": trip.min_us / 1_000 if trip.samples else None,
        "median_ms": trip.median_us / 1_000 if trip.samples else None,
        "samples": trip.samples,
        "unreachable_since": _time_text(trip.unreachable_since_ms) if not trip.reachable else None,
        "reason": trip.reason,
        "age_s": trip.age_s,
    }


def print_round_trips(trips: Iterable[pb.RoundTrip]) -> None:
    """A table of who measured it by whom it leads to; nothing where nobody has told of any."""
    ways = {(trip.node, trip.peer): trip for trip in trips}
    nodes = sorted({node for node, _ in ways})
    peers = sorted({peer for _, peer in ways})
    if not ways or len(peers) > NODES_MAX:
        return
    print_table(
        ["round trip", *(f"to {peer}" for peer in peers)],
        [[f"from {node}", *(_cell(ways.get((node, peer))) for peer in peers)] for node in nodes],
    )


def _cell(trip: pb.RoundTrip | None) -> str:
    if trip is None:
        return "-"
    return f"{trip.min_us / 1_000:.1f} ms" if trip.reachable else "unreachable"


def _time_text(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
