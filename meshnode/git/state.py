"""What a replica says of itself, and how a round changes it. Pure: both stores decide with these functions.

    (no directory) --prepare CREATE--> generation 0, no references --apply--> generation 1 --apply--> ...

A replica at generation 0 is being created or filled: it answers nothing and votes for nothing but its CREATE.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from meshnode.base.errors import Corrupt, InvariantViolated, ReplicaBehind, RepositoryNotFound
from meshnode.base.ids import (
    Generation,
    RoundId,
    parse_object_format,
    parse_refs_digest,
    parse_repository_id,
    parse_repository_name,
    parse_round_id,
)
from meshnode.core.decoding import Fields, decode
from meshnode.core.refs import EMPTY_DIGEST, digest_after
from meshnode.core.round import ReplicaKey, Round, WriteKind
from meshnode.ports import ReplicaState

STATE_VERSION: Final = 1


def state_at_creation(round_: Round) -> ReplicaState:
    """The state between the prepare of a CREATE and its apply: generation 0."""
    return ReplicaState(
        key=round_.key,
        name=round_.name,
        generation=Generation(0),
        round_id=None,
        refs_digest=EMPTY_DIGEST,
        object_format=round_.object_format,
        is_deleted=False,
        fork_parent=round_.fork_parent,
    )


def state_after(state: ReplicaState, round_: Round) -> ReplicaState:
    """The state once `round_` is applied; its journal record is gone, others stay."""
    return replace(
        state,
        name=round_.name,
        generation=round_.generation,
        round_id=round_.round_id,
        refs_digest=round_.refs_digest,
        is_deleted=round_.kind is WriteKind.DELETE,
        prepared=without(state.prepared, round_.round_id),
    )


def state_of_deleted(round_: Round) -> ReplicaState:
    """What is left to say after a DELETE took the directory away."""
    return state_after(state_at_creation(round_), round_)


def without(prepared: Iterable[Round], round_id: RoundId) -> tuple[Round, ...]:
    """The journal without one round."""
    return tuple(one for one in prepared if one.round_id != round_id)


def in_journal_order(rounds: Iterable[Round]) -> tuple[Round, ...]:
    """Rounds oldest first, in an order that does not depend on directory order or clocks of files."""
    return tuple(sorted(rounds, key=lambda one: (one.base_generation, one.created_at_ms, one.round_id)))


def find_prepared(state: ReplicaState, round_: Round) -> bool:
    """Whether the journal holds this very round; it may have got its objects by another way.

    Raises:
        InvariantViolated: it holds another one of the same id.
    """
    for one in state.prepared:
        if one.round_id == round_.round_id:
            if replace(one, has_pack=round_.has_pack) != round_:
                raise InvariantViolated("two rounds have one id", round=round_.round_id)
            return True
    return False


def is_past(state: ReplicaState, round_: Round) -> bool:
    """Whether the replica is at or past the generation that `round_` makes.

    Raises:
        InvariantViolated: another round was applied at just that generation.
    """
    if state.generation == round_.generation and state.round_id != round_.round_id:
        raise InvariantViolated(
            "I3: another round is applied at this generation", round=round_.round_id, applied=state.round_id
        )
    return state.generation >= round_.generation


def check_applicable(state: ReplicaState, round_: Round, *, is_published: bool) -> None:
    """Check what must hold before `round_` may take effect here.

    Raises:
        InvariantViolated: I2 (not published), I6 (another base) or I9 (the edits do not lead to the digest).
        Corrupt: the round is not in the journal.
    """
    if not is_published:
        raise InvariantViolated("I2: apply before the round is published", round=round_.round_id)
    if not find_prepared(state, round_):
        raise Corrupt("round is not in the journal", round=round_.round_id, repository=round_.repository)
    if (state.generation, state.round_id) != (round_.base_generation, round_.base_round_id):
        raise InvariantViolated(
            "I6: replica is not at the round's base",
            generation=state.generation,
            base=round_.base_generation,
            round=round_.round_id,
        )
    if round_.kind is not WriteKind.DELETE and digest_after(state.refs_digest, round_.edits) != round_.refs_digest:
        raise InvariantViolated("I9: the round's edits do not lead to its digest", round=round_.round_id)


def check_preparable(state: ReplicaState | None, parent: ReplicaState | None, round_: Round) -> None:
    """Check that this node has what the round builds on: the replica itself, or a fork's parent.

    Raises:
        ReplicaBehind: the replica, or the parent at the fork's generation, is not here.
    """
    if round_.kind is not WriteKind.CREATE:
        if state is None:
            raise ReplicaBehind("replica is not on this node", generation=0, repository=round_.repository)
        return
    if round_.fork_parent is None:
        return
    generation = 0 if parent is None else parent.generation
    if generation == 0 or generation < (round_.fork_generation or 0):
        raise ReplicaBehind(
            "parent of the fork is behind on this node",
            generation=generation,
            wanted=round_.fork_generation,
            parent=round_.fork_parent,
        )


def check_rebase(old: ReplicaState | None, state: ReplicaState) -> ReplicaState:
    """Check that `state` may follow on `old` by a decision instead of a round; `old` where it may.

    Raises:
        RepositoryNotFound: there is no replica.
        InvariantViolated: I4 (the position would go back), or the references are others.
    """
    if old is None:
        raise RepositoryNotFound("replica is not on this node", repository=state.key.repository)
    if state.generation <= old.generation or state.refs_digest != old.refs_digest:
        raise InvariantViolated(
            "I4: a replica may only move on, with the references it has",
            generation=old.generation,
            wanted=state.generation,
        )
    return old


def encode_state(state: ReplicaState) -> bytes:
    """The state as JSON for a person to read, without the journal."""
    raw = {
        "v": STATE_VERSION,
        "repository": state.key.repository,
        "partition": state.key.home,
        "name": state.name,
        "generation": state.generation,
        "round_id": state.round_id,
        "refs_digest": state.refs_digest,
        "object_format": state.object_format,
        "is_deleted": state.is_deleted,
        "fork_parent": state.fork_parent,
    }
    return json.dumps(raw, indent=1).encode() + b"\n"


def decode_state(data: bytes, key: ReplicaKey) -> ReplicaState:
    """The state of its JSON.

    Raises:
        Corrupt: not readable, of an unknown version, or of another repository than `key`.
    """

    def build(fields: Fields) -> ReplicaState:
        if (fields.text("repository"), fields.number("partition")) != (key.repository, key.home):
            raise Corrupt("replica state is of another repository", repository=key.repository)
        return ReplicaState(
            key=key,
            name=fields.parsed("name", parse_repository_name),
            generation=Generation(fields.number("generation")),
            round_id=fields.optional("round_id", parse_round_id),
            refs_digest=fields.parsed("refs_digest", parse_refs_digest),
            object_format=fields.parsed("object_format", parse_object_format),
            is_deleted=fields.truth("is_deleted"),
            fork_parent=fields.optional("fork_parent", parse_repository_id),
        )

    return decode(data, "replica state", STATE_VERSION, build, repository=key.repository)


def check_history(state: ReplicaState, history: Sequence[Round]) -> None:
    """Check that rounds lead without a gap to a state. Raises Corrupt."""
    for before, after in pairwise(history):
        if (after.base_generation, after.base_round_id) != (before.generation, before.round_id):
            raise Corrupt("rounds of the sync have a gap", generation=after.generation)
    if history and (history[-1].generation, history[-1].round_id) != (state.generation, state.round_id):
        raise Corrupt("rounds of the sync do not lead to its generation", generation=state.generation)
