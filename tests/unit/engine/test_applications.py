"""Applications that come, go and change their keys: what is written, what is refused, and whom nobody can lock out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import cache

import pytest

from meshnode.auth.keys import PrivateKey
from meshnode.base.errors import CatalogUnavailable, Fenced, InvalidRequest, MeshError, NotFound, OutcomeUnknown
from meshnode.catalog.memory import CatalogCall, MemoryCatalog, Moment
from meshnode.core.applications import (
    DROP_AFTER_S_MAX,
    Application,
    KeyDrop,
    Role,
    decode_application,
    encode_application,
    parse_application,
)
from meshnode.core.keys import application_key
from meshnode.engine.applications import ApplicationOrders
from meshnode.engine.forgetting import Forgetting
from meshnode.ports import Put
from tests.unit.auth.parties import StillClock
from tests.unit.rpc.fakes import FakeMembership, node_entry
from tests.unit.wire.samples import N1

HOUR_S = 3_600


@cache
def key(name: str) -> PrivateKey:
    """One key for each name."""
    assert name
    return PrivateKey.generate()


def pem(name: str) -> str:
    return key(name).public_pem


@dataclass
class Office:
    """Where operators go about applications."""

    catalog: MemoryCatalog = field(default_factory=MemoryCatalog)
    membership: FakeMembership = field(default_factory=FakeMembership)
    clock: StillClock = field(default_factory=StillClock)

    def __post_init__(self) -> None:
        self.orders = self.desk(self.catalog)

    def desk(self, catalog: MemoryCatalog) -> ApplicationOrders:
        return ApplicationOrders(catalog=catalog, membership=self.membership, clock=self.clock)

    async def listed(self, name: str) -> Application | None:
        (entry,) = await self.catalog.get([application_key(name)])
        return None if entry is None else decode_application(entry.value)


@pytest.fixture
async def office() -> Office:
    made = Office()
    await made.orders.add("operator", Role.ADMINISTRATOR, pem("operator"))
    await made.orders.add("web", Role.WRITER, pem("web"))
    return made


async def test_what_is_added_is_listed_and_the_same_again_is_answered_as_done(office: Office) -> None:
    before = await office.catalog.range("")
    again = await office.orders.add("web", Role.WRITER, pem("web").replace("\n", "\r\n"))
    assert again == Application(application="web", role=Role.WRITER, public_keys=(pem("web"),))
    assert [one.application for one in await office.orders.all()] == ["operator", "web"]
    assert await office.catalog.range("") == before
    for role, name in ((Role.READER, "web"), (Role.WRITER, "other")):
        with pytest.raises(InvalidRequest, match="already"):
            await office.orders.add("web", role, pem(name))


@pytest.mark.parametrize("name", ["", "-web", "a/b", "a b", "x" * 64, "ä", "a\n"])
async def test_names_that_could_be_mistaken_are_refused(office: Office, name: str) -> None:
    with pytest.raises(InvalidRequest, match="name is"):
        parse_application(name)
    with pytest.raises(InvalidRequest, match="name is"):
        await office.orders.add(name, Role.READER, pem("any"))
    assert len(await office.orders.all()) == 2


async def test_key_of_somebody_else_and_what_is_no_key_are_refused(office: Office) -> None:
    office.membership.entries[N1] = node_entry(N1, keys=("no key", pem("n1")))
    for public_key, what in (
        (pem("operator"), "somebody else"),
        (pem("n1"), "somebody else"),
        ("no key", "cannot be read"),
    ):
        with pytest.raises(InvalidRequest, match=what):
            await office.orders.add("new", Role.READER, public_key)
        with pytest.raises(InvalidRequest, match=what):
            await office.orders.add_key("web", public_key, 0)
    assert await office.listed("new") is None
    assert await office.listed("web") == Application(application="web", role=Role.WRITER, public_keys=(pem("web"),))


async def test_last_administrator_can_neither_be_removed_nor_made_less(office: Office) -> None:
    for attempt in (office.orders.remove("operator"), office.orders.set_role("operator", Role.WRITER)):
        with pytest.raises(InvalidRequest, match="last administrator"):
            await attempt
    await office.orders.set_role("web", Role.ADMINISTRATOR)
    assert (await office.orders.remove("operator")).application == "operator"
    assert [one.application for one in await office.orders.all()] == ["web"]
    with pytest.raises(InvalidRequest, match="last administrator"):
        await office.orders.remove("web")
    with pytest.raises(NotFound):
        await office.orders.remove("operator")
    with pytest.raises(NotFound):
        await office.orders.set_role("nobody", Role.READER)


async def test_of_two_administrators_that_remove_each_other_one_stays(office: Office) -> None:
    await office.orders.set_role("web", Role.ADMINISTRATOR)
    read = asyncio.Barrier(2)
    writes: list[CatalogCall] = []

    async def meet(call: CatalogCall) -> None:
        """Both have read the list before either writes."""
        if call.operation == "transact" and call.moment is Moment.BEFORE:
            writes.append(call)
            if len(writes) <= 2:
                await read.wait()

    desks = [office.desk(office.catalog.client(meet)) for _ in range(2)]
    ends = await asyncio.gather(desks[0].remove("operator"), desks[1].remove("web"), return_exceptions=True)
    refused = [end for end in ends if isinstance(end, InvalidRequest)]
    assert len(refused) == 1, ends
    assert len(await office.orders.all()) == 1


async def test_key_is_replaced_with_an_overlap_that_ends_by_order(office: Office) -> None:
    both = await office.orders.add_key("web", pem("web new"), 0)
    assert both.public_keys == (pem("web"), pem("web new"))
    assert await office.orders.add_key("web", pem("web new"), 0) == both, "a repetition changes nothing"
    with pytest.raises(InvalidRequest, match="two keys already"):
        await office.orders.add_key("web", pem("web third"), 0)
    left = await office.orders.drop_key("web", key("web").key_id, 0)
    assert (left.public_keys, left.drops) == ((pem("web new"),), ())
    assert await office.listed("web") == left
    with pytest.raises(NotFound, match="no such key"):
        await office.orders.drop_key("web", key("web").key_id, 0)
    with pytest.raises(InvalidRequest, match="no key would stay"):
        await office.orders.drop_key("web", key("web new").key_id, HOUR_S)


async def test_key_is_replaced_with_an_overlap_that_ends_at_a_time(office: Office) -> None:
    at_ms = office.clock.wall_ms() + HOUR_S * 1_000
    both = await office.orders.add_key("web", pem("web new"), HOUR_S)
    assert both.drops == (KeyDrop(pem("web"), at_ms),)
    with pytest.raises(InvalidRequest, match="no key would stay"):
        await office.orders.drop_key("web", key("web new").key_id, 2 * HOUR_S)
    forgetting = Forgetting(catalog=office.catalog, clock=office.clock)
    await forgetting.run_once()
    assert await office.listed("web") == both, "not before its time"
    office.clock.now_ms = at_ms
    assert [one.public_keys for one in await office.orders.all()][1] == (pem("web new"),)
    assert await office.listed("web") == both
    await forgetting.run_once()
    assert await office.listed("web") == Application(application="web", role=Role.WRITER, public_keys=(pem("web new"),))


async def test_key_that_was_to_go_stays_when_it_is_added_again(office: Office) -> None:
    await office.orders.add_key("web", pem("web new"), HOUR_S)
    kept = await office.orders.add_key("web", pem("web"), 0)
    assert (len(kept.public_keys), kept.drops) == (2, ())
    later = await office.orders.drop_key("web", key("web new").key_id, HOUR_S)
    assert later.drops == (KeyDrop(pem("web new"), office.clock.wall_ms() + HOUR_S * 1_000),)


async def test_times_out_of_range_are_refused(office: Office) -> None:
    with pytest.raises(InvalidRequest, match="366 days"):
        await office.orders.add_key("web", pem("web new"), DROP_AFTER_S_MAX + 1)
    with pytest.raises(InvalidRequest, match="366 days"):
        await office.orders.drop_key("web", key("web").key_id, DROP_AFTER_S_MAX + 1)


@dataclass
class Failing:
    """Lets the first transaction fail, before or after it took effect."""

    moment: Moment
    error: type[MeshError]
    is_spent: bool = False

    async def __call__(self, call: CatalogCall) -> None:
        if call.operation == "transact" and call.moment is self.moment and not self.is_spent:
            self.is_spent = True
            raise self.error("lost")


@pytest.mark.parametrize("moment", [Moment.BEFORE, Moment.AFTER])
async def test_unknown_outcome_is_found_out_by_reading_again(office: Office, moment: Moment) -> None:
    def desk() -> ApplicationOrders:
        return office.desk(office.catalog.client(Failing(moment, OutcomeUnknown)))

    await desk().add("new", Role.READER, pem("new"))
    await desk().set_role("new", Role.WRITER)
    await desk().add_key("new", pem("new 2"), HOUR_S)
    listed = await office.listed("new")
    assert listed is not None
    assert (listed.role, len(listed.public_keys), len(listed.drops)) == (Role.WRITER, 2, 1)
    await desk().remove("new")
    assert await office.listed("new") is None


async def test_catalog_that_is_away_is_said_so_and_nothing_changes(office: Office) -> None:
    desk = office.desk(office.catalog.client(Failing(Moment.BEFORE, CatalogUnavailable)))
    with pytest.raises(CatalogUnavailable):
        await desk.remove("web")
    assert await office.listed("web") is not None


async def test_entry_that_changes_all_the_time_ends_the_attempt(office: Office) -> None:
    async def disturb(call: CatalogCall) -> None:
        if call.operation == "transact" and call.moment is Moment.BEFORE:
            listed = await office.listed("web")
            assert listed is not None
            await office.catalog.transact([], [Put(application_key("web"), encode_application(listed))])

    with pytest.raises(Fenced, match="meanwhile"):
        await office.desk(office.catalog.client(disturb)).set_role("web", Role.READER)
