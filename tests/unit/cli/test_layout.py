"""`cluster.json`, ports and the lock of a data directory."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from meshnode.cli.layout import (
    ClusterFile,
    ClusterNode,
    Layout,
    local_ports,
    read_cluster_file,
    replace_file,
    require_cluster_file,
    write_cluster_file,
)
from meshnode.cli.outcome import CommandError, ExitCode
from tests.unit.cli.conftest import node

CLUSTER = ClusterFile(
    cluster_id="c" * 32,
    catalog_url="sqlite:///x/catalog.db",
    partition_count=256,
    replication_factor=2,
    base_port=7777,
    nodes=(
        ClusterNode(node=node("n1"), grpc="127.0.0.1:7777", http="http://127.0.0.1:7780", public_key="PEM 1"),
        ClusterNode(node=node("n2"), grpc="127.0.0.1:7787", http="http://127.0.0.1:7790", public_key="PEM 2"),
    ),
)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "new")
    write_cluster_file(layout, CLUSTER)
    assert read_cluster_file(layout) == CLUSTER
    assert [path.name for path in layout.data.iterdir()] == ["cluster.json"]


def test_no_file_is_no_cluster(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "nowhere")
    assert read_cluster_file(layout) is None
    with pytest.raises(CommandError, match="no cluster in this directory"):
        require_cluster_file(layout)


def damage_json(raw: dict[str, Any]) -> str:
    return json.dumps(raw)[:-20]


def damage_format(raw: dict[str, Any]) -> str:
    return json.dumps({**raw, "format": 2})


def damage_key(raw: dict[str, Any]) -> str:
    del raw["cluster_id"]
    return json.dumps(raw)


def damage_node(raw: dict[str, Any]) -> str:
    raw["nodes"][0]["node"] = "../../etc"
    return json.dumps(raw)


def damage_shape(raw: dict[str, Any]) -> str:
    return json.dumps([raw])


@pytest.mark.parametrize("damage", [damage_json, damage_format, damage_key, damage_node, damage_shape])
def test_a_damaged_file_is_refused_with_its_name(tmp_path: Path, damage: Any) -> None:
    layout = Layout(tmp_path)
    write_cluster_file(layout, CLUSTER)
    layout.cluster_file.write_text(damage(json.loads(layout.cluster_file.read_text())))
    with pytest.raises(CommandError, match=r"cluster\.json cannot be read") as raised:
        read_cluster_file(layout)
    assert raised.value.exit_code is ExitCode.SETUP
    assert raised.value.fields["file"] == str(layout.cluster_file)


def test_ports_follow_the_documented_rule() -> None:
    assert [local_ports(7777, number) for number in (1, 2, 3)] == [(7777, 7780), (7787, 7790), (7797, 7800)]


def test_only_one_command_at_a_time_holds_the_lock(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with layout.lock():
        with pytest.raises(CommandError, match="another command is changing this cluster"), layout.lock(wait_ms=60):
            pass
    with layout.lock(wait_ms=0):
        pass


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="the data directory cannot be written"), Layout(tmp_path / "file").lock():
        pass


def test_a_replaced_file_has_the_asked_mode_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "secret"
    replace_file(path, "one", mode=0o600)
    replace_file(path, "two", mode=0o600)
    assert path.read_text() == "two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_an_unknown_node_is_refused_with_the_known_ones() -> None:
    assert CLUSTER.find("n2").grpc == "127.0.0.1:7787"
    with pytest.raises(CommandError) as raised:
        CLUSTER.find("n3")
    assert "n1, n2" in raised.value.advice
