"""The write round: every order of votes, every answer of the catalog, and what may never happen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations, product

import pytest

from meshnode.base.errors import InvariantViolated
from meshnode.base.ids import Generation, NodeId
from meshnode.core.partition import Partition
from meshnode.core.quorum import quorum_size
from meshnode.core.record import RETURNED_MAX, Record, record_excluding, record_fenced, record_rejoined
from meshnode.core.write import (
    Effect,
    Event,
    Fence,
    FenceDone,
    FenceFailed,
    Finish,
    GraceElapsed,
    Outcome,
    Phase,
    Publish,
    PublishConflict,
    PublishDone,
    PublishRefused,
    PublishUnknown,
    ReadRecord,
    RecordRead,
    StartGrace,
    TellAbort,
    TellCommit,
    TimeUp,
    VoteGranted,
    VoteMissing,
    VotingDeadline,
    WriteRound,
)
from tests.unit.core.builders import N1, N2, N3, N4, N5, PARTITION, a_partition, a_record, a_round, round_id

ALL = (N1, N2, N3)


def new_round(
    base: Record | None = None, replicas: tuple[NodeId, ...] = ALL, learners: tuple[NodeId, ...] = ()
) -> WriteRound:
    record = a_record(inconsistent=frozenset(learners)) if base is None else base
    return WriteRound(
        round=a_round(), own=N1, base=record, partition=a_partition(*replicas), invited=frozenset(replicas)
    )


def feed(machine: WriteRound, *events: Event) -> list[Effect]:
    effects: list[Effect] = []
    for event in events:
        effects = machine.on(event)
    return effects


def published(machine: WriteRound) -> Record:
    """Bring a round to its publish with all votes."""
    effects = feed(machine, *(VoteGranted(node) for node in sorted(machine.invited)))
    (publish,) = effects
    assert isinstance(publish, Publish)
    return publish.record


def test_all_votes_publish_at_once_and_exclude_nobody() -> None:
    machine = new_round()
    record = published(machine)
    assert (record.generation, record.round_id, record.inconsistent) == (6, round_id(6), frozenset())
    assert feed(machine, PublishDone()) == [TellCommit(ALL), Finish(Outcome.PUBLISHED, record, "")]


def test_a_quorum_gives_the_others_grace_and_then_excludes_them() -> None:
    machine = new_round()
    assert feed(machine, VoteGranted(N1), VoteGranted(N2)) == [StartGrace()]
    (publish,) = feed(machine, GraceElapsed())
    assert isinstance(publish, Publish)
    assert publish.record.inconsistent == {N3}


def test_a_vote_within_the_grace_is_not_excluded() -> None:
    machine = new_round()
    feed(machine, VoteGranted(N1), VoteGranted(N2))
    (publish,) = feed(machine, VoteGranted(N3))
    assert isinstance(publish, Publish)
    assert publish.record.inconsistent == frozenset()


def test_nothing_is_published_without_the_coordinators_own_vote() -> None:
    machine = new_round()
    assert feed(machine, VoteGranted(N2), VoteGranted(N3)) == []
    effects = feed(machine, VoteMissing(N1, "disk full"))
    assert effects[0] == TellAbort(ALL)
    assert isinstance(effects[1], Finish)
    assert effects[1].outcome is Outcome.QUORUM_LOST
    assert "disk full" in effects[1].reason


def test_a_learner_that_acknowledges_rejoins_in_the_publish_but_does_not_count() -> None:
    machine = new_round(learners=(N3,))
    assert feed(machine, VoteGranted(N1), VoteGranted(N3)) == []
    (publish,) = feed(machine, VoteGranted(N2))
    assert isinstance(publish, Publish)
    assert publish.record.inconsistent == frozenset()


def test_two_consistent_replicas_lost_with_one_learner_there_is_no_quorum() -> None:
    machine = new_round(learners=(N3,))
    effects = feed(machine, VoteGranted(N1), VoteGranted(N3), VoteMissing(N2, "gone"))
    assert [type(effect) for effect in effects] == [TellAbort, Finish]


def test_the_reason_of_a_lost_quorum_counts_and_names() -> None:
    machine = new_round()
    effects = feed(machine, VoteGranted(N1), VoteMissing(N2, "gone"), VoteMissing(N3, "refused"))
    (finish,) = [effect for effect in effects if isinstance(effect, Finish)]
    assert finish.reason == "1 of 3 replicas voted, 2 needed (n2: gone; n3: refused)"


def test_a_vote_from_a_stranger_is_a_defect() -> None:
    with pytest.raises(InvariantViolated):
        new_round().on(VoteGranted(N5))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_every_order_and_outcome_of_votes_publishes_exactly_where_a_quorum_with_the_coordinator_voted(
    count: int,
) -> None:
    nodes = (N1, N2, N3, N4, N5)[:count]
    for order in permutations(nodes):
        for granted in product([True, False], repeat=count):
            votes = dict(zip(order, granted, strict=True))
            machine = new_round(replicas=nodes)
            effects: list[Effect] = []
            for node in order:
                effects += machine.on(VoteGranted(node) if votes[node] else VoteMissing(node, "no"))
            effects += machine.on(GraceElapsed())
            publishes = [effect for effect in effects if isinstance(effect, Publish)]
            aborts = [effect for effect in effects if isinstance(effect, TellAbort)]
            wanted = votes[N1] and sum(granted) >= quorum_size(count)
            assert len(publishes) == int(wanted), (order, granted)
            assert len(aborts) == int(not wanted), (order, granted)
            if publishes:
                assert publishes[0].record.inconsistent == {node for node in nodes if not votes[node]}


def test_a_refused_publish_aborts() -> None:
    machine = new_round()
    published(machine)
    assert feed(machine, PublishRefused("catalog down")) == [
        TellAbort(ALL),
        Finish(Outcome.CATALOG_UNAVAILABLE, None, "catalog down"),
    ]


def test_a_conflict_reads_again_and_another_generation_refuses() -> None:
    machine = new_round()
    published(machine)
    assert feed(machine, PublishConflict()) == [ReadRecord()]
    other = a_record(6, round_id=round_id(77), recent=(round_id(5), round_id(77)))
    effects = feed(machine, RecordRead(other, a_partition()))
    assert effects[0] == TellAbort(ALL)


def test_a_conflict_by_an_exclusion_publishes_again_without_the_one_who_left() -> None:
    machine = new_round()
    published(machine)
    feed(machine, PublishConflict())
    (publish,) = feed(machine, RecordRead(record_excluding(a_record(), N3), a_partition()))
    assert isinstance(publish, Publish)
    assert publish.record.inconsistent == {N3}


def test_a_conflict_publishes_again_without_the_vote_of_one_who_left_and_is_back() -> None:
    machine = new_round()
    published(machine)
    feed(machine, PublishConflict())
    back = record_rejoined(record_excluding(a_record(), N3), N3)
    (publish,) = feed(machine, RecordRead(back, a_partition()))
    assert isinstance(publish, Publish)
    assert publish.record.inconsistent == {N3}
    assert publish.record.returned == ()


def test_who_was_back_before_the_votes_were_cast_keeps_its_vote() -> None:
    base = record_rejoined(record_excluding(a_record(), N3), N3)
    machine = new_round(base=base)
    published(machine)
    feed(machine, PublishConflict())
    (publish,) = feed(machine, RecordRead(record_excluding(base, N2), a_partition()))
    assert isinstance(publish, Publish)
    assert publish.record.inconsistent == {N2}


def test_more_returns_than_a_record_remembers_are_a_fence() -> None:
    record = a_record()
    for _ in range(RETURNED_MAX):
        record = record_rejoined(record_excluding(record, N3), N3)
    assert (record.returned, record.fence) == ((N3,) * RETURNED_MAX, 0)
    record = record_rejoined(record_excluding(record, N3), N3)
    assert (record.returned, record.fence) == ((), 1)


def test_a_conflict_by_a_fence_refuses_because_a_participant_may_have_dropped_the_round() -> None:
    machine = new_round()
    published(machine)
    feed(machine, PublishConflict())
    effects = feed(machine, RecordRead(record_fenced(a_record(), a_round(), PARTITION), a_partition()))
    assert [type(effect) for effect in effects] == [TellAbort, Finish]


def met_another_partition(partition: Partition, *, base: Record | None = None) -> list[Effect]:
    """A round whose votes are all there publishes, and conflicts with a change of the partition."""
    machine = new_round(base=base)
    published(machine)
    feed(machine, PublishConflict())
    return feed(machine, RecordRead(a_record() if base is None else base, partition))


def test_a_partition_whose_replicas_changed_is_published_to_with_a_quorum_of_the_new_ones() -> None:
    switched = replace(a_partition(N1, N2, N4), leaving=(N3,), epoch=1)
    (publish,) = met_another_partition(switched)
    assert isinstance(publish, Publish)
    assert publish.record.inconsistent == {N4}, "n4 was not asked, n3 is out"


def test_a_round_checked_by_an_older_configuration_is_given_up() -> None:
    machine = new_round()
    published(machine)
    feed(machine, PublishConflict())
    effects = feed(machine, RecordRead(a_record(), a_partition(), has_new_config=True))
    assert isinstance(effects[0], TellAbort)
    assert isinstance(effects[1], Finish)
    assert effects[1].outcome is Outcome.FENCED
    assert "configuration changed" in effects[1].reason


def test_a_partition_that_got_a_learner_meanwhile_lists_it() -> None:
    (publish,) = met_another_partition(replace(a_partition(joining=(N4,)), epoch=1))
    assert isinstance(publish, Publish)
    assert publish.record.inconsistent == {N4}


def test_votes_of_replicas_that_left_do_not_make_a_quorum() -> None:
    effects = met_another_partition(replace(a_partition(N1, N4, N5), epoch=1))
    assert isinstance(effects[1], Finish)
    assert effects[1].outcome is Outcome.QUORUM_LOST


def test_a_partition_that_changed_twice_refuses_because_a_voter_may_have_dropped_its_copy_and_come_back() -> None:
    effects = met_another_partition(replace(a_partition(), epoch=2))
    assert isinstance(effects[1], Finish)
    assert effects[1].outcome is Outcome.FENCED


def test_exclusions_below_the_quorum_refuse() -> None:
    machine = new_round()
    published(machine)
    feed(machine, PublishConflict())
    left = record_excluding(record_excluding(a_record(), N3), N2)
    effects = feed(machine, RecordRead(left, a_partition()))
    assert isinstance(effects[1], Finish)
    assert effects[1].outcome is Outcome.QUORUM_LOST


def test_an_unknown_publish_that_landed_commits() -> None:
    machine = new_round()
    record = published(machine)
    assert feed(machine, PublishUnknown()) == [ReadRecord()]
    assert feed(machine, RecordRead(record, a_partition())) == [
        TellCommit(ALL),
        Finish(Outcome.PUBLISHED, record, ""),
    ]


def test_an_unknown_publish_that_landed_and_was_built_upon_commits() -> None:
    machine = new_round()
    record = published(machine)
    feed(machine, PublishUnknown())
    later = replace(record, generation=Generation(7), round_id=round_id(9), recent=(*record.recent, round_id(9)))
    effects = feed(machine, RecordRead(later, a_partition()))
    assert effects[0] == TellCommit(ALL)


def test_an_unknown_publish_is_fenced_before_it_is_called_not_done() -> None:
    machine = new_round()
    published(machine)
    feed(machine, PublishUnknown())
    (fence,) = feed(machine, RecordRead(a_record(), a_partition()))
    assert isinstance(fence, Fence)
    assert fence.record.generation == 5
    effects = feed(machine, FenceDone())
    assert effects[0] == TellAbort(ALL)


def test_a_fence_that_meets_the_landed_publish_commits_after_all() -> None:
    machine = new_round()
    record = published(machine)
    feed(machine, PublishUnknown(), RecordRead(a_record(), a_partition()))
    assert feed(machine, FenceFailed()) == [ReadRecord()]
    assert feed(machine, RecordRead(record, a_partition()))[0] == TellCommit(ALL)


def test_an_outcome_that_stays_unknown_tells_nobody_anything() -> None:
    machine = new_round()
    published(machine)
    feed(machine, PublishUnknown())
    (finish,) = feed(machine, TimeUp())
    assert isinstance(finish, Finish)
    assert finish.outcome is Outcome.UNKNOWN


def test_a_record_that_forgot_the_generation_leaves_the_outcome_unknown() -> None:
    machine = new_round()
    published(machine)
    feed(machine, PublishUnknown())
    (finish,) = feed(machine, RecordRead(a_record(60), a_partition()))
    assert isinstance(finish, Finish)
    assert finish.outcome is Outcome.UNKNOWN


def test_a_record_behind_the_base_is_a_defect_of_the_catalog() -> None:
    machine = new_round()
    published(machine)
    feed(machine, PublishUnknown())
    with pytest.raises(InvariantViolated, match="I4"):
        machine.on(RecordRead(a_record(4), a_partition()))


def test_a_create_is_fenced_by_burning_its_id() -> None:
    machine = WriteRound(round=a_round(0), own=N1, base=None, partition=a_partition(), invited=frozenset(ALL))
    published(machine)
    feed(machine, PublishUnknown())
    (fence,) = feed(machine, RecordRead(None, a_partition()))
    assert isinstance(fence, Fence)
    assert fence.record.state.value == "abandoned"


EVENTS: tuple[Event, ...] = (
    VoteGranted(N1),
    VoteGranted(N2),
    VoteMissing(N2, "no"),
    VoteGranted(N3),
    VoteMissing(N3, "no"),
    GraceElapsed(),
    VotingDeadline(),
    PublishDone(),
    PublishConflict(),
    PublishRefused("down"),
    PublishUnknown(),
    RecordRead(a_record(), a_partition()),
    RecordRead(record_excluding(a_record(), N2), a_partition()),
    RecordRead(a_record(6, round_id=round_id(77), recent=(round_id(77),)), a_partition()),
    FenceDone(),
    FenceFailed(),
    TimeUp(),
)


def walks() -> Iterator[tuple[Event, ...]]:
    """Every sequence of three events after two votes, and of four catalog events after three."""
    for rest in product(EVENTS, repeat=3):
        yield (VoteGranted(N1), VoteGranted(N2), *rest)
    for rest in product(EVENTS[7:], repeat=4):
        yield (VoteGranted(N1), VoteGranted(N2), VoteGranted(N3), *rest)


def test_whatever_happens_everyone_is_told_once_and_never_an_abort_after_a_publish_that_may_have_landed() -> None:
    for events in walks():
        machine = new_round()
        told: list[Effect] = []
        may_have_landed = False
        for event in events:
            was = machine.phase
            effects = machine.on(event)
            told += [effect for effect in effects if isinstance(effect, TellCommit | TellAbort)]
            assert not (was is Phase.DONE and effects), events
            if was is Phase.PUBLISHING and isinstance(event, PublishUnknown):
                may_have_landed = True
            if may_have_landed and any(isinstance(effect, TellAbort) for effect in effects):
                assert isinstance(event, FenceDone | RecordRead), events
        assert len(told) <= 1, events
