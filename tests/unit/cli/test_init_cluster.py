"""`init-cluster`: keys, settings and catalog for nodes that run elsewhere; starts nothing, changes nothing twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import Result

from meshnode.catalog.open import open_catalog
from meshnode.cli.layout import Layout, read_cluster_file
from meshnode.config import CatalogSettings, load_config
from meshnode.core.keys import NODES
from meshnode.core.nodes import Node, decode_node
from tests.unit.cli.conftest import node, run_cli

NODE_OPTIONS = [option for k in (1, 2, 3) for option in ("--node", f"n{k}=node{k}:7777,http://node{k}:7780")]


def init(layout: Layout, *options: str, nodes: list[str] | None = None) -> Result:
    catalog = f"sqlite://{layout.data}/shared.db"
    given = NODE_OPTIONS if nodes is None else nodes
    return run_cli("init-cluster", "--output", layout.data, "--catalog", catalog, *given, *options)


def read_nodes(layout: Layout) -> list[Node]:
    async def read() -> list[Node]:
        catalog = await open_catalog(CatalogSettings(url=f"sqlite://{layout.data}/shared.db"))
        try:
            return [decode_node(entry.value) for entry in await catalog.range(NODES)]
        finally:
            await catalog.close()

    return asyncio.run(read())


def test_nodes_listen_everywhere_and_are_found_by_the_given_addresses(layout: Layout) -> None:
    result = init(layout, "--data-path", "/data", "--allow-plaintext", "--create-on-push", "--open-introspection")
    assert result.exit_code == 0, result.output
    assert "3 nodes, 261 catalog keys written" in result.stdout
    config = load_config(layout.config_file(node("n2")), {})
    assert config.node.data == Path("/data")
    assert (config.listen.grpc, config.listen.http) == ("0.0.0.0:7777", "0.0.0.0:7780")
    assert (config.listen.grpc_url, config.listen.http_url) == ("node2:7777", "http://node2:7780")
    assert config.tls.is_plaintext_allowed
    assert config.push.is_create_on_push
    assert config.auth.is_open_introspection
    assert config.auth.anonymous_http == "none"
    assert [(entry.grpc_url, entry.http_url) for entry in read_nodes(layout)] == [
        (f"node{number}:7777", f"http://node{number}:7780") for number in (1, 2, 3)
    ]


def test_zones_are_told_to_nodes_and_catalog_and_spread_replicas(layout: Layout) -> None:
    zones = ("east", "east", "west", "north")
    given = [f"--node=n{k}=h{k}:7777,http://h{k}:7780,{zone}" for k, zone in enumerate(zones, 1)]
    result = init(layout, "--allow-plaintext", nodes=given)
    assert result.exit_code == 0, result.output
    assert [entry.zone for entry in read_nodes(layout)] == list(zones)
    assert load_config(layout.config_file(node("n3")), {}).node.zone == "west"
    assert init(layout, "--allow-plaintext", nodes=given).exit_code == 0
    moved = init(layout, "--allow-plaintext", nodes=[one.replace("west", "north") for one in given])
    assert moved.exit_code == 5
    assert "other nodes" in moved.stderr


def test_a_zone_without_a_name_is_refused(layout: Layout) -> None:
    result = init(layout, "--allow-plaintext", nodes=["--node", "n1=h:7777,http://h:7780,"])
    assert result.exit_code == 2
    assert "zone has no name" in result.stderr
    assert not layout.cluster_file.exists()


def test_a_second_run_changes_nothing(layout: Layout) -> None:
    init(layout, "--allow-plaintext")
    before = {path: path.read_bytes() for path in layout.data.rglob("*") if path.suffix in {".pem", ".toml", ".json"}}
    result = init(layout, "--allow-plaintext")
    assert result.exit_code == 0
    assert "0 catalog keys written" in result.stdout
    assert all(path.read_bytes() == content for path, content in before.items())


def test_its_nodes_are_not_started_or_stopped_from_here(layout: Layout) -> None:
    init(layout, "--allow-plaintext")
    for arguments in (["up", "--detach"], ["down"], ["start", "n1"], ["stop", "n1"]):
        result = run_cli(*arguments, "--data", layout.data)
        assert result.exit_code == 5, result.output
        assert "run elsewhere" in result.stderr


def test_a_run_that_fails_at_the_catalog_is_completed_by_a_later_one(layout: Layout) -> None:
    catalog = f"sqlite://{layout.data}/not/there/catalog.db"
    arguments = ["init-cluster", "--output", layout.data, "--catalog", catalog, *NODE_OPTIONS, "--allow-plaintext"]
    result = run_cli(*arguments)
    assert result.exit_code != 0
    assert "directory does not exist" in result.stderr
    assert not layout.cluster_file.exists()
    (layout.data / "not" / "there").mkdir(parents=True)
    result = run_cli(*arguments)
    assert result.exit_code == 0, result.output
    assert read_cluster_file(layout) is not None


def test_a_catalog_that_does_not_answer_is_unreachable(layout: Layout) -> None:
    result = run_cli(
        "init-cluster", "--output", layout.data, "--catalog", "etcd://127.0.0.1:1", *NODE_OPTIONS, "--allow-plaintext"
    )
    assert result.exit_code == 4, result.output
    assert "no etcd member can be reached" in result.stderr


@pytest.mark.parametrize(
    ("nodes", "options", "message"),
    [
        (["--node", "n1"], [], "is not NODE=HOST:PORT,http://HOST:PORT"),
        (["--node", "n1=node1:7777"], [], "is not NODE=HOST:PORT,http://HOST:PORT"),
        (["--node", "n1=node1:x,http://node1:7780"], [], "is not NODE=HOST:PORT,http://HOST:PORT"),
        (["--node", "N1=node1:7777,http://node1:7780"], [], "node id must be"),
        (["--node", "n1=node1:7777,http://:7780"], [], "has no host and port"),
        (["--node", "n1=node1:7777,http://node1:99999"], [], "Port out of range"),
        ([*NODE_OPTIONS, *NODE_OPTIONS[:2]], [], "names a node twice"),
        (NODE_OPTIONS, ["--factor", "4"], "needs as many nodes"),
        ([], [], "--node"),
    ],
)
def test_wrong_nodes_are_usage_errors_and_nothing_is_made(
    layout: Layout, nodes: list[str], options: list[str], message: str
) -> None:
    result = init(layout, *options, nodes=nodes)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert not layout.cluster_file.exists()


def test_grpc_beyond_loopback_needs_tls_or_permission_and_a_refusal_makes_nothing(layout: Layout) -> None:
    result = init(layout)
    assert result.exit_code == 2, result.output
    assert "--tls-path" in result.stderr
    assert not layout.cluster_file.exists()


def test_tls_files_are_named_as_each_node_sees_them(layout: Layout) -> None:
    result = init(layout, "--tls-path", "/etc/meshnode/tls")
    assert result.exit_code == 0, result.output
    tls = load_config(layout.config_file(node("n1")), {}).tls
    assert (tls.cert_file, tls.key_file, tls.ca_file) == (
        "/etc/meshnode/tls/node.crt",
        "/etc/meshnode/tls/node.key",
        "/etc/meshnode/tls/ca.crt",
    )


def test_settings_that_no_node_would_accept_make_nothing(layout: Layout) -> None:
    result = init(layout, "--allow-plaintext", nodes=["--node", "n1=node1:7777,http://node1:7777"])
    assert result.exit_code == 2, result.output
    assert "listen.grpc and listen.http must differ" in result.stderr
    assert not layout.cluster_file.exists()
