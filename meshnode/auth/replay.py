"""Remembers which tokens of mutating calls were used, so that none is used twice.

Rule: full means refuse, never forget: a forgotten token could be replayed. And a token made before this memory
began is refused, because an earlier process may have seen it.
"""

from __future__ import annotations

from collections import OrderedDict

from meshnode.base.errors import InvalidRequest, Overloaded, Unauthenticated


class ReplayCache:
    """Token ids seen within a window, oldest first. Not thread-safe: it lives in one event loop."""

    def __init__(self, window_ms: int, entries_max: int) -> None:
        """Remember for `window_ms` (from use until no clock within the allowed skew takes the token any more) at
        most `entries_max` tokens; about 150 bytes each.
        """
        if window_ms <= 0 or entries_max <= 0:
            raise InvalidRequest("replay cache needs a window and room", window_ms=window_ms, entries_max=entries_max)
        self.window_ms = window_ms
        self._entries_max = entries_max
        self._seen: OrderedDict[tuple[str, str], int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def remember(self, issuer: str, jti: str, now_ms: int) -> None:
        """Note that a token is used now; `now_ms` is monotonic.

        Raises:
            Unauthenticated: it was used before.
            Overloaded: no room until an older one leaves the window.
        """
        self._forget(now_ms - self.window_ms)
        entry = (issuer, jti)
        if entry in self._seen:
            raise Unauthenticated("token was used before")
        if len(self._seen) >= self._entries_max:
            oldest = next(iter(self._seen.values()))
            raise Overloaded(
                "too many mutating calls to remember",
                entries_max=self._entries_max,
                retry_after_ms=max(1, oldest + self.window_ms - now_ms + 1),
            )
        self._seen[entry] = now_ms

    def _forget(self, until_ms: int) -> None:
        while self._seen and next(iter(self._seen.values())) < until_ms:
            self._seen.popitem(last=False)
