"""How far real nodes are apart: a slow link is measured and warned of with its cost, a dead node with since when."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshnode.base.ids import NodeId
from meshnode.catalog.open import open_catalog
from meshnode.config import CatalogSettings
from meshnode.core.keys import node_key
from meshnode.core.nodes import decode_node, encode_node
from meshnode.ports import Compare, Put
from tests.e2e.cluster import Cluster, running_cluster
from tests.e2e.proxy import Proxy
from tests.e2e.raw import send
from tests.e2e.waiting import wait_until

DELAY_S = 0.04
FAST = {"MESHNODE_REPLICATION__ROUND_TRIP_INTERVAL_MS": "200"}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with running_cluster(tmp_path / "mesh", environment=FAST) as running:
        yield running


def send_through(cluster: Cluster, node: str, port: int) -> None:
    """Have the other nodes reach a node by another port, as a catalog that lists another address would."""

    async def change() -> None:
        catalog = await open_catalog(CatalogSettings(url=f"sqlite://{cluster.data}/catalog.db"))
        try:
            (entry,) = await catalog.get([node_key(NodeId(node))])
            assert entry is not None
            moved = replace(decode_node(entry.value), grpc_url=f"127.0.0.1:{port}")
            assert await catalog.transact([Compare(entry.key, entry.revision)], [Put(entry.key, encode_node(moved))])
        finally:
            await catalog.close()

    asyncio.run(change())


def ways(cluster: Cluster) -> dict[tuple[str, str], dict[str, Any]]:
    return {(trip["node"], trip["peer"]): trip for trip in cluster.json("cluster", "status")["round_trips"]}


def test_a_slow_link_is_measured_and_warned_of_and_a_dead_node_is_named(cluster: Cluster) -> None:
    wait_until(
        lambda: len([one for one in ways(cluster).values() if one["reachable"]]) == 6,
        deadline_s=60,
        what="every node has measured the way to both others",
    )
    with closing(Proxy(int(cluster.grpc(3).rpartition(":")[2]))) as link:
        link.delay_s = DELAY_S
        send_through(cluster, "n3", link.port)
        wait_until(
            lambda: all((ways(cluster)[node, "n3"]["min_ms"] or 0) >= 2_000 * DELAY_S for node in ("n1", "n2")),
            deadline_s=90,
            what="n1 and n2 find the way to n3 slow",
        )
        assert ways(cluster)["n1", "n2"]["min_ms"] < 2_000 * DELAY_S, "only the slow link is slow"
        shown = cluster.meshnode("cluster", "status")
        assert "n1 and n3 are" in shown.stderr
        assert "replication.round_trip_warn_ms" in shown.stderr
        assert "from n1" in shown.stdout
        metrics = send(cluster.http_port(1), "GET", "/metrics").body.decode()
        assert 'meshnode_peer_round_trip_seconds{peer="n3"}' in metrics
        cluster.kill(3)
        wait_until(
            lambda: not ways(cluster)["n1", "n3"]["reachable"] and not ways(cluster)["n2", "n3"]["reachable"],
            deadline_s=60,
            what="n1 and n2 tell that n3 is gone",
        )
    gone = ways(cluster)["n1", "n3"]
    assert gone["unreachable_since"]
    assert gone["reason"]
    dead = cluster.meshnode("cluster", "status")
    assert "n3 cannot be reached from n1, n2 since" in dead.stderr
    assert "unreachable" in dead.stdout
