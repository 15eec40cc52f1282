"""The coordinator's side of one write round, from the first vote to the last word.

    VOTING --quorum, everyone heard or grace over--> PUBLISHING --done--------------> DONE published
      |                                               |  conflict, still my base --> PUBLISHING again, without
      | quorum out of reach, deadline                 |                              who was excluded meanwhile
      v                                               |  conflict, fenced or taken-> DONE refused
    DONE refused                                      |  unknown
                                                      v
                                          RESOLVING --record shows the round-------> DONE published
                                            |  ^      record shows another one-----> DONE refused
                                 still base |  | conflict, unknown
                                            v  |
                                          FENCING --done---------------------------> DONE refused
    RESOLVING and FENCING end as DONE unknown when time runs out: then nobody is told anything.

The one rule: after `Publish` was asked for, nothing but the record (or a fence) may say that the round failed.
Read replicas get the round like everyone and are told its end; what they answer counts for nothing here, not for the
quorum, not for the grace, not for the record: a round neither waits for them nor lists them nor believes in them.
Invariants kept here: I5 (each voter is told once), I8 (quorum). Source: docs/PROTOCOL.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, assert_never

from meshnode.base.errors import InvariantViolated
from meshnode.base.ids import NodeId
from meshnode.core.partition import Partition
from meshnode.core.quorum import can_reach_quorum, has_quorum, quorum_size
from meshnode.core.record import (
    Record,
    RoundOutcome,
    consistent_nodes,
    nodes_away_since,
    outcome_of,
    record_after,
    record_fenced,
)
from meshnode.core.round import Round

REPUBLISH_MAX: Final = 5
"""Conflicts at an unchanged base come from replicas leaving or rejoining: a handful per repository, not a stream."""


# ---------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class VoteGranted:
    """A participant made the round durable on the right base."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class VoteMissing:
    """A participant refused, stored without a vote, or could not be reached: it will not vote any more."""

    node: NodeId
    reason: str


@dataclass(frozen=True, slots=True)
class GraceElapsed:
    """The others had their time after the quorum was complete."""


@dataclass(frozen=True, slots=True)
class VotingDeadline:
    """No more votes are waited for."""


@dataclass(frozen=True, slots=True)
class PublishDone:
    """The compare-and-set took effect."""


@dataclass(frozen=True, slots=True)
class PublishConflict:
    """The compare-and-set surely did not take effect: a revision was another."""


@dataclass(frozen=True, slots=True)
class PublishRefused:
    """The compare-and-set surely did not take effect: the catalog never took it."""

    reason: str


@dataclass(frozen=True, slots=True)
class PublishUnknown:
    """The compare-and-set may have taken effect, or still may."""


@dataclass(frozen=True, slots=True)
class RecordRead:
    """The record and the partition as the catalog holds them now."""

    record: Record | None
    partition: Partition
    has_new_config: bool = False
    """Whether the repository is configured otherwise than when the round was checked."""


@dataclass(frozen=True, slots=True)
class FenceDone:
    """The record has a new revision at the old generation."""


@dataclass(frozen=True, slots=True)
class FenceFailed:
    """The fence met another revision, or its own outcome is unknown: read again."""


@dataclass(frozen=True, slots=True)
class TimeUp:
    """The time for finding the outcome is over."""


Event = (
    VoteGranted
    | VoteMissing
    | GraceElapsed
    | VotingDeadline
    | PublishDone
    | PublishConflict
    | PublishRefused
    | PublishUnknown
    | RecordRead
    | FenceDone
    | FenceFailed
    | TimeUp
)

# ---------------------------------------------------------------- effects


@dataclass(frozen=True, slots=True)
class StartGrace:
    """Wait a short, bounded time for the votes still out."""


@dataclass(frozen=True, slots=True)
class Publish:
    """Put `record` where the record and the partition are still at the revisions last read, and the repository's
    configuration at the one that the round was checked by.
    """

    record: Record


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """Read record and partition, linearizably."""


@dataclass(frozen=True, slots=True)
class Fence:
    """Put `record` where the record is still at the revision last read."""

    record: Record


@dataclass(frozen=True, slots=True)
class TellCommit:
    """Tell these nodes that the round is published."""

    nodes: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class TellAbort:
    """Tell these nodes that the round can never be published."""

    nodes: tuple[NodeId, ...]


class Outcome(Enum):
    """How a round ended for the one who asked."""

    PUBLISHED = "published"
    QUORUM_LOST = "quorum_lost"
    FENCED = "fenced"
    CATALOG_UNAVAILABLE = "catalog_unavailable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finish:
    """The round is over; `record` is the published one, None otherwise."""

    outcome: Outcome
    record: Record | None
    reason: str


Effect = StartGrace | Publish | ReadRecord | Fence | TellCommit | TellAbort | Finish


class Phase(Enum):
    """Where a round stands."""

    VOTING = "voting"
    PUBLISHING = "publishing"
    REREADING = "rereading"
    """A conflict was met: the publish did not land, the record says why."""
    RESOLVING = "resolving"
    FENCING = "fencing"
    DONE = "done"


@dataclass(kw_only=True)
class WriteRound:
    """One round at its coordinator. Feed events, do the effects in order."""

    round: Round
    own: NodeId
    base: Record | None
    """The record the round was built on; None for a create."""
    partition: Partition
    invited: frozenset[NodeId]
    """Everyone the round is sent to, the coordinator and learners included."""
    phase: Phase = Phase.VOTING
    granted: set[NodeId] = field(default_factory=set)
    missing: dict[NodeId, str] = field(default_factory=dict)
    is_grace_started: bool = False
    publishes: int = 0
    pending: Record | None = None

    def on(self, event: Event) -> list[Effect]:
        """Take one event; events that come too late for the phase change nothing."""
        match event:
            case VoteGranted() | VoteMissing() | GraceElapsed() | VotingDeadline():
                return self._on_vote(event) if self.phase is Phase.VOTING else []
            case PublishDone() | PublishConflict() | PublishRefused() | PublishUnknown():
                return self._on_publish(event) if self.phase is Phase.PUBLISHING else []
            case RecordRead():
                return self._on_record(event)
            case FenceDone():
                if self.phase is not Phase.FENCING:
                    return []
                return self._refuse(
                    Outcome.CATALOG_UNAVAILABLE, "the publish did not reach the catalog; it was fenced off"
                )
            case FenceFailed():
                if self.phase is not Phase.FENCING:
                    return []
                self.phase = Phase.RESOLVING
                return [ReadRecord()]
            case TimeUp():
                return self._on_time_up()
            case _:
                assert_never(event)

    # ------------------------------------------------------------ voting

    def _on_vote(self, event: VoteGranted | VoteMissing | GraceElapsed | VotingDeadline) -> list[Effect]:
        match event:
            case VoteGranted(node):
                self._check_invited(node)
                if not self._is_read_replica(node):
                    self.granted.add(node)
                    self.missing.pop(node, None)
            case VoteMissing(node, reason):
                self._check_invited(node)
                if node not in self.granted and not self._is_read_replica(node):
                    self.missing[node] = reason
            case GraceElapsed() | VotingDeadline():
                for node in self._outstanding():
                    self.missing[node] = "no vote in time"
            case _:
                assert_never(event)
        return self._after_vote()

    def _after_vote(self) -> list[Effect]:
        believed = self._believed()
        outstanding = self._outstanding()
        if self.own in self.missing:
            return self._refuse(Outcome.QUORUM_LOST, self._vote_summary())
        is_reachable = can_reach_quorum(self.granted & believed, outstanding & believed, self.partition.replicas)
        if not is_reachable and self.own not in outstanding:
            return self._refuse(Outcome.QUORUM_LOST, self._vote_summary())
        if self.own not in self.granted or not has_quorum(self.granted & believed, self.partition.replicas):
            return []
        if not outstanding:
            return self._publish(self.base, self.partition)
        if not self.is_grace_started:
            self.is_grace_started = True
            return [StartGrace()]
        return []

    def _believed(self) -> set[NodeId]:
        if self.base is None:
            return set(self.partition.replicas)
        return set(consistent_nodes(self.base, self.partition))

    def _outstanding(self) -> set[NodeId]:
        waited_for = {node for node in self.invited if not self._is_read_replica(node)}
        return waited_for - self.granted - self.missing.keys()

    def _is_read_replica(self, node: NodeId) -> bool:
        """By the partition that the round was built on: what one of them answered stays uncounted, whatever it is made
        later, since between its answer and its joining it may have dropped its copy.
        """
        return node in self.partition.read_replicas and node not in self.partition.accountable

    def _vote_summary(self) -> str:
        replicas = self.partition.replicas
        votes = len(self.granted & self._believed())
        absent = [f"{node}: {self.missing[node]}" for node in sorted(self.missing)]
        absent += [f"{node}: not asked" for node in sorted(set(replicas) - self.invited)]
        return f"{votes} of {len(replicas)} replicas voted, {quorum_size(len(replicas))} needed ({'; '.join(absent)})"

    def _check_invited(self, node: NodeId) -> None:
        if node not in self.invited:
            raise InvariantViolated("a vote from a node that was not asked", node=node)

    # ------------------------------------------------------------ publishing

    def _publish(self, base: Record | None, partition: Partition) -> list[Effect]:
        self.publishes += 1
        self.phase = Phase.PUBLISHING
        self.pending = record_after(base, partition, self.round, self.granted)
        return [Publish(self.pending)]

    def _on_publish(self, event: PublishDone | PublishConflict | PublishRefused | PublishUnknown) -> list[Effect]:
        match event:
            case PublishDone():
                return self._published(self.pending)
            case PublishConflict():
                self.phase = Phase.REREADING
                return [ReadRecord()]
            case PublishRefused(reason):
                return self._refuse(Outcome.CATALOG_UNAVAILABLE, reason)
            case PublishUnknown():
                self.phase = Phase.RESOLVING
                return [ReadRecord()]
            case _:
                assert_never(event)

    def _on_record(self, event: RecordRead) -> list[Effect]:
        if self.phase not in {Phase.REREADING, Phase.RESOLVING}:
            return []
        match outcome_of(event.record, self.round):
            case RoundOutcome.PUBLISHED:
                return self._published(event.record)
            case RoundOutcome.REFUSED:
                return self._refuse(Outcome.FENCED, "another write took this round's place")
            case RoundOutcome.TOO_OLD:
                return self._unknown("the record has moved on further than it remembers")
            case RoundOutcome.STALE:
                raise InvariantViolated("I4: the record went back behind the round's base")
            case RoundOutcome.UNDECIDED if self.phase is Phase.RESOLVING:
                self.phase = Phase.FENCING
                return [Fence(record_fenced(event.record, self.round, self.partition.partition))]
            case RoundOutcome.UNDECIDED if event.has_new_config:
                return self._refuse(Outcome.FENCED, "the repository's configuration changed while votes were collected")
            case RoundOutcome.UNDECIDED:
                return self._republish(event.record, event.partition)
            case outcome:
                assert_never(outcome)

    def _republish(self, record: Record | None, partition: Partition) -> list[Effect]:
        """Publish on the same base at its new revision, unless somebody may have aborted the round by a fence.

        A replica listed as inconsistent since the votes were cast loses its vote, though it may be back by now: it had
        a reason to leave, and may have lost with its disk what it had voted for. Where
        the partition's members changed, a quorum of the new ones must have voted. More than one such change
        refuses: a node may have left, dropped its copy and with it what it voted for, and come back; or have come back
        with an empty disk, which it tells by two changes (`engine/recovery.py`).
        """
        fence = 0 if record is None else record.fence
        base_fence = 0 if self.base is None else self.base.fence
        has_moved_on = partition.epoch > self.partition.epoch + 1
        has_moved_on |= self.base is None and partition.factor != self.partition.factor  # not where it was to live
        if fence != base_fence or has_moved_on or self.publishes >= REPUBLISH_MAX:
            return self._refuse(Outcome.FENCED, "the record changed while votes were collected")
        if record is not None and self.base is not None:
            left = nodes_away_since(self.base, record)
            self.granted -= left
            self.missing.update(dict.fromkeys(left, "left the consistent replicas"))
        believed = set(partition.replicas) if record is None else set(consistent_nodes(record, partition))
        if self.own not in self.granted or not has_quorum(self.granted & believed, partition.replicas):
            return self._refuse(Outcome.QUORUM_LOST, self._vote_summary())
        return self._publish(record, partition)

    # ------------------------------------------------------------ the end

    def _published(self, record: Record | None) -> list[Effect]:
        self.phase = Phase.DONE
        return [TellCommit(_ordered(self.invited)), Finish(Outcome.PUBLISHED, record, "")]

    def _refuse(self, outcome: Outcome, reason: str) -> list[Effect]:
        self.phase = Phase.DONE
        return [TellAbort(_ordered(self.invited)), Finish(outcome, None, reason)]

    def _unknown(self, reason: str) -> list[Effect]:
        self.phase = Phase.DONE
        return [Finish(Outcome.UNKNOWN, None, reason)]

    def _on_time_up(self) -> list[Effect]:
        match self.phase:
            case Phase.VOTING:
                return self._refuse(Outcome.QUORUM_LOST, self._vote_summary())
            case Phase.REREADING:
                return self._refuse(Outcome.CATALOG_UNAVAILABLE, "the record could not be read again")
            case Phase.PUBLISHING | Phase.RESOLVING | Phase.FENCING:
                return self._unknown("the catalog did not say in time whether the write took effect")
            case Phase.DONE:
                return []
            case phase:
                assert_never(phase)


def _ordered(nodes: Iterable[NodeId]) -> tuple[NodeId, ...]:
    return tuple(sorted(nodes))
