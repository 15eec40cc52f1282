"""A repository's record: what is true, how a published round changes it, and the JSON that it is in the catalog.

    record(generation g) --publish(round on base g)--> record(generation g+1)
    record(generation g) --fence / exclude / rejoin--> record(generation g), another revision

The catalog holds one record a repository; the compare-and-set that replaces it is the commit point.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import Final

from meshnode.base.errors import InvariantViolated
from meshnode.base.ids import (
    Generation,
    NodeId,
    PartitionId,
    RefsDigest,
    RepositoryId,
    RepositoryName,
    RoundId,
    parse_node_id,
    parse_object_format,
    parse_partition_id,
    parse_refs_digest,
    parse_repository_id,
    parse_repository_name,
    parse_round_id,
)
from meshnode.core.decoding import Fields, decode
from meshnode.core.keys import DECODED_MAX, FORMAT_VERSION, encode_json
from meshnode.core.partition import Partition
from meshnode.core.quorum import has_quorum
from meshnode.core.round import ReplicaKey, Round, WriteKind

RECENT_ROUNDS_MAX: Final = 16
"""Rounds a record remembers, so that "did my publish land?" is answered by the record alone for the last
16 generations; 33 bytes each in the catalog."""

RETURNED_MAX: Final = 16
"""Returns a record remembers; the next one is a fence instead. A replica comes and goes once or twice a generation."""


class RepositoryState(Enum):
    """What a record says of its repository as a whole."""

    ACTIVE = "active"
    DELETED = "deleted"
    ABANDONED = "abandoned"
    """A create was fenced off before it was published; the id is burnt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A repository's entry in the catalog."""

    repository: RepositoryId
    name: RepositoryName
    partition: PartitionId
    """Whose replicas it has now."""
    home: PartitionId
    """Where its replicas lie on disk, for good."""
    generation: Generation
    round_id: RoundId | None
    """The round that made `generation`; None only in an ABANDONED record."""
    refs_digest: RefsDigest
    inconsistent: frozenset[NodeId]
    state: RepositoryState
    object_format: str
    recent: tuple[RoundId, ...]
    """Rounds of the last generations, oldest first; the last one is `round_id`."""
    fork_root: RepositoryId
    """The oldest ancestor by fork, or the repository itself; decides the partition."""
    fork_parent: RepositoryId | None = None
    fence: int = 0
    """Grows when a compare-and-set only wants a new revision, so that a lost publish can never land."""
    returned: tuple[NodeId, ...] = ()
    """Who was taken off `inconsistent` since this generation was published, in that order, once for each time."""

    @property
    def key(self) -> ReplicaKey:
        """Where each of its replicas lies on its node's disk."""
        return ReplicaKey(self.home, self.repository)


class RoundOutcome(Enum):
    """What a record proves about a round."""

    PUBLISHED = "published"
    REFUSED = "refused"
    """Another round took its generation, or it was fenced off: it can never be published."""
    UNDECIDED = "undecided"
    """The record is still at the round's base: fence before concluding anything."""
    STALE = "stale"
    """The record was read before the round's base was published: it says nothing, read again."""
    TOO_OLD = "too_old"
    """The record moved on by more than it remembers: ask a consistent peer's history."""


def outcome_of(record: Record | None, round_: Round) -> RoundOutcome:
    """What `record` (None: no such key) proves about `round_`."""
    if record is None:
        return RoundOutcome.UNDECIDED if round_.base_generation == 0 else RoundOutcome.REFUSED
    if record.state is RepositoryState.ABANDONED:
        return RoundOutcome.REFUSED
    if round_.round_id in record.recent:
        return RoundOutcome.PUBLISHED
    if record.generation < round_.base_generation:
        return RoundOutcome.STALE
    if record.generation == round_.base_generation:
        same_base = record.round_id == round_.base_round_id
        return RoundOutcome.UNDECIDED if same_base else RoundOutcome.REFUSED
    if record.generation - len(record.recent) <= round_.base_generation:
        return RoundOutcome.REFUSED
    return RoundOutcome.TOO_OLD


def consistent_nodes(record: Record, partition: Partition) -> tuple[NodeId, ...]:
    """Replicas the record believes in, in the partition's order. A node outside the partition is never one."""
    return tuple(node for node in partition.replicas if node not in record.inconsistent)


def is_on_line(record: Record, generation: Generation, round_id: RoundId | None) -> bool:
    """Whether the record proves that `round_id` made the published `generation`; False also where it was too long ago.

    A position is its own witness: rounds are applied only when they are published, and each on its own base, so a
    replica at a position that the record names has the references that were published with it.
    """
    age = record.generation - generation
    return 0 <= age < len(record.recent) and record.recent[-1 - age] == round_id


def learner_nodes(record: Record, partition: Partition) -> tuple[NodeId, ...]:
    """Members that receive writes without a counted vote: inconsistent replicas, joining nodes, read replicas."""
    consistent = set(consistent_nodes(record, partition))
    return tuple(node for node in partition.members if node not in consistent)


def record_after(
    record: Record | None, partition: Partition, round_: Round, acknowledged: Collection[NodeId]
) -> Record:
    """The record that publishing `round_` writes: one generation on, everyone who did not acknowledge excluded.

    A learner that acknowledged has the base and the round, so it is consistent from here on: it rejoins inside
    the write's own publish. `acknowledged` may hold learners; only consistent replicas count for the quorum. Read
    replicas are neither counted nor listed: nobody believes in them because of what a record does not say.

    Raises:
        InvariantViolated: I8 (no quorum of consistent voters), I6 (wrong base) or a create of what exists.
    """
    believed = set(partition.replicas) if record is None else set(consistent_nodes(record, partition))
    if not has_quorum(believed & set(acknowledged), partition.replicas):
        raise InvariantViolated("I8: publish without a quorum", votes=len(believed & set(acknowledged)))
    if (record is None) != (round_.kind is WriteKind.CREATE):
        raise InvariantViolated("a create needs no record, everything else needs one", kind=round_.kind.value)
    base = Generation(0) if record is None else record.generation
    base_round = None if record is None else record.round_id
    if (round_.base_generation, round_.base_round_id) != (base, base_round):
        raise InvariantViolated("I6: publish on another base", base=round_.base_generation, generation=base)
    recent = () if record is None else record.recent
    return Record(
        repository=round_.repository,
        name=round_.name,
        partition=partition.partition,
        home=round_.home,
        generation=Generation(base + 1),
        round_id=round_.round_id,
        refs_digest=round_.refs_digest,
        inconsistent=frozenset(node for node in partition.accountable if node not in acknowledged),
        state=RepositoryState.DELETED if round_.kind is WriteKind.DELETE else RepositoryState.ACTIVE,
        object_format=round_.object_format,
        recent=(*recent, round_.round_id)[-RECENT_ROUNDS_MAX:],
        fork_root=round_.fork_root if record is None else record.fork_root,
        fork_parent=round_.fork_parent if record is None else record.fork_parent,
        fence=0 if record is None else record.fence,
    )


def record_fenced(record: Record | None, round_: Round, partition: PartitionId) -> Record:
    """The record that fences `round_` off: another revision, the same generation; a create's id is burnt."""
    if record is not None:
        return replace(record, fence=record.fence + 1)
    return Record(
        repository=round_.repository,
        name=round_.name,
        partition=partition,
        home=round_.home,
        generation=Generation(0),
        round_id=None,
        refs_digest=round_.refs_digest,
        inconsistent=frozenset(),
        state=RepositoryState.ABANDONED,
        object_format=round_.object_format,
        recent=(),
        fork_root=round_.fork_root,
    )


def comes_to_list(before: Record | None, after: Record, partition: Partition) -> bool:
    """Whether `after` lists a node that a move of the partition counts on and that `before` did not list.

    Whoever writes such a record also writes the partition's *listing mark* in the same transaction: a step that
    rests on "no record lists it" names the mark's revision, and so cannot be taken by what was true a moment ago.
    """
    known = frozenset() if before is None else before.inconsistent
    return not (after.inconsistent - known).isdisjoint(partition.target)


def record_excluding(record: Record, node: NodeId) -> Record:
    """The record with `node` listed as inconsistent.

    Where it is listed already, a fence: a rejoin of its own, or a publish that it acknowledged as a learner, may still
    be on its way, and would take the node off the list for a replica that it no longer has.
    """
    if node in record.inconsistent:
        return replace(record, fence=record.fence + 1)
    return replace(record, inconsistent=record.inconsistent | {node})


def record_rejoined(record: Record, node: NodeId) -> Record:
    """The record with `node` no longer listed; the caller has checked that its replica matches.

    That it was away is remembered: what it had voted for at this generation may have gone with an earlier disk.
    """
    rejoined = replace(record, inconsistent=record.inconsistent - {node}, returned=(*record.returned, node))
    return (
        rejoined if len(rejoined.returned) <= RETURNED_MAX else replace(rejoined, fence=record.fence + 1, returned=())
    )


def nodes_away_since(base: Record, record: Record) -> frozenset[NodeId]:
    """Who was not believed in for a while, or is not now: `record` has the generation and the fence of `base`."""
    return (record.inconsistent - base.inconsistent) | frozenset(record.returned[len(base.returned) :])


def encode_record(record: Record) -> bytes:
    """The record as JSON."""
    return encode_json(
        {
            "v": FORMAT_VERSION,
            "repository": record.repository,
            "name": record.name,
            "partition": record.partition,
            "home": record.home,
            "generation": record.generation,
            "round_id": record.round_id,
            "refs_digest": record.refs_digest,
            "inconsistent": sorted(record.inconsistent),
            "state": record.state.value,
            "object_format": record.object_format,
            "recent": list(record.recent),
            "fork_root": record.fork_root,
            "fork_parent": record.fork_parent,
            "fence": record.fence,
            "returned": list(record.returned),
        }
    )


@lru_cache(DECODED_MAX)
def decode_record(value: bytes) -> Record:
    """The record of its JSON. Raises Corrupt."""
    return decode(value, "record", FORMAT_VERSION, _record)


def _record(fields: Fields) -> Record:
    return Record(
        repository=fields.parsed("repository", parse_repository_id),
        name=fields.parsed("name", parse_repository_name),
        partition=parse_partition_id(fields.number("partition")),
        home=parse_partition_id(fields.number("home" if fields.has("home") else "partition")),
        generation=Generation(fields.number("generation")),
        round_id=fields.optional("round_id", parse_round_id),
        refs_digest=fields.parsed("refs_digest", parse_refs_digest),
        inconsistent=frozenset(fields.all_parsed("inconsistent", parse_node_id)),
        state=RepositoryState(fields.text("state")),
        object_format=fields.parsed("object_format", parse_object_format),
        recent=fields.all_parsed("recent", parse_round_id),
        fork_root=fields.parsed("fork_root", parse_repository_id),
        fork_parent=fields.optional("fork_parent", parse_repository_id),
        fence=fields.number("fence"),
        returned=fields.all_parsed("returned", parse_node_id) if fields.has("returned") else (),
    )
