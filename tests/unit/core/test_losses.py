"""When published writes may be given up, and what the record becomes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshnode.base.ids import Generation, NodeId, RefsDigest, RoundId
from meshnode.core.losses import Standing, new_generation, obstacle_to_loss, record_after_loss
from meshnode.core.record import RoundOutcome, outcome_of
from tests.unit.core.test_rebuild import prepared
from tests.unit.core.test_scrub import N1, N2, N3, PARTITION, RECORD

LISTED = replace(RECORD, inconsistent=frozenset({N1, N2, N3}))


def obstacle(chosen: NodeId, standings: dict[NodeId, Standing], *, online: frozenset[NodeId], listed: str = "") -> str:
    record = replace(RECORD, inconsistent=frozenset(NodeId(node) for node in listed.split()))
    return obstacle_to_loss(chosen=chosen, record=record, partition=PARTITION, standings=standings, online=online)


def test_where_everyone_is_listed_any_replica_may_be_chosen() -> None:
    standings = {N1: Standing.UNFIT, N2: Standing.SILENT, N3: Standing.UNFIT}
    assert not obstacle(N1, standings, online=frozenset({N1, N2}), listed="n1 n2 n3")


@pytest.mark.parametrize("chosen", [N1, N2])
def test_a_sound_replica_that_is_believed_in_comes_first_whoever_is_chosen(chosen: NodeId) -> None:
    standings = {N1: Standing.SOUND, N2: Standing.UNFIT, N3: Standing.SILENT}
    assert "n1 is consistent" in obstacle(chosen, standings, online=frozenset(), listed="n2 n3")


def test_one_that_is_online_and_silent_may_still_be_the_truth() -> None:
    standings = {N2: Standing.UNFIT}
    assert "n1 is believed in and online" in obstacle(N2, standings, online=frozenset({N1}), listed="n2 n3")
    assert not obstacle(N2, standings, online=frozenset(), listed="n2 n3")


def test_one_that_is_believed_in_and_damaged_is_no_obstacle() -> None:
    standings = {N1: Standing.UNFIT, N2: Standing.UNFIT}
    assert not obstacle(N2, standings, online=frozenset({N1, N2}), listed="n2 n3")


def test_only_a_replica_of_the_partition_can_be_chosen() -> None:
    assert "no replica" in obstacle(NodeId("n9"), {}, online=frozenset(), listed="n1 n2 n3")


def test_the_new_generation_is_past_all_that_anyone_knows() -> None:
    assert new_generation(RECORD, []) == 6
    assert new_generation(RECORD, [Generation(3), Generation(9)]) == 10


def test_the_new_record_believes_in_nobody_and_remembers_nothing_of_the_old_line() -> None:
    record = record_after_loss(
        LISTED, PARTITION, generation=Generation(10), round_id=RoundId("f" * 32), refs_digest=RefsDigest("f" * 64)
    )
    assert record.inconsistent == {N1, N2, N3}
    assert (record.generation, record.round_id, record.recent) == (10, "f" * 32, ("f" * 32,))
    assert record.fence == LISTED.fence + 1
    for base in (3, 5, 8):
        assert outcome_of(record, prepared(base)) in (RoundOutcome.TOO_OLD, RoundOutcome.REFUSED)
