"""Decides which inputs are worth keeping: the fewest and shortest that run every branch any of them runs.

    inputs --trace--> steps from line to line in the product --shortest first--> those that add one --> the rest goes

What libFuzzer keeps (one input for every count of every edge) would be hundreds of files a target.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, TypeAlias

import meshnode

Step: TypeAlias = tuple[str, int, int, int]
"""File, line left, line entered, and how often: once, twice, up to 3, 7, or more times."""

_PRODUCT = meshnode.__path__[0]
_OFTEN_MAX = 4
_TRIES_MAX = 2_000


def steps_of(check: Callable[[bytes], None], data: bytes) -> frozenset[Step]:
    """The steps that one input takes through the product."""
    counts: Counter[tuple[str, int, int]] = Counter()

    def enter(frame: FrameType, event: str, _: Any) -> Any:
        file = frame.f_code.co_filename
        if event != "call" or not file.startswith(_PRODUCT):
            return None
        last = -frame.f_code.co_firstlineno

        def follow(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal last
            if event == "line":
                counts[file, last, frame.f_lineno] += 1
                last = frame.f_lineno
            return follow

        return follow

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        check(data)
    finally:
        sys.settrace(before)
    return frozenset((*step, min(count.bit_length(), _OFTEN_MAX)) for step, count in counts.items())


def minimise(check: Callable[[bytes], None], inputs: Iterable[bytes]) -> list[bytes]:
    """The inputs to keep, shortest first. The same inputs give the same answer."""
    ordered = sorted(set(inputs), key=lambda data: (len(data), data))
    check(ordered[0] if ordered else b"")  # what is set up once would count for whoever comes first
    seen: set[Step] = set()
    kept: list[tuple[bytes, frozenset[Step]]] = []
    for data in ordered:
        steps = steps_of(check, data)
        if not steps <= seen:
            seen |= steps
            kept.append((data, steps))
    counts = Counter(step for _, steps in kept for step in steps)
    result: list[bytes] = []
    for data, steps in reversed(kept):
        if all(counts[step] > 1 for step in steps):
            counts.subtract(steps)
        else:
            result.append(data)
    return result[::-1]


def shrink(check: Callable[[bytes], None], data: bytes) -> bytes:
    """A shorter input that fails with the same kind of error; `data` itself where none is found."""
    wanted = _failure(check, data)
    if wanted is None:
        return data
    tries = 0
    length = len(data)
    while length := length // 2:
        at = 0
        while at < len(data) and tries < _TRIES_MAX:
            tries += 1
            shorter = data[:at] + data[at + length :]
            if _failure(check, shorter) == wanted:
                data = shorter
            else:
                at += length
    return data


def _failure(check: Callable[[bytes], None], data: bytes) -> type[BaseException] | None:
    try:
        check(data)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        return type(error)
    return None
