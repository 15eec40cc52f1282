"""The audit log over a catalog that fails in every way a catalog can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from meshnode.base.errors import CatalogUnavailable, OutcomeUnknown
from meshnode.catalog.memory import CatalogCall, MemoryCatalog, Moment
from meshnode.core.audit import AuditEntry, decode_entry
from meshnode.core.keys import AUDIT_ENTRIES
from meshnode.engine.audit import AuditTrail, add_entry
from meshnode.engine.supervisor import Supervisor
from tests.unit.rpc.fakes import SystemClock


def draft(act_id: str = "a") -> AuditEntry:
    return AuditEntry(
        sequence=0, act_id=act_id, at_ms=1_000, node="n1", who="app:operator", key_id="k", actor="app:operator",
        peer="", method="/mesh.v1.ClusterService/PauseMoves", request={"paused": "true"}, request_id="r",
    )  # fmt: skip


async def entries_of(catalog: MemoryCatalog) -> list[AuditEntry]:
    return [decode_entry(entry.value) for entry in await catalog.range(AUDIT_ENTRIES)]


class Faults:
    """A hook: the next calls of an operation fail as told."""

    def __init__(self, operation: str, moment: Moment, error: Exception, times: int) -> None:
        self.operation, self.moment, self.error, self.times = operation, moment, error, times

    async def __call__(self, call: CatalogCall) -> None:
        if call.operation == self.operation and call.moment is self.moment and self.times > 0:
            self.times -= 1
            raise self.error


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    await supervisor.close()


class NoWait(SystemClock):
    async def sleep(self, duration_ms: int) -> None:
        del duration_ms
        await asyncio.sleep(0)


def trail_of(catalog: MemoryCatalog, supervisor: Supervisor, *, kept_max: int = 100) -> AuditTrail:
    return AuditTrail(catalog=catalog, clock=NoWait(), supervisor=supervisor, kept_max=kept_max)


async def test_an_act_is_on_record_before_it_begins_and_its_outcome_after(supervisor: Supervisor) -> None:
    catalog = MemoryCatalog()
    trail = trail_of(catalog, supervisor)
    act = await trail.begin(draft(), timeout_ms=1_000)
    (begun,) = await entries_of(catalog)
    assert (begun.sequence, begun.outcome) == (1, "")
    await trail.finish(act, outcome="OK", detail="", facts={"paused": "1"}, took_ms=3)
    (ended,) = await entries_of(catalog)
    assert (ended.sequence, ended.outcome, ended.facts, ended.took_ms) == (1, "OK", {"paused": "1"}, 3)


async def test_acts_of_many_nodes_at_once_get_numbers_without_a_gap(supervisor: Supervisor) -> None:
    catalog = MemoryCatalog()
    trails = [trail_of(catalog.client(), supervisor) for _ in range(4)]
    await asyncio.gather(
        *(
            trail.begin(draft(f"{node}-{turn}"), timeout_ms=5_000)
            for node, trail in enumerate(trails)
            for turn in range(8)
        )
    )
    found = await entries_of(catalog)
    assert [entry.sequence for entry in found] == list(range(1, 33))
    assert len({entry.act_id for entry in found}) == 32


@pytest.mark.parametrize("moment", [Moment.BEFORE, Moment.AFTER])
async def test_a_lost_answer_makes_one_entry_whether_it_landed_or_not(moment: Moment) -> None:
    catalog = MemoryCatalog(hook=Faults("transact", moment, OutcomeUnknown("lost"), times=3))
    begun = await add_entry(catalog, draft())
    assert [entry.sequence for entry in await entries_of(catalog)] == [begun.entry.sequence] == [1]


async def test_a_lost_write_that_lands_late_is_found_and_not_repeated() -> None:
    catalog = MemoryCatalog()
    other = catalog.client()
    turn = 0

    async def late(call: CatalogCall) -> None:
        nonlocal turn
        if call.operation == "transact" and call.moment is Moment.BEFORE:
            turn += 1
            if turn == 1:
                late.kept = call  # type: ignore[attr-defined]
                raise OutcomeUnknown("on its way")
            first: CatalogCall = late.kept  # type: ignore[attr-defined]
            await other.transact(first.compares, first.writes)

    catalog.hook = late
    begun = await add_entry(catalog, draft())
    assert [entry.sequence for entry in await entries_of(other)] == [begun.entry.sequence] == [1]


async def test_an_act_that_cannot_be_recorded_must_not_begin(supervisor: Supervisor) -> None:
    catalog = MemoryCatalog(hook=Faults("get", Moment.BEFORE, CatalogUnavailable("away"), times=1_000))
    with pytest.raises(CatalogUnavailable, match="not begun"):
        await trail_of(catalog, supervisor).begin(draft(), timeout_ms=1_000)
    catalog.hook = Faults("transact", Moment.BEFORE, OutcomeUnknown("lost"), times=1_000)
    with pytest.raises(CatalogUnavailable, match="not begun"):
        await trail_of(catalog, supervisor).begin(draft(), timeout_ms=1_000)

    async def never(_: CatalogCall) -> None:
        await asyncio.Event().wait()

    catalog.hook = never
    with pytest.raises(CatalogUnavailable, match="not begun"):
        await trail_of(catalog, supervisor).begin(draft(), timeout_ms=20)


async def test_an_outcome_that_the_catalog_does_not_take_is_written_when_it_is_back(supervisor: Supervisor) -> None:
    catalog = MemoryCatalog()
    trail = trail_of(catalog, supervisor)
    act = await trail.begin(draft(), timeout_ms=1_000)
    catalog.hook = Faults("transact", Moment.BEFORE, CatalogUnavailable("away"), times=5)
    await trail.finish(act, outcome="OK", detail="", facts={}, took_ms=1)
    await supervisor.drain("audit-outcome")
    (entry,) = await entries_of(catalog)
    assert entry.outcome == "OK"


async def test_an_outcome_that_is_never_taken_leaves_a_log_line_and_an_entry_without_end(
    supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    catalog = MemoryCatalog()
    trail = trail_of(catalog, supervisor)
    act = await trail.begin(draft(), timeout_ms=1_000)
    catalog.hook = Faults("transact", Moment.BEFORE, CatalogUnavailable("away"), times=1_000)
    await trail.finish(act, outcome="OK", detail="", facts={}, took_ms=1)
    await supervisor.drain("audit-outcome")
    assert "audit_outcome_not_recorded" in caplog.text
    (entry,) = await entries_of(catalog)
    assert entry.outcome == ""
    await supervisor.close()
    await trail.finish(act, outcome="OK", detail="", facts={}, took_ms=1)
    assert caplog.text.count("audit_outcome_not_recorded") == 2


async def test_the_newest_are_kept_and_an_outcome_does_not_bring_a_trimmed_entry_back(supervisor: Supervisor) -> None:
    catalog = MemoryCatalog()
    trail = trail_of(catalog, supervisor, kept_max=5)
    first = await trail.begin(draft("first"), timeout_ms=1_000)
    for number in range(11):
        await trail.begin(draft(str(number)), timeout_ms=1_000)
    await trail.finish(first, outcome="OK", detail="", facts={}, took_ms=1)
    assert [entry.sequence for entry in await entries_of(catalog)] == [8, 9, 10, 11, 12]


async def test_pages_go_from_the_newest_to_the_oldest(supervisor: Supervisor) -> None:
    catalog = MemoryCatalog()
    trail = trail_of(catalog, supervisor, kept_max=7)
    assert (await trail.page(before=0, limit=3)).entries == ()
    for number in range(10):
        await trail.begin(draft(str(number)), timeout_ms=1_000)
    first = await trail.page(before=0, limit=3)
    second = await trail.page(before=first.before, limit=3)
    third = await trail.page(before=second.before, limit=3)
    pages = [[entry.sequence for entry in page.entries] for page in (first, second, third)]
    assert pages == [[10, 9, 8], [7, 6, 5], [4]]
    assert third.before == 0
    assert (await trail.page(before=2, limit=3)).entries == ()
