r"""Merges a text that each side changed at one end of a line that stayed: the one case where every diff tells the same.

    base   P U Q        U: a line that base, ours and theirs each hold once
    ours   P'U Q        one side changed only what is above it
    theirs P U Q'       the other only what is below
    merged P'U Q'

Why that is git's answer to the byte, whatever it takes for the smallest change: its histogram diff takes the longest run of
lines that both hold and that has a line which base holds once. The run with U and all that is the same beyond it is one;
a run that crosses it would lie in that same part, without U, and is shorter. Myers' diff cuts off what both begin and end
with before it looks. A hunk is moved only along lines that are equal to its own, so never over U. And hunks with an
unchanged line between them do not meet.

Source: git's xdiff/xhistogram.c (find_lcs), xprepare.c (xdl_trim_ends), xdiffi.c (xdl_change_compact), xmerge.c.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

TEXT_BYTES_MAX: Final = 128 << 10
"""Of one file: lines are counted here at about 30 MB/s."""


def merge_text(base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """The text that git makes of three; None where only git can tell."""
    texts = base, ours, theirs
    if any(len(text) > TEXT_BYTES_MAX or b"\0" in text or not text.endswith(b"\n") for text in texts):
        return None
    old, own, other = (text[:-1].split(b"\n") for text in texts)
    own_start, own_end = _changed(old, own)
    other_start, other_end = _changed(old, other)
    if own_end < other_start:
        upper, lower, first, last = own, other, own_end, other_start
    elif other_end < own_start:
        upper, lower, first, last = other, own, other_end, own_start
    else:
        return None
    counts = [Counter(lines) for lines in (old, own, other)]
    for at in range(first, last):
        if all(count[old[at]] == 1 for count in counts):
            return b"\n".join([*upper[: len(upper) - len(old) + at], *lower[at:], b""])
    return None


def _changed(old: Sequence[bytes], new: Sequence[bytes]) -> tuple[int, int]:
    """The lines of `old` between what both begin with and what both end with: the first, and the one after the last."""
    most = min(len(old), len(new))
    start = 0
    while start < most and old[start] == new[start]:
        start += 1
    same = 0
    while same < most - start and old[-1 - same] == new[-1 - same]:
        same += 1
    return start, len(old) - same
