"""The files of a new cluster: what `up` writes, and what a second run keeps."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from meshnode.auth.keys import load_private_key
from meshnode.cli.blueprint import (
    PARTITION_COUNT,
    ClusterBlueprint,
    make_cluster_files,
    nodes_of,
    operator_of,
    plan_local_cluster,
    settings_of,
)
from meshnode.cli.layout import Layout, read_cluster_file
from meshnode.cli.outcome import CommandError, ExitCode
from meshnode.config import load_config
from meshnode.core.applications import Role
from tests.unit.cli.conftest import KeyShelf, node


def plan(layout: Layout, *, nodes: int = 3, port: int = 9000) -> ClusterBlueprint:
    url = f"sqlite://{layout.sqlite_file}"
    return plan_local_cluster(layout, node_count=nodes, base_port=port, catalog_url=url)


def snapshot(layout: Layout) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(layout.data.rglob("*")) if path.is_file()}


def test_up_makes_keys_settings_and_cluster_file(layout: Layout) -> None:
    cluster = make_cluster_files(layout, plan(layout), None)
    assert read_cluster_file(layout) == cluster
    assert len(cluster.cluster_id) == 32
    assert settings_of(cluster).partition_count == PARTITION_COUNT
    assert settings_of(cluster).replication_factor == 3
    for number, entry in enumerate(nodes_of(cluster)):
        config = load_config(layout.config_file(entry.node), {})
        assert config.node.id == entry.node == f"n{number + 1}"
        assert config.node.data == layout.data / entry.node
        assert config.listen.grpc == entry.grpc_url == f"127.0.0.1:{9000 + 10 * number}"
        assert config.listen.http == f"127.0.0.1:{9003 + 10 * number}"
        assert entry.http_url == f"http://127.0.0.1:{9003 + 10 * number}"
        assert config.catalog.url == f"sqlite://{layout.sqlite_file}"
        assert config.push.is_create_on_push
        assert config.auth.anonymous_http == "write"
        assert config.auth.is_open_introspection
        assert entry.public_keys == (load_private_key(layout.key_file(entry.node)).public_pem,)
    assert operator_of(layout).role is Role.ADMINISTRATOR
    for path in (layout.operator_key, *(layout.key_file(entry.node) for entry in cluster.nodes)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(("nodes", "factor"), [(1, 1), (2, 2), (3, 3), (5, 3)])
def test_the_factor_is_three_or_all_nodes(layout: Layout, nodes: int, factor: int) -> None:
    assert plan(layout, nodes=nodes).replication_factor == factor


def test_a_second_run_changes_no_byte(layout: Layout) -> None:
    cluster = make_cluster_files(layout, plan(layout), None)
    before = snapshot(layout)
    assert make_cluster_files(layout, plan(layout), cluster) == cluster
    assert snapshot(layout) == before


def test_settings_that_an_operator_edited_are_kept_and_missing_ones_made_again(layout: Layout) -> None:
    cluster = make_cluster_files(layout, plan(layout), None)
    first, second = (layout.config_file(entry.node) for entry in cluster.nodes[:2])
    original = second.read_text()
    first.write_text(first.read_text() + "# mine\n")
    edited = first.read_text()
    second.unlink()
    make_cluster_files(layout, plan(layout), cluster)
    assert first.read_text() == edited
    assert second.read_text() == original


def test_a_run_that_stopped_before_cluster_json_reuses_the_keys(layout: Layout) -> None:
    key = layout.key_file(node("n1")).read_bytes()
    make_cluster_files(layout, plan(layout), None)
    assert layout.key_file(node("n1")).read_bytes() == key


def test_a_missing_node_key_is_refused_and_not_made_anew(layout: Layout) -> None:
    cluster = make_cluster_files(layout, plan(layout), None)
    layout.key_file(node("n2")).unlink()
    with pytest.raises(CommandError, match="not the one the cluster knows") as raised:
        make_cluster_files(layout, plan(layout), cluster)
    assert raised.value.exit_code is ExitCode.REFUSED
    assert raised.value.fields["node"] == "n2"
    assert not layout.key_file(node("n2")).exists()


def test_another_nodes_key_is_refused(layout: Layout, keys: KeyShelf) -> None:
    cluster = make_cluster_files(layout, plan(layout), None)
    keys.copy("1", layout.key_file(node("n2")))
    with pytest.raises(CommandError, match="not the one the cluster knows"):
        make_cluster_files(layout, plan(layout), cluster)
