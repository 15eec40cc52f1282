"""Settings for the whole cluster: set at one node, followed by running nodes, by nodes that were away, and shown."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, git, running_cluster
from tests.e2e.waiting import wait_until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Cluster]:
    with running_cluster(tmp_path / "mesh") as running:
        yield running


def applied(cluster: Cluster) -> list[int | None]:
    """The version that each node runs with."""
    return [node["applied_version"] for node in cluster.json("cluster", "settings")["nodes"]]


def change(cluster: Cluster, *arguments: str) -> int:
    """Change settings, and wait until every node has followed."""
    version: int = cluster.json("cluster", "settings", *arguments)["version"]
    wait_until(lambda: applied(cluster) == [version] * 3, what=f"every node has version {version}")
    return version


def setting(shown: Any, key: str) -> Any:
    return next(one for one in shown["settings"] if one["key"] == key)


def push_two(cluster: Cluster, node: int, work: Path) -> subprocess.CompletedProcess[str]:
    """Push two new references at once through a node."""
    git("commit", "--quiet", "--allow-empty", "-m", "next", cwd=work)
    count = git("rev-list", "--count", "HEAD", cwd=work).stdout.strip()
    refs = [f"HEAD:refs/heads/{letter}{count}" for letter in "ab"]
    return git("push", cluster.url(node, "team/settings"), *refs, cwd=work, check=False)


def test_a_setting_changed_at_one_node_takes_effect_on_another_without_a_restart(
    three: Cluster, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    git("init", "--quiet", "--initial-branch=main", str(work))
    assert push_two(three, 3, work).returncode == 0
    pids = [three.pid(node) for node in three.numbers]

    assert change(three, "set", "push.commands_max=1", "scrub.slots=2") == 1
    refused = push_two(three, 3, work)
    assert refused.returncode != 0
    assert "HTTP 429" in refused.stderr
    shown = three.json("cluster", "settings")
    assert (shown["changed_by"], setting(shown, "push.commands_max")["origin"]) == ("app:operator", "cluster")
    assert [three.pid(node) for node in three.numbers] == pids

    act = next(one for one in three.json("cluster", "audit") if one["method"].endswith("/UpdateSettings"))
    assert act["request"]["set"] == "push.commands_max=1, scrub.slots=2"

    wrong = three.meshnode("cluster", "settings", "set", "push.commandsmax=1", "scrub.slots=0", check=False)
    assert wrong.returncode != 0
    assert "did you mean push.commands_max?" in wrong.stderr
    assert "scrub.slots must be from 1 to 64" in wrong.stderr
    late = three.meshnode("cluster", "settings", "set", "scrub.slots=3", "--expect", "0", check=False)
    assert late.returncode != 0
    assert "version" in late.stderr

    three.stop(3)
    file = three.node_path(3) / "meshnode.toml"
    text = file.read_text()
    file.write_text(text.replace("[push]\n", "[push]\ncommands_max = 50\n"))
    assert file.read_text() != text
    assert three.json("cluster", "settings", "set", "upkeep.packs_min=9")["version"] == 2
    assert applied(three)[2] is None
    three.start(3)
    wait_until(lambda: applied(three) == [2, 2, 2], what="a node that was away has the settings")
    shown = three.json("cluster", "settings")
    assert [(one["key"], one["value"], one["origin"]) for one in shown["nodes"][2]["differences"]] == [
        ("push.commands_max", "50", "file")
    ]

    change(three, "unset", "push.commands_max")
    assert push_two(three, 1, work).returncode == 0
    applied_line = next(line for line in reversed(three.log_tail(1, 2_000).splitlines()) if "settings_applied" in line)
    assert "push.commands_max: 1 -> 10000" in applied_line
