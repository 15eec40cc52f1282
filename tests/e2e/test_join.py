"""Machines that are added to a cluster of real nodes, and nodes that are not who they say they are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, running_cluster

pytestmark = pytest.mark.timeout(300)

REFUSED = 5
"""Exit code of `meshnode serve` where the node is not whom the catalog lists (docs/OPERATIONS.md)."""
FAST = {
    "MESHNODE_REBALANCE__INTERVAL_MS": "100",
    "MESHNODE_REBALANCE__PARTITIONS_AT_ONCE": "32",
    "MESHNODE_REBALANCE__DROP_AFTER_MS": "1500",
}
_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes; the tests of this module stop what they add."""
    with running_cluster(tmp_path_factory.mktemp("join") / "mesh", environment=FAST) as running:
        yield running


def test_node_that_is_not_whom_the_catalog_lists_serves_nothing(cluster: Cluster, tmp_path: Path) -> None:
    cluster.stop(3)
    try:
        home = cluster.node_path(3)
        stranger = tmp_path / "stranger.pem"
        shutil.copy(cluster.data / "operator.pem", stranger)
        stranger.chmod(0o600)
        config = home / "meshnode.toml"
        assert "another key" in refused(config, MESHNODE_AUTH__KEY_FILE=str(stranger))
        assert "not in the catalog" in refused(config, MESHNODE_NODE__ID="n9", MESHNODE_NODE__DATA=str(tmp_path))
        assert "another node" in refused(config, MESHNODE_NODE__ID="n2")

        identity = home / "identity.json"
        kept = identity.read_text()
        assert json.loads(kept)["node"] == "n3"
        identity.write_text(kept.replace(json.loads(kept)["cluster_id"], "0" * 32))
        assert "another cluster" in refused(config)
        identity.write_text(kept)
    finally:
        cluster.start(3)


def refused(config: Path, **environment: str) -> str:
    """Start a node that must end by itself, never having listened; what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "meshnode", "serve", "--config", str(config)],
        cwd=_ROOT,
        env={**os.environ, **FAST, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == REFUSED, done.stderr
    assert "node_refused" in done.stderr
    assert "node_ready" not in done.stderr
    return done.stderr
