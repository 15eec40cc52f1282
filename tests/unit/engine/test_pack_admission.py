from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from meshnode.base.errors import Overloaded
from meshnode.base.ids import RepositoryName
from meshnode.config import LimitSettings
from meshnode.engine.lane import Lane
from meshnode.engine.pack_admission import PackAdmission
from tests.unit.http.fakes import until, within

ONE = RepositoryName("demo/one")
TWO = RepositoryName("demo/two")


def admission(*, repository: int = 1, node: int = 8, queue: int = 2, wait_ms: int = 60_000) -> PackAdmission:
    return PackAdmission(
        LimitSettings(
            packs_per_repository=repository, packs_per_node=node, queue_per_repository=queue, queue_wait_ms=wait_ms
        )
    )


class Holder:
    """A task that holds a place until it is told to let go."""

    def __init__(self, places: PackAdmission, name: RepositoryName) -> None:
        self.is_in = False
        self._go = asyncio.Event()
        self.task = asyncio.create_task(self._hold(places, name))

    async def _hold(self, places: PackAdmission, name: RepositoryName) -> None:
        async with places.place(name):
            self.is_in = True
            await self._go.wait()

    async def leave(self) -> None:
        self._go.set()
        await within(self.task)


@asynccontextmanager
async def holding(places: PackAdmission, name: RepositoryName) -> AsyncIterator[Holder]:
    holder = Holder(places, name)
    await until(lambda: holder.is_in)
    try:
        yield holder
    finally:
        await holder.leave()


async def test_a_place_that_is_free_is_given_at_once_and_leaves_no_lane_behind() -> None:
    places = admission()
    async with places.place(ONE):
        assert places.running == 1
        assert places.repositories == 1
    assert places.running == 0
    assert places.repositories == 0


async def test_the_line_is_served_in_the_order_of_arrival() -> None:
    lane = Lane(places=lambda: 1, queue_max=lambda: 8, limit="test")
    await lane.acquire()
    order: list[int] = []

    async def wait(number: int) -> None:
        await lane.acquire()
        order.append(number)
        lane.release()

    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(wait(number))
        await until(lambda: lane.waiting == 3)
        lane.release()
    assert order == [0, 1, 2]
    assert lane.is_unused


async def test_a_full_line_is_refused_with_the_repositorys_limit() -> None:
    places = admission(queue=1)
    async with holding(places, ONE):
        waiting = Holder(places, ONE)
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as caught:
            async with places.place(ONE):
                pass
        assert caught.value.fields["limit"] == "packs_per_repository"
        assert caught.value.fields["retry_after_ms"]
        assert not waiting.is_in
    await waiting.leave()
    assert places.repositories == 0


async def test_a_wait_that_takes_too_long_is_refused_and_leaves_the_line() -> None:
    places = admission(wait_ms=1)
    async with holding(places, ONE):
        with pytest.raises(Overloaded, match="in time"):
            async with places.place(ONE):
                pass
        assert places.running == 1
    assert places.repositories == 0


async def test_a_full_node_is_said_to_be_full_and_gives_the_repositorys_place_back() -> None:
    places = admission(node=1, wait_ms=1)
    async with holding(places, ONE):
        with pytest.raises(Overloaded) as caught:
            async with places.place(TWO):
                pass
        assert caught.value.fields["limit"] == "packs_per_node"
        assert places.repositories == 1
    assert places.running == 0


async def test_a_busy_repository_leaves_places_to_others() -> None:
    places = admission(repository=1, node=2, queue=8)
    async with holding(places, ONE):
        line = [Holder(places, ONE) for _ in range(5)]
        async with holding(places, TWO):
            assert not any(holder.is_in for holder in line)
    for holder in line:
        await holder.leave()
    assert places.running == 0


async def test_a_cancelled_wait_gives_its_turn_to_the_next() -> None:
    places = admission()
    async with holding(places, ONE):
        gone, patient = Holder(places, ONE), Holder(places, ONE)
        await asyncio.sleep(0)
        gone.task.cancel()
        await asyncio.wait([gone.task])
        assert gone.task.cancelled()
    await until(lambda: patient.is_in)
    await patient.leave()
    assert places.repositories == 0


async def test_a_turn_that_arrives_together_with_a_cancellation_is_not_lost() -> None:
    lane = Lane(places=lambda: 1, queue_max=lambda: 8, limit="test")
    await lane.acquire()
    gone = asyncio.create_task(lane.acquire())
    patient = asyncio.create_task(lane.acquire())
    await until(lambda: lane.waiting == 2)
    lane.release()
    gone.cancel()
    await asyncio.wait([gone])
    await within(patient)
    assert gone.cancelled()
    assert lane.running == 1


async def test_a_release_passes_over_a_wait_that_was_just_cancelled() -> None:
    lane = Lane(places=lambda: 1, queue_max=lambda: 8, limit="test")
    await lane.acquire()
    gone = asyncio.create_task(lane.acquire())
    await until(lambda: lane.waiting == 1)
    gone.cancel()
    lane.release()
    await asyncio.wait([gone])
    assert gone.cancelled()
    assert lane.is_unused
