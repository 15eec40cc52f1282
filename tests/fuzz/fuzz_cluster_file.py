"""cluster.json and process files: an error with advice, or a cluster that is written back as it was read."""

from __future__ import annotations

import json
from dataclasses import asdict

from hypothesis import strategies as st

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import parse_node_id
from meshnode.cli.layout import ClusterFile, ClusterNode, Layout, read_cluster_file, write_cluster_file
from meshnode.cli.outcome import CommandError
from meshnode.client import nodes
from tests.fuzz.fuzz_catalog_values import CHANGES, changed
from tests.fuzz.inputs import directory
from tests.fuzz.values import NODES, WORDS

_NODES = st.lists(
    st.builds(ClusterNode, node=NODES, grpc=WORDS, http=WORDS, public_key=WORDS, zone=WORDS), max_size=2
).map(tuple)
_FILES = st.builds(
    ClusterFile, cluster_id=WORDS, catalog_url=WORDS, partition_count=st.integers(1, 64),
    replication_factor=st.integers(1, 5), nodes=_NODES, base_port=st.none() | st.integers(1, 65_535), removed=_NODES,
)  # fmt: skip


def _raw(cluster: ClusterFile) -> dict[str, object]:
    raw = asdict(cluster)
    raw["catalog"] = raw.pop("catalog_url")
    return {"format": 1} | raw


EXAMPLES = st.builds(lambda cluster, change: changed(_raw(cluster), change), _FILES, CHANGES) | st.just(b"\xff{}")


def check_cluster_file(data: bytes) -> None:
    layout = Layout(directory("cluster"))
    layout.cluster_file.write_bytes(data)
    try:
        cluster = read_cluster_file(layout)
    except CommandError:
        _read_as_client(layout)
        return
    assert cluster is not None
    assert all(parse_node_id(entry.node) for entry in (*cluster.nodes, *cluster.removed))
    raw = json.loads(data)
    assert (raw["cluster_id"], raw["catalog"]) == (cluster.cluster_id, cluster.catalog_url)
    assert (raw["partition_count"], raw["base_port"]) == (cluster.partition_count, cluster.base_port)
    write_cluster_file(layout, cluster)
    assert read_cluster_file(layout) == cluster
    assert _read_as_client(layout) == [
        (entry.node, f"http://{entry.grpc}", entry.public_key) for entry in cluster.nodes
    ]


def _read_as_client(layout: Layout) -> list[tuple[str, str, str]] | None:
    try:
        return [(entry.node, entry.url, entry.public_key) for entry in nodes.read_cluster_file(layout.cluster_file)]
    except InvalidRequest:
        return None
