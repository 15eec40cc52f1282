"""Who is reading a replica's files just now, so that a copy that has left its partition goes only when nobody is."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing

from meshnode.core.round import ReplicaKey
from meshnode.ports import Clock


class Readers:
    """Counts readers by replica."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reading: Counter[ReplicaKey] = Counter()
        self._last_ms: dict[ReplicaKey, int] = {}

    def note(self, key: ReplicaKey) -> None:
        """Note that a reader is about to begin."""
        self._last_ms[key] = self._clock.monotonic_ms()

    async def counted(self, key: ReplicaKey, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Pass the chunks on; whoever takes them is a reader until the end."""
        self._reading[key] += 1
        try:
            async with aclosing(chunks) as source:  # type: ignore[type-var]
                async for chunk in source:
                    yield chunk
        finally:
            self._reading[key] -= 1
            if not self._reading[key]:
                del self._reading[key]
            self.note(key)

    def quiet_since_ms(self, key: ReplicaKey) -> int | None:
        """Monotonic time of the last reader's end, 0 for none ever; None while somebody reads."""
        return None if self._reading[key] else self._last_ms.get(key, 0)

    def forget(self, key: ReplicaKey) -> None:
        """The replica is gone."""
        self._last_ms.pop(key, None)
