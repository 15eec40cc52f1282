"""A rebuilt catalog is written once, over nothing, and taken up where it was interrupted."""

from __future__ import annotations

import pytest

from meshnode.base.errors import CatalogUnavailable, OutcomeUnknown
from meshnode.base.ids import PartitionId
from meshnode.catalog.memory import CatalogCall, MemoryCatalog, Moment
from meshnode.cli.outcome import CommandError
from meshnode.cli.refill import check_catalog_empty, entries_of, write_catalog
from meshnode.core.cluster import ClusterSettings
from meshnode.core.keys import CLUSTER, name_key, record_key
from meshnode.core.keys import SETTINGS as SHARED
from meshnode.core.nodes import Node, NodeState
from meshnode.core.partition import Partition
from meshnode.core.rebuild import plan_rebuild
from meshnode.core.record import decode_record
from meshnode.core.shared_settings import SharedSettings, decode_shared_settings, encode_shared_settings
from meshnode.ports import Put
from tests.unit.core.test_rebuild import KEY, N1, N2, N3, NAME, node, replica

SETTINGS = ClusterSettings(cluster_id="c" * 32, partition_count=100, replication_factor=3)
PARTITIONS = [Partition(partition=PartitionId(number), replicas=(N1, N2, N3)) for number in range(100)]
PLAN = plan_rebuild([node(name, replica(7)) for name in (N1, N2, N3)], PARTITIONS, factor=3)
NODES = [
    Node(node=name, grpc_url="g", http_url="h", zone="z", weight=1, state=NodeState.AVAILABLE, public_keys=("P",))
    for name in (N1, N2, N3)
]


async def refill(catalog: MemoryCatalog) -> int:
    return await write_catalog(catalog, PLAN, settings=SETTINGS, nodes=NODES, applications=[])


async def test_everything_is_there_afterwards_and_the_settings_come_last() -> None:
    order: list[str] = []

    async def hook(call: CatalogCall) -> None:
        if call.operation == "transact" and call.moment is Moment.AFTER:
            order.extend(call.keys)

    catalog = MemoryCatalog(hook=hook)
    assert await refill(catalog) == len(entries_of(PLAN)) + 1 + len(NODES)
    assert order.index(CLUSTER) >= len(entries_of(PLAN))
    record, name = await catalog.get([record_key(KEY.repository), name_key(NAME)])
    assert record is not None
    assert name is not None
    assert decode_record(record.value).generation == 7
    assert name.value.decode() == KEY.repository


async def test_shared_settings_are_written_with_the_rest_and_others_are_never_overwritten() -> None:
    shared = SharedSettings(version=3, values={"scrub.slots": 2})
    catalog = MemoryCatalog()
    await write_catalog(catalog, PLAN, settings=SETTINGS, nodes=NODES, applications=[], shared=shared)
    (entry,) = await catalog.get([SHARED])
    assert entry is not None
    assert decode_shared_settings(entry.value) == shared
    other = MemoryCatalog()
    await other.transact([], [Put(SHARED, encode_shared_settings(SharedSettings(version=1)))])
    with pytest.raises(CommandError, match="not empty"):
        await write_catalog(other, PLAN, settings=SETTINGS, nodes=NODES, applications=[], shared=shared)
    assert len(await other.range("")) == 1


async def test_a_catalog_with_a_cluster_in_it_is_refused() -> None:
    catalog = MemoryCatalog()
    await refill(catalog)
    with pytest.raises(CommandError, match="not empty"):
        await refill(catalog)


async def test_a_catalog_with_something_else_in_it_is_refused_and_left_alone() -> None:
    catalog = MemoryCatalog()
    await catalog.transact([], [Put(name_key(NAME), b"other")])
    with pytest.raises(CommandError, match="not empty"):
        await refill(catalog)
    (entry, missing) = await catalog.get([name_key(NAME), record_key(KEY.repository)])
    assert entry is not None
    assert entry.value == b"other"
    assert missing is None


async def test_an_interrupted_rebuild_is_taken_up() -> None:
    catalog = MemoryCatalog()
    down = False

    async def hook(call: CatalogCall) -> None:
        nonlocal down
        if down:
            raise CatalogUnavailable("down")
        down = call.operation == "transact" and call.moment is Moment.AFTER

    with pytest.raises(CatalogUnavailable):
        await refill(catalog.client(hook))
    missing = await check_catalog_empty(catalog, entries_of(PLAN))
    assert 0 < len(missing) < len(entries_of(PLAN))
    await refill(catalog)
    assert (await catalog.get([CLUSTER]))[0] is not None


@pytest.mark.parametrize("moment", list(Moment))
async def test_an_unknown_outcome_is_looked_at_again(moment: Moment) -> None:
    lost = 2

    async def hook(call: CatalogCall) -> None:
        nonlocal lost
        if call.operation == "transact" and call.moment is moment and lost:
            lost -= 1
            raise OutcomeUnknown("lost")

    catalog = MemoryCatalog()
    await refill(catalog.client(hook))
    assert not lost
    assert len(await catalog.range("partitions/")) == 100


async def test_a_catalog_that_never_says_what_became_of_a_write_is_given_up() -> None:
    async def hook(call: CatalogCall) -> None:
        if call.operation == "transact" and call.moment is Moment.BEFORE:
            raise OutcomeUnknown("lost")

    with pytest.raises(CatalogUnavailable):
        await refill(MemoryCatalog().client(hook))
