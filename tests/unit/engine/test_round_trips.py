"""Measuring peers: the best of a window, peers that go and come back, accounts that are told when they are news."""

from __future__ import annotations

import asyncio

import pytest

from meshnode.base.errors import CatalogUnavailable, PeerUnavailable
from meshnode.base.ids import NodeId
from meshnode.catalog.memory import CatalogCall, MemoryCatalog
from meshnode.config import ReplicationSettings
from meshnode.core.keys import ROUND_TRIPS
from meshnode.core.round_trips import decode_report
from meshnode.engine.round_trips import AT_ONCE, FIRST_SAMPLES, PEERS_MAX, SAMPLES_MAX, RoundTrips, is_news, ring_of
from meshnode.engine.supervisor import Supervisor
from meshnode.telemetry.metrics import Metrics
from tests.unit.rpc.fakes import FakeMembership, SystemClock, SystemEntropy, node_entry
from tests.unit.wire.samples import N1, N2, N3

CONNECT_S = 0.1


class Network:
    """Peers that are so many milliseconds away, or not there; time passes only here."""

    def __init__(self, **ways_ms: float | None) -> None:
        self.ways_ms: dict[str, float | None] = ways_ms
        self.now = 0.0
        self.running = self.most = 0
        self.connected: set[NodeId] = set()

    async def ping(self, node: NodeId) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(0)
            way_ms = self.ways_ms.get(node, 1.0)
            if way_ms is None:
                raise PeerUnavailable("not there", node=node)
            self.now += way_ms / 1_000 + (0 if node in self.connected else CONNECT_S)
            self.connected.add(node)
        finally:
            self.running -= 1


def trips_of(network: Network, membership: FakeMembership, catalog: MemoryCatalog, metrics: Metrics) -> RoundTrips:
    return RoundTrips(
        own=N1,
        membership=membership,
        catalog=catalog,
        ping=network.ping,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        supervisor=Supervisor(),
        settings=ReplicationSettings(),
        metrics=metrics,
        now_s=lambda: network.now,
    )


async def test_the_best_of_the_window_and_the_median_are_told_and_counted() -> None:
    network, membership = Network(), FakeMembership({N1: node_entry(N1), N2: node_entry(N2)})
    metrics = Metrics(node="n1", version="0.1.0")
    trips = trips_of(network, membership, MemoryCatalog(), metrics)
    network.ways_ms["n2"] = 9.0
    (first,) = (await trips.measure_once()).trips
    assert (first.min_us, first.samples) == (9_000, FIRST_SAMPLES), "what it takes to connect is no part of the way"
    for way_ms in (2.0, 4.0, 5.0, 3.0):
        network.ways_ms["n2"] = way_ms
        await trips.measure_once()
    (trip,) = trips.report().trips
    assert (trip.peer, trip.min_us, trip.median_us, trip.samples) == ("n2", 2_000, 5_000, FIRST_SAMPLES + 4)
    assert 'meshnode_peer_round_trip_seconds{peer="n2"} 0.002' in metrics.render().decode()
    network.ways_ms["n2"] = 30.0
    for _ in range(SAMPLES_MAX):
        await trips.measure_once()
    (trip,) = trips.report().trips
    assert (trip.min_us, trip.samples) == (30_000, SAMPLES_MAX), "what was better once is forgotten"


async def test_a_peer_that_goes_is_told_with_since_when_and_starts_anew_when_it_is_back() -> None:
    network, membership = Network(n2=None), FakeMembership({N1: node_entry(N1), N2: node_entry(N2)})
    metrics = Metrics(node="n1", version="0.1.0")
    trips = trips_of(network, membership, MemoryCatalog(), metrics)
    await trips.measure_once()
    (gone,) = trips.report().trips
    await trips.measure_once()
    (still,) = trips.report().trips
    assert gone.unreachable_since_ms == still.unreachable_since_ms > 0
    assert ("not there" in gone.reason, gone.min_us) == (True, 0)
    assert 'meshnode_peer_unreachable{peer="n2"} 1.0' in metrics.render().decode()
    network.ways_ms["n2"] = 3.0
    await trips.measure_once()
    (back,) = trips.report().trips
    assert (back.unreachable_since_ms, back.reason, back.min_us) == (0, "", 3_000)
    del membership.entries[N2]
    await trips.measure_once()
    assert trips.report().trips == ()
    assert 'peer="n2"' not in metrics.render().decode()


async def test_few_calls_run_at_once_and_large_clusters_are_covered_in_a_ring() -> None:
    nodes = [NodeId(f"n{number:04d}") for number in range(200)]
    membership = FakeMembership({node: node_entry(node) for node in nodes})
    network = Network()
    trips = trips_of(network, membership, MemoryCatalog(), Metrics(node="n1", version="0.1.0"))
    trips.own = nodes[180]
    report = await trips.measure_once()
    assert len(report.trips) == PEERS_MAX
    assert network.most == AT_ONCE
    asked = [peer for node in nodes for peer in ring_of(node, nodes)]
    assert {asked.count(node) for node in nodes} == {PEERS_MAX}, "everyone is asked by equally many"
    assert ring_of(N2, [N3, N1, N2]) == [N3, N1]


async def test_an_account_is_told_when_it_is_news_and_a_catalog_that_is_away_is_no_matter() -> None:
    network, catalog = Network(), MemoryCatalog()
    membership = FakeMembership({N1: node_entry(N1), N2: node_entry(N2)})
    trips = trips_of(network, membership, catalog, Metrics(node="n1", version="0.1.0"))

    async def away(_: CatalogCall) -> None:
        raise CatalogUnavailable("away")

    catalog.hook = away
    await trips.tell(await trips.measure_once())
    catalog.hook = None
    assert await catalog.range(ROUND_TRIPS) == []
    await trips.tell(await trips.measure_once())
    (first,) = await catalog.range(ROUND_TRIPS)
    await trips.tell(await trips.measure_once())
    (same,) = await catalog.range(ROUND_TRIPS)
    assert first.revision == same.revision
    network.ways_ms["n2"] = None
    await trips.tell(await trips.measure_once())
    (news,) = await catalog.range(ROUND_TRIPS)
    assert decode_report(news.value).trips[0].unreachable_since_ms


@pytest.mark.parametrize(
    ("before_ms", "after_ms", "expected"), [(2, 2.5, False), (2, 4, True), (40, 45, False), (40, 60, True)]
)
async def test_small_changes_are_no_news(before_ms: float, after_ms: float, expected: bool) -> None:
    reports = []
    for way_ms in (before_ms, after_ms):
        network = Network(n2=way_ms)
        membership = FakeMembership({N1: node_entry(N1), N2: node_entry(N2)})
        trips = trips_of(network, membership, MemoryCatalog(), Metrics(node="n1", version="0.1.0"))
        reports.append(await trips.measure_once())
    assert is_news(*reports) is expected
