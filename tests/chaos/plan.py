"""Draws a run's faults from its seed: what goes wrong when, for how long, and at whom.

    lane 1   nodes:    kill ... pause ..... full disk ... kill all
    lane 2   network and catalog:  one-way cut .. etcd leader killed ... slow links

Each lane has one fault at a time, with a calm gap behind it, so at most two overlap and progress is possible most
of the time. Kinds come from a shuffled deck: none is seen twice before all were seen once.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final


class Kind(Enum):
    """What goes wrong."""

    KILL = "node killed"
    KILL_TWO = "most nodes killed at once"
    KILL_ALL = "all nodes killed at once"
    PAUSE = "node paused"
    STUTTER = "node slowed"
    FULL_DISK = "disk full"
    FULL_DISK_KILL = "disk full, node killed"
    ISOLATE = "node cut off"
    DEAF = "node hears no other"
    MUTE = "node unheard by others"
    ONE_WAY = "one way between two nodes cut"
    NETSPLIT = "netsplit"
    SLOW = "links of a node slow, out of order"
    LOSSY = "links of a node lose packets"
    NARROW = "links of a node narrow"
    CATALOG_CUT = "node cut off from etcd"
    CATALOG_DEAF = "node hears nothing from etcd"
    MEMBER_KILL = "etcd member killed"
    LEADER_KILL = "etcd leader killed"
    LEADER_CUT = "etcd leader cut off from the members"
    LEADER_MUTE = "etcd leader unheard by the members"
    MEMBER_PAUSE = "etcd leader paused"
    MEMBERS_KILL = "all etcd members killed"
    CATALOG_SLOW = "etcd leader slow"


NODE_KINDS: Final = (
    Kind.KILL,
    Kind.KILL,
    Kind.KILL,
    Kind.PAUSE,
    Kind.PAUSE,
    Kind.STUTTER,
    Kind.FULL_DISK,
    Kind.FULL_DISK_KILL,
    Kind.ISOLATE,
    Kind.KILL_TWO,
    Kind.KILL_ALL,
)
LINK_KINDS: Final = (
    Kind.LEADER_KILL,
    Kind.ONE_WAY,
    Kind.LEADER_CUT,
    Kind.SLOW,
    Kind.DEAF,
    Kind.MUTE,
    Kind.CATALOG_CUT,
    Kind.NETSPLIT,
    Kind.LOSSY,
    Kind.MEMBER_KILL,
    Kind.CATALOG_DEAF,
    Kind.LEADER_MUTE,
    Kind.MEMBER_PAUSE,
    Kind.NARROW,
    Kind.CATALOG_SLOW,
    Kind.MEMBERS_KILL,
)
_SHORT: Final = {Kind.KILL_ALL: 1.5, Kind.KILL_TWO: 3.0, Kind.MEMBERS_KILL: 2.0}
"""Longest duration, seconds, of faults that leave no quorum."""
_DURATION_S: Final = (2.0, 8.0)
_GAP_S: Final = (1.0, 6.0)
_GATHERED: Final = 0.8
"""Share of overlapping faults that hit one node together."""
_FIRST_S: Final = 2.0
"""Calm before the first fault: what a healthy cluster does is seen too."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong from `at_s` to `until_s`, seconds after the start."""

    kind: Kind
    at_s: float
    until_s: float
    nodes: tuple[str, ...]
    """All nodes in an order drawn for this fault: it hits the first, or the first few."""
    member: int
    """Which etcd member, where it is not the leader's turn."""

    def __str__(self) -> str:
        return f"{self.kind.value} ({self.nodes[0]}{', ' + self.nodes[1] if self.kind is Kind.ONE_WAY else ''})"


def plan_faults(seed: int, nodes: Sequence[str], seconds: float) -> tuple[Fault, ...]:
    """The faults of a run, in the order in which they begin; all end before `seconds`."""
    chance = random.Random(seed)
    first = _lane(chance, NODE_KINDS, nodes, seconds)
    second = [_gather(chance, fault, first) for fault in _lane(chance, LINK_KINDS, nodes, seconds)]
    return tuple(sorted([*first, *second], key=lambda fault: fault.at_s))


def _gather(chance: random.Random, fault: Fault, others: Sequence[Fault]) -> Fault:
    """The fault, at the node that an overlapping one hits already most of the time: the others go on working."""
    beside = [other for other in others if other.at_s < fault.until_s and fault.at_s < other.until_s + _GAP_S[1]]
    if not beside or chance.random() >= _GATHERED:
        return fault
    victim = beside[0].nodes[0]
    return replace(fault, nodes=(victim, *(node for node in fault.nodes if node != victim)))


def _lane(chance: random.Random, kinds: Sequence[Kind], nodes: Sequence[str], seconds: float) -> list[Fault]:
    faults: list[Fault] = []
    deck: list[Kind] = []
    at_s = _FIRST_S + chance.random()
    while True:
        if not deck:
            deck = chance.sample(kinds, len(kinds))
        kind = deck.pop()
        until_s = at_s + min(chance.uniform(*_DURATION_S), _SHORT.get(kind, _DURATION_S[1]))
        if until_s > seconds:
            return faults
        faults.append(
            Fault(
                kind=kind,
                at_s=round(at_s, 2),
                until_s=round(until_s, 2),
                nodes=tuple(chance.sample(list(nodes), len(nodes))),
                member=chance.randrange(3),
            )
        )
        at_s = until_s + chance.uniform(*_GAP_S)
