"""What every implementation of the port Catalog promises, checked over all of them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from meshnode.base.errors import CatalogUnavailable, InvalidRequest, NotFound
from meshnode.catalog.etcd import EtcdCatalog
from meshnode.catalog.memory import MemoryCatalog
from meshnode.catalog.sqlite import SqliteCatalog
from meshnode.config import CatalogSettings
from meshnode.ports import Catalog, Compare, Delete, Put, WatchEvent
from tests.contract.etcd_cluster import EtcdCluster

DEADLINE_S = 10.0

OpenClient = Callable[[], Awaitable[Catalog]]
"""Opens one more client of the test's own, empty catalog."""


@pytest.fixture(scope="session")
def etcd_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    cluster = EtcdCluster(tmp_path_factory.mktemp("etcd"))
    try:
        cluster.start()
        yield cluster.url
    finally:
        cluster.close()


@pytest.fixture(params=["memory", "sqlite", "etcd"])
async def open_client(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenClient]:
    clients: list[Catalog] = []
    store = MemoryCatalog()
    prefix = f"/{uuid.uuid4()}/"

    async def open_one() -> Catalog:
        if request.param == "memory":
            return store.client()
        if request.param == "sqlite":
            return await SqliteCatalog.open(tmp_path / "catalog.db", deadline_ms=5_000)
        url = request.getfixturevalue("etcd_url")
        return await EtcdCatalog.open(CatalogSettings(url=url, prefix=prefix, deadline_ms=5_000))

    async def open_and_keep() -> Catalog:
        clients.append(await open_one())
        return clients[-1]

    yield open_and_keep
    for client in clients:
        await client.close()


async def put(catalog: Catalog, key: str, value: bytes, lease: int = 0) -> int:
    revision = await catalog.transact([], [Put(key, value, lease)])
    assert revision is not None
    return revision


class Watching:
    """A watch that stands, with its hints collected by a task of the test."""

    def __init__(self, catalog: Catalog, prefix: str) -> None:
        self.events: list[WatchEvent] = []
        self._changed = asyncio.Condition()
        self._hints = catalog.watch(prefix)
        self._task = asyncio.ensure_future(self._collect())

    async def __aenter__(self) -> Self:
        await self.until(lambda events: len(events) > 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def keys(self) -> list[str]:
        return [event.key for event in self.events]

    async def until(self, is_done: Callable[[list[WatchEvent]], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S), self._changed:
            await self._changed.wait_for(lambda: is_done(self.events) or self._task.done())
        if self._task.done():
            self._task.result()

    async def _collect(self) -> None:
        async for event in self._hints:
            async with self._changed:
                self.events.append(event)
                self._changed.notify_all()


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await condition():  # noqa: ASYNC110 - the store is another process; there is no event
            await asyncio.sleep(0.02)


# ---------------------------------------------------------------- reads and transactions


async def test_a_missing_key_reads_as_none(open_client: OpenClient) -> None:
    catalog = await open_client()
    assert await catalog.get(["a", "b"]) == [None, None]
    assert await catalog.get([]) == []


async def test_a_put_is_read_back_by_another_client_with_its_revision(open_client: OpenClient) -> None:
    writer, reader = await open_client(), await open_client()
    revision = await put(writer, "a", b"\x00\xff one")
    (entry,) = await reader.get(["a"])
    assert entry is not None
    assert (entry.key, entry.value, entry.revision) == ("a", b"\x00\xff one", revision)


async def test_entries_come_in_the_order_asked_even_twice(open_client: OpenClient) -> None:
    catalog = await open_client()
    await catalog.transact([], [Put("a", b"1"), Put("b", b"2")])
    entries = await catalog.get(["b", "x", "a", "b"])
    assert [entry and entry.value for entry in entries] == [b"2", None, b"1", b"2"]


async def test_an_empty_value_is_a_value(open_client: OpenClient) -> None:
    catalog = await open_client()
    await put(catalog, "a", b"")
    (entry,) = await catalog.get(["a"])
    assert entry is not None
    assert entry.value == b""


async def test_keys_of_one_transaction_share_its_revision_and_each_write_has_a_greater_one(
    open_client: OpenClient,
) -> None:
    catalog = await open_client()
    first = await catalog.transact([], [Put("a", b"1"), Put("b", b"2")])
    second = await put(catalog, "a", b"3")
    entries = await catalog.get(["a", "b"])
    assert [entry and entry.revision for entry in entries] == [second, first]
    assert first is not None
    assert second > first


async def test_a_compare_with_revision_zero_holds_only_where_the_key_is_absent(open_client: OpenClient) -> None:
    catalog = await open_client()
    assert await catalog.transact([Compare("a", 0)], [Put("a", b"1")]) is not None
    assert await catalog.transact([Compare("a", 0)], [Put("a", b"2")]) is None
    assert await catalog.transact([], [Delete("a")]) is not None
    assert await catalog.transact([Compare("a", 0)], [Put("a", b"3")]) is not None


async def test_one_compare_that_fails_stops_every_write(open_client: OpenClient) -> None:
    catalog = await open_client()
    revision = await put(catalog, "a", b"1")
    outcome = await catalog.transact([Compare("a", revision), Compare("b", revision)], [Put("a", b"2"), Put("c", b"2")])
    assert outcome is None
    assert [entry and entry.value for entry in await catalog.get(["a", "b", "c"])] == [b"1", None, None]


async def test_a_compare_with_an_old_revision_fails_and_with_the_current_one_holds(open_client: OpenClient) -> None:
    catalog = await open_client()
    old = await put(catalog, "a", b"1")
    current = await put(catalog, "a", b"2")
    assert await catalog.transact([Compare("a", old)], [Delete("a")]) is None
    assert await catalog.transact([Compare("a", current)], [Delete("a")]) is not None
    assert await catalog.get(["a"]) == [None]


async def test_writing_another_key_does_not_change_a_keys_revision(open_client: OpenClient) -> None:
    catalog = await open_client()
    revision = await put(catalog, "a", b"1")
    await put(catalog, "b", b"1")
    assert await catalog.transact([Compare("a", revision)], [Put("a", b"2")]) is not None


async def test_deleting_what_is_not_there_succeeds(open_client: OpenClient) -> None:
    catalog = await open_client()
    assert await catalog.transact([], [Delete("a")]) is not None


async def test_a_transaction_without_writes_tells_whether_its_compares_hold(open_client: OpenClient) -> None:
    catalog = await open_client()
    revision = await put(catalog, "a", b"1")
    assert await catalog.transact([Compare("a", revision)], []) is not None
    assert await catalog.transact([Compare("a", 0)], []) is None


async def test_a_key_deleted_and_put_again_never_gets_an_old_revision(open_client: OpenClient) -> None:
    catalog = await open_client()
    before = await put(catalog, "a", b"1")
    await catalog.transact([], [Delete("a")])
    assert await put(catalog, "a", b"1") > before
    assert await catalog.transact([Compare("a", before)], []) is None


async def test_sixty_four_keys_fit_and_one_more_is_refused(open_client: OpenClient) -> None:
    catalog = await open_client()
    keys = [f"k{number:02d}" for number in range(65)]
    revision = await catalog.transact([Compare(key, 0) for key in keys[:64]], [Put(key, b"x") for key in keys[:64]])
    assert revision is not None
    assert all(await catalog.get(keys[:64]))
    with pytest.raises(InvalidRequest, match="too many keys in one get"):
        await catalog.get(keys)
    with pytest.raises(InvalidRequest, match="too many keys in one transaction"):
        await catalog.transact([], [Put(key, b"x") for key in keys])
    with pytest.raises(InvalidRequest, match="too many keys in one transaction"):
        await catalog.transact([Compare(key, 0) for key in keys], [])


@pytest.mark.parametrize("key", ["", "a\0b", "x" * 1025, "\ud800"])
async def test_a_key_that_no_catalog_can_hold_is_refused(open_client: OpenClient, key: str) -> None:
    catalog = await open_client()
    with pytest.raises(InvalidRequest, match="a key is"):
        await catalog.get([key])
    with pytest.raises(InvalidRequest, match="a key is"):
        await catalog.transact([], [Put(key, b"")])


async def test_a_key_written_twice_in_one_transaction_is_refused(open_client: OpenClient) -> None:
    catalog = await open_client()
    with pytest.raises(InvalidRequest, match="writes a key once"):
        await catalog.transact([], [Put("a", b"1"), Delete("a")])


async def test_a_transaction_of_a_mebibyte_fits_and_a_larger_one_is_refused(open_client: OpenClient) -> None:
    catalog = await open_client()
    await put(catalog, "a", b"x" * ((1 << 20) - 1))
    (entry,) = await catalog.get(["a"])
    assert entry is not None
    assert len(entry.value) == (1 << 20) - 1
    with pytest.raises(InvalidRequest, match="too large"):
        await put(catalog, "a", b"x" * (1 << 20))


# ---------------------------------------------------------------- ranges


async def test_a_range_is_paged_in_byte_order_without_gap_or_repetition(open_client: OpenClient) -> None:
    catalog = await open_client()
    names = [f"names/{name}" for name in ["B", "a", "a-b", "a/b", "a0", "ab", "z", "\u00e9", "\U0001f600"]]
    await catalog.transact([], [Put(name, name.encode()) for name in [*names, "name", "names", "nameszzz", "namf"]])
    found: list[str] = []
    while page := await catalog.range("names/", after=found[-1] if found else "", limit=2):
        assert len(page) <= 2
        found += [entry.key for entry in page]
        assert all(entry.value == entry.key.encode() for entry in page)
    assert found == sorted(names, key=str.encode)


async def test_a_range_of_nothing_is_empty(open_client: OpenClient) -> None:
    catalog = await open_client()
    await put(catalog, "a/1", b"")
    assert await catalog.range("b/") == []
    assert await catalog.range("a/", after="a/1") == []
    assert await catalog.range("a/", after="b") == []


async def test_the_empty_prefix_ranges_over_everything(open_client: OpenClient) -> None:
    catalog = await open_client()
    await catalog.transact([], [Put("a", b""), Put("\U0010ffff", b"")])
    assert [entry.key for entry in await catalog.range("")] == ["a", "\U0010ffff"]
    assert [entry.key for entry in await catalog.range("\U0010ffff")] == ["\U0010ffff"]


async def test_after_a_key_below_the_prefix_starts_at_the_prefix(open_client: OpenClient) -> None:
    catalog = await open_client()
    await catalog.transact([], [Put("a", b""), Put("b/1", b"")])
    assert [entry.key for entry in await catalog.range("b/", after="a")] == ["b/1"]


async def test_a_page_size_outside_its_limits_is_refused(open_client: OpenClient) -> None:
    catalog = await open_client()
    for limit in (0, -1, 10_001):
        with pytest.raises(InvalidRequest, match="a page holds"):
            await catalog.range("a", limit=limit)


# ---------------------------------------------------------------- clients beside each other


async def test_of_two_clients_racing_exactly_one_wins_each_revision(open_client: OpenClient) -> None:
    first, second = await open_client(), await open_client()
    start = await put(first, "counter", b"0")
    wins: dict[int, bytes] = {}

    async def race(catalog: Catalog, name: bytes) -> None:
        for _ in range(50):
            (entry,) = await catalog.get(["counter"])
            assert entry is not None
            value = str(int(entry.value) + 1).encode()
            written = await catalog.transact([Compare("counter", entry.revision)], [Put("counter", value)])
            if written is not None:
                assert written not in wins
                wins[written] = name

    async with asyncio.timeout(3 * DEADLINE_S):
        await asyncio.gather(race(first, b"first"), race(second, b"second"))
    (entry,) = await second.get(["counter"])
    assert entry is not None
    assert int(entry.value) == len(wins)
    assert entry.revision == max(wins)
    assert min(wins) > start
    assert len(wins) >= 50


async def test_many_keys_are_read_at_one_revision_while_another_client_writes(open_client: OpenClient) -> None:
    writer, reader = await open_client(), await open_client()
    keys = [f"k{number}" for number in range(8)]
    await writer.transact([], [Put(key, b"0") for key in keys])

    async def write() -> None:
        for number in range(40):
            await writer.transact([], [Put(key, str(number).encode()) for key in keys])

    writing = asyncio.ensure_future(write())
    seen = set()
    while not writing.done():
        entries = await reader.get(keys)
        assert len({entry.revision for entry in entries if entry is not None}) == 1
        seen.add(entries[0] and entries[0].value)
    await writing
    assert seen


async def test_an_acknowledged_write_is_seen_by_every_later_read(open_client: OpenClient) -> None:
    writer, reader = await open_client(), await open_client()
    for number in range(25):
        revision = await put(writer, "a", str(number).encode())
        (entry,) = await reader.get(["a"])
        assert entry is not None
        assert entry.revision == revision


# ---------------------------------------------------------------- leases


async def test_a_key_goes_away_when_its_lease_is_not_kept(open_client: OpenClient) -> None:
    holder, reader = await open_client(), await open_client()
    lease = await holder.open_lease(1_000)
    await holder.transact([], [Put("online/n1", b"1", lease), Put("nodes/n1", b"1")])
    assert all(await reader.get(["online/n1"]))

    async def is_gone() -> bool:
        return await reader.get(["online/n1"]) == [None]

    await eventually(is_gone)
    assert await reader.range("online/") == []
    assert all(await reader.get(["nodes/n1"]))
    assert await reader.transact([Compare("online/n1", 0)], [Put("seen", b"")]) is not None
    assert await holder.keep_lease(lease) is False


async def test_a_lease_that_is_kept_holds_its_key_beyond_its_life(open_client: OpenClient) -> None:
    catalog = await open_client()
    kept, lost = await catalog.open_lease(2_000), await catalog.open_lease(1_000)
    await catalog.transact([], [Put("kept", b"", kept), Put("lost", b"", lost)])

    async def is_lost() -> bool:
        assert await catalog.keep_lease(kept)
        return await catalog.get(["lost"]) == [None]

    await eventually(is_lost)
    assert all(await catalog.get(["kept"]))


async def test_closing_a_lease_removes_its_keys_at_once_and_twice_is_once(open_client: OpenClient) -> None:
    catalog = await open_client()
    lease = await catalog.open_lease(60_000)
    await catalog.transact([], [Put("a", b"", lease), Put("b", b"", lease), Put("c", b"")])
    await catalog.close_lease(lease)
    await catalog.close_lease(lease)
    assert [bool(entry) for entry in await catalog.get(["a", "b", "c"])] == [False, False, True]
    assert await catalog.keep_lease(lease) is False


async def test_a_put_without_lease_frees_the_key_from_the_one_it_had(open_client: OpenClient) -> None:
    catalog = await open_client()
    lease = await catalog.open_lease(60_000)
    await put(catalog, "a", b"1", lease)
    await put(catalog, "a", b"2")
    await catalog.close_lease(lease)
    assert all(await catalog.get(["a"]))


async def test_a_put_moves_the_key_to_its_new_lease(open_client: OpenClient) -> None:
    catalog = await open_client()
    old, new = await catalog.open_lease(60_000), await catalog.open_lease(60_000)
    await put(catalog, "a", b"1", old)
    await put(catalog, "a", b"2", new)
    await catalog.close_lease(old)
    assert all(await catalog.get(["a"]))
    await catalog.close_lease(new)
    assert await catalog.get(["a"]) == [None]


async def test_a_put_with_a_lease_that_ended_writes_nothing(open_client: OpenClient) -> None:
    catalog = await open_client()
    lease = await catalog.open_lease(60_000)
    await catalog.close_lease(lease)
    with pytest.raises(NotFound, match="the lease has ended"):
        await catalog.transact([], [Put("other", b""), Put("a", b"", lease)])
    assert await catalog.get(["a", "other"]) == [None, None]
    assert await catalog.transact([Compare("a", 1)], [Put("a", b"", lease)]) is None


async def test_a_lease_outlives_the_client_that_opened_it(open_client: OpenClient) -> None:
    holder, other = await open_client(), await open_client()
    lease = await holder.open_lease(60_000)
    await put(holder, "a", b"", lease)
    await holder.close()
    assert all(await other.get(["a"]))
    assert await other.keep_lease(lease)
    await other.close_lease(lease)


async def test_a_lease_life_outside_its_limits_is_refused(open_client: OpenClient) -> None:
    catalog = await open_client()
    for ttl_ms in (0, -5, 24 * 3_600_000 + 1):
        with pytest.raises(InvalidRequest, match="a lease lives"):
            await catalog.open_lease(ttl_ms)


async def test_leases_never_share_a_number(open_client: OpenClient) -> None:
    first, second = await open_client(), await open_client()
    leases = [await catalog.open_lease(60_000) for catalog in (first, second) for _ in range(5)]
    assert len(set(leases)) == 10
    assert all(lease > 0 for lease in leases)


# ---------------------------------------------------------------- watches


async def test_a_watch_begins_with_anything_may_have_changed(open_client: OpenClient) -> None:
    catalog = await open_client()
    async with Watching(catalog, "a/") as watching:
        assert watching.events[0].key == ""


async def test_a_watch_sees_puts_and_deletes_of_other_clients_below_its_prefix_in_order(
    open_client: OpenClient,
) -> None:
    writer, watcher = await open_client(), await open_client()
    async with Watching(watcher, "a/") as watching:
        revisions = [await put(writer, f"a/{number}", b"") for number in range(5)]
        await put(writer, "b/1", b"")
        deleted = await writer.transact([], [Delete("a/3"), Delete("b/1")])
        last = await put(writer, "a/last", b"")
        await watching.until(lambda events: events[-1].key == "a/last")
        seen = [event for event in watching.events if event.key]
        assert [event.key for event in seen] == [*(f"a/{number}" for number in range(5)), "a/3", "a/last"]
        assert [event.revision for event in seen] == [*revisions, deleted, last]


async def test_a_watch_sees_the_end_of_a_lease(open_client: OpenClient) -> None:
    holder, watcher = await open_client(), await open_client()
    lease = await holder.open_lease(1_000)
    await put(holder, "online/n1", b"", lease)
    async with Watching(watcher, "online/") as watching:
        await watching.until(lambda events: "online/n1" in [event.key for event in events])
    assert await watcher.get(["online/n1"]) == [None]


async def test_a_watch_sees_a_lease_closed(open_client: OpenClient) -> None:
    holder, watcher = await open_client(), await open_client()
    lease = await holder.open_lease(60_000)
    await put(holder, "online/n1", b"", lease)
    async with Watching(watcher, "online/") as watching:
        await holder.close_lease(lease)
        await watching.until(lambda events: "online/n1" in [event.key for event in events])


async def test_a_client_sees_its_own_changes_in_its_watch_and_watches_do_not_share_hints(
    open_client: OpenClient,
) -> None:
    catalog = await open_client()
    async with Watching(catalog, "") as everything, Watching(catalog, "a") as some:
        await put(catalog, "b", b"")
        await put(catalog, "a", b"")
        await everything.until(lambda events: events[-1].key == "a")
        await some.until(lambda events: events[-1].key == "a")
        assert everything.keys() == ["", "b", "a"]
        assert some.keys() == ["", "a"]


async def test_what_a_watch_has_not_been_asked_for_yet_is_not_lost(open_client: OpenClient) -> None:
    catalog = await open_client()
    hints = catalog.watch("a/")
    async with asyncio.timeout(DEADLINE_S):
        assert (await anext(hints)).key == ""
        for number in range(20):
            await put(catalog, f"a/{number:02d}", b"")
        assert [(await anext(hints)).key for _ in range(20)] == [f"a/{number:02d}" for number in range(20)]


async def test_a_watch_can_be_cancelled_while_it_waits_and_the_catalog_goes_on(open_client: OpenClient) -> None:
    catalog = await open_client()
    async with Watching(catalog, "a/"):
        pass
    await put(catalog, "a/1", b"")


# ---------------------------------------------------------------- closing


async def test_a_closed_catalog_refuses_and_its_watches_end(open_client: OpenClient) -> None:
    catalog = await open_client()
    hints = catalog.watch("a/")
    async with asyncio.timeout(DEADLINE_S):
        await anext(hints)
        waiting = asyncio.ensure_future(anext(hints, None))
        await catalog.close()
        await catalog.close()
        assert await waiting is None
    with pytest.raises(CatalogUnavailable, match="closed"):
        await catalog.get(["a"])
    with pytest.raises(CatalogUnavailable, match="closed"):
        await catalog.transact([], [Put("a", b"")])
    with pytest.raises(CatalogUnavailable, match="closed"):
        await anext(catalog.watch("a/"))
