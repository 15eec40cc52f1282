from __future__ import annotations

from dataclasses import replace

import pytest

from meshnode.base.errors import Corrupt, InvalidRequest
from meshnode.base.ids import Generation, RefsDigest
from meshnode.ports import ReplicaDescription
from meshnode.v1.replication_pb2 import DescribeReplicaResponse, ReadSnapshotResponse
from meshnode.wire.replicas import (
    REFS_PER_MESSAGE,
    SnapshotAssembler,
    description_message,
    description_of,
    snapshot_messages,
)
from tests.unit.wire.samples import KEY, N2, ROUND_ID, some_snapshot, state_of

DESCRIPTION = ReplicaDescription(
    node=N2,
    generation=Generation(42),
    round_id=ROUND_ID,
    refs_digest=RefsDigest("d" * 64),
    digest_on_disk=RefsDigest("e" * 64),
    object_digest="f" * 64,
    problems=("dangling blob",),
    ref_count=3,
    size_bytes=1_000,
    consistent_since_ms=5_000,
    activity="consistent",
)


@pytest.mark.parametrize("branches", [0, 3, REFS_PER_MESSAGE - 2, 2 * REFS_PER_MESSAGE + 7])
def test_snapshot_of_any_size_comes_back_equal(branches: int) -> None:
    snapshot = some_snapshot(branches)
    assembler = SnapshotAssembler(KEY)
    for message in snapshot_messages(state_of(snapshot), snapshot):
        assembler.add(ReadSnapshotResponse.FromString(message.SerializeToString()))
    assert assembler.finish() == (state_of(snapshot), snapshot)


def test_snapshot_that_was_cut_is_corrupt() -> None:
    snapshot = some_snapshot(REFS_PER_MESSAGE + 5)
    assembler = SnapshotAssembler(KEY)
    assembler.add(next(iter(snapshot_messages(state_of(snapshot), snapshot))))
    with pytest.raises(Corrupt, match="digest"):
        assembler.finish()


def test_empty_stream_is_no_snapshot() -> None:
    with pytest.raises(InvalidRequest, match="empty"):
        SnapshotAssembler(KEY).finish()


def test_snapshot_that_repeats_a_reference_is_refused() -> None:
    snapshot = some_snapshot()
    message = next(iter(snapshot_messages(state_of(snapshot), snapshot)))
    message.refs.append(message.refs[0])
    with pytest.raises(InvalidRequest, match="repeats"):
        SnapshotAssembler(KEY).add(message)


def test_snapshot_beyond_the_bound_is_refused() -> None:
    snapshot = some_snapshot()
    with pytest.raises(InvalidRequest, match="too large"):
        SnapshotAssembler(KEY, refs_max=2).add(next(iter(snapshot_messages(state_of(snapshot), snapshot))))


def test_snapshot_with_a_hostile_name_is_refused() -> None:
    message = ReadSnapshotResponse(refs=[ReadSnapshotResponse.Ref(name="refs/heads/a..b", value="1" * 40)])
    with pytest.raises(InvalidRequest):
        SnapshotAssembler(KEY).add(message)


@pytest.mark.parametrize(
    "description",
    [
        DESCRIPTION,
        replace(DESCRIPTION, digest_on_disk=None, round_id=None),
        replace(DESCRIPTION, prepared=()),
        replace(DESCRIPTION, prepared=(ROUND_ID,)),
    ],
)
def test_description_comes_back_equal(description: ReplicaDescription) -> None:
    assert description_of(description_message(description), N2) == description


def test_absent_replica_comes_back_as_none() -> None:
    assert description_of(description_message(None), N2) is None


def test_description_with_a_malformed_digest_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        description_of(DescribeReplicaResponse(found=True, refs_digest="x"), N2)


def test_complaints_that_are_not_text_are_made_printable() -> None:
    message = description_message(replace(DESCRIPTION, problems=("bad \udcff name",)))
    assert message.problems == ["bad \\udcff name"]
