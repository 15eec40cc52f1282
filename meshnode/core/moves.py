"""How a partition gets from the replicas it has to those it is to have: one safe step after the other.

    target set --> Join e --> ListEverywhere e --> (Fill e) --> Swap e for p --> ... --> Retire x --> Finish
                   learner    every record that     repair       one compare-and-set     fewer are wanted
                   of writes  is there lists e      unlists e    e in, p out

Absence from `inconsistent` is a claim, so a node is listed before it can be believed: `Join` makes every publish
and create account for it, `ListEverywhere` lists it in every record that was there before, and only then does "no
record lists it" mean that it has everything. Each step is one compare-and-set on the partition (`ListEverywhere`:
one on each record first); whoever plans may die after any of them, and whoever goes on finds all there is to know
in the catalog. Two that plan at once cannot both take a step: one of them has an old revision.

A read replica that is to become a replica joins like any other node, with its copy: what it has was never claimed.

The rule: no step leaves a record with fewer consistent replicas than it had, or, where fewer replicas are wanted,
with any but consistent ones. `Swap` and `Retire` rest on what all records say, so they also name the revision of
the partition's listing mark (`core/record.py`, `comes_to_list`).

Source: docs/PROTOCOL.md, "Entering and leaving a partition".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from meshnode.base.errors import InvariantViolated
from meshnode.base.ids import NodeId
from meshnode.core.partition import Partition


@dataclass(frozen=True, slots=True)
class Join:
    """Make `node` a learner of every write from now on."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class ListEverywhere:
    """List `node` in every active record of the partition, then note that this is done."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class Fill:
    """Wait for `node` to become consistent; `left` records still list it."""

    node: NodeId
    left: int


@dataclass(frozen=True, slots=True)
class Swap:
    """Make `node` a replica, and `predecessor` none any more; None: one replica more."""

    node: NodeId
    predecessor: NodeId | None


@dataclass(frozen=True, slots=True)
class AwaitRepair:
    """Wait for the replicas that stay to be consistent before `node` may go; `left` listings are in the way."""

    node: NodeId
    left: int


@dataclass(frozen=True, slots=True)
class Retire:
    """Have one replica less: `node` goes."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Stop filling `node`: it is not wanted any more."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class Finish:
    """The target is reached."""


Step = Join | ListEverywhere | Fill | Swap | AwaitRepair | Retire | Withdraw | Finish


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """What the active records of a partition say, all read after the partition."""

    records: int = 0
    listings: Mapping[NodeId, int] = field(default_factory=dict)
    """How many records list a node; a node that is missing here is listed by none."""

    def listing(self, node: NodeId) -> int:
        """How many records list `node`."""
        return self.listings.get(node, 0)


def plan_step(partition: Partition, tally: Tally, zones: Mapping[NodeId, str]) -> Step | None:
    """The next step towards the partition's target; None where nothing moves.

    `zones` decides who goes when several could: first whoever most records list, then one of the new node's zone.
    """
    unwanted = [node for node in partition.joining if node not in partition.target]
    if unwanted:
        return Withdraw(unwanted[0])
    if not partition.target:
        return None
    exits = [node for node in partition.replicas if node not in partition.target]
    if partition.joining:
        node = partition.joining[0]
        if node not in partition.listed:
            return ListEverywhere(node)
        if tally.listing(node):
            return Fill(node, tally.listing(node))
        is_growing = len(partition.replicas) < len(partition.target)
        return Swap(node, None if is_growing or not exits else _first_to_go(exits, node, tally, zones))
    entries = [node for node in partition.target if node not in partition.replicas]
    if entries:
        return Join(entries[0])
    if exits:
        node = _first_to_go(exits, None, tally, zones)
        left = sum(tally.listing(other) for other in partition.replicas if other != node)
        return AwaitRepair(node, left) if left else Retire(node)
    return Finish()


def partition_after(partition: Partition, step: Step) -> Partition:
    """The partition that the step's compare-and-set writes; that of `ListEverywhere` comes after the records'.

    Raises:
        InvariantViolated: the step does not fit the partition, or there is nothing to write.
    """
    _check_fits(partition, step)
    match step:
        case Join(node):
            return replace(
                partition,
                joining=(*partition.joining, node),
                listed=_without(partition.listed, node),
                leaving=_without(partition.leaving, node),
                read_replicas=_without(partition.read_replicas, node),
                epoch=partition.epoch + 1,
            )
        case ListEverywhere(node):
            return replace(partition, listed=(*_without(partition.listed, node), node))
        case Swap(node, predecessor):
            return _ended_if_reached(
                replace(
                    partition,
                    replicas=(*_without(partition.replicas, predecessor), node),
                    joining=_without(partition.joining, node),
                    listed=_without(partition.listed, node),
                    leaving=_with(partition.leaving, predecessor),
                    epoch=partition.epoch + 1,
                )
            )
        case Retire(node):
            return _ended_if_reached(
                replace(
                    partition,
                    replicas=_without(partition.replicas, node),
                    leaving=_with(partition.leaving, node),
                    epoch=partition.epoch + 1,
                )
            )
        case Withdraw(node):
            return replace(
                partition,
                joining=_without(partition.joining, node),
                listed=_without(partition.listed, node),
                leaving=_with(partition.leaving, node),
                epoch=partition.epoch + 1,
            )
        case Finish():
            return replace(partition, target=(), listed=())
        case Fill() | AwaitRepair():
            raise InvariantViolated("waiting writes nothing", partition=partition.partition)
        case _:
            assert_never(step)


def partition_dropped(partition: Partition, node: NodeId) -> Partition:
    """The partition once `node` has no copy of anything in it any more."""
    return replace(partition, leaving=_without(partition.leaving, node))


def is_moving(partition: Partition) -> bool:
    """Whether a move is under way or planned."""
    return bool(partition.target or partition.joining)


def _check_fits(partition: Partition, step: Step) -> None:
    match step:
        case Join(node):
            is_fit = node in partition.target and node not in partition.accountable
        case ListEverywhere(node) | Withdraw(node):
            is_fit = node in partition.joining
        case Swap(node, predecessor):
            is_fit = node in partition.listed and predecessor not in partition.target
            is_fit = is_fit and (predecessor is None or predecessor in partition.replicas)
        case Retire(node):
            is_fit = node in partition.replicas and node not in partition.target and len(partition.replicas) > 1
        case Finish():
            is_fit = set(partition.replicas) == set(partition.target) and not partition.joining
        case Fill() | AwaitRepair():
            is_fit = False
        case _:
            assert_never(step)
    if not is_fit:
        raise InvariantViolated("a move's step does not fit the partition", partition=partition.partition)


def _ended_if_reached(partition: Partition) -> Partition:
    is_reached = set(partition.replicas) == set(partition.target) and not partition.joining
    return replace(partition, target=(), listed=()) if is_reached else partition


def _first_to_go(exits: Sequence[NodeId], entering: NodeId | None, tally: Tally, zones: Mapping[NodeId, str]) -> NodeId:
    zone = None if entering is None else zones.get(entering)
    return min(exits, key=lambda node: (-tally.listing(node), zones.get(node) != zone, node))


def _without(nodes: tuple[NodeId, ...], node: NodeId | None) -> tuple[NodeId, ...]:
    return tuple(one for one in nodes if one != node)


def _with(nodes: tuple[NodeId, ...], node: NodeId | None) -> tuple[NodeId, ...]:
    return nodes if node is None or node in nodes else (*nodes, node)
