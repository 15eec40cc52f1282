"""One life of a simulated node: it can be paused, and it can die between any two steps of its adapters.

Every adapter a node stands on passes `gate` before it does anything: a paused process waits there, a dead one goes
no further. So nothing reaches the disk, the network or the catalog after the moment of death, whatever `finally`
blocks still run while its tasks are taken away.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Final, TypeVar

from meshnode.base.errors import Overloaded
from meshnode.base.ids import NodeId
from meshnode.engine.node import NodeEngine
from meshnode.git.stores import (
    APPLY_HEAD,
    APPLY_OBJECTS,
    APPLY_REFS,
    PREPARE_OBJECTS,
    REPLACE_BEGUN,
    REPLACE_OBJECTS,
    REPLACE_REFS,
)
from tests.sim.story import NODE
from tests.sim.virtual_time import VirtualClock

T = TypeVar("T")

STEPS_BEFORE_WRITES: Final = {
    PREPARE_OBJECTS,
    APPLY_OBJECTS,
    APPLY_REFS,
    APPLY_HEAD,
    REPLACE_BEGUN,
    REPLACE_OBJECTS,
    REPLACE_REFS,
}
"""Steps of one change after which more of it is to be written; where space ends there, the change is half done."""


class Process:
    """A running node; `engine` is there once it has recovered and serves."""

    def __init__(self, name: NodeId, chance: Random) -> None:
        self.name = name
        self.chance = chance
        self.is_alive = True
        self.engine: NodeEngine | None = None
        self.served = asyncio.Event()
        self.on_death: Callable[[], None] = lambda: None
        self.steps_until_death = 0
        """A store step counts it down and dies at 1; 0: no death is planned."""
        self.steps_until_full = 0
        """A store step that has more to write after it counts it down and finds no room at 1; 0: there is room."""
        self.on_full: Callable[[], None] = lambda: None
        self.is_tearing = False
        """Whether the next journal record is torn: half of it is on disk when the machine goes down."""
        self._resumed: asyncio.Event | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def is_serving(self) -> bool:
        """Whether others can reach it."""
        return self.is_alive and self.engine is not None

    async def gate(self) -> None:
        """Pass at once, after the pause, or never."""
        while self._resumed is not None and self.is_alive:
            await self._resumed.wait()
        if not self.is_alive:
            raise asyncio.CancelledError

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work` as a part of this process."""
        context = contextvars.copy_context()
        context.run(NODE.set, self.name)
        task = asyncio.get_running_loop().create_task(work, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if not self.is_alive:
            task.cancel()
        return task

    def step(self, name: str) -> None:
        """A durable step was done: the place to die at, or to find the disk full.

        Raises:
            Overloaded: what comes after this step has no room.
        """
        if self.steps_until_full and name in STEPS_BEFORE_WRITES:
            self.steps_until_full -= 1
            if not self.steps_until_full:
                self.on_full()
                raise Overloaded("no space left on device")
        if self.steps_until_death:
            self.steps_until_death -= 1
            if not self.steps_until_death:
                self.die()
                raise asyncio.CancelledError

    def pause(self) -> None:
        """Stop every task at its next adapter call."""
        if self._resumed is None:
            self._resumed = asyncio.Event()

    def resume(self) -> None:
        """Let tasks go on."""
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None

    def die(self) -> None:
        """Be gone from this moment on; `bury` takes the tasks away."""
        if self.is_alive:
            self.is_alive = False
            self.resume()
            self.on_death()

    async def bury(self, engine: NodeEngine | None) -> None:
        """End every task of a dead process."""
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._tasks.difference_update(tasks)
        if engine is not None:
            await engine.close()


class NodeClock(VirtualClock):
    """A node's own clock: waits while the node is paused, and shows people another time after a step."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.offset_ms = 0

    def wall_ms(self) -> int:
        """Virtual milliseconds since an arbitrary day, steps included."""
        return super().wall_ms() + self.offset_ms

    async def sleep(self, duration_ms: int) -> None:
        """Return when virtual time has passed and the node is not paused."""
        await super().sleep(duration_ms)
        await self._process.gate()
