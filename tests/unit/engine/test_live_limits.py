"""Limits and intervals that change while somebody works or waits under them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from meshnode.engine import lane as lanes
from meshnode.engine.intervals import LOOK_MS, elapse
from meshnode.engine.lane import Lane
from tests.unit.http.fakes import until, within


@dataclass
class Steps:
    """A clock whose sleeps take no time; `during` may change the world after one."""

    now_ms: int = 1_000
    slept: list[int] = field(default_factory=list)

    def monotonic_ms(self) -> int:
        return self.now_ms

    def wall_ms(self) -> int:
        return self.now_ms

    async def sleep(self, duration_ms: int) -> None:
        self.slept.append(duration_ms)
        self.now_ms += duration_ms
        await asyncio.sleep(0)


async def test_those_who_wait_get_a_place_when_there_are_more_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "LOOK_S", 0.01)
    places = 1
    lane = Lane(places=lambda: places, queue_max=lambda: 8, limit="test")
    await lane.acquire()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(lane.acquire())
        await until(lambda: lane.waiting == 1)
        places = 2
        await within(waiting)
    assert (lane.running, lane.waiting) == (2, 0)


async def test_nobody_gets_a_place_until_enough_are_given_back() -> None:
    places = 3
    lane = Lane(places=lambda: places, queue_max=lambda: 8, limit="test")
    for _ in range(3):
        await lane.acquire()
    places = 1
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(lane.acquire())
        await until(lambda: lane.waiting == 1)
        lane.release()
        lane.release()
        await asyncio.sleep(0)
        assert not waiting.done()
        lane.release()
        await within(waiting)
    assert lane.running == 1
    lane.release()
    assert lane.is_unused


async def test_an_interval_goes_by_in_looks_and_counts_from_its_beginning() -> None:
    clock = Steps()
    await elapse(clock, lambda: 5_000)
    assert clock.slept == [LOOK_MS, LOOK_MS, 1_000]
    clock.slept.clear()
    await elapse(clock, lambda: 3_000, since_ms=clock.now_ms - 2_500)
    assert clock.slept == [500]
    clock.slept.clear()
    await elapse(clock, lambda: 3_000, since_ms=clock.now_ms - 10_000)
    assert clock.slept == [1]  # a pass that took longer than the interval still lets others run


async def test_a_shorter_interval_ends_a_wait_that_has_begun_and_zero_holds_it() -> None:
    clock = Steps()
    wanted = iter([604_800_000, 604_800_000, 3_000, 3_000, 3_000])
    await elapse(clock, lambda: next(wanted))
    assert clock.now_ms == 1_000 + 2 * LOOK_MS
    clock = Steps()
    wanted = iter([0, 0, 0, 4_000, 4_000])
    await elapse(clock, lambda: next(wanted))
    assert clock.now_ms == 1_000 + 3 * LOOK_MS
