"""Tasks that are kept: begun again after errors, with pauses that grow and shrink, until they return or are closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from meshnode.base.errors import Forbidden
from meshnode.engine.supervisor import CALM_S, RESTART_S, Supervisor
from tests.sim.virtual_time import run_virtual


def play(story: Callable[[Supervisor], Awaitable[None]]) -> None:
    async def run() -> None:
        supervisor = Supervisor()
        try:
            await story(supervisor)
        finally:
            await supervisor.close()

    run_virtual(run())


def now_s() -> float:
    return asyncio.get_running_loop().time()


def test_kept_work_is_begun_again_after_pauses_that_grow_to_a_bound() -> None:
    async def story(supervisor: Supervisor) -> None:
        begun: list[float] = []

        async def work() -> None:
            begun.append(now_s())
            raise Forbidden("not you")

        supervisor.keep("work", work)
        await asyncio.sleep(sum(RESTART_S) + 25)
        pauses = [later - earlier for earlier, later in pairwise(begun)]
        assert pauses == [*RESTART_S, RESTART_S[-1], RESTART_S[-1]]

    play(story)


def test_work_that_went_well_for_a_while_begins_with_the_shortest_pause() -> None:
    async def story(supervisor: Supervisor) -> None:
        begun: list[float] = []

        async def work() -> None:
            begun.append(now_s())
            await asyncio.sleep(0 if len(begun) < 4 else CALM_S + 1)
            raise Forbidden("not you")

        supervisor.keep("work", work)
        await asyncio.sleep(sum(RESTART_S[:3]) + CALM_S + 1 + RESTART_S[0] + 0.5)
        assert len(begun) == 5

    play(story)


def test_a_defect_is_logged_as_one_and_a_refusal_as_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async def story(supervisor: Supervisor) -> None:
        errors: list[Exception] = [ZeroDivisionError(), Forbidden("not you")]

        async def work() -> None:
            if errors:
                raise errors.pop()

        await supervisor.keep("work", work)

    with caplog.at_level(logging.WARNING, "meshnode.engine"):
        play(story)
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [
        ("WARNING", "task_interrupted"),
        ("ERROR", "task_failed"),
    ]


def test_closing_ends_kept_work_in_its_pause_too() -> None:
    async def story(supervisor: Supervisor) -> None:
        async def work() -> None:
            raise Forbidden("not you")

        task = supervisor.keep("work", work)
        await asyncio.sleep(0.5)
        await supervisor.close()
        assert task.cancelled()

    play(story)
