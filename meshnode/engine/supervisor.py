"""Owns every long-lived task: each has a name, its failure is logged, and closing waits for all of them.

    spawn   one piece of work; its failure is its caller's business
    keep    work that never ends: begun again after a pause where it fails, since nobody would notice that it is gone

The only place that calls `asyncio.create_task`. Work that belongs to one request uses `asyncio.TaskGroup`
inside that request instead.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from meshnode.base.errors import MeshError

log = logging.getLogger("meshnode.engine")

T = TypeVar("T")

RESTART_S: Final = (1.0, 2.0, 5.0, 10.0)
"""Pauses before work that failed is begun again; the last one goes on, so a defect logs six lines a minute."""
CALM_S: Final = 60.0
"""Whoever ran this long before it failed begins with the shortest pause again."""


class Supervisor:
    """Starts tasks and answers for them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    def spawn(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start `work`; an error is logged, whether or not anyone awaits the task: `task_refused` for one that
        this project raises on purpose, `task_failed` for a defect.
        """
        if self._is_closed:
            work.close()
            raise RuntimeError(f"task {name} started after close")
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    def keep(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        """Start work that is to go on until `close`, and begin it again after a pause whenever an error ends it.

        What the work knows it keeps outside the coroutine, or does without. One that returns has ended for good.
        """
        return self.spawn(name, self._keep(name, work))

    async def _keep(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began_s = loop.time()
            try:
                return await work()
            except Exception as error:
                failures = 0 if loop.time() - began_s > CALM_S else failures
                pause_s = RESTART_S[min(failures, len(RESTART_S) - 1)]
                failures += 1
                facts = {"task": name, "again_in_ms": round(pause_s * 1_000)}
                if isinstance(error, MeshError):
                    log.warning("task_interrupted", extra=facts | {"error": str(error)})
                else:
                    log.exception("task_failed", extra=facts)
            await asyncio.sleep(pause_s)

    def _on_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, MeshError):
            log.info("task_refused", extra={"task": task.get_name(), "error": str(error)})
        else:
            log.error("task_failed", exc_info=error, extra={"task": task.get_name()})

    async def close(self) -> None:
        """Cancel what still runs and wait for its end."""
        self._is_closed = True
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tasks.difference_update(tasks)

    def count(self, *name_prefixes: str) -> int:
        """How many tasks run whose name starts with one of the prefixes."""
        return sum(1 for task in self._tasks if task.get_name().startswith(name_prefixes))

    async def drain(self, name_prefix: str) -> None:
        """Wait for the running tasks whose name starts with `name_prefix`; new ones are waited for too."""
        while waiting := [task for task in self._tasks if task.get_name().startswith(name_prefix)]:
            await asyncio.wait(waiting)
