"""What a replica must do to agree with its record. Decides steps; `engine/repairer.py` walks them.

    not a member, or a tombstone it has applied ---> nothing (left to purge)
    matches the record, listed inconsistent -------> rejoin (a compare-and-set)
    does not match, not listed --------------------> exclude itself first, then repair
    behind on the same line of rounds -------------> catch up from a peer's history
    no common line, too far behind, or missing ----> full sync from a consistent peer

Truth is the published generation and its round, never a head count. A joining node goes the same way as a replica:
it lists itself before it is filled, for once the partition's move trusts in lists, not being listed is a claim.
Of a read replica nothing is claimed: it fetches what it lacks, and no record hears of it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

from meshnode.base.ids import NodeId, RefsDigest
from meshnode.core.participant import Position
from meshnode.core.partition import Partition
from meshnode.core.record import Record, RepositoryState, consistent_nodes
from meshnode.core.round import Round


class RepairStep(Enum):
    """The next thing to do about a replica."""

    NOTHING = "nothing"
    EXCLUDE_SELF = "exclude_self"
    REJOIN = "rejoin"
    FETCH = "fetch"
    """Catch up, or a full sync where the peer's history does not connect."""
    WAIT = "wait"
    """No consistent peer can be asked just now."""


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """The next step and whom to ask, best first."""

    step: RepairStep
    sources: tuple[NodeId, ...] = ()
    reason: str = ""


def plan_repair(
    *,
    own: NodeId,
    position: Position | None,
    digest: RefsDigest | None,
    record: Record,
    partition: Partition,
    online: Collection[NodeId],
) -> RepairPlan:
    """Compare this node's replica (`position` None: there is none) with the record and say what comes next."""
    if own not in partition.members or record.state is RepositoryState.ABANDONED:
        return RepairPlan(RepairStep.NOTHING)
    is_accountable = own in partition.accountable
    is_listed = own in record.inconsistent
    if matches(position, digest, record):
        return RepairPlan(RepairStep.REJOIN if is_listed and is_accountable else RepairStep.NOTHING)
    reason = "no replica" if position is None else f"at generation {position.generation} of {record.generation}"
    if not is_listed and is_accountable:
        return RepairPlan(RepairStep.EXCLUDE_SELF, reason=reason)
    sources = tuple(node for node in consistent_nodes(record, partition) if node in online and node != own)
    if not sources:
        return RepairPlan(RepairStep.WAIT, reason="no consistent replica is online")
    return RepairPlan(RepairStep.FETCH, sources, reason)


def matches(position: Position | None, digest: RefsDigest | None, record: Record) -> bool:
    """Whether a replica is what the record says (I9); of a deleted repository, having nothing is right too."""
    if position is None:
        return record.state is RepositoryState.DELETED
    return (
        position.generation == record.generation
        and position.round_id == record.round_id
        and digest == record.refs_digest
    )


def is_connected_history(position: Position, history: Sequence[Round]) -> bool:
    """Whether `history` goes on exactly where `position` stands, without a gap."""
    at = position
    for step in history:
        if step.base_generation != at.generation or step.base_round_id != at.round_id:
            return False
        at = Position(step.generation, step.round_id)
    return bool(history)
