"""Processes of local nodes: found by what they are, stopped for sure, never mistaken for another program."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from meshnode.cli.blueprint import make_cluster_files, plan_local_cluster
from meshnode.cli.launch import wait_until_ready
from meshnode.cli.layout import ClusterFile, Layout
from meshnode.cli.outcome import CommandError
from meshnode.cli.process import (
    find_process,
    is_serving,
    read_log_tail,
    reap,
    start_process,
    stop_processes,
)
from tests.unit.cli.conftest import fake_command, node

N1 = node("n1")


@pytest.fixture
def cluster(layout: Layout, base_port: int) -> ClusterFile:
    url = f"sqlite://{layout.sqlite_file}"
    blueprint = plan_local_cluster(layout, node_count=3, base_port=base_port, catalog_url=url)
    return make_cluster_files(layout, blueprint, None)


def test_a_started_process_is_found_in_its_own_session_and_stopped(layout: Layout, cluster: ClusterFile) -> None:
    started = start_process(layout, N1, fake_command())
    assert find_process(layout, N1) == started.pid
    assert os.getsid(started.pid) == started.pid
    wait_until_ready(layout, cluster.nodes[:1], [started])
    assert stop_processes(layout, [N1]) == {N1: "stopped"}
    assert find_process(layout, N1) is None
    assert reap(started.pid) == 0
    assert reap(started.pid) is None
    assert reap(os.getppid()) is None


def test_a_process_that_ignores_sigterm_is_killed(layout: Layout, cluster: ClusterFile) -> None:
    started = start_process(layout, N1, fake_command("deaf"))
    wait_until_ready(layout, cluster.nodes[:1], [started])
    assert stop_processes(layout, [N1], stop_ms=100) == {N1: "killed"}
    assert find_process(layout, N1) is None
    assert reap(started.pid) == -9


def test_a_pid_of_another_program_is_neither_believed_nor_signalled(layout: Layout, cluster: ClusterFile) -> None:
    del cluster
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        layout.pid_file(N1).write_text(f"{stranger.pid}\n")
        assert stop_processes(layout, [N1]) == {N1: "not running"}
        assert stranger.poll() is None
        assert not layout.pid_file(N1).exists()
        layout.pid_file(N1).write_text(f"{stranger.pid}\n")
        assert find_process(layout, N1) is None
        stranger.kill()


@pytest.mark.parametrize("content", ["", "zero", "-1", "0", "99999999", "9" * 30])
def test_a_useless_pid_file_counts_as_not_running_and_is_removed(
    layout: Layout, cluster: ClusterFile, content: str
) -> None:
    del cluster
    layout.pid_file(N1).write_text(content)
    assert stop_processes(layout, [N1]) == {N1: "not running"}
    layout.pid_file(N1).write_text(content)
    assert find_process(layout, N1) is None
    assert not layout.pid_file(N1).exists()


def test_whoever_looks_while_a_node_is_started_leaves_its_pid_file_alone(layout: Layout, cluster: ClusterFile) -> None:
    """A look that found no file removed the one that a start wrote a moment later: the node ran on for ever, unseen."""
    del cluster
    layout.pid_file(N1).write_text("99999999\n")
    with layout.lock():  # as a start does
        assert find_process(layout, N1) is None
        assert stop_processes(layout, [N1]) == {N1: "not running"}
        assert layout.pid_file(N1).exists()
    assert find_process(layout, N1) is None
    assert not layout.pid_file(N1).exists()


def test_a_zombie_is_not_running(layout: Layout, cluster: ClusterFile) -> None:
    del cluster
    started = start_process(layout, N1, fake_command("crash"))
    deadline = time.monotonic() + 20
    while is_serving(started.pid, layout.config_file(N1)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert Path(f"/proc/{started.pid}").exists()
    assert find_process(layout, N1) is None
    assert reap(started.pid, wait_ms=20_000) == 9


def test_a_program_that_is_missing_is_told_with_the_reason(layout: Layout, cluster: ClusterFile) -> None:
    del cluster
    with pytest.raises(CommandError, match="cannot be started") as raised:
        start_process(layout, N1, lambda config: ["/does/not/exist", str(config)])
    assert raised.value.fields["detail"] == "No such file or directory"
    assert not layout.pid_file(N1).exists()


def test_a_node_that_is_never_ready_is_reported_with_what_it_says(layout: Layout, cluster: ClusterFile) -> None:
    started = start_process(layout, N1, fake_command("never-ready"))
    deadline = time.monotonic() + 20
    while True:
        with pytest.raises(CommandError) as raised:
            wait_until_ready(layout, cluster.nodes[:1], [started], ready_ms=100)
        assert raised.value.message == "the node is not ready in time"
        if "waiting for the moon" in str(raised.value.fields["reason"]):
            break
        assert time.monotonic() < deadline
    assert raised.value.log_lines == ("node n1 starts",)


def test_the_tail_of_a_log_is_what_this_start_printed(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    assert read_log_tail(log) == ()
    log.write_text("old\n" * 3)
    offset = log.stat().st_size
    with log.open("a") as file:
        file.writelines(f"line {number}\n\n" for number in range(40))
    assert read_log_tail(log, offset)[-1] == "line 39"
    assert len(read_log_tail(log, offset)) == 8
    assert read_log_tail(log, log.stat().st_size) == ()
    log.write_bytes(b"x" * 100_000 + b"\xff\n")
    assert len(read_log_tail(log)[0]) <= 8_192
