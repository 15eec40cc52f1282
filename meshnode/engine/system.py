"""Time and chance of this machine: `ports.Clock` and `ports.Entropy` in production."""

from __future__ import annotations

import asyncio
import secrets
import time


class SystemClock:
    """The machine's clocks."""

    def monotonic_ms(self) -> int:
        """Milliseconds of the monotonic clock."""
        return time.monotonic_ns() // 1_000_000

    def wall_ms(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    async def sleep(self, duration_ms: int) -> None:
        """Return after `duration_ms`."""
        await asyncio.sleep(duration_ms / 1000)


class SystemEntropy:
    """The machine's randomness."""

    def new_id(self) -> str:
        """128 random bits in hex."""
        return secrets.token_hex(16)

    def below(self, limit: int) -> int:
        """A number from 0 to limit - 1."""
        return secrets.randbelow(limit)
