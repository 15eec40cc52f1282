"""The participant's side of write rounds: when to vote, apply, drop, and when to go and repair.

A participant knows the position it has applied and the rounds in its journal. Rounds name their base by
generation and round id, so the journal is a tree; the published path through it becomes known

    by Commit            the round named is published
    by the next Prepare  its base is published, and so is everything its base stands on
    by the record        `recent` names the published rounds
    by a peer's history  it holds nothing else, and goes further back than the record

and what is published and reaches down to the applied position is applied, in order. Votes are promises of
durability, not locks: two rounds on one base may both be voted for, the record's compare-and-set picks one.

Invariants kept here: I3 (a published round is never dropped), I6 (votes only on the own base), I5.
Source: docs/PROTOCOL.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, assert_never

from meshnode.base.errors import RefConflict
from meshnode.base.ids import Generation, RefName, RefValue, RoundId
from meshnode.core.record import Record, RoundOutcome, outcome_of
from meshnode.core.refs import check_old_values
from meshnode.core.round import Round

STORED_ROUNDS_MAX: Final = 256
"""Rounds kept for a base not yet applied; a learner further behind than that catches up by a full sync."""


@dataclass(frozen=True, slots=True)
class Position:
    """What a replica has applied. `generation` 0 and `round_id` None: nothing yet."""

    generation: Generation
    round_id: RoundId | None


@dataclass(frozen=True, slots=True)
class Journal:
    """Make the round and its objects durable."""

    round: Round


@dataclass(frozen=True, slots=True)
class Apply:
    """Apply a published round; the replica is at its base."""

    round: Round


@dataclass(frozen=True, slots=True)
class Drop:
    """Forget a round that can never be published."""

    round_id: RoundId


@dataclass(frozen=True, slots=True)
class Grant:
    """Vote for the round."""


@dataclass(frozen=True, slots=True)
class Store:
    """Answer that the round is kept without a vote."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer that the round is not kept."""

    reason: str


@dataclass(frozen=True, slots=True)
class FenceRound:
    """Make sure the round can never be published, then look at the record again."""

    round: Round


@dataclass(frozen=True, slots=True)
class Repair:
    """Something was missed: the repairer must compare this replica with the record."""

    reason: str


Effect = Journal | Apply | Drop | Grant | Store | Refuse | FenceRound | Repair


def on_prepare(
    position: Position, prepared: Iterable[Round], round_: Round, refs: Mapping[RefName, RefValue]
) -> list[Effect]:
    """Decide on a Prepare. `refs` are those of `position`.

    Effects of the form [Apply, ...] without an answer mean: apply, then ask again with the new position.
    """
    journal = {known.round_id: known for known in prepared}
    if round_.round_id == position.round_id:
        return [Grant()]
    if round_.round_id in journal and round_.base_generation == position.generation:
        return [Grant()] if round_.base_round_id == position.round_id else [Refuse("based on another round")]
    if position.generation > round_.base_generation:
        return [Refuse(f"replica is at generation {position.generation} already")]
    if position.generation == round_.base_generation:
        if position.round_id != round_.base_round_id:
            return [Refuse("replica has another round at this generation"), Repair("diverged at the base of a round")]
        try:
            check_old_values(refs, round_.edits)
        except RefConflict as conflict:
            return [Refuse(str(conflict)), Repair("references differ from the coordinator's at one generation")]
        return [Journal(round_), Grant()]
    path = published_path(position, journal, round_.base_round_id)
    if path:
        return [Apply(step) for step in path]
    if len(journal) >= STORED_ROUNDS_MAX:
        return [Refuse("too many rounds stored already"), Repair("far behind")]
    return [Journal(round_), Store(f"replica is at generation {position.generation}"), Repair("behind")]


def on_commit(position: Position, prepared: Iterable[Round], round_id: RoundId, generation: Generation) -> list[Effect]:
    """Decide on a Commit of the round that made `generation`."""
    if position.round_id == round_id or position.generation >= generation:
        return []
    journal = {known.round_id: known for known in prepared}
    path = published_path(position, journal, round_id)
    if path:
        return [Apply(step) for step in path]
    return [Repair("missed a round")]


def on_abort(position: Position, round_id: RoundId) -> list[Effect]:
    """Decide on an Abort; a round that is not in the journal may still have a quarantine to drop."""
    return [] if position.round_id == round_id else [Drop(round_id)]


def on_record(position: Position, prepared: Iterable[Round], record: Record | None) -> list[Effect]:
    """Decide what the record means for the rounds in the journal, and whether something was missed.

    Undecided rounds are fenced: call this only for rounds old enough that their coordinator is given up, or
    take the `FenceRound` effects out.
    """
    rounds = sorted(prepared, key=lambda known: (known.base_generation, known.round_id))
    journal = {known.round_id: known for known in rounds}
    effects: list[Effect] = []
    applied = position
    if record is not None and record.round_id is not None and record.generation > position.generation:
        for step in _known_path(position, journal, record):
            effects.append(Apply(step))
            applied = Position(step.generation, step.round_id)
        if applied.generation < record.generation:
            effects.append(Repair("behind the record"))
    done = {effect.round.round_id for effect in effects if isinstance(effect, Apply)}
    for known in rounds:
        if known.round_id in done:
            continue
        match outcome_of(record, known):
            case RoundOutcome.PUBLISHED:
                if known.generation <= applied.generation:
                    effects.append(Drop(known.round_id))
            case RoundOutcome.REFUSED:
                effects.append(Drop(known.round_id))
            case RoundOutcome.UNDECIDED:
                effects.append(FenceRound(known))
            case RoundOutcome.STALE:
                pass
            case RoundOutcome.TOO_OLD:
                if known.generation <= applied.generation:
                    effects.append(Drop(known.round_id))
            case outcome:
                assert_never(outcome)
    return effects


def on_history(position: Position, prepared: Iterable[Round], published: Iterable[Round]) -> list[Effect]:
    """Decide what a consistent peer's history means for the rounds in the journal: those it names are applied.

    `published` are the rounds that the peer applied after `position`, oldest first. Where a crash or a full disk
    stopped the application of a round half way, this is what ends it once the record has forgotten the round.
    """
    journal = {known.round_id: known for known in prepared}
    effects: list[Effect] = []
    for step in published:
        known = journal.get(step.round_id)
        if known is None or (known.base_generation, known.base_round_id) != (position.generation, position.round_id):
            break
        effects.append(Apply(known))
        position = Position(known.generation, known.round_id)
    return effects


def published_path(
    position: Position, journal: Mapping[RoundId, Round], published: RoundId | None
) -> tuple[Round, ...]:
    """The rounds from `position` up to `published`, in order of application; empty where one is missing.

    Every round below a published one is published, because it was the record's when the next was built.
    """
    path: list[Round] = []
    wanted = published
    while wanted is not None and wanted != position.round_id:
        step = journal.get(wanted)
        if step is None or step.base_generation < position.generation:
            return ()
        path.append(step)
        wanted = step.base_round_id
    if not path or path[-1].base_generation != position.generation or wanted != position.round_id:
        return ()
    return tuple(reversed(path))


def _known_path(position: Position, journal: Mapping[RoundId, Round], record: Record) -> tuple[Round, ...]:
    """The longest applicable path towards the record's round."""
    for published in reversed(record.recent):
        path = published_path(position, journal, published)
        if path:
            return path
    return ()
