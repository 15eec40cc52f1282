"""Time and chance, so that the simulator can own both."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Time, so that the simulator can own it."""

    def monotonic_ms(self) -> int:
        """Milliseconds on a clock that never goes back; for deadlines."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since 1970; for people and tokens, never for ordering."""
        ...

    async def sleep(self, duration_ms: int) -> None:
        """Return after `duration_ms`."""
        ...


class Entropy(Protocol):
    """Chance, so that one seed is one run."""

    def new_id(self) -> str:
        """32 lower case hex digits, never the same twice."""
        ...

    def below(self, limit: int) -> int:
        """A number from 0 to limit - 1, uniformly."""
        ...
