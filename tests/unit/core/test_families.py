"""What a family's own partition is made of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import PartitionId, RepositoryId
from meshnode.core.families import (
    FAMILY_MAX,
    check_family_size,
    format_families,
    newest_families,
    next_partition,
    parse_families,
    partition_for_family,
    record_in,
)
from meshnode.core.partition import decode_partition, encode_partition
from meshnode.core.record import decode_record, encode_record
from meshnode.core.write import Finish, Outcome, Publish, PublishConflict, RecordRead, VoteGranted, WriteRound
from tests.unit.core.builders import N1, N2, N3, N4, a_partition, a_record, a_round

ROOT = RepositoryId("a" * 32)
OTHER = RepositoryId("b" * 32)


def test_the_partition_begins_as_a_copy_with_another_factor() -> None:
    shared = replace(a_partition(N1, N2, N3, joining=(N4,)), target=(N1, N2, N4), leaving=(N4,), epoch=3, factor=None)
    own = partition_for_family(shared, PartitionId(256), ROOT, 5)
    assert own == replace(shared, partition=PartitionId(256), family=ROOT, factor=5, epoch=4)
    assert decode_partition(encode_partition(own)) == own


def test_a_record_keeps_all_but_its_partition_and_the_catalog_keeps_where_it_lies() -> None:
    record = replace(a_record(5), inconsistent=frozenset({N2}), returned=(N3,))
    moved = record_in(record, PartitionId(256))
    assert replace(moved, partition=record.partition) == record
    assert moved.key == record.key
    assert decode_record(encode_record(moved)) == moved
    older = encode_record(record).replace(b'"home":%d,' % record.home, b"")
    assert b"home" not in older
    assert decode_record(older) == record, "written before there were homes"


@pytest.mark.parametrize("steps", [1, 2])
def test_a_round_meets_the_new_partition_as_one_change(steps: int) -> None:
    """One change of replicas is met with the votes there are; a second one is refused."""
    partition = a_partition(N1, N2, N3)
    record = a_record(5)
    machine = WriteRound(round=a_round(5), own=N1, base=record, partition=partition, invited=frozenset({N1, N2, N3}))
    for node in (N1, N2, N3):
        machine.on(VoteGranted(node))
    machine.on(PublishConflict())
    own = partition_for_family(partition, PartitionId(256), record.fork_root, 5)
    own = replace(own, epoch=own.epoch + steps - 1)
    effects = machine.on(RecordRead(record_in(record, PartitionId(256)), own))
    if steps == 1:
        (publish,) = effects
        assert isinstance(publish, Publish)
        assert (publish.record.partition, publish.record.home) == (256, record.home)
    else:
        assert isinstance(effects[-1], Finish)
        assert effects[-1].outcome is Outcome.FENCED


def test_numbers_only_grow_and_end() -> None:
    assert next_partition([PartitionId(3), PartitionId(0)]) == 4
    with pytest.raises(InvalidRequest):
        next_partition([PartitionId(65_535)])


def test_the_highest_number_that_anyone_noted_is_the_newest() -> None:
    notes = [{ROOT: PartitionId(256)}, {ROOT: PartitionId(258), OTHER: PartitionId(257)}, {ROOT: PartitionId(257)}]
    newest = newest_families(notes)
    assert newest == {ROOT: 258, OTHER: 257}
    assert parse_families(format_families(newest)) == newest
    for item in ([ROOT, "256"], [ROOT], [1, 256], "x", [ROOT, True]):
        with pytest.raises(TypeError):
            parse_families([item])


def test_a_family_that_does_not_fit_into_one_transaction_is_refused() -> None:
    check_family_size(ROOT, FAMILY_MAX)
    with pytest.raises(InvalidRequest, match="too large"):
        check_family_size(ROOT, FAMILY_MAX + 1)
