"""Decides which packs of a replica are combined: as few rewrites as keep the packs few.

    objects   5  7  9  | 40 | 100 | 9000       each pack at least FACTOR times everything before it
              combined                         -> 21 | 40 | 100 | 9000

Every push leaves a pack, and every read looks into all of them. Combined are the smallest packs, as many as it takes
until each remaining one is large against what lies before it; so each object is rewritten a logarithmic number of
times, and the large old packs are left alone.

Source: the geometric repack of git-repack(1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

FACTOR: Final = 2


@dataclass(frozen=True, slots=True)
class PackFacts:
    """One pack of a replica's own directory."""

    name: str
    """`pack-<hash>`, without a suffix."""
    objects: int
    is_kept: bool = False
    """Marked to be left as it is."""


def plan_combination(packs: Sequence[PackFacts], packs_min: int) -> tuple[PackFacts, ...]:
    """The packs to make one of, smallest first; none where there are fewer than `packs_min` or nothing is gained."""
    loose = sorted((pack for pack in packs if not pack.is_kept), key=lambda pack: (pack.objects, pack.name))
    if len(loose) < max(packs_min, 2):
        return ()
    total = sum(pack.objects for pack in loose)
    split = len(loose)
    while split > 0 and loose[split - 1].objects >= FACTOR * (total - loose[split - 1].objects):
        total -= loose[split - 1].objects
        split -= 1
    return tuple(loose[:split]) if split > 1 else ()
