"""A short chaos run: three nodes in network namespaces of their own, real etcd, real faults, any seed.

`make chaos` makes longer ones; a failure names the seed, and the directory with everything that was seen.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.isolation import UNFIT, Unfit, check_machine, missing_packages
from tests.e2e.cluster import descendants, is_running
from tests.e2e.waiting import wait_until

_ROOT = Path(__file__).resolve().parents[2]
_MINUTES = 0.75


@pytest.fixture(scope="module", autouse=True)
def _fit_machine() -> None:
    try:
        check_machine()
    except Unfit as error:
        pytest.fail(str(error))


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=_ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


@contextmanager
def running_chaos(results: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.chaos.run", "--minutes", "5", "--results", str(results)]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.timeout(600)
def test_nothing_is_lost_while_nodes_links_disks_and_members_fail(tmp_path: Path) -> None:
    done = run("tests.chaos.run", "--minutes", str(_MINUTES), "--results", str(tmp_path))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3_000:]}"
    (results,) = tmp_path.iterdir()
    figures = json.loads((results / "figures.json").read_text())
    assert figures["lost"] == 0
    assert figures["failures"] == []
    assert len(figures["faults"]) >= 3
    assert set(figures["writes"]) == {"light", "git", "rpc"}
    assert sum(row.get("done", 0) for row in figures["writes"].values()) > 20


def test_every_network_fault_is_what_it_is_called() -> None:
    done = run("tests.chaos.probe")
    assert done.returncode == 0, done.stderr[-3_000:]


def test_nothing_is_left_of_a_run_that_is_killed(tmp_path: Path) -> None:
    mounts = Path("/proc/self/mounts").read_text()
    with running_chaos(tmp_path) as process:
        wait_until(
            lambda: any(b"node_ready" in log.read_bytes() for log in tmp_path.glob("*/logs/n3.log")),
            deadline_s=60,
            what="the cluster of the run is up",
        )
        started = [pid for pid, _ in descendants(process.pid)]
        assert len(started) > 6
        process.kill()
        wait_until(lambda: not any(map(is_running, started)), deadline_s=20, what="everything ends")
    assert b"chaos0" not in subprocess.run(["ip", "link"], capture_output=True, check=True).stdout
    assert Path("/proc/self/mounts").read_text() == mounts


@pytest.mark.parametrize("module", ["tests.chaos.run", "tests.chaos.life"])
def test_a_machine_that_cannot_hold_a_run_is_told_what_to_install(tmp_path: Path, module: str) -> None:
    command = [sys.executable, "-m", module, "--results", str(tmp_path / "results")]
    environment = {"PATH": str(tmp_path)}
    done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == UNFIT
    assert done.stderr.startswith(f"{module}: missing programs: run make test-setup, or apt-get install ")
    assert not (tmp_path / "results").exists()


def test_what_is_missing_is_said_by_the_names_of_packages(tmp_path: Path) -> None:
    assert missing_packages(str(tmp_path)) == [
        "etcd-client",
        "etcd-server",
        "git",
        "iproute2",
        "iptables",
        "mount",
        "util-linux",
    ]
