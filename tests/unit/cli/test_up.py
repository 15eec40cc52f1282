"""`up`, `down`, `start`, `stop` with processes that stand in for nodes."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from click.testing import Result

from meshnode.base.ids import NodeId
from meshnode.catalog.open import open_catalog
from meshnode.cli.layout import Layout, read_cluster_file
from meshnode.cli.process import find_process, is_port_free
from meshnode.config import CatalogSettings
from meshnode.core.keys import NODES as NODE_KEYS
from meshnode.core.keys import node_key
from meshnode.core.nodes import decode_node, encode_node
from meshnode.ports import Catalog, Delete, Put
from tests.unit.cli.conftest import fake_command, node, run_cli

T = TypeVar("T")
Up = Callable[..., Result]
NODES = [node("n1"), node("n2"), node("n3")]


def wait_until(condition: Callable[[], bool], *, what: str, deadline_s: float = 20) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.02)


def test_up_makes_files_starts_three_nodes_and_says_what_to_type(up: Up, layout: Layout, base_port: int) -> None:
    result = up()
    assert result.exit_code == 0, result.output
    for number, name in enumerate(NODES):
        pid = find_process(layout, name)
        assert pid is not None
        assert layout.pid_file(name).read_text() == f"{pid}\n"
        assert f"http://127.0.0.1:{base_port + 10 * number + 3}" in result.stdout
        assert f"127.0.0.1:{base_port + 10 * number}" in result.stdout
    for hint in ("git push", "git clone", "grpcurl -plaintext", "meshnode repo show"):
        assert hint in result.stdout
    raw = json.loads(layout.cluster_file.read_text())
    assert [entry["node"] for entry in raw["nodes"]] == NODES
    assert raw["base_port"] == base_port
    assert layout.sqlite_file.exists()


def test_a_second_up_starts_only_what_does_not_run(up: Up, layout: Layout) -> None:
    assert up().exit_code == 0
    before = {name: find_process(layout, name) for name in NODES}
    killed = before[NODES[1]]
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: find_process(layout, NODES[1]) is None, what="n2 is gone")
    cluster = layout.cluster_file.read_text()
    result = run_cli("up", "--data", layout.data, "--detach", command=fake_command())
    assert result.exit_code == 0, result.output
    after = {name: find_process(layout, name) for name in NODES}
    assert after[NODES[0]] == before[NODES[0]]
    assert after[NODES[2]] == before[NODES[2]]
    assert after[NODES[1]] not in {None, killed}
    assert layout.cluster_file.read_text() == cluster


def test_a_killed_node_stays_down_until_start(up: Up, layout: Layout) -> None:
    up()
    pid = find_process(layout, NODES[0])
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: find_process(layout, NODES[0]) is None, what="n1 is gone")
    assert not layout.pid_file(NODES[0]).exists()
    result = run_cli("start", "n1", "--data", layout.data, command=fake_command())
    assert result.exit_code == 0, result.output
    assert "n1 is running" in result.stdout
    assert find_process(layout, NODES[0]) is not None
    again = run_cli("start", "n1", "--data", layout.data, command=fake_command())
    assert again.exit_code == 0
    assert "already running" in again.stdout


def test_stop_stops_one_node_gracefully_and_down_the_rest(up: Up, layout: Layout) -> None:
    up()
    result = run_cli("stop", "n2", "--data", layout.data)
    assert (result.exit_code, result.stdout) == (0, "n2 stopped\n")
    assert "told to stop" in layout.log_file(NODES[1]).read_text()
    assert find_process(layout, NODES[0]) is not None
    result = run_cli("down", "--data", layout.data)
    assert (result.exit_code, result.stdout) == (0, "n1 stopped\nn2 not running\nn3 stopped\n")
    assert not any(layout.pid_file(name).exists() for name in NODES)


def test_a_port_in_use_is_named_before_anything_is_made(up: Up, layout: Layout, base_port: int) -> None:
    with socket.create_server(("127.0.0.1", base_port + 13)):
        result = up()
    assert result.exit_code == 7
    assert f"port={base_port + 13}" in result.stderr
    assert "HTTP port of node n2 is in use" in result.stderr
    assert "--base-port" in result.stderr
    assert not layout.cluster_file.exists()


def test_a_node_that_crashes_shows_its_last_log_lines_and_leaves_nothing_running(
    up: Up, layout: Layout, base_port: int
) -> None:
    result = up(mode="crash")
    assert result.exit_code == 7
    assert "the disk is made of cheese" in result.stderr
    assert "exit code 9" in result.stderr
    assert "Traceback" not in result.output
    assert all(find_process(layout, name) is None for name in NODES)
    assert is_port_free(f"127.0.0.1:{base_port}")
    healed = up()
    assert healed.exit_code == 0, healed.output


def test_more_nodes_are_added_to_a_cluster_that_runs(up: Up, layout: Layout) -> None:
    assert up("--nodes", "2").exit_code == 0
    before = [find_process(layout, name) for name in NODES[:2]]
    result = up("--nodes", "3")
    assert result.exit_code == 0, result.output
    assert "n3 will get replicas" in result.stderr
    assert [find_process(layout, name) for name in NODES[:2]] == before
    assert find_process(layout, NODES[2]) is not None
    cluster = read_cluster_file(layout)
    assert cluster is not None
    assert [entry.node for entry in cluster.nodes] == NODES
    assert cluster.replication_factor == 2
    assert listed(layout) == NODES
    again = run_cli("up", "--data", layout.data, "--detach", command=fake_command())
    assert again.exit_code == 0, again.output
    assert "will get replicas" not in again.stderr
    assert run_cli("down", "--data", layout.data).stdout.count("stopped") == 3


def test_id_that_a_joined_machine_has_is_not_added_again(up: Up, layout: Layout) -> None:
    assert up("--nodes", "2").exit_code == 0
    before = layout.cluster_file.read_text()

    async def join(catalog: Catalog) -> None:
        (entry,) = await catalog.get([node_key(NODES[0])])
        assert entry is not None
        joined = replace(decode_node(entry.value), node=NODES[2], grpc_url="m3:1")
        await catalog.transact([], [Put(node_key(NODES[2]), encode_node(joined))])

    with_catalog(layout, join)
    result = up("--nodes", "3")
    assert result.exit_code == 5
    assert "another public key for this node" in result.stderr
    assert layout.cluster_file.read_text() == before
    assert run_cli("up", "--data", layout.data, "--detach", command=fake_command()).exit_code == 0


def remove_node(layout: Layout, name: NodeId) -> None:
    """What the end of a removal does to the catalog."""

    async def remove(catalog: Catalog) -> None:
        assert await catalog.transact([], [Delete(node_key(name))])

    with_catalog(layout, remove)


def test_removed_node_is_neither_listed_nor_started_again(up: Up, layout: Layout) -> None:
    assert up().exit_code == 0
    remove_node(layout, NODES[1])
    result = run_cli("up", "--data", layout.data, "--detach", command=fake_command())
    assert result.exit_code == 0, result.output
    assert "n2 was removed" in result.stderr
    assert listed(layout) == [NODES[0], NODES[2]]
    cluster = read_cluster_file(layout)
    assert cluster is not None
    assert [entry.node for entry in cluster.nodes] == [NODES[0], NODES[2]]
    assert [entry.node for entry in cluster.removed] == [NODES[1]]
    assert find_process(layout, NODES[1]) is not None, "what runs is left alone"
    assert run_cli("start", "n2", "--data", layout.data).exit_code == 5
    assert run_cli("stop", "n2", "--data", layout.data).exit_code == 0
    shutil.rmtree(layout.node_directory(NODES[1]))
    again = run_cli("up", "--data", layout.data, "--detach", command=fake_command())
    assert again.exit_code == 0, again.output
    assert "was removed" not in again.stderr
    assert not layout.node_directory(NODES[1]).exists()
    assert run_cli("down", "--data", layout.data).stdout.count("stopped") == 2


def test_first_node_may_be_removed_with_its_directory_and_a_new_one_gets_a_new_id(up: Up, layout: Layout) -> None:
    assert up("--nodes", "2").exit_code == 0
    assert run_cli("stop", "n1", "--data", layout.data).exit_code == 0
    remove_node(layout, NODES[0])
    shutil.rmtree(layout.node_directory(NODES[0]))
    result = up("--nodes", "2")
    assert result.exit_code == 0, result.output
    assert listed(layout) == NODES[1:], "n1 is not given again"
    cluster = read_cluster_file(layout)
    assert cluster is not None
    assert [entry.node for entry in cluster.nodes] == NODES[1:]
    assert find_process(layout, NODES[2]) is not None


def test_removed_node_that_still_runs_is_stopped_with_the_rest(up: Up, layout: Layout) -> None:
    assert up().exit_code == 0
    remove_node(layout, NODES[2])
    assert run_cli("up", "--data", layout.data, "--detach", command=fake_command()).exit_code == 0
    assert run_cli("down", "--data", layout.data).stdout.count("stopped") == 3


def test_taken_port_of_a_new_node_is_found_before_anything_is_written(up: Up, layout: Layout, base_port: int) -> None:
    assert up("--nodes", "2").exit_code == 0
    before = layout.cluster_file.read_text()
    with socket.create_server(("127.0.0.1", base_port + 20)):
        result = up("--nodes", "3")
    assert result.exit_code == 7
    assert layout.cluster_file.read_text() == before
    assert listed(layout) == NODES[:2]


def with_catalog(layout: Layout, work: Callable[[Catalog], Awaitable[T]]) -> T:
    """Do something with the cluster's catalog."""

    async def run() -> T:
        catalog = await open_catalog(CatalogSettings(url=f"sqlite://{layout.sqlite_file}"))
        try:
            return await work(catalog)
        finally:
            await catalog.close()

    return asyncio.run(run())


def listed(layout: Layout) -> list[NodeId]:
    """The nodes in the catalog."""

    async def read(catalog: Catalog) -> list[NodeId]:
        return [decode_node(entry.value).node for entry in await catalog.range(NODE_KEYS)]

    return with_catalog(layout, read)


def test_options_that_contradict_the_directory_are_refused(up: Up, layout: Layout) -> None:
    up()
    run_cli("down", "--data", layout.data)
    for options, message in (
        (["--nodes", "2"], "cluster with other nodes"),
        (["--base-port", "9000"], "cluster with other nodes"),
        (["--catalog", "etcd://127.0.0.1:2379"], "cluster with other catalog"),
    ):
        result = run_cli("up", "--data", layout.data, "--detach", *options, command=fake_command())
        assert result.exit_code == 5, result.output
        assert message in result.stderr
    assert find_process(layout, NODES[0]) is None


def test_a_directory_with_odd_characters_works(layout: Layout, base_port: int, tmp_path: Path) -> None:
    odd = Layout(tmp_path / "größe 100%41 'x'")
    layout.data.rename(odd.data)
    options = ["--data", odd.data, "--base-port", base_port, "--nodes", "1"]
    result = run_cli("up", *options, "--detach", command=fake_command())
    assert result.exit_code == 0, result.output
    assert odd.sqlite_file.exists()
    assert run_cli("down", "--data", odd.data).stdout == "n1 stopped\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["up", "--nodes", "0"],
        ["up", "--nodes", "51"],
        ["up", "--base-port", "70000"],
        ["up", "--base-port", "65530", "--nodes", "2"],
        ["up", "--catalog", "mysql://x"],
    ],
)
def test_impossible_options_are_usage_errors(layout: Layout, arguments: list[str]) -> None:
    result = run_cli(*arguments, "--data", layout.data, "--detach", command=fake_command("crash"))
    assert result.exit_code == 2, result.output
    assert not layout.cluster_file.exists()


def test_a_catalog_of_another_cluster_is_refused_before_anything_is_made(
    up: Up, layout: Layout, base_port: int, tmp_path: Path
) -> None:
    up()
    run_cli("down", "--data", layout.data)
    other = Layout(tmp_path / "other")
    options = ["--data", other.data, "--base-port", base_port, "--detach"]
    result = run_cli("up", *options, "--catalog", f"sqlite://{layout.sqlite_file}", command=fake_command())
    assert result.exit_code == 5, result.output
    assert "belongs to another cluster" in result.stderr
    assert not other.cluster_file.exists()


def test_hints_leave_the_directory_out_where_it_is_the_default(
    up: Up, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"meshnode repo show demo/requests --data {layout.data}\n" in up().stdout
    monkeypatch.setenv("MESHNODE_DATA", str(layout.data))
    assert "meshnode repo show demo/requests\n" in run_cli("up", "--detach").stdout


def test_what_is_said_to_be_typed_can_be_typed(up: Up) -> None:
    (line,) = [line for line in up().stdout.splitlines() if " repo show " in line]
    program = line.removeprefix("look").split(" repo show ")[0].strip()
    shown = subprocess.run([*program.split(), "--version"], capture_output=True, text=True, check=True)
    assert "meshnode" in shown.stdout


@pytest.mark.parametrize("arguments", [["down"], ["start", "n1"], ["stop", "n1"]])
def test_commands_on_a_directory_without_a_cluster_say_so(tmp_path: Path, arguments: list[str]) -> None:
    result = run_cli(*arguments, "--data", tmp_path)
    assert result.exit_code == 3
    assert "there is no cluster in this directory" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_unknown_node_is_not_found(up: Up, layout: Layout) -> None:
    up()
    for verb in ("start", "stop"):
        result = run_cli(verb, "n9", "--data", layout.data)
        assert result.exit_code == 3
        assert "use one of n1, n2, n3" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_the_foreground_a_signal_stops_all_nodes_and_says_where_the_data_is(
    layout: Layout, base_port: int, number: signal.Signals
) -> None:
    program = (
        "from meshnode.cli.root import cli; from tests.unit.cli.conftest import fake_command;"
        f"cli(['up', '--data', {str(layout.data)!r}, '--base-port', '{base_port}'], obj=fake_command())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        assert "Ctrl-C" in lines[-1], "".join(lines)
        assert all(find_process(layout, name) is not None for name in NODES)
        pid = find_process(layout, NODES[0])
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        lines.append(process.stderr.readline())
        assert "n1 ended (killed by SIGKILL)" in lines[-1]
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "n2 stopped" in out
    assert str(layout.data) in err
    assert all(find_process(layout, name) is None for name in NODES)


def test_a_signal_while_nodes_start_stops_them(layout: Layout, base_port: int) -> None:
    program = (
        "from meshnode.cli.root import cli; from tests.unit.cli.conftest import fake_command;"
        f"cli(['up', '--data', {str(layout.data)!r}, '--base-port', '{base_port}'], obj=fake_command('never-ready'))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:

        def have_started() -> bool:
            assert process.poll() is None, process.communicate()
            return all(find_process(layout, name) is not None for name in NODES)

        wait_until(have_started, what="the nodes started")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert all(find_process(layout, name) is None for name in NODES)
