"""GetStatus tells how far nodes are apart, out of what the nodes told the catalog."""

from __future__ import annotations

from meshnode.base.ids import NodeId
from meshnode.core.keys import round_trips_key
from meshnode.core.round_trips import RoundTrip, RoundTripReport, encode_report
from meshnode.ports import Put
from meshnode.v1 import cluster_pb2
from tests.unit.rpc.harness import Site
from tests.unit.wire.samples import N1, N2, N3


async def test_the_status_has_every_way_and_warns_of_long_ones_and_lost_ones() -> None:
    site = Site()
    now_ms = site.clock.wall_ms()
    trips = (
        RoundTrip(peer=N2, min_us=12_300, median_us=15_000, samples=4),
        RoundTrip(peer=N3, min_us=0, median_us=0, samples=0, unreachable_since_ms=now_ms - 5_000, reason="gone"),
    )
    told = encode_report(RoundTripReport(node=N1, at_ms=now_ms, trips=trips))
    gone = encode_report(RoundTripReport(node=NodeId("n9"), at_ms=now_ms, trips=()))
    await site.catalog.transact(
        [],
        [
            Put(round_trips_key(N1), told),
            Put(round_trips_key(NodeId("n9")), gone),
            Put(round_trips_key(N2), b'{"v":99}'),
        ],
    )
    async with site.calling("reader") as caller:
        status = await caller.call(
            "ClusterService/GetStatus", cluster_pb2.GetStatusRequest(), cluster_pb2.GetStatusResponse
        )
    assert [(trip.node, trip.peer, trip.min_us, trip.reachable) for trip in status.round_trips] == [
        ("n1", "n2", 12_300, True),
        ("n1", "n3", 0, False),
    ]
    assert status.round_trips[1].unreachable_since_ms == now_ms - 5_000
    assert [line.partition(" since")[0] for line in status.warnings] == [
        "n3 cannot be reached from n1",
        "n1 and n2 are 12.3 ms apart, more than 5 ms (replication.round_trip_warn_ms)",
        "each write led by n1 waits 12.3 ms or more: the way to the slowest peer that its quorum needs",
    ]
