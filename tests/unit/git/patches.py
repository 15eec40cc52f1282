"""Reads patches in a way of its own, for comparing with what the product makes of them."""

from __future__ import annotations

from collections.abc import Iterator


def hunks_of(patch: bytes) -> Iterator[list[bytes]]:
    """The hunks of each file in a patch, by a reading of their own: from the counts in their headers."""
    lines = patch.split(b"\n")[:-1]
    at = 0
    current: list[bytes] | None = None
    while at < len(lines):
        line = lines[at]
        at += 1
        if line.startswith(b"diff --git "):
            if current is not None:
                yield current
            current = []
        elif line.startswith(b"@@ "):
            assert current is not None
            current.append(line)
            old, new = (int(([*part.split(b","), b"1"])[1]) for part in line.split(b" ")[1:3])
            while old or new or (at < len(lines) and lines[at].startswith(b"\\")):
                current.append(lines[at])
                old -= lines[at][:1] in {b" ", b"-"}
                new -= lines[at][:1] in {b" ", b"+"}
                at += 1
    if current is not None:
        yield current
