"""Lets a program of the suite clean up when it is asked to end: SIGTERM and SIGHUP leave its contexts as Ctrl-C does."""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def unwind_when_asked_to_end() -> None:
    """From now on the first such signal raises SystemExit in the main thread; later ones do not disturb the cleanup."""
    for number in SIGNALS:
        signal.signal(number, _exit)


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    raise SystemExit(128 + number)
