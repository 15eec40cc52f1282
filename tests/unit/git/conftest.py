"""The loops that processes must work on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import pytest
import uvloop

from tests.unit.git.processes import note_known_children

Run: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(autouse=True, scope="session")
def _settled_uvloop() -> None:
    """uvloop's first loop opens descriptors that stay; tests that count descriptors come after it."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.sleep(0))


@pytest.fixture(autouse=True)
def _known_children() -> None:
    note_known_children()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a scenario on a loop of its own: asyncio's, then uvloop's."""

    def run_scenario(scenario: Coroutine[Any, Any, None]) -> None:
        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(scenario)

    return run_scenario
