"""The memory catalog's faults and clock: what tests of everything above the port lean on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from meshnode.base.errors import CatalogUnavailable, OutcomeUnknown
from meshnode.catalog.memory import PENDING_EVENTS_MAX, CatalogCall, FaultHook, MemoryCatalog, Moment
from meshnode.ports import Compare, Put, WatchEvent


class ManualClock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self._now_ms = 1_000
        self._passed = asyncio.Condition()

    def monotonic_ms(self) -> int:
        return self._now_ms

    def wall_ms(self) -> int:
        return self._now_ms

    async def sleep(self, duration_ms: int) -> None:
        until_ms = self._now_ms + duration_ms
        async with self._passed:
            await self._passed.wait_for(lambda: self._now_ms >= until_ms)

    async def pass_ms(self, duration_ms: int) -> None:
        async with self._passed:
            self._now_ms += duration_ms
            self._passed.notify_all()


def at(operation: str, moment: Moment, act: Callable[[CatalogCall], Awaitable[None]]) -> FaultHook:
    """A hook that acts at one moment of one operation."""

    async def hook(call: CatalogCall) -> None:
        if (call.operation, call.moment) == (operation, moment):
            await act(call)

    return hook


async def refuse(_: CatalogCall) -> None:
    raise CatalogUnavailable("the test says so")


async def hide(_: CatalogCall) -> None:
    raise OutcomeUnknown("the test says so")


async def value_of(catalog: MemoryCatalog, key: str) -> bytes | None:
    (entry,) = await catalog.get([key])
    return None if entry is None else entry.value


async def test_an_error_before_a_write_means_that_it_never_happens() -> None:
    catalog = MemoryCatalog()
    faulty = catalog.client(at("transact", Moment.BEFORE, refuse))
    with pytest.raises(CatalogUnavailable):
        await faulty.transact([], [Put("a", b"1")])
    assert await value_of(catalog, "a") is None


async def test_an_error_after_a_write_hides_that_it_happened() -> None:
    catalog = MemoryCatalog()
    faulty = catalog.client(at("transact", Moment.AFTER, hide))
    with pytest.raises(OutcomeUnknown):
        await faulty.transact([], [Put("a", b"1")])
    assert await value_of(catalog, "a") == b"1"


async def test_a_lost_write_can_land_later_unless_a_fence_came_first() -> None:
    catalog = MemoryCatalog()
    lost: list[CatalogCall] = []

    async def lose(call: CatalogCall) -> None:
        lost.append(call)
        raise OutcomeUnknown("the test says so")

    faulty = catalog.client(at("transact", Moment.BEFORE, lose))
    revision = await catalog.transact([], [Put("a", b"1")])
    assert revision is not None
    for value in (b"2", b"3"):
        with pytest.raises(OutcomeUnknown):
            await faulty.transact([Compare("a", revision)], [Put("a", value)])
    first, second = lost
    assert await catalog.transact(first.compares, first.writes) is not None
    assert await catalog.transact(second.compares, second.writes) is None
    assert await value_of(catalog, "a") == b"2"


async def test_a_hook_can_hold_a_call_up_while_other_clients_go_on() -> None:
    catalog = MemoryCatalog()
    is_over = asyncio.Event()

    async def wait(_: CatalogCall) -> None:
        await is_over.wait()

    slow = catalog.client(at("get", Moment.BEFORE, wait))
    reading = asyncio.ensure_future(slow.get(["a"]))
    await catalog.transact([], [Put("a", b"1")])
    assert not reading.done()
    is_over.set()
    (entry,) = await reading
    assert entry is not None
    assert entry.value == b"1"


async def test_a_hook_is_told_what_is_read_and_written() -> None:
    calls: list[CatalogCall] = []

    async def note(call: CatalogCall) -> None:
        calls.append(call)

    catalog = MemoryCatalog(hook=note)
    await catalog.get(["a", "b"])
    await catalog.range("c/")
    await catalog.close_lease(await catalog.open_lease(5_000))
    await catalog.transact([Compare("d", 0)], [Put("e", b"1")])
    told = [(call.operation, call.keys) for call in calls if call.moment is Moment.BEFORE]
    assert told == [
        ("get", ("a", "b")),
        ("range", ("c/",)),
        ("open_lease", ()),
        ("close_lease", ()),
        ("transact", ("e",)),
    ]
    assert calls[-1].compares == (Compare("d", 0),)
    assert calls[-1].writes == (Put("e", b"1"),)
    assert [call.moment for call in calls] == [Moment.BEFORE, Moment.AFTER] * 5


async def test_a_hook_that_breaks_a_hint_turns_it_into_anything_may_have_changed() -> None:
    catalog = MemoryCatalog()
    watcher = catalog.client(at("event", Moment.BEFORE, refuse))
    hints = watcher.watch("a/")
    await anext(hints)
    revision = await catalog.transact([], [Put("a/1", b"")])
    assert revision is not None
    assert await anext(hints) == WatchEvent("", revision)


async def test_leases_follow_the_clock_they_are_given() -> None:
    clock = ManualClock()
    catalog = MemoryCatalog(clock=clock)
    lease = await catalog.open_lease(3_000)
    await catalog.transact([], [Put("online/n1", b"", lease)])
    hints = catalog.watch("online/")
    await anext(hints)
    waiting = asyncio.ensure_future(anext(aiter(hints)))
    await clock.pass_ms(2_999)
    assert await catalog.keep_lease(lease)
    await clock.pass_ms(2_999)
    assert all(await catalog.get(["online/n1"]))
    assert not waiting.done()
    await clock.pass_ms(2)
    assert (await waiting).key == "online/n1"
    assert await catalog.get(["online/n1"]) == [None]
    assert await catalog.keep_lease(lease) is False


async def test_a_watch_that_is_not_read_holds_a_bounded_number_of_hints() -> None:
    catalog = MemoryCatalog()
    hints = catalog.watch("a/")
    await anext(hints)
    for number in range(PENDING_EVENTS_MAX + 1):
        revision = await catalog.transact([], [Put(f"a/{number}", b"")])
    assert revision is not None
    assert await anext(hints) == WatchEvent("", revision)


async def test_two_runs_of_the_same_calls_give_the_same_revisions_and_leases() -> None:
    async def run() -> list[object]:
        catalog = MemoryCatalog(clock=ManualClock())
        clients = [catalog.client() for _ in range(3)]

        async def use(client: MemoryCatalog, name: str) -> list[object]:
            lease = await client.open_lease(1_000)
            return [lease, *[await client.transact([], [Put(f"{name}{number}", b"", lease)]) for number in range(5)]]

        return list(await asyncio.gather(*(use(client, name) for client, name in zip(clients, "abc", strict=True))))

    assert await run() == await run()
