"""What counts as damage, what as unfinished, and what as nothing at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshnode.base.ids import Generation, NodeId, PartitionId, RefsDigest, RepositoryId, RepositoryName, RoundId
from meshnode.core.participant import Position
from meshnode.core.partition import Partition
from meshnode.core.record import Record, RepositoryState
from meshnode.core.scrub import Account, Finding, Verdict, judge_replica, may_be_taken_out, real_problems

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
PARTITION = Partition(partition=PartitionId(1), replicas=(N1, N2, N3))
RECORD = Record(
    repository=RepositoryId("a" * 32),
    name=RepositoryName("demo/one"),
    partition=PartitionId(1),
    home=PartitionId(1),
    generation=Generation(5),
    round_id=RoundId("5" * 32),
    refs_digest=RefsDigest("5" * 64),
    inconsistent=frozenset(),
    state=RepositoryState.ACTIVE,
    object_format="sha1",
    recent=(RoundId("5" * 32),),
    fork_root=RepositoryId("a" * 32),
)


def at(generation: int, mark: str = "") -> Account:
    """The account of a replica at a generation; `mark` makes it another round."""
    digit = mark or str(generation)
    return Account(position=Position(Generation(generation), RoundId(digit * 32)), refs_digest=RefsDigest(digit * 64))


def judge(
    applied: Account | None,
    on_disk: Account | None,
    *,
    digest: str = "",
    record: Record = RECORD,
    has_prepared: bool = False,
) -> Finding:
    shown = RefsDigest(digest * 64) if digest else None if on_disk is None else on_disk.refs_digest
    return judge_replica(
        own=N1,
        applied=applied,
        on_disk=on_disk,
        digest_on_disk=shown,
        has_prepared=has_prepared,
        record=record,
        partition=PARTITION,
    )


def test_files_memory_and_record_that_agree_are_sound() -> None:
    assert judge(at(5), at(5)).verdict is Verdict.SOUND


def test_a_write_that_came_in_after_the_record_was_read_is_no_damage() -> None:
    assert judge(at(6), at(6)).verdict is Verdict.SOUND


@pytest.mark.parametrize(
    ("finding", "reason"),
    [
        (judge(at(5), None), "directory is gone"),
        (judge(None, None), "directory is gone"),
        (judge(at(5), at(3)), "rolled back or replaced"),
        (judge(at(5), at(5, "e")), "rolled back or replaced"),
        (judge(at(5), at(5), digest="e"), "edited by someone else"),
        (judge(at(3), at(3)), "rolled back"),
        (judge(at(5, "e"), at(5, "e")), "I9"),
    ],
)
def test_what_no_crash_can_bring_about_is_damage(finding: Finding, reason: str) -> None:
    assert finding.verdict is Verdict.DAMAGED
    assert reason in finding.reason


def test_a_round_half_applied_is_unfinished() -> None:
    assert judge(at(5), at(5), digest="e", has_prepared=True).verdict is Verdict.UNFINISHED


def test_a_replica_being_filled_is_unfinished() -> None:
    empty = Account(position=Position(Generation(0), None), refs_digest=RefsDigest("0" * 64))
    listed = replace(RECORD, inconsistent=frozenset({N1}))
    assert judge(empty, empty, digest="7", record=listed).verdict is Verdict.UNFINISHED


def test_a_listed_replica_that_is_behind_is_left_to_repair() -> None:
    listed = replace(RECORD, inconsistent=frozenset({N1}))
    assert judge(at(3), at(3), record=listed).verdict is Verdict.UNFINISHED
    assert judge(None, None, record=listed).verdict is Verdict.UNFINISHED


def test_a_listed_replica_that_was_rolled_back_under_this_process_is_damaged_all_the_same() -> None:
    listed = replace(RECORD, inconsistent=frozenset({N1}))
    assert judge(at(4), at(3), record=listed).verdict is Verdict.DAMAGED


def test_of_a_deleted_repository_nothing_is_expected() -> None:
    deleted = replace(RECORD, state=RepositoryState.DELETED)
    assert judge(None, None, record=deleted).verdict is Verdict.SOUND


def test_only_what_two_looks_share_is_a_problem() -> None:
    assert real_problems(("missing blob a", "invalid pointer b"), ("missing blob a",)) == ("missing blob a",)
    assert real_problems(("invalid pointer b",), ()) == ()


def test_the_last_replica_believed_in_is_never_taken_out() -> None:
    assert may_be_taken_out(N1, RECORD, PARTITION)
    alone = replace(RECORD, inconsistent=frozenset({N2, N3}))
    assert not may_be_taken_out(N1, alone, PARTITION)
    assert may_be_taken_out(N2, alone, PARTITION)
