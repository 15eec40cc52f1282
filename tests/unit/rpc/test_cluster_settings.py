"""ClusterService's part in settings: as they are on the answering node, and changes that all of them follow."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from meshnode.auth.channel import CallFailed
from meshnode.catalog.memory import MemoryCatalog
from meshnode.core.keys import SETTINGS
from meshnode.ports import Compare, Delete, Put
from meshnode.v1 import cluster_settings_pb2 as messages
from tests.unit.rpc.harness import Caller, Site

GET = "ClusterService/GetSettings"
UPDATE = "ClusterService/UpdateSettings"


async def follow(site: Site) -> None:
    """What the membership does in a node."""
    (entry,) = await site.catalog.get([SETTINGS])
    site.live.take(None if entry is None else entry.value)


async def read(caller: Caller) -> messages.GetSettingsResponse:
    return await caller.call(GET, messages.GetSettingsRequest(), messages.GetSettingsResponse)


async def update(caller: Caller, request: messages.UpdateSettingsRequest) -> messages.UpdateSettingsResponse:
    return await caller.call(UPDATE, request, messages.UpdateSettingsResponse)


def setting(answer: messages.GetSettingsResponse, key: str) -> messages.Setting:
    return next(one for one in answer.settings if one.key == key)


async def test_a_change_gets_a_version_and_is_shown_with_its_origin() -> None:
    site = Site()
    async with site.calling("operator") as caller:
        nothing = await read(caller)
        assert (nothing.version, nothing.applied_version, nothing.changed_by, nothing.node) == (0, 0, "", "n1")
        done = await update(caller, messages.UpdateSettingsRequest(set={"scrub.slots": "2", "upkeep.slots": "2"}))
        assert (done.version, [(one.key, one.old, one.new) for one in done.changes]) == (
            1,
            [("scrub.slots", "", "2"), ("upkeep.slots", "", "2")],
        )
        late = await read(caller)
        assert (late.version, late.applied_version) == (1, 0)
        await follow(site)
        answer = await read(caller)
        assert (answer.version, answer.applied_version) == (1, 1)
        assert answer.changed_by == "app:operator"
        scrub, upkeep, push = (setting(answer, key) for key in ("scrub.slots", "upkeep.slots", "push.commands_max"))
        assert (scrub.value, scrub.origin, scrub.default_value) == ("2", messages.SETTING_ORIGIN_CLUSTER, "1")
        assert (upkeep.value, upkeep.origin, upkeep.cluster_value) == ("3", messages.SETTING_ORIGIN_FILE, "2")
        assert (push.value, push.origin, push.HasField("cluster_value")) == (
            "10000",
            messages.SETTING_ORIGIN_DEFAULT,
            False,
        )
        done = await update(caller, messages.UpdateSettingsRequest(unset=["scrub.slots"], expected_version=1))
        assert (done.version, done.changes[0].HasField("new")) == (2, False)
        await follow(site)
        assert setting(await read(caller), "scrub.slots").value == "1"


async def test_what_changes_nothing_makes_no_version() -> None:
    async with Site().calling("operator") as caller:
        await update(caller, messages.UpdateSettingsRequest(set={"scrub.slots": "2"}))
        again = await update(caller, messages.UpdateSettingsRequest(set={"scrub.slots": "2"}, unset=["upkeep.slots"]))
        assert (again.version, len(again.changes)) == (1, 0)


async def test_all_problems_are_told_and_nothing_is_stored() -> None:
    async with Site().calling("operator") as caller:
        with pytest.raises(CallFailed) as refused:
            await update(caller, messages.UpdateSettingsRequest(set={"scrub.slotz": "2", "upkeep.slots": "0"}))
        assert refused.value.code.name == "INVALID_ARGUMENT"
        assert "did you mean scrub.slots?" in refused.value.detail
        assert "upkeep.slots must be from 1 to 64, not 0" in refused.value.detail
        assert (await read(caller)).version == 0
        with pytest.raises(CallFailed) as refused:
            await update(caller, messages.UpdateSettingsRequest(unset=[f"k{number}" for number in range(300)]))
        assert refused.value.code.name == "RESOURCE_EXHAUSTED"


async def test_of_two_administrators_at_once_one_is_refused() -> None:
    class Overtaken(MemoryCatalog):
        is_overtaken = False

        async def transact(self, compares: Sequence[Compare], writes: Sequence[Put | Delete]) -> int | None:
            if not self.is_overtaken and any(write.key == SETTINGS for write in writes):
                self.is_overtaken = True
                other = Put(SETTINGS, b'{"v":1,"version":1,"values":{},"changed_at_ms":1,"changed_by":"other"}')
                await super().transact([], [other])
            return await super().transact(compares, writes)

    async with Site(catalog=Overtaken()).calling("operator") as caller:
        with pytest.raises(CallFailed) as refused:
            await update(caller, messages.UpdateSettingsRequest(set={"scrub.slots": "2"}))
        assert refused.value.code.name == "ABORTED"
        with pytest.raises(CallFailed) as refused:
            await update(caller, messages.UpdateSettingsRequest(set={"scrub.slots": "2"}, expected_version=0))
        assert refused.value.code.name == "ABORTED"
        answer = await read(caller)
        assert (answer.version, answer.changed_by) == (1, "other")
        assert (await update(caller, messages.UpdateSettingsRequest(set={"scrub.slots": "2"}))).version == 2


async def test_settings_of_a_newer_node_are_shown_with_why_they_do_not_hold() -> None:
    site = Site()
    newer = (
        b'{"v":1,"version":7,"values":{"future.key":["a","b"],"scrub.slots":999},"changed_at_ms":1,"changed_by":"x"}'
    )
    await site.catalog.transact([], [Put(SETTINGS, newer)])
    await follow(site)
    async with site.calling("operator") as caller:
        answer = await read(caller)
        future, scrub = setting(answer, "future.key"), setting(answer, "scrub.slots")
        assert (future.cluster_value, future.value) == ("a,b", "")
        assert "knows no such" in future.problem
        assert (scrub.value, scrub.origin) == ("1", messages.SETTING_ORIGIN_DEFAULT)
        assert "must be from 1 to 64" in scrub.problem
        done = await update(caller, messages.UpdateSettingsRequest(set={"upkeep.packs_min": "9"}))
        assert done.version == 8
        await site.catalog.transact([], [Put(SETTINGS, b'{"v":2}')])
        await follow(site)
        answer = await read(caller)
        assert "unknown format version" in answer.problem
        assert answer.applied_version == 7
        with pytest.raises(CallFailed) as refused:
            await update(caller, messages.UpdateSettingsRequest(set={"upkeep.packs_min": "9"}))
        assert refused.value.code.name == "DATA_LOSS"


async def test_only_administrators_change_settings() -> None:
    async with Site().calling("writer") as caller:
        with pytest.raises(CallFailed) as refused:
            await update(caller, messages.UpdateSettingsRequest(set={"scrub.slots": "2"}))
        assert refused.value.code.name == "PERMISSION_DENIED"
        assert (await read(caller)).version == 0
