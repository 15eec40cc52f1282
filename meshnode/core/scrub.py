"""Whether a replica's files are what they promised to be. Decides; `engine/scrubber.py` looks and acts.

Four accounts of one replica are held against each other, in this order:

    files say another position than this process applied --> damaged: rolled back, or replaced
    references on disk do not have the files' digest -----> damaged: edited behind the node's back
    the record believes in it, and it has less, or other -> damaged: it lost what it voted for
    the record does not believe in it --------------------> unfinished: repair is at work, or will be

Rule: only what cannot come about by a crash, a lost message or a write under way is called damage. A replica that
the record believes in has every generation up to the record's applied or in its journal, because a vote is durable
before it is given; so once its journal is settled, less than the record is loss. A read replica promised nothing:
less than the record is lateness.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from meshnode.base.ids import NodeId, RefsDigest
from meshnode.core.participant import Position
from meshnode.core.partition import Partition
from meshnode.core.record import Record, RepositoryState, consistent_nodes


class Verdict(Enum):
    """What a look at a replica came to."""

    SOUND = "sound"
    UNFINISHED = "unfinished"
    """Not what the record says, and known to be so: the repairer's business, no damage."""
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict and, unless it is SOUND, why."""

    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """A position and the digest of the references that go with it."""

    position: Position
    refs_digest: RefsDigest


SOUND = Finding(Verdict.SOUND)


def judge_replica(
    *,
    own: NodeId,
    applied: Account | None,
    on_disk: Account | None,
    digest_on_disk: RefsDigest | None,
    has_prepared: bool,
    record: Record,
    partition: Partition,
) -> Finding:
    """Hold against each other what this process applied, what the files say, and the record.

    All but the record are of one moment, under the replica's lock, after its journal was settled with `record`.
    `has_prepared` says whether rounds are left in the journal: one that was interrupted while it was applied leaves
    references between two generations.
    """
    is_believed = own in consistent_nodes(record, partition)
    if record.state is not RepositoryState.ACTIVE:
        return SOUND
    if on_disk is None and (applied is not None or is_believed):
        return Finding(Verdict.DAMAGED, "the replica's directory is gone")
    if on_disk is None or applied is None:
        return Finding(Verdict.UNFINISHED, "no replica yet")
    if on_disk != applied:
        return Finding(
            Verdict.DAMAGED,
            f"files are at generation {on_disk.position.generation}, this node applied"
            f" {applied.position.generation}: rolled back or replaced",
        )
    if digest_on_disk != on_disk.refs_digest:
        if has_prepared or not on_disk.position.generation:
            return Finding(Verdict.UNFINISHED, "a round is half applied")
        return Finding(
            Verdict.DAMAGED,
            f"references on disk are not those of generation {on_disk.position.generation}: edited by someone else",
        )
    is_read_replica = own in partition.read_replicas and own not in partition.accountable
    return _judge_against_record(applied, record, is_believed=is_believed, is_read_replica=is_read_replica)


def _judge_against_record(applied: Account, record: Record, *, is_believed: bool, is_read_replica: bool) -> Finding:
    generation = applied.position.generation
    if generation > record.generation:
        return SOUND  # a write came in after the record was read
    is_same = generation == record.generation and (
        applied.position.round_id == record.round_id and applied.refs_digest == record.refs_digest
    )
    if is_same and (is_believed or is_read_replica):
        return SOUND
    if is_read_replica:
        return Finding(Verdict.UNFINISHED, f"a read replica at generation {generation} of {record.generation}")
    if not is_believed:
        return Finding(Verdict.UNFINISHED, f"listed inconsistent, at generation {generation} of {record.generation}")
    if generation == record.generation:
        return Finding(Verdict.DAMAGED, f"I9: generation {generation} here is not the one that was published")
    return Finding(
        Verdict.DAMAGED,
        f"the record believes in generation {record.generation}, files and journal end at {generation}: rolled back",
    )


def real_problems(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """Complaints about objects that two looks in a row share; a write under way makes some that the second has not."""
    return tuple(problem for problem in first if problem in set(second))


def may_be_taken_out(own: NodeId, record: Record, partition: Partition) -> bool:
    """Whether the record believes in another replica: the last one believed in is never taken out by a machine."""
    return any(node != own for node in consistent_nodes(record, partition))
