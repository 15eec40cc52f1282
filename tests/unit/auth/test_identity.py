"""A node that is not whom the catalog lists does not start: each way to differ, and what is left on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from meshnode.app.identity import identify
from meshnode.auth.identity import IDENTITY_FILE, Belonging, read_belonging, write_belonging
from meshnode.auth.keys import PrivateKey, write_private_file
from meshnode.base.errors import Corrupt, Forbidden, InvalidRequest, MeshError
from meshnode.base.ids import NodeId
from meshnode.catalog.memory import MemoryCatalog
from meshnode.config import CatalogSettings, Config, NodeSettings
from meshnode.core.cluster import ClusterSettings, encode_settings
from meshnode.core.keys import CLUSTER, node_key
from meshnode.core.nodes import Node, NodeState, decode_node, encode_node
from meshnode.ports import Delete, Put

N1 = NodeId("n1")
CLUSTER_ID = "c" * 32


@cache
def key(number: int) -> PrivateKey:
    assert number
    return PrivateKey.generate()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Settings of n1, whose directory holds key 1."""
    assert write_private_file(tmp_path / "node.pem", key(1).private_pem())
    return Config(node=NodeSettings(id=N1, data=tmp_path), catalog=CatalogSettings(url="sqlite:///nowhere"))


@pytest.fixture
async def catalog() -> MemoryCatalog:
    """A cluster that lists n1 with key 1."""
    catalog = MemoryCatalog()
    settings = ClusterSettings(cluster_id=CLUSTER_ID, partition_count=1, replication_factor=1)
    await catalog.transact([], [Put(CLUSTER, encode_settings(settings)), entry_of(N1, key(1))])
    return catalog


def entry_of(node: NodeId, *keys: PrivateKey) -> Put:
    entry = Node(
        node=node,
        grpc_url="127.0.0.1:1",
        http_url="http://127.0.0.1:2",
        zone="a",
        weight=100,
        state=NodeState.AVAILABLE,
        public_keys=tuple(key.public_pem for key in keys),
    )
    return Put(node_key(N1), encode_node(entry))


async def refused(config: Config, catalog: MemoryCatalog, error: type[MeshError]) -> str:
    before = {path.name: path.read_bytes() for path in config.node.data.iterdir()}
    with pytest.raises(error) as caught:
        await identify(config, catalog)
    assert {path.name: path.read_bytes() for path in config.node.data.iterdir()} == before
    return caught.value.message


async def test_node_that_agrees_with_the_catalog_learns_its_cluster_and_writes_it_down(
    config: Config, catalog: MemoryCatalog
) -> None:
    for _ in range(2):
        identity = await identify(config, catalog)
        assert (identity.node, identity.cluster_id, identity.issuer) == (N1, CLUSTER_ID, "node:n1")
        assert identity.key.key_id == key(1).key_id
        assert read_belonging(config.node.data) == Belonging(node=N1, cluster_id=CLUSTER_ID)


async def test_one_of_several_listed_keys_is_enough(config: Config, catalog: MemoryCatalog) -> None:
    await catalog.transact([], [entry_of(N1, key(2), key(1))])
    assert (await identify(config, catalog)).key.key_id == key(1).key_id


async def test_catalog_without_a_cluster_is_refused(config: Config) -> None:
    assert "holds no cluster" in await refused(config, MemoryCatalog(), InvalidRequest)


async def test_node_that_was_never_added_is_refused(config: Config, catalog: MemoryCatalog) -> None:
    await catalog.transact([], [Delete(node_key(N1))])
    assert "not in the catalog" in await refused(config, catalog, InvalidRequest)


async def test_node_that_was_removed_is_told_so(config: Config, catalog: MemoryCatalog) -> None:
    await identify(config, catalog)
    await catalog.transact([], [Delete(node_key(N1))])
    assert "was removed" in await refused(config, catalog, Forbidden)


async def test_another_key_is_refused(config: Config, catalog: MemoryCatalog) -> None:
    await catalog.transact([], [entry_of(N1, key(2))])
    assert "another key" in await refused(config, catalog, Forbidden)


async def test_successor_is_signed_with_once_it_is_listed_first(config: Config, catalog: MemoryCatalog) -> None:
    write_private_file(config.node.data / "node.pem.next", key(2).private_pem())
    for listed, expected in (((1,), 1), ((1, 2), 1), ((2, 1), 2), ((2,), 2)):
        await catalog.transact([], [entry_of(N1, *(key(number) for number in listed))])
        assert (await identify(config, catalog)).key.key_id == key(expected).key_id


async def test_listed_key_that_cannot_be_read_hides_no_other(config: Config, catalog: MemoryCatalog) -> None:
    entry = decode_node(entry_of(N1, key(1)).value)
    odd = replace(entry, public_keys=("no key", *entry.public_keys))
    await catalog.transact([], [Put(node_key(N1), encode_node(odd))])
    assert (await identify(config, catalog)).key.key_id == key(1).key_id


async def test_missing_key_is_refused_and_not_made_anew(config: Config, catalog: MemoryCatalog) -> None:
    (config.node.data / "node.pem").unlink()
    assert "cannot be read" in await refused(config, catalog, InvalidRequest)


async def test_another_cluster_behind_the_catalogs_address_is_refused(config: Config, catalog: MemoryCatalog) -> None:
    await identify(config, catalog)
    other = ClusterSettings(cluster_id="d" * 32, partition_count=1, replication_factor=1)
    await catalog.transact([], [Put(CLUSTER, encode_settings(other))])
    assert "another cluster" in await refused(config, catalog, Forbidden)


async def test_directory_of_another_node_is_refused_even_with_the_right_key(
    config: Config, catalog: MemoryCatalog
) -> None:
    write_belonging(config.node.data, Belonging(node=NodeId("n2"), cluster_id=CLUSTER_ID))
    assert "another node" in await refused(config, catalog, Forbidden)


async def test_entry_that_names_another_node_is_refused(config: Config, catalog: MemoryCatalog) -> None:
    await catalog.transact([], [entry_of(NodeId("n2"), key(1))])
    assert "names another" in await refused(config, catalog, Corrupt)


@pytest.mark.parametrize("text", ["", "{}", '{"v": 1}', '{"v": 9}', '{"v":1,"node":"N 1","cluster_id":"c"}'])
async def test_damaged_identity_file_is_refused(config: Config, catalog: MemoryCatalog, text: str) -> None:
    (config.node.data / IDENTITY_FILE).write_text(text)
    await refused(config, catalog, Corrupt)


async def test_unwritable_directory_is_a_clear_error(config: Config, catalog: MemoryCatalog, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    key_file = str(tmp_path / "node.pem")
    blocked = replace(config, node=replace(config.node, data=file), auth=replace(config.auth, key_file=key_file))
    with pytest.raises(InvalidRequest, match="identity file cannot be made"):
        await identify(blocked, catalog)


def test_what_is_written_first_stays(tmp_path: Path) -> None:
    first = Belonging(node=N1, cluster_id=CLUSTER_ID)
    write_belonging(tmp_path, first)
    write_belonging(tmp_path, replace(first, cluster_id="e" * 32))
    assert read_belonging(tmp_path) == first
    assert json.loads((tmp_path / IDENTITY_FILE).read_text())["node"] == "n1"
