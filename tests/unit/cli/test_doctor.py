"""`doctor`: each check finds what it is for, and the command says what to do."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from meshnode.catalog.open import open_catalog
from meshnode.cli.checks import (
    Status,
    check_catalog,
    check_clock,
    check_connection,
    check_directory,
    check_git,
    check_key,
    check_ports,
    check_python,
)
from meshnode.cli.layout import Layout, read_cluster_file, write_cluster_file
from meshnode.cli.process import find_process
from meshnode.config import CatalogSettings
from meshnode.core.keys import CLUSTER
from meshnode.ports import Put
from tests.unit.cli.conftest import node, run_cli

Up = Callable[..., Result]


@contextmanager
def clock_server(offset_s: float) -> Iterator[str]:
    """An HTTP server whose Date is `offset_s` ahead."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate((timestamp or time.time()) + offset_s, usegmt=True)

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            del format, args

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def fake_git(directory: Path, script: str) -> str:
    path = directory / "git"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_this_interpreter_and_git_are_good_enough() -> None:
    assert check_python().status is Status.OK
    assert check_git().status is Status.OK


@pytest.mark.parametrize(
    ("script", "detail"),
    [
        ("echo git version 2.30.2", "git version 2.30.2"),
        ("echo who knows", "says no version"),
        ("exit 3", "says no version"),
    ],
)
def test_an_old_or_broken_git_fails(tmp_path: Path, script: str, detail: str) -> None:
    check = check_git(fake_git(tmp_path, script))
    assert check.status is Status.FAIL
    assert detail in check.detail
    assert check.advice


def test_a_newer_major_version_of_git_is_good_enough(tmp_path: Path) -> None:
    assert check_git(fake_git(tmp_path, "echo git version 3.0.1")).status is Status.OK


def test_a_missing_git_fails() -> None:
    assert check_git("git-that-is-not-there").detail == "not found on PATH"


def test_a_directory_is_tried_with_a_durable_write_that_leaves_nothing(tmp_path: Path) -> None:
    check = check_directory("data", tmp_path)
    assert check.status is not Status.FAIL
    assert "fsync" in check.detail
    assert list(tmp_path.iterdir()) == []
    assert check_directory("data", tmp_path / "missing").status is Status.FAIL


def test_a_key_that_others_can_read_fails_and_one_to_be_made_is_fine(layout: Layout) -> None:
    assert check_key("key", layout.operator_key).status is Status.OK
    layout.operator_key.chmod(0o640)
    check = check_key("key", layout.operator_key)
    assert check.status is Status.FAIL
    assert "chmod 600" in check.advice
    missing = layout.data / "none.pem"
    assert check_key("key", missing).status is Status.FAIL
    assert check_key("key", missing, is_made_on_start=True).status is Status.OK


def test_ports_are_judged_by_whether_the_node_runs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = f"127.0.0.1:{listener.getsockname()[1]}"
        assert check_ports("p", [taken], is_running=True).status is Status.OK
        assert check_ports("p", [taken], is_running=False).status is Status.FAIL
        assert check_connection("c", taken).status is Status.OK
    assert check_ports("p", [taken], is_running=True).status is Status.FAIL
    assert check_ports("p", [taken], is_running=False).status is Status.WARN
    assert check_connection("c", taken).status is Status.FAIL
    assert check_connection("c", "nonsense").status is Status.FAIL


@pytest.mark.parametrize(
    ("offset_s", "status"),
    [(0, Status.OK), (30, Status.WARN), (-30, Status.WARN), (300, Status.FAIL), (-300, Status.FAIL)],
)
def test_clocks_are_compared_with_what_the_node_allows(offset_s: float, status: Status) -> None:
    with clock_server(offset_s) as url:
        assert check_clock("clock", url, 120_000).status is status


def test_a_clock_that_cannot_be_read_is_a_warning() -> None:
    assert check_clock("clock", "http://127.0.0.1:1", 120_000).status is Status.WARN


async def test_a_catalog_is_judged_by_what_it_holds(tmp_path: Path) -> None:
    settings = CatalogSettings(url=f"sqlite://{tmp_path}/catalog.db")
    check, content = await check_catalog(settings, "")
    assert (check.status, content) == (Status.FAIL, None)
    assert "holds no cluster" in check.detail
    catalog = await open_catalog(settings)
    try:
        await catalog.transact([], [Put(CLUSTER, b"not json")])
    finally:
        await catalog.close()
    check, content = await check_catalog(settings, "")
    assert (check.status, content) == (Status.FAIL, None)
    assert "restore the catalog" in check.advice
    check, content = await check_catalog(CatalogSettings(url="mysql://x"), "")
    assert check.status is Status.FAIL


def by_name(result: Result) -> dict[str, Any]:
    return {entry["check"]: entry for entry in json.loads(result.stdout)}


def test_without_a_cluster_only_the_machine_is_checked(tmp_path: Path) -> None:
    result = run_cli("doctor", "--data", tmp_path, "--json")
    assert result.exit_code == 0, result.output
    checks = by_name(result)
    assert set(checks) == {"python", "git", "cluster"}
    assert checks["cluster"]["status"] == "warn"


def test_a_running_cluster_of_nodes_that_do_not_speak_grpc_fails_only_the_calls(up: Up, layout: Layout) -> None:
    up()
    result = run_cli("doctor", "--data", layout.data, "--json")
    assert result.exit_code == 1, result.output
    checks = by_name(result)
    assert {name for name, entry in checks.items() if entry["status"] == "fail"} == {
        "n1 answers",
        "n2 answers",
        "n3 answers",
    }
    for name in ("python", "git", "operator key", "n1 settings", "n1 data", "n1 key", "n2 ports", "n3 clock"):
        assert checks[name]["status"] == "ok", checks[name]
    assert "256" not in checks["catalog"]["detail"]
    assert "3 nodes" in checks["catalog"]["detail"]


def test_a_stopped_node_is_a_warning_and_is_not_called(up: Up, layout: Layout) -> None:
    up()
    run_cli("down", "--data", layout.data)
    result = run_cli("doctor", "--data", layout.data)
    assert result.exit_code == 0, result.output
    assert "not running" in result.stdout
    assert "warn: n1 ports: start the node" in result.stderr
    assert "answers" not in result.stdout


def test_broken_settings_and_keys_are_all_found_in_one_run(up: Up, layout: Layout) -> None:
    up()
    run_cli("down", "--data", layout.data)
    layout.key_file(node("n1")).chmod(0o644)
    config = layout.config_file(node("n2"))
    config.write_text(config.read_text() + "\n[nonsense]\nx = 1\n")
    result = run_cli("doctor", "--data", layout.data, "--json")
    assert result.exit_code == 1
    checks = by_name(result)
    assert checks["n1 key"]["status"] == "fail"
    assert checks["n2 settings"]["status"] == "fail"
    assert "nonsense" in checks["n2 settings"]["detail"]
    assert checks["n3 key"]["status"] == "ok"


def test_one_nodes_settings_can_be_checked_by_themselves(up: Up, layout: Layout) -> None:
    up()
    run_cli("stop", "n3", "--data", layout.data)
    result = run_cli("doctor", "--config", layout.config_file(node("n1")), "--json")
    checks = by_name(result)
    assert checks["n1 ports"]["status"] == "ok"
    assert checks["n2 reachable"]["status"] == "ok"
    assert checks["n3 reachable"]["status"] == "fail"
    assert result.exit_code == 1
    missing = run_cli("doctor", "--config", layout.data / "none.toml", "--json")
    assert missing.exit_code == 1
    assert by_name(missing)["node settings"]["status"] == "fail"


def test_another_clusters_catalog_is_found(up: Up, layout: Layout) -> None:
    up()
    run_cli("down", "--data", layout.data)
    raw = json.loads(layout.cluster_file.read_text())
    layout.cluster_file.write_text(json.dumps({**raw, "cluster_id": "f" * 32}))
    checks = by_name(run_cli("doctor", "--data", layout.data, "--json"))
    assert checks["catalog"]["status"] == "fail"
    assert "f" * 32 in checks["catalog"]["detail"]
    refused = run_cli("up", "--data", layout.data, "--detach")
    assert refused.exit_code == 5
    assert "belongs to another cluster" in refused.stderr
    assert find_process(layout, node("n1")) is None
    assert read_cluster_file(layout) is not None
    assert os.path.exists(layout.sqlite_file)  # noqa: PTH110


def test_nodes_on_other_machines_are_called_though_their_settings_are_not_here(up: Up, layout: Layout) -> None:
    assert up().exit_code == 0
    cluster = read_cluster_file(layout)
    assert cluster is not None
    elsewhere = Layout(layout.data.parent / "operator")
    write_cluster_file(elsewhere, replace(cluster, base_port=None))
    shutil.copy(layout.operator_key, elsewhere.operator_key)
    found = json.loads(run_cli("doctor", "--data", elsewhere.data, "--json").stdout)
    names = {check["check"]: check["status"] for check in found}
    assert names["operator key"] == "ok"
    assert {names[f"n{number} answers"] for number in (1, 2, 3)} == {"fail"}, "these fakes do not speak gRPC"
    assert not [name for name in names if "settings" in name or name == "catalog"]
