"""Waits between one pass of background work and the next, for as long as the setting of the moment says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from meshnode.ports import Clock

LOOK_MS: Final = 2_000
"""How often a wait looks whether its length is another one now."""


async def elapse(clock: Clock, interval_ms: Callable[[], int], *, since_ms: int | None = None) -> None:
    """Return when the interval has gone by since `since_ms` (monotonic; None: now), 1 ms at least.

    An interval of 0 never goes by; one that is changed meanwhile counts from the same beginning.
    """
    began_ms = clock.monotonic_ms() if since_ms is None else since_ms
    is_first = True
    while True:
        wanted_ms = interval_ms()
        left_ms = began_ms + wanted_ms - clock.monotonic_ms() if wanted_ms else LOOK_MS
        if left_ms <= 0 and not is_first:
            return
        is_first = False
        await clock.sleep(max(1, min(left_ms, LOOK_MS)))
