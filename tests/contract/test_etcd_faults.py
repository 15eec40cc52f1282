"""The etcd catalog while members of a real cluster are killed, stopped and started again."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from meshnode.base.errors import CatalogUnavailable, OutcomeUnknown
from meshnode.catalog.etcd import EtcdCatalog
from meshnode.config import CatalogSettings
from meshnode.ports import Compare, Put, WatchEvent
from tests.contract.etcd_cluster import EtcdCluster, EtcdMember, free_ports

DEADLINE_MS = 2_000
SLACK_S = 5.0
"""What a loaded machine may add to a deadline."""
RESUME_S = 15.0
"""In which a cluster must take writes again; an election takes a second, a start up to three."""


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    cluster = EtcdCluster(tmp_path_factory.mktemp("etcd"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
async def cluster(members: EtcdCluster) -> EtcdCluster:
    """Three members that run, with a leader and no keys, whatever the test before did to them."""
    members.heal()
    await members.leader()
    await members.control("del", "--prefix", "/test/")
    return members


@asynccontextmanager
async def connected(cluster: EtcdCluster, *preferred: EtcdMember, is_alone: bool = False) -> AsyncIterator[EtcdCatalog]:
    """A client that asks the preferred members first, and no others where it `is_alone`."""
    others = [] if is_alone else [member for member in cluster.members if member not in preferred]
    endpoints = ",".join(member.endpoint for member in [*preferred, *others])
    settings = CatalogSettings(url=f"etcd://{endpoints}", prefix="/test/", deadline_ms=DEADLINE_MS)
    catalog = await EtcdCatalog.open(settings, shuffle=lambda _: None)
    try:
        yield catalog
    finally:
        await catalog.close()


async def insist(attempt: Callable[[], Awaitable[object]]) -> None:
    """Repeat until the cluster takes it."""
    async with asyncio.timeout(RESUME_S):
        while True:
            try:
                await attempt()
            except (CatalogUnavailable, OutcomeUnknown):
                continue
            return


async def put(catalog: EtcdCatalog, key: str, value: bytes = b"") -> None:
    assert await catalog.transact([], [Put(key, value)]) is not None


class Ledger:
    """A list in one key, appended to by compare-and-set; each entry names the attempt that made it."""

    def __init__(self, catalog: EtcdCatalog, writer: str) -> None:
        self._catalog = catalog
        self._writer = writer
        self._attempts = 0
        self.acknowledged: list[str] = []
        self.unknown = 0

    async def append(self) -> None:
        """Append one entry, found out to be there or repeated under another name until it is."""
        while True:
            self._attempts += 1
            name = f"{self._writer}-{self._attempts}"
            if await self._try(name):
                self.acknowledged.append(name)
                return

    async def _try(self, name: str) -> bool:
        revision, entries = await read_ledger(self._catalog)
        try:
            value = json.dumps([*entries, name]).encode()
            return await self._catalog.transact([Compare("ledger", revision)], [Put("ledger", value)]) is not None
        except CatalogUnavailable:
            return False
        except OutcomeUnknown:
            self.unknown += 1
            return await self._find_out(name)

    async def _find_out(self, name: str) -> bool:
        """Whether a lost attempt landed: it is there, or a fence stands before it."""
        while True:
            revision, entries = await read_ledger(self._catalog)
            if name in entries:
                return True
            try:
                value = json.dumps(entries).encode()
                if await self._catalog.transact([Compare("ledger", revision)], [Put("ledger", value)]) is not None:
                    return False
            except (CatalogUnavailable, OutcomeUnknown):
                continue


async def read_ledger(catalog: EtcdCatalog) -> tuple[int, list[str]]:
    while True:
        try:
            (entry,) = await catalog.get(["ledger"])
        except CatalogUnavailable:
            continue
        return (0, []) if entry is None else (entry.revision, json.loads(entry.value))


class Watching:
    """A watch collected by a task of the test."""

    def __init__(self, catalog: EtcdCatalog, prefix: str) -> None:
        self.events: list[WatchEvent] = []
        self._changed = asyncio.Condition()
        self._hints = catalog.watch(prefix)
        self._task = asyncio.ensure_future(self._collect())

    async def until(self, is_done: Callable[[list[WatchEvent]], bool]) -> None:
        async with asyncio.timeout(RESUME_S), self._changed:
            await self._changed.wait_for(lambda: is_done(self.events) or self._task.done())
        if self._task.done():
            self._task.result()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _collect(self) -> None:
        async for event in self._hints:
            async with self._changed:
                self.events.append(event)
                self._changed.notify_all()


# ---------------------------------------------------------------- writes


async def test_every_acknowledged_write_is_there_once_after_the_leader_was_killed(cluster: EtcdCluster) -> None:
    leader = await cluster.leader()
    follower = await cluster.follower()
    async with connected(cluster, leader) as first, connected(cluster, follower) as second:
        ledgers = [Ledger(first, "first"), Ledger(second, "second")]
        is_over = asyncio.Event()

        async def write(ledger: Ledger) -> None:
            while not is_over.is_set():
                await ledger.append()

        writers = [asyncio.ensure_future(write(ledger)) for ledger in ledgers]
        try:
            async with asyncio.timeout(4 * RESUME_S):
                await reaches(ledgers, 10)
                leader.kill()
                await reaches(ledgers, 10)
                leader.start()
                (await cluster.leader()).kill()
                await reaches(ledgers, 10)
                is_over.set()
                await asyncio.gather(*writers)
        finally:
            for writer in writers:
                writer.cancel()
            await asyncio.gather(*writers, return_exceptions=True)
        _, entries = await read_ledger(first)
    acknowledged = [name for ledger in ledgers for name in ledger.acknowledged]
    assert sorted(entries) == sorted(acknowledged)
    assert len(set(entries)) == len(entries)


async def reaches(ledgers: list[Ledger], more: int) -> None:
    """Return when each ledger has that many more acknowledged entries than now."""
    wanted = [len(ledger.acknowledged) + more for ledger in ledgers]
    async with asyncio.timeout(RESUME_S):
        while any(len(ledger.acknowledged) < count for ledger, count in zip(ledgers, wanted, strict=True)):  # noqa: ASYNC110 - a deadline bounds it
            await asyncio.sleep(0.01)


async def test_writes_go_on_while_a_follower_is_dead_and_through_it_when_it_is_back(cluster: EtcdCluster) -> None:
    follower = await cluster.follower()
    async with connected(cluster, follower) as catalog:
        await put(catalog, "a", b"1")
        follower.kill()
        for number in range(10):
            await insist(partial(put, catalog, "a", str(number).encode()))
        follower.start()
        async with connected(cluster, follower, is_alone=True) as alone:
            await insist(lambda: put(alone, "b", b"2"))
        assert [entry and entry.value for entry in await catalog.get(["a", "b"])] == [b"9", b"2"]


async def test_a_port_where_nobody_listens_does_not_disturb_a_write(cluster: EtcdCluster) -> None:
    await cluster.leader()
    (port,) = free_ports(1)
    endpoints = ",".join([f"127.0.0.1:{port}", *(f"localhost:{member.client_port}" for member in cluster.members)])
    settings = CatalogSettings(url=f"etcd://{endpoints}", deadline_ms=DEADLINE_MS)
    catalog = await EtcdCatalog.open(settings, shuffle=lambda _: None)
    try:
        await put(catalog, "a")
        assert all(await catalog.get(["a"]))
    finally:
        await catalog.close()


# ---------------------------------------------------------------- no majority


async def keep_until_refused(catalog: EtcdCatalog) -> None:
    """Of leases a leader speaks alone, until it has noticed that nobody follows it."""
    while True:
        await catalog.keep_lease(1)


async def test_without_a_majority_everything_fails_within_the_deadline(cluster: EtcdCluster) -> None:
    leader = await cluster.leader()
    async with connected(cluster) as catalog:
        await put(catalog, "a")
        for member in cluster.members:
            if member is not leader:
                member.kill()
        began_s = time.monotonic()
        with pytest.raises((CatalogUnavailable, OutcomeUnknown)):
            await catalog.transact([], [Put("a", b"2")])
        assert time.monotonic() - began_s < DEADLINE_MS / 1_000 + SLACK_S
        began_s = time.monotonic()
        outcomes = await asyncio.gather(
            catalog.get(["a"]),
            catalog.range(""),
            catalog.transact([Compare("a", 0)], []),
            catalog.open_lease(5_000),
            catalog.close_lease(1),
            return_exceptions=True,
        )
        assert time.monotonic() - began_s < DEADLINE_MS / 1_000 + SLACK_S
        assert [type(outcome) for outcome in outcomes] == [CatalogUnavailable] * 5
        with pytest.raises(CatalogUnavailable):
            await asyncio.wait_for(keep_until_refused(catalog), SLACK_S)


async def test_compares_alone_are_not_answered_by_a_member_that_may_be_behind(cluster: EtcdCluster) -> None:
    """A leader that has lost its followers believes in itself for a second or more."""
    leader = await cluster.leader()
    async with connected(cluster, leader, is_alone=True) as catalog:
        revision = await catalog.transact([], [Put("a", b"1")])
        assert revision is not None
        assert await catalog.transact([Compare("a", revision)], []) is not None
        assert await catalog.transact([Compare("a", 0)], []) is None
        for member in cluster.members:
            if member is not leader:
                member.kill()
        for compared in (revision, 0):
            with pytest.raises(CatalogUnavailable):
                await catalog.transact([Compare("a", compared)], [])


async def test_a_write_that_found_no_member_is_surely_not_applied(cluster: EtcdCluster) -> None:
    await cluster.leader()
    async with connected(cluster) as catalog:
        await put(catalog, "a", b"1")
        cluster.close()

        async with asyncio.timeout(RESUME_S):
            while True:
                try:
                    await catalog.transact([], [Put("a", b"2")])
                except OutcomeUnknown:
                    continue  # the connection's end is still on its way
                except CatalogUnavailable as error:
                    refusal = error
                    break
        assert refusal.message == "no etcd member can be reached"
        cluster.start()
        async with asyncio.timeout(RESUME_S):
            while not await answers(catalog):
                pass
        (entry,) = await catalog.get(["a"])
        assert entry is not None
        assert entry.value == b"1"


async def answers(catalog: EtcdCatalog) -> bool:
    try:
        await catalog.get(["a"])
    except CatalogUnavailable:
        return False
    return True


# ---------------------------------------------------------------- members that hang


async def test_a_stopped_member_delays_a_read_once_and_hides_the_outcome_of_a_write_once(cluster: EtcdCluster) -> None:
    follower = await cluster.follower()
    async with connected(cluster, follower) as reader, connected(cluster, follower) as writer:
        await put(reader, "a", b"1")
        await put(writer, "a", b"1")
        follower.stop()
        try:
            began_s = time.monotonic()
            assert all(await reader.get(["a"]))
            assert time.monotonic() - began_s < DEADLINE_MS / 1_000 + SLACK_S
            began_s = time.monotonic()
            with pytest.raises(OutcomeUnknown):
                await writer.transact([], [Put("b", b"2")])
            assert time.monotonic() - began_s < DEADLINE_MS / 1_000 + SLACK_S
            began_s = time.monotonic()
            await put(writer, "c", b"3")
            assert all(await reader.get(["a", "c"]))
            assert time.monotonic() - began_s < DEADLINE_MS / 1_000 + SLACK_S
        finally:
            follower.resume()


async def test_writes_resume_when_the_leader_hangs(cluster: EtcdCluster) -> None:
    leader = await cluster.leader()
    async with connected(cluster, leader) as catalog:
        await put(catalog, "a", b"1")
        leader.stop()
        try:
            await insist(lambda: put(catalog, "a", b"2"))
        finally:
            leader.resume()
        (entry,) = await catalog.get(["a"])
        assert entry is not None
        assert entry.value == b"2"


async def test_a_watch_leaves_a_member_that_hangs(cluster: EtcdCluster) -> None:
    leader, follower = await cluster.leader(), await cluster.follower()
    async with connected(cluster, follower) as watcher, connected(cluster, leader) as writer:
        watching = Watching(watcher, "a/")
        try:
            await watching.until(bool)
            follower.stop()
            await put(writer, "a/1")
            await watching.until(lambda events: events[-1].key == "a/1")
        finally:
            follower.resume()
            await watching.close()


# ---------------------------------------------------------------- watches and leases


async def test_a_watch_over_leader_kills_loses_nothing_and_keeps_the_order(cluster: EtcdCluster) -> None:
    async with connected(cluster, await cluster.leader()) as watcher, connected(cluster) as writer:
        watching = Watching(watcher, "a/")
        try:
            await watching.until(bool)
            for number in range(60):
                if number in {20, 40}:
                    leader = await cluster.leader()
                    leader.kill()
                    leader.start()
                key = f"a/{number:03d}"
                await insist(partial(writer.transact, [Compare(key, 0)], [Put(key, b"")]))
            await watching.until(lambda events: events[-1].key == "a/059")
            entries = await writer.range("a/")
        finally:
            await watching.close()
    hints = [(event.revision, event.key) for event in watching.events if event.key]
    assert hints == sorted((entry.revision, entry.key) for entry in entries)
    assert len(hints) == 60
    assert [event.key for event in watching.events].count("") == 1


async def test_a_watch_whose_place_was_compacted_says_that_anything_may_have_changed(cluster: EtcdCluster) -> None:
    follower = await cluster.follower()
    async with connected(cluster, follower, is_alone=True) as watcher, connected(cluster) as writer:
        watching = Watching(watcher, "a/")
        try:
            await watching.until(bool)
            follower.kill()
            for number in range(5):
                await insist(partial(put, writer, f"a/{number}"))
            (entry,) = await writer.get(["a/4"])
            assert entry is not None
            endpoints = ",".join(member.endpoint for member in cluster.members if member is not follower)
            await cluster.control("compact", str(entry.revision), endpoints=endpoints)
            follower.start()
            await watching.until(lambda events: [event.key for event in events].count("") == 2)
            await insist(lambda: put(writer, "a/after"))
            await watching.until(lambda events: events[-1].key == "a/after")
        finally:
            await watching.close()


async def test_a_lease_that_is_kept_survives_the_leader(cluster: EtcdCluster) -> None:
    leader = await cluster.leader()
    async with connected(cluster, leader) as catalog:
        lease = await catalog.open_lease(5_000)
        assert await catalog.transact([], [Put("online/n1", b"", lease)]) is not None
        leader.kill()
        await insist(lambda: catalog.keep_lease(lease))
        assert await catalog.keep_lease(lease)
        assert all(await catalog.get(["online/n1"]))
        await catalog.close_lease(lease)
        assert await catalog.get(["online/n1"]) == [None]


async def test_closing_while_requests_wait_ends_them_with_an_error(cluster: EtcdCluster) -> None:
    member = await cluster.follower()
    async with connected(cluster, member, is_alone=True) as catalog:
        await put(catalog, "a")
        member.stop()
        try:
            reading = asyncio.ensure_future(catalog.get(["a"]))
            writing = asyncio.ensure_future(catalog.transact([], [Put("a", b"2")]))
            await asyncio.wait({reading, writing}, timeout=0.1)
            await catalog.close()
            with pytest.raises(CatalogUnavailable):
                await reading
            with pytest.raises(OutcomeUnknown):
                await writing
        finally:
            member.resume()
