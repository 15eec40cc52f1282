"""Who did what to a real cluster: on record before it happens, told by any node, also when the one that took it is dead."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, git, running_cluster
from tests.e2e.waiting import wait_until


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with running_cluster(tmp_path / "mesh") as running:
        yield running


def acts(cluster: Cluster, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.json("cluster", "audit", *arguments)
    return found


def test_acts_are_recorded_outlive_their_node_and_are_refused_where_they_cannot_be(
    cluster: Cluster, work: Path
) -> None:
    (started,) = acts(cluster)
    assert (started["sequence"], started["method"], started["outcome"]) == (1, "up", "OK")
    assert started["who"].startswith("command:")

    git("push", "--quiet", cluster.url(1, "team/one"), "main", cwd=work)
    cluster.meshnode("node", "drain", "n3")
    cluster.meshnode("node", "enable", "n3")
    cluster.meshnode("repo", "rename", "team/one", "team/two")
    refused = cluster.meshnode("cluster", "factor", "9", check=False)
    assert refused.returncode != 0
    found = acts(cluster, "--since", "1h")
    assert [(one["sequence"], one["method"].rpartition("/")[2], one["outcome"]) for one in found] == [
        (5, "SetReplicationFactor", "INVALID_ARGUMENT"),
        (4, "Rename", "OK"),
        (3, "SetNodeState", "OK"),
        (2, "SetNodeState", "OK"),
        (1, "up", "OK"),
    ]
    assert {one["who"] for one in found[:-1]} == {"app:operator"}
    assert {one["peer"] for one in found[:-1]} == {"127.0.0.1"}
    assert found[3]["request"] == {"node": "n3", "state": "NODE_STATE_DRAINING"}
    assert found[1]["request"]["new_name"] == "team/two"
    assert len(found[0]["key_id"]) == 16
    assert "administrative_act_ended" in (cluster.node_path(1) / "node.log").read_text()
    assert acts(cluster, "--limit", "1") == found[:1]

    # The catalog takes no writes: the act is refused, and nothing of it happens.
    with closing(sqlite3.connect(cluster.data / "catalog.db", isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        unrecorded = cluster.meshnode("node", "disable", "n3", check=False)
        busy.execute("ROLLBACK")
    assert unrecorded.returncode != 0
    assert "record" in unrecorded.stderr, unrecorded.stderr
    assert {one["state"] for one in cluster.json("node", "list")} == {"available"}

    # A node dies in the middle of an act: the others tell that it began, and that its end is not known.
    os.kill(cluster.pid(2), signal.SIGSTOP)
    command = [sys.executable, "-m", "meshnode", "repo", "scrub", "team/two", "--data", str(cluster.data)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as scrub:
        wait_until(
            lambda: "ScrubRepository" in acts(cluster)[0]["method"], deadline_s=30, what="the scrub is on record"
        )
        cluster.kill(1)
        os.kill(cluster.pid(2), signal.SIGCONT)
        scrub.terminate()
    unfinished = [one for one in acts(cluster) if "ScrubRepository" in one["method"] and one["node"] == "n1"]
    assert [one["outcome"] for one in unfinished] == [None]
    table = cluster.meshnode("cluster", "audit").stdout
    assert "end not known" in table
    assert "SetNodeState" in table


def test_a_rebuilt_catalog_begins_with_the_rebuild(cluster: Cluster) -> None:
    cluster.meshnode("repo", "create", "team/kept")
    cluster.down()
    for path in cluster.data.glob("catalog.db*"):
        path.unlink()
    cluster.meshnode("catalog", "rebuild")
    cluster.up()
    (rebuilt,) = acts(cluster)
    assert (rebuilt["method"], rebuilt["outcome"], rebuilt["facts"]["repositories"]) == ("catalog rebuild", "OK", "1")
