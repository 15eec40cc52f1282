"""Decides where replicas should be, starting from where they are: what must move, and on request what should.

    must:   replicas of hosts that go, too few replicas, too many          (planned whenever it is so)
    should: too many in one zone, then hosts above their share             (planned when an operator asks)

A host's share goes by its weight, within what spreading over zones allows (`core/shares.py`). Among hosts that are
equally good for a replica, the one with fewer bytes for its weight, then the higher rendezvous draw decides, so
every node plans the same from the same catalog, and a plan is a suggestion until it stands in the partitions'
`target`.

The rule: few moves. A host above its share gives up exactly what is above, to hosts below theirs; a chain over a
third host is taken only where no direct way keeps a partition's replicas on different hosts and spread over zones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TypeAlias

from meshnode.base.ids import NodeId, PartitionId
from meshnode.core.placement import draw_of
from meshnode.core.shares import fair_shares, zone_cap

Move: TypeAlias = tuple[PartitionId, NodeId, NodeId]
"""A partition's replica from a giver to a taker."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """A node as rebalancing sees it."""

    node: NodeId
    zone: str
    weight: int
    """Share of replicas relative to the others; 0 means none."""
    may_gain: bool = True
    """Whether it may get replicas it has not got; one that may not keeps what it has."""
    must_leave: bool = False
    """Whether it has to give up all it has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A partition where it is, and how many replicas it is to have."""

    partition: PartitionId
    replicas: tuple[NodeId, ...]
    factor: int
    size_bytes: int = 0
    """What one copy takes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What to move. Partitions that stay as they are, are not in it."""

    targets: dict[PartitionId, tuple[NodeId, ...]]
    blocked: dict[PartitionId, str]
    """Partitions that cannot have what they should, and why."""


def plan_layout(hosts: Sequence[Host], placed: Sequence[Placed], *, is_balancing: bool) -> Plan:
    """Plan what must move, and with `is_balancing` also what should."""
    layout = _Layout(hosts, placed)
    layout.place_missing()
    if is_balancing:
        layout.spread_over_zones()
        layout.level()
    targets = {
        one.partition: tuple(layout.holders[one.partition])
        for one in placed
        if set(layout.holders[one.partition]) != set(one.replicas) and one.partition not in layout.blocked
    }
    return Plan(targets=targets, blocked=layout.blocked)


def replicas_moved(placed: Iterable[Placed], targets: dict[PartitionId, tuple[NodeId, ...]]) -> int:
    """How many copies a plan fills anew."""
    return sum(len(set(targets.get(one.partition, one.replicas)) - set(one.replicas)) for one in placed)


@dataclass
class _Layout:
    """A layout being changed."""

    hosts: Sequence[Host]
    placed: Sequence[Placed]
    holders: dict[PartitionId, list[NodeId]] = field(init=False)
    blocked: dict[PartitionId, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._host = {host.node: host for host in self.hosts}
        staying = {host.node for host in self.hosts if not host.must_leave}
        self._open = [host for host in self.hosts if host.may_gain and not host.must_leave and host.weight > 0]
        sizes = Counter(self._host[node].zone for node in staying if self._host[node].weight > 0)
        self._sizes = dict(sizes)
        self._placed = {one.partition: one for one in self.placed}
        self.holders = {one.partition: [node for node in one.replicas if node in staying] for one in self.placed}
        self._held: dict[NodeId, set[PartitionId]] = {node: set() for node in staying}
        self._bytes: Counter[NodeId] = Counter()
        for one in self.placed:
            for node in self.holders[one.partition]:
                self._held[node].add(one.partition)
                self._bytes[node] += one.size_bytes
        self._caps = {factor: zone_cap(factor, self._sizes) for factor in {one.factor for one in self.placed}}
        self._shares = self._make_shares()

    # ------------------------------------------------------------ shares

    def _make_shares(self) -> dict[NodeId, int]:
        """Whole shares of the hosts that may gain; what the others hold is theirs."""
        open_nodes = {host.node for host in self._open}
        total = sum(one.factor for one in self.placed)
        total -= sum(len(held) for node, held in self._held.items() if node not in open_nodes)
        zones = sorted({host.zone for host in self._open})
        members = {zone: [host for host in self._open if host.zone == zone] for zone in zones}
        caps = {zone: sum(min(self._caps[one.factor], len(members[zone])) for one in self.placed) for zone in zones}
        have = {zone: sum(len(self._held[host.node]) for host in members[zone]) for zone in zones}
        weights = {zone: sum(host.weight for host in members[zone]) for zone in zones}
        shares: dict[NodeId, int] = {}
        for zone, share in fair_shares(max(0, total), weights, caps, have, {zone: zone for zone in zones}).items():
            inside = members[zone]
            shares.update(
                fair_shares(
                    share,
                    {host.node: host.weight for host in inside},
                    {host.node: len(self.placed) for host in inside},
                    {host.node: len(self._held[host.node]) for host in inside},
                    {host.node: host.node for host in inside},
                )
            )
        return shares

    def _room(self, node: NodeId) -> int:
        """How many replicas the host is below its share; negative: above."""
        return self._shares.get(node, len(self._held[node])) - len(self._held[node])

    # ------------------------------------------------------------ what must move

    def place_missing(self) -> None:
        """Bring every partition to its factor."""
        for one in sorted(self.placed, key=lambda one: (-one.size_bytes, one.partition)):
            holders = self.holders[one.partition]
            while len(holders) > one.factor:
                self._take_away(one, max(holders, key=lambda node: self._is_better_gone(one, node)))
            while len(holders) < one.factor:
                best = self._best_for(one, [host for host in self._open if host.node not in holders])
                if best is None:
                    usable = len(self._open) + sum(1 for node in holders if not self._host[node].may_gain)
                    self.blocked[one.partition] = f"needs {one.factor} replicas, and only {usable} nodes can have one"
                    break
                self._give(one, best)

    def _is_better_gone(self, one: Placed, node: NodeId) -> tuple[int, int, int, int]:
        zones = self._zones_of(one)
        return (
            zones[self._host[node].zone],
            -self._room(node),
            self._bytes[node],
            -draw_of(one.partition, node),
        )

    def _best_for(self, one: Placed, hosts: Sequence[Host]) -> NodeId | None:
        zones, cap = self._zones_of(one), self._caps[one.factor]
        best: list[Host] = []
        best_rank: tuple[float, ...] = ()
        for host in hosts:
            room = self._room(host.node)
            rank = (
                zones[host.zone] >= cap,
                room <= 0,
                zones[host.zone],
                self._bytes[host.node] / host.weight,
                -room / host.weight,
            )
            if not best or rank < best_rank:
                best, best_rank = [host], rank
            elif rank == best_rank:
                best.append(host)
        return max((host.node for host in best), key=lambda node: draw_of(one.partition, node), default=None)

    def _zones_of(self, one: Placed) -> Counter[str]:
        return Counter(self._host[node].zone for node in self.holders[one.partition])

    # ------------------------------------------------------------ what should move

    def spread_over_zones(self) -> None:
        """Move replicas out of zones that hold more of a partition than spreading needs."""
        for one in self.placed:
            cap = self._caps[one.factor]
            while (crowded := self._zones_of(one).most_common(1)) and crowded[0][1] > cap:
                zone = crowded[0][0]
                free = [
                    host
                    for host in self._open
                    if host.node not in self.holders[one.partition] and self._zones_of(one)[host.zone] < cap
                ]
                best = self._best_for(one, free)
                if best is None:
                    break
                inside = [node for node in self.holders[one.partition] if self._host[node].zone == zone]
                self._take_away(one, min(inside, key=lambda node: (self._room(node), node)))
                self._give(one, best)

    def level(self) -> None:
        """Move replicas from hosts above their share to hosts below theirs."""
        for source in sorted(self._shares, key=lambda node: (self._room(node), node)):
            while self._room(source) < 0:
                chain = self._direct(source) or self._chain(source)
                if not chain:
                    break
                for partition, giver, taker in chain:
                    one = self._placed[partition]
                    self._take_away(one, giver)
                    self._give(one, taker)

    def _direct(self, source: NodeId) -> list[Move]:
        """The best single move from `source` to a host below its share."""
        takers = [host.node for host in self._open if self._room(host.node) > 0]
        moves = [
            (partition, source, taker)
            for partition in self._held[source]
            for taker in takers
            if self._may_move(partition, source, taker)
        ]
        return [min(moves, key=self._cost)] if moves else []

    def _cost(self, move: Move) -> tuple[bool, float, int, int]:
        """Whether it fills a copy more than without it, then how uneven bytes are between the two after it."""
        partition, giver, taker = move
        size = self._placed[partition].size_bytes
        given = (self._bytes[giver] - size) / self._host[giver].weight
        taken = (self._bytes[taker] + size) / self._host[taker].weight
        return (self._is_here_already(partition, giver), abs(given - taken), -draw_of(partition, taker), partition)

    def _is_here_already(self, partition: PartitionId, node: NodeId) -> bool:
        """Whether the host has the copy in fact; one that is only planned moves for nothing."""
        return node in self._placed[partition].replicas

    def _chain(self, source: NodeId) -> list[Move]:
        """The way over other hosts, each giving one replica for the one it takes, that fills fewest copies more."""
        came: dict[NodeId, tuple[PartitionId, NodeId]] = {}
        waiting: list[tuple[int, int, NodeId, PartitionId, NodeId]] = []

        def reach(giver: NodeId, cost: int, hops: int) -> None:
            """Queue everywhere a host can give to, at the least it costs."""
            best: dict[NodeId, tuple[int, PartitionId]] = {}
            taken = came.get(giver)
            for partition in self._held[giver]:
                if taken is not None and partition == taken[0]:
                    continue
                price = (cost + self._is_here_already(partition, giver), partition)
                for host in self._open:
                    node = host.node
                    is_worse = node in best and best[node] <= price
                    if node != source and node not in came and not is_worse and self._may_move(partition, giver, node):
                        best[node] = price
            for node, (price_there, partition) in best.items():
                heappush(waiting, (price_there, hops + 1, node, partition, giver))

        reach(source, 0, 0)
        while waiting:
            cost, hops, taker, partition, giver = heappop(waiting)
            if taker in came:
                continue
            came[taker] = (partition, giver)
            if self._room(taker) > 0:
                way = self._way(came, source, taker)
                if len({moved for moved, _, _ in way}) == len(way):
                    return way
                continue
            reach(taker, cost, hops)
        return []

    def _way(self, came: dict[NodeId, tuple[PartitionId, NodeId]], source: NodeId, end: NodeId) -> list[Move]:
        way: list[Move] = []
        taker = end
        while taker != source:
            partition, giver = came[taker]
            way.append((partition, giver, taker))
            taker = giver
        return way

    def _may_move(self, partition: PartitionId, giver: NodeId, taker: NodeId) -> bool:
        holders = self.holders[partition]
        if taker in holders or giver not in holders or partition in self.blocked:
            return False
        one = self._placed[partition]
        zone = self._host[taker].zone
        if zone == self._host[giver].zone:
            return True
        zones = self._zones_of(one)
        return zones[zone] + 1 <= max(self._caps[one.factor], zones[self._host[giver].zone] - 1)

    def _give(self, one: Placed, node: NodeId) -> None:
        self.holders[one.partition].append(node)
        self._held[node].add(one.partition)
        self._bytes[node] += one.size_bytes

    def _take_away(self, one: Placed, node: NodeId) -> None:
        self.holders[one.partition].remove(node)
        self._held[node].remove(one.partition)
        self._bytes[node] -= one.size_bytes
