"""Keeps answers that can never change: what follows from object ids alone is true for ever.

The key holds the repository's id and every resolved id and option of the question, never a reference name. Least used
answers go first; bounded in bytes. Only for answers without their position, which is added each time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Final

CACHE_BYTES_MAX: Final = 64 << 20
"""Of one node, all services together."""
ANSWER_BYTES_MAX: Final = 4 << 20
"""A longer answer is not kept: it would push out hundreds of others."""
ENTRY_BYTES: Final = 500
"""What an entry costs beside its bytes: key, links, dictionary."""


class AnswerCache:
    """Answers by what they were made of."""

    def __init__(self, bytes_max: int = CACHE_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._entries: OrderedDict[Hashable, bytes] = OrderedDict()
        self._bytes = 0

    async def get(self, key: Hashable, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """The answer kept under `key`, else what `make` gives, which is kept."""
        known = self.known(key)
        if known is not None:
            return known
        answer = await make()
        self.keep(key, answer)
        return answer

    def known(self, key: Hashable) -> bytes | None:
        """The answer kept under `key`, None where there is none."""
        known = self._entries.get(key)
        if known is not None:
            self._entries.move_to_end(key)
        return known

    def keep(self, key: Hashable, answer: bytes) -> None:
        """Keep an answer that was made."""
        if len(answer) <= ANSWER_BYTES_MAX and key not in self._entries:
            self._entries[key] = answer
            self._bytes += len(answer) + ENTRY_BYTES
            while self._bytes > self._bytes_max:
                _, dropped = self._entries.popitem(last=False)
                self._bytes -= len(dropped) + ENTRY_BYTES
