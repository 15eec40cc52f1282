"""Votes, commits and what the record says about a journal."""

from __future__ import annotations

from dataclasses import replace

from meshnode.base.ids import Generation
from meshnode.core.participant import (
    Apply,
    Drop,
    FenceRound,
    Grant,
    Journal,
    Position,
    Refuse,
    Repair,
    Store,
    on_abort,
    on_commit,
    on_history,
    on_prepare,
    on_record,
    published_path,
)
from meshnode.core.record import record_fenced
from meshnode.core.refs import RefEdit
from tests.unit.core.builders import MAIN, OID_A, OID_B, PARTITION, a_record, a_round, round_id

AT_5 = Position(Generation(5), round_id(5))


def test_a_round_on_the_own_base_is_journaled_and_voted_for() -> None:
    assert on_prepare(AT_5, (), a_round(5), {}) == [Journal(a_round(5)), Grant()]


def test_a_round_in_the_journal_is_voted_for_again_without_writing() -> None:
    assert on_prepare(AT_5, (a_round(5),), a_round(5), {}) == [Grant()]


def test_a_round_that_is_applied_already_is_voted_for_again() -> None:
    assert on_prepare(Position(Generation(6), round_id(6)), (), a_round(5), {}) == [Grant()]


def test_two_rounds_on_one_base_may_both_have_a_vote() -> None:
    rival = a_round(5, 66)
    assert on_prepare(AT_5, (a_round(5),), rival, {}) == [Journal(rival), Grant()]


def test_an_old_value_that_does_not_hold_refuses_and_starts_a_repair() -> None:
    effects = on_prepare(AT_5, (), a_round(5), {MAIN: OID_B})
    assert [type(effect) for effect in effects] == [Refuse, Repair]


def test_a_round_on_an_older_base_is_refused() -> None:
    assert [type(effect) for effect in on_prepare(AT_5, (), a_round(3), {})] == [Refuse]


def test_a_round_on_another_round_of_the_same_generation_is_refused_and_repaired() -> None:
    effects = on_prepare(AT_5, (), a_round(5, base_round_id=round_id(99)), {})
    assert [type(effect) for effect in effects] == [Refuse, Repair]


def test_a_voter_that_never_heard_the_commit_learns_it_from_the_next_prepare() -> None:
    assert on_prepare(AT_5, (a_round(5),), a_round(6), {}) == [Apply(a_round(5))]


def test_a_chain_of_stored_rounds_is_applied_in_order() -> None:
    stored = (a_round(7), a_round(5), a_round(6))
    assert on_prepare(AT_5, stored, a_round(8), {}) == [Apply(a_round(5)), Apply(a_round(6)), Apply(a_round(7))]


def test_a_replica_that_is_behind_keeps_the_round_without_a_vote_and_repairs() -> None:
    effects = on_prepare(AT_5, (), a_round(8), {})
    assert [type(effect) for effect in effects] == [Journal, Store, Repair]


def test_a_replica_far_behind_stops_storing() -> None:
    stored = tuple(a_round(base) for base in range(100, 100 + 256))
    assert [type(effect) for effect in on_prepare(AT_5, stored, a_round(400), {})] == [Refuse, Repair]


def test_a_create_is_voted_for_where_there_is_nothing() -> None:
    assert on_prepare(Position(Generation(0), None), (), a_round(0), {}) == [Journal(a_round(0)), Grant()]


def test_a_commit_applies_the_round_and_what_it_stands_on() -> None:
    assert on_commit(AT_5, (a_round(5), a_round(6)), round_id(7), Generation(7)) == [
        Apply(a_round(5)),
        Apply(a_round(6)),
    ]


def test_a_commit_heard_twice_does_nothing() -> None:
    assert on_commit(Position(Generation(6), round_id(6)), (), round_id(6), Generation(6)) == []


def test_a_commit_of_an_unknown_round_starts_a_repair() -> None:
    assert [type(effect) for effect in on_commit(AT_5, (), round_id(6), Generation(6))] == [Repair]


def test_an_abort_never_drops_the_applied_round() -> None:
    assert on_abort(AT_5, round_id(5)) == []
    assert on_abort(AT_5, round_id(6)) == [Drop(round_id(6))]


def test_the_record_says_published_and_the_round_is_applied() -> None:
    assert on_record(AT_5, (a_round(5),), a_record(6)) == [Apply(a_round(5))]


def test_the_record_says_another_round_won_and_the_loser_is_dropped_and_repaired() -> None:
    rival = a_round(5, 66)
    effects = on_record(AT_5, (rival,), a_record(6))
    assert effects == [Repair("behind the record"), Drop(rival.round_id)]


def test_an_undecided_round_is_fenced() -> None:
    assert on_record(AT_5, (a_round(5),), a_record(5)) == [FenceRound(a_round(5))]


def test_a_fence_alone_does_not_decide_a_round() -> None:
    fenced = record_fenced(a_record(5), a_round(5), PARTITION)
    assert on_record(AT_5, (a_round(5),), fenced) == [FenceRound(a_round(5))]


def test_a_create_without_a_record_is_fenced_and_an_abandoned_one_dropped() -> None:
    nothing = Position(Generation(0), None)
    assert on_record(nothing, (a_round(0),), None) == [FenceRound(a_round(0))]
    burnt = record_fenced(None, a_round(0), PARTITION)
    assert on_record(nothing, (a_round(0),), burnt) == [Drop(round_id(1))]


def test_a_published_round_is_never_dropped() -> None:
    """I3: whatever position and record, a round in the record's memory that is not applied stays or is applied."""
    for at in range(1, 9):
        for top in range(at, 12):
            position = Position(Generation(at), round_id(at))
            journal = tuple(a_round(base) for base in range(1, 12))
            effects = on_record(position, journal, a_record(top))
            dropped = {effect.round_id for effect in effects if isinstance(effect, Drop)}
            applied = {effect.round.round_id for effect in effects if isinstance(effect, Apply)}
            assert applied == {round_id(number) for number in range(at + 1, top + 1)}
            assert not dropped & {round_id(number) for number in range(at + 1, top + 1)}


def test_rounds_of_the_journal_that_a_peer_applied_are_applied_in_order() -> None:
    journal = (a_round(6), a_round(5), a_round(5, 66), a_round(8))
    published = [a_round(base) for base in (5, 6, 7, 8)]
    assert on_history(AT_5, journal, published) == [Apply(a_round(5)), Apply(a_round(6))]


def test_a_peers_history_says_nothing_about_rounds_it_does_not_hold_or_that_stand_elsewhere() -> None:
    assert on_history(AT_5, (a_round(5, 66),), [a_round(5)]) == []
    assert on_history(AT_5, (a_round(6),), [a_round(6)]) == []
    assert on_history(AT_5, (a_round(5, base_round_id=round_id(55)),), [a_round(5)]) == []


def test_a_path_with_a_gap_is_no_path() -> None:
    journal = {step.round_id: step for step in (a_round(5), a_round(7))}
    assert published_path(AT_5, journal, round_id(8)) == ()
    assert published_path(AT_5, journal, round_id(6)) == (a_round(5),)


def test_a_path_that_does_not_lead_to_the_own_round_is_no_path() -> None:
    strange = replace(a_round(5), base_round_id=round_id(99))
    assert published_path(AT_5, {strange.round_id: strange}, strange.round_id) == ()


def test_edits_of_a_vote_are_checked_against_the_replica() -> None:
    move = a_round(5, edits=(RefEdit(MAIN, OID_A, OID_B),))
    assert on_prepare(AT_5, (), move, {MAIN: OID_A}) == [Journal(move), Grant()]
