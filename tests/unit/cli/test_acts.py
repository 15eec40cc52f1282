"""Commands that write the catalog themselves are on record, with the user who ran them."""

from __future__ import annotations

import pytest

from meshnode.base.errors import CatalogUnavailable, OutcomeUnknown
from meshnode.catalog.memory import CatalogCall, MemoryCatalog, Moment
from meshnode.cli.acts import recorded
from meshnode.cli.local import initialise_cluster
from meshnode.core.audit import AuditEntry, decode_entry
from meshnode.core.keys import AUDIT_ENTRIES
from tests.unit.cli.test_local import NODES, OPERATOR, SETTINGS


async def entries_of(catalog: MemoryCatalog) -> list[AuditEntry]:
    return [decode_entry(entry.value) for entry in await catalog.client().range(AUDIT_ENTRIES)]


async def initialise(catalog: MemoryCatalog) -> int:
    async with recorded(catalog, "init-cluster", {"nodes": "n1, n2, n3"}) as act:
        written = await initialise_cluster(
            catalog, settings=SETTINGS, nodes=NODES, applications=[OPERATOR], begin=act.begin
        )
        act.facts["keys_written"] = written
    return written


async def test_a_command_that_writes_the_catalog_leaves_one_entry_and_one_that_writes_nothing_none() -> None:
    catalog = MemoryCatalog()
    written = await initialise(catalog)
    assert written
    assert await initialise(catalog) == 0
    (entry,) = await entries_of(catalog)
    assert (entry.method, entry.outcome, entry.node) == ("init-cluster", "OK", "")
    assert entry.who.startswith("command:")
    assert "@" in entry.who
    assert (entry.request, entry.facts) == ({"nodes": "n1, n2, n3"}, {"keys_written": str(written)})


async def test_a_command_that_cannot_be_recorded_writes_nothing() -> None:
    catalog = MemoryCatalog()

    async def full(call: CatalogCall) -> None:
        if call.operation == "transact" and call.moment is Moment.BEFORE:
            raise CatalogUnavailable("no room")

    catalog.hook = full
    with pytest.raises(CatalogUnavailable):
        await initialise(catalog)
    assert await catalog.client().range("") == []


async def test_a_command_that_failed_says_so_and_an_outcome_nobody_takes_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    catalog = MemoryCatalog()

    async def fail(error: Exception) -> None:
        async with recorded(catalog, "catalog rebuild", {}) as act:
            await act.begin()
            raise error

    for error, outcome in ((CatalogUnavailable("gone"), "UNAVAILABLE"), (KeyError("a defect"), "INTERNAL")):
        with pytest.raises(type(error)):
            await fail(error)
        assert (await entries_of(catalog))[-1].outcome == outcome

    async def lose(call: CatalogCall) -> None:
        if call.operation == "transact" and call.moment is Moment.BEFORE:
            raise OutcomeUnknown("lost")

    async with recorded(catalog, "catalog rebuild", {}) as act:
        await act.begin()
        catalog.hook = lose
    assert (await entries_of(catalog))[-1].outcome == ""
    assert "could not be told" in capsys.readouterr().err
