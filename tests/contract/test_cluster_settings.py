"""The cluster's settings and repositories' configurations over every catalog: one of two at once, and a hint for the rest."""

from __future__ import annotations

import asyncio

import pytest

from meshnode.base.errors import Fenced
from meshnode.base.ids import Generation, PartitionId, RefsDigest, RepositoryId, RepositoryName, RoundId
from meshnode.core.keys import SETTINGS, config_key, name_key, record_key
from meshnode.core.record import Record, RepositoryState, encode_record
from meshnode.engine.records import Records
from meshnode.engine.repository_configs import RepositoryConfigs
from meshnode.engine.settings_orders import SettingsOrders
from meshnode.engine.supervisor import Supervisor
from meshnode.engine.system import SystemClock
from meshnode.ports import Catalog, Compare, Put
from tests.contract.test_catalog import OpenClient, Watching, etcd_url, open_client
from tests.unit.rpc.fakes import FakeMembership

__all__ = ["etcd_url", "open_client"]

NAME = RepositoryName("demo/one")
ID = RepositoryId("a" * 32)


def orders_of(catalog: Catalog) -> SettingsOrders:
    membership: object = FakeMembership()
    return SettingsOrders(catalog=catalog, membership=membership, clock=SystemClock())  # type: ignore[arg-type]


async def test_of_two_changes_at_once_one_is_stored_and_others_get_a_hint(open_client: OpenClient) -> None:
    first, second = await open_client(), await open_client()
    async with Watching(second, SETTINGS) as watching:
        answers = await asyncio.gather(
            *(
                orders_of(catalog).update({key: "7"}, (), expected_version=0, actor=key)
                for catalog, key in ((first, "scrub.slots"), (second, "upkeep.slots"))
            ),
            return_exceptions=True,
        )
        done = [answer for answer in answers if not isinstance(answer, BaseException)]
        assert len(done) == 1, answers
        assert sum(isinstance(answer, Fenced) for answer in answers) == 1
        await watching.until(lambda events: any(event.key in {SETTINGS, ""} for event in events[1:]))
        stored = await orders_of(second).read()
    assert (stored.version, list(stored.values.values())) == (1, [7])
    assert stored == done[0][0]


async def test_a_publish_that_names_an_older_configuration_does_not_take_effect(open_client: OpenClient) -> None:
    catalog = await open_client()
    supervisor = Supervisor()
    record = Record(
        repository=ID,
        name=NAME,
        partition=PartitionId(1),
        home=PartitionId(1),
        generation=Generation(1),
        round_id=RoundId("b" * 32),
        refs_digest=RefsDigest("c" * 64),
        inconsistent=frozenset(),
        state=RepositoryState.ACTIVE,
        object_format="sha1",
        recent=(RoundId("b" * 32),),
        fork_root=ID,
    )
    revision = await catalog.transact(
        [], [Put(name_key(NAME), ID.encode()), Put(record_key(ID), encode_record(record))]
    )
    assert revision is not None
    try:
        configs = RepositoryConfigs(catalog=catalog, records=Records(catalog, supervisor))
        await configs.update(NAME, {"receive.denyDeletes": "true"}, (), expected_version=None, actor="t")
        publish = Put(record_key(ID), encode_record(record))
        assert (
            await catalog.transact([Compare(record_key(ID), revision), Compare(config_key(ID), 0)], [publish]) is None
        )
        (entry,) = await catalog.get([config_key(ID)])
        assert entry is not None
        with pytest.raises(Fenced):
            await configs.update(NAME, {"receive.denyDeletes": "false"}, (), expected_version=0, actor="t")
        compares = [Compare(record_key(ID), revision), Compare(config_key(ID), entry.revision)]
        assert await catalog.transact(compares, [publish]) is not None
    finally:
        await supervisor.close()
