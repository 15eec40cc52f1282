"""Filling a new catalog: complete, once, resumable at every point, and never over another cluster's."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from meshnode.base.errors import CatalogUnavailable, InvalidRequest, OutcomeUnknown
from meshnode.catalog.memory import CatalogCall, MemoryCatalog, Moment
from meshnode.cli.local import find_removed, initialise_cluster, plan_partitions
from meshnode.cli.outcome import CommandError, ExitCode
from meshnode.core.applications import Application, Role, decode_application
from meshnode.core.cluster import ClusterSettings, decode_settings
from meshnode.core.keys import CLUSTER, PARTITIONS, application_key, node_key, partition_key
from meshnode.core.nodes import Node, NodeState, decode_node, encode_node
from meshnode.core.partition import decode_partition, encode_partition
from meshnode.ports import Compare, Delete, Put
from tests.unit.cli.conftest import node

SETTINGS = ClusterSettings(cluster_id="a" * 32, partition_count=256, replication_factor=3)
NODES = [
    Node(
        node=node(f"n{number}"),
        grpc_url=f"127.0.0.1:{7777 + number}",
        http_url=f"http://127.0.0.1:{7780 + number}",
        zone="default",
        weight=100,
        state=NodeState.AVAILABLE,
        public_keys=(f"PEM {number}",),
    )
    for number in (1, 2, 3)
]
OPERATOR = Application(application="operator", role=Role.ADMINISTRATOR, public_keys=("PEM O",))
KEYS = 1 + 3 + 1 + 256
TRANSACTIONS = 5
"""261 keys, 64 a transaction."""


async def fill(catalog: MemoryCatalog, settings: ClusterSettings = SETTINGS) -> int:
    return await initialise_cluster(catalog, settings=settings, nodes=NODES, applications=[OPERATOR])


async def test_a_new_catalog_describes_the_whole_cluster() -> None:
    catalog = MemoryCatalog()
    progress: list[tuple[int, int]] = []
    written = await initialise_cluster(
        catalog,
        settings=SETTINGS,
        nodes=NODES,
        applications=[OPERATOR],
        on_written=lambda there, every: progress.append((there, every)),
    )
    assert written == KEYS
    settings, first, operator = await catalog.get([CLUSTER, node_key(node("n1")), application_key("operator")])
    assert settings is not None
    assert decode_settings(settings.value) == SETTINGS
    assert first is not None
    assert decode_node(first.value) == NODES[0]
    assert operator is not None
    assert decode_application(operator.value) == OPERATOR
    partitions = [decode_partition(entry.value) for entry in await catalog.range(PARTITIONS)]
    assert partitions == plan_partitions(SETTINGS, NODES)
    preferred = Counter(partition.replicas[0] for partition in partitions)
    assert len(preferred) == 3
    assert progress[0] == (0, KEYS)
    assert progress[-1] == (KEYS, KEYS)
    assert progress == sorted(progress)


async def test_a_second_run_changes_nothing_even_where_operators_changed_entries() -> None:
    catalog = MemoryCatalog()
    await fill(catalog)
    drained = encode_node(replace(NODES[1], state=NodeState.DRAINING, public_keys=("PEM new", "PEM 2")))
    moved = encode_partition(replace(plan_partitions(SETTINGS, NODES)[7], joining=(node("n4"),)))
    key = partition_key(plan_partitions(SETTINGS, NODES)[7].partition)
    assert await catalog.transact([], [Put(node_key(node("n2")), drained), Put(key, moved)])
    before = await catalog.range("")
    assert await fill(catalog) == 0
    assert await catalog.range("") == before


async def test_what_was_removed_from_a_complete_catalog_stays_away() -> None:
    catalog = MemoryCatalog()
    await fill(catalog)
    assert await catalog.transact([], [Delete(node_key(node("n2"))), Delete(application_key("operator"))])
    before = await catalog.range("")
    assert await fill(catalog) == 0
    assert await catalog.range("") == before
    names = [node("n1"), node("n2"), node("n3")]
    assert await find_removed(catalog, SETTINGS, names) == [node("n2")]
    grown = [*NODES, replace(NODES[0], node=node("n4"), public_keys=("PEM 4",))]
    written = await initialise_cluster(catalog, settings=SETTINGS, nodes=grown, added=[node("n4")])
    assert written == 1
    assert (await catalog.get([node_key(node("n2"))]), len(await catalog.get([node_key(node("n4"))]))) == ([None], 1)


async def test_what_an_incomplete_catalog_lacks_was_not_removed() -> None:
    catalog = MemoryCatalog()
    await fill(catalog)
    last = partition_key(plan_partitions(SETTINGS, NODES)[-1].partition)
    assert await catalog.transact([], [Delete(node_key(node("n2"))), Delete(last)])
    assert await find_removed(catalog, SETTINGS, [node("n2")]) == []
    assert await fill(catalog) == 2
    assert await find_removed(MemoryCatalog(), SETTINGS, [node("n2")]) == []


class FailAt:
    """Raises at one transaction, before or after it takes effect."""

    def __init__(self, number: int, moment: Moment, error: type[CatalogUnavailable | OutcomeUnknown]) -> None:
        self._left = number
        self._moment = moment
        self._error = error

    async def __call__(self, call: CatalogCall) -> None:
        if call.operation == "transact" and call.moment is self._moment:
            if self._left == 0:
                self._left = -1
                raise self._error("test")
            self._left -= 1


@pytest.mark.parametrize("number", range(TRANSACTIONS))
async def test_an_interrupted_run_is_completed_by_the_next(number: int) -> None:
    store = MemoryCatalog()
    with pytest.raises(CatalogUnavailable):
        await fill(store.client(FailAt(number, Moment.BEFORE, CatalogUnavailable)))
    assert await fill(store) == KEYS - 64 * number
    whole = MemoryCatalog()
    await fill(whole)
    assert [(e.key, e.value) for e in await store.range("")] == [(e.key, e.value) for e in await whole.range("")]


@pytest.mark.parametrize("moment", list(Moment))
@pytest.mark.parametrize("number", range(TRANSACTIONS))
async def test_an_unknown_outcome_is_looked_up_and_the_rest_is_written(number: int, moment: Moment) -> None:
    store = MemoryCatalog()
    await fill(store.client(FailAt(number, moment, OutcomeUnknown)))
    assert len(await store.range("")) == KEYS


async def test_outcomes_that_stay_unknown_end_in_an_error_and_not_in_a_loop() -> None:
    async def lose(call: CatalogCall) -> None:
        if call.operation == "transact" and call.moment is Moment.BEFORE:
            raise OutcomeUnknown("test")

    with pytest.raises(CatalogUnavailable, match="did not keep what was written"):
        await fill(MemoryCatalog(hook=lose))


async def test_of_two_that_run_at_once_each_key_is_written_once() -> None:
    store = MemoryCatalog()
    written = await asyncio.gather(fill(store.client()), fill(store.client()))
    assert sum(written) == KEYS
    assert len(await store.range("")) == KEYS


async def test_of_two_clusters_that_race_for_one_catalog_one_is_refused() -> None:
    store = MemoryCatalog()
    other = replace(SETTINGS, cluster_id="b" * 32)
    results = await asyncio.gather(fill(store.client()), fill(store.client(), other), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["CommandError", "int"]
    assert len(await store.range("")) == KEYS


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (replace(SETTINGS, cluster_id="b" * 32), "belongs to another cluster"),
        (replace(SETTINGS, partition_count=128), "other settings"),
    ],
)
async def test_another_clusters_catalog_is_refused_and_left_alone(settings: ClusterSettings, message: str) -> None:
    catalog = MemoryCatalog()
    await fill(catalog)
    before = await catalog.range("")
    with pytest.raises(CommandError, match=message) as raised:
        await fill(catalog, settings)
    assert raised.value.exit_code is ExitCode.REFUSED
    assert await catalog.range("") == before


async def test_a_factor_that_was_changed_online_is_kept() -> None:
    catalog = MemoryCatalog()
    await fill(catalog)
    before = await catalog.range("")
    assert await fill(catalog, replace(SETTINGS, replication_factor=1)) == 0
    assert await catalog.range("") == before


async def test_another_key_for_a_known_node_or_application_is_refused() -> None:
    catalog = MemoryCatalog()
    await fill(catalog)
    changed = [replace(NODES[0], public_keys=("PEM other",)), *NODES[1:]]
    with pytest.raises(CommandError, match="another public key for this node"):
        await initialise_cluster(catalog, settings=SETTINGS, nodes=changed, applications=[OPERATOR])
    stranger = replace(OPERATOR, public_keys=("PEM other",))
    with pytest.raises(CommandError, match="another public key for this application"):
        await initialise_cluster(catalog, settings=SETTINGS, nodes=NODES, applications=[stranger])


async def test_fewer_nodes_than_replicas_write_nothing() -> None:
    catalog = MemoryCatalog()
    with pytest.raises(InvalidRequest, match="too few nodes"):
        await initialise_cluster(catalog, settings=SETTINGS, nodes=NODES[:2])
    assert await catalog.range("") == []


async def test_a_half_written_catalog_without_settings_still_refuses_nothing_of_ours() -> None:
    """The settings are in the first transaction, so only a deletion by hand leads here."""
    catalog = MemoryCatalog()
    await fill(catalog)
    (entry,) = await catalog.get([node_key(node("n1"))])
    assert entry is not None
    assert await catalog.transact([Compare(entry.key, entry.revision)], [Put(entry.key, entry.value)])
    assert await fill(catalog) == 0
