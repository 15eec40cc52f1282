"""One node of three dies at a change of its own disk, amid pushes of stock git; the others go on, and it heals.

The store alone dies at every change in `tests/crash`. Here the change is one among all that a running node makes, as
coordinator and as participant, and nothing is stood in for: catalog, peers, HTTP, git on both ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.crash.points import AFTER, BEFORE, TORN
from tests.e2e.cluster import Cluster, git, list_refs, running_cluster
from tests.e2e.waiting import wait_until

PUSHES_MAX = 30
"""A push makes at least 15 changes at each node, so every point below is met long before."""
KEPT_BRANCHES = 3
DEATHS = ((1, 1, BEFORE), (2, 8, TORN), (3, 14, BEFORE), (1, 19, TORN), (2, 26, AFTER), (3, 47, TORN))
"""Node, change and mode."""


@pytest.fixture(scope="module")
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("crash") / "mesh") as running:
        yield running


@dataclass
class Pushes:
    """Pushes of one client: each makes a branch and deletes an old one. What was acknowledged must last."""

    cluster: Cluster
    name: str
    work: Path
    acknowledged: dict[str, str | None] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    count: int = 0

    def push(self, node: int) -> bool:
        """Push through a node; False where it was not acknowledged."""
        self.count += 1
        git("commit", "--quiet", "--allow-empty", "-m", f"push {self.count}", cwd=self.work)
        oid = git("rev-parse", "HEAD", cwd=self.work).stdout.strip()
        wanted: dict[str, str | None] = {f"refs/heads/b{self.count}": oid}
        old = f"refs/heads/b{self.count - KEPT_BRANCHES}"
        if self.acknowledged.get(old):
            wanted[old] = None
        specs = [f"{value or ''}:{ref}" for ref, value in wanted.items()]
        url = self.cluster.url(node, self.name)
        done = git("push", "--quiet", "--atomic", url, *specs, cwd=self.work, check=False)
        if done.returncode == 0:
            self.acknowledged |= wanted
        else:
            self.unknown |= set(wanted)
        return done.returncode == 0

    def check(self, refs: dict[str, str]) -> None:
        """Whether a node shows everything that was acknowledged."""
        for ref, value in self.acknowledged.items():
            if ref not in self.unknown:
                assert refs.get(ref) == value, ref
        assert set(refs) - {"HEAD"} <= {*self.acknowledged, *self.unknown, "refs/heads/main"}


def start_armed(cluster: Cluster, node: int, point: int, mode: str, flag: Path) -> subprocess.Popen[bytes]:
    """Start a node again as one that will die; its process."""
    pid = cluster.pid(node)
    arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    config = arguments[arguments.index("--config") + 1]
    cluster.kill(node)
    command = [sys.executable, "-m", "tests.crash.node", "--config", config]
    command += ["--point", str(point), "--mode", mode, "--armed-by", str(flag)]
    with (cluster.node_path(node) / "node.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, **cluster.environment},
        )
    (cluster.node_path(node) / "meshnode.pid").write_text(f"{process.pid}\n")
    cluster.wait_ready(node)
    return process


@pytest.mark.timeout(300)
@pytest.mark.parametrize("death", DEATHS)
def test_a_node_that_dies_at_a_change_of_its_disk_loses_nothing_and_heals(
    own_cluster: Cluster, name: str, work: Path, tmp_path: Path, death: tuple[int, int, str]
) -> None:
    cluster, flag = own_cluster, tmp_path / "armed"
    victim, point, mode = death
    pushes = Pushes(cluster, name, work)
    others = [node for node in cluster.numbers if node != victim]
    git("push", "--quiet", cluster.url(others[0], name), "main", cwd=work)
    process = start_armed(cluster, victim, point, mode, flag)
    try:
        cluster.wait_consistent(name)
        flag.touch()
        while process.poll() is None and pushes.count < PUSHES_MAX:
            pushes.push(cluster.numbers[pushes.count % cluster.nodes])
        assert process.wait(timeout=30) == -9, f"n{victim} never came to its {point}th change"
    finally:
        process.kill()
        process.wait()
    for number in range(4):
        node = others[number % 2]
        wait_until(lambda node=node: pushes.push(node), what=f"a push through n{node} is acknowledged")  # type: ignore[misc]

    cluster.start(victim)
    cluster.wait_consistent(name)
    cluster.wait_quiet()
    refs = list_refs(cluster.url(victim, name))
    for node in cluster.numbers:
        assert list_refs(cluster.url(node, name)) == refs
        pushes.check(refs)
        assert git("fsck", "--full", "--strict", "--no-dangling", cwd=cluster.replica_path(node, name)).stdout == ""
    verified = cluster.meshnode("repo", "verify", name, check=False)
    assert verified.returncode == 0, verified.stdout + verified.stderr
