"""Waiting for a condition with a deadline: the only way a test lets time pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE_S = 0.02


def wait_until(condition: Callable[[], T], *, deadline_s: float = 30.0, what: str = "") -> T:
    """Call `condition` until it returns something true, and return that.

    Raises:
        AssertionError: `deadline_s` passed; the message has `what` and the last value or error.
    """
    end = time.monotonic() + deadline_s
    last: object = None
    while True:
        try:
            value = condition()
        except (AssertionError, OSError, ValueError, LookupError) as error:
            last = error
        else:
            if value:
                return value
            last = value
        if time.monotonic() > end:
            raise AssertionError(f"not so within {deadline_s:.0f} s: {what or condition} (last: {last!r})")
        time.sleep(_PAUSE_S)
