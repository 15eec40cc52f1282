"""ClusterService's part in nodes' keys, and calls whose key became known a moment ago."""

from __future__ import annotations

import asyncio

import pytest

from meshnode.auth.channel import CallFailed
from meshnode.base.errors import CatalogUnavailable
from meshnode.core.applications import Application
from meshnode.rpc.key_search import PAUSE_MS, KeySearch
from meshnode.v1 import cluster_keys_pb2, repository_pb2
from tests.unit.auth.parties import StillClock
from tests.unit.rpc.fakes import node_entry
from tests.unit.rpc.harness import APPLICATIONS, Site, key_of
from tests.unit.wire.samples import N1, N2, N3


async def test_orders_reach_the_rotation_and_keys_come_back() -> None:
    site = Site()
    async with site.calling("operator") as operator:
        answer = await operator.call(
            "ClusterService/RotateNodeKey",
            cluster_keys_pb2.RotateNodeKeyRequest(node="n1", announce_s=60),
            cluster_keys_pb2.RotateNodeKeyResponse,
        )
        await operator.call(
            "ClusterService/RotateNodeKey",
            cluster_keys_pb2.RotateNodeKeyRequest(node="n1", finish=True),
            cluster_keys_pb2.RotateNodeKeyResponse,
        )
        read = await operator.call(
            "ClusterService/GetNodeKeys",
            cluster_keys_pb2.GetNodeKeysRequest(node="n1"),
            cluster_keys_pb2.GetNodeKeysResponse,
        )
    assert site.rotations.orders == [60, "finish"]
    assert answer.keys == read.keys
    assert [key.public_key for key in answer.keys.keys] == ["old", "new"]
    assert (answer.keys.switch_at_ms, answer.keys.drop_at_ms) == (5_000, 0)


@pytest.mark.parametrize(("method", "node"), [("RotateNodeKey", "n2"), ("RotateNodeKey", "N"), ("GetNodeKeys", "n9")])
async def test_other_and_unknown_nodes_are_refused(method: str, node: str) -> None:
    site = Site()
    async with site.calling("operator") as operator:
        with pytest.raises(CallFailed):
            await operator.call(
                f"ClusterService/{method}",
                cluster_keys_pb2.GetNodeKeysRequest(node=node),
                cluster_keys_pb2.GetNodeKeysResponse,
            )
    assert site.rotations.orders == []


async def test_key_that_was_listed_a_moment_ago_is_looked_for_once() -> None:
    site = Site()
    nodes = [node_entry(node, keys=(key_of(node).public_pem,)) for node in (N1, N2, N3)]
    applications = [
        Application(application=name, role=role, public_keys=(key_of(name).public_pem,))
        for name, role in APPLICATIONS.items()
    ]
    assert site.registry.replace(nodes, [one for one in applications if one.application != "reader"]) == ()
    site.listed_later = (nodes, applications)
    async with site.calling("reader") as caller:
        for _ in range(3):
            await caller.call(
                "RepositoryService/Get", repository_pb2.GetRequest(name="project/repo"), repository_pb2.GetResponse
            )
    assert site.key_searches == 1


async def test_strangers_make_this_node_look_once_a_second_at_most() -> None:
    site = Site()
    site.registry.replace([node_entry(N1, keys=(key_of(N1).public_pem,))], [])
    async with site.calling("reader") as caller:
        for _ in range(5):
            with pytest.raises(CallFailed, match="key is not known"):
                await caller.call(
                    "RepositoryService/Get", repository_pb2.GetRequest(name="project/repo"), repository_pb2.GetResponse
                )
    assert site.key_searches == 1


async def test_searches_are_shared_spaced_and_survive_a_catalog_that_is_away() -> None:
    clock, gate, reads = StillClock(), asyncio.Event(), [0]
    is_away = False

    async def read() -> None:
        reads[0] += 1
        await gate.wait()
        if is_away:
            raise CatalogUnavailable("away")

    search = KeySearch(read, clock)
    first = asyncio.ensure_future(search.look())
    second = asyncio.ensure_future(search.look())
    await asyncio.sleep(0)
    gate.set()
    assert await first
    assert await second, "who asked before it was read has its answer"
    assert reads == [1]
    clock.now_ms += PAUSE_MS - 1
    assert not await search.look()
    clock.now_ms += 1
    is_away = True
    assert not await search.look()
    assert reads == [2]
