"""Where a rotation is, from what lies on disk and what is listed; and which key is signed with there."""

from __future__ import annotations

import pytest

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import NodeId
from meshnode.core.rotation import (
    OVERLAP_MS,
    OVERLAP_MS_MIN,
    Phase,
    RotationTimes,
    check_announce,
    decode_times,
    drop_time,
    encode_times,
    phase_of,
    signing_key,
)

TIMES = RotationTimes(node=NodeId("n1"), switch_at_ms=5, drop_at_ms=0, is_finish_wanted=False)


@pytest.mark.parametrize(
    ("current", "successor", "listed", "phase", "signs"),
    [
        ("a", None, ["a"], Phase.IDLE, "a"),
        ("a", "b", ["a"], Phase.MADE, "a"),
        ("a", "b", ["a", "b"], Phase.ANNOUNCED, "a"),
        ("a", "b", ["b", "a"], Phase.SWITCHED, "b"),
        ("a", "b", ["b"], Phase.SWITCHED, "b"),
        ("b", None, ["b", "a"], Phase.OVERLAP, "b"),
        ("b", None, ["a", "b"], Phase.OVERLAP, "b"),
        ("b", "b", ["b", "a"], Phase.OVERLAP, "b"),
        ("b", None, ["b"], Phase.IDLE, "b"),
        ("a", "b", ["x", "a"], Phase.MADE, "a"),
        ("a", "b", ["x"], Phase.MADE, None),
        ("a", None, ["x"], Phase.OVERLAP, None),
    ],
)
def test_phase_and_key_follow_from_files_and_list(
    current: str, successor: str | None, listed: list[str], phase: Phase, signs: str | None
) -> None:
    assert phase_of(current, successor, listed) is phase
    assert signing_key(current, successor, listed) == signs


def test_times_come_back_equal() -> None:
    assert decode_times(encode_times(TIMES)) == TIMES


def test_announcing_has_bounds() -> None:
    assert check_announce(0) == 15
    assert check_announce(60) == 60
    for wrong in (1, 14, 7 * 86_400 + 1):
        with pytest.raises(InvalidRequest):
            check_announce(wrong)


def test_old_key_stays_an_hour_or_as_long_as_a_token_lives() -> None:
    assert drop_time(1_000, TIMES) == 1_000 + OVERLAP_MS
    assert drop_time(1_000, None) == 1_000 + OVERLAP_MS
    finishing = RotationTimes(node=NodeId("n1"), switch_at_ms=5, drop_at_ms=0, is_finish_wanted=True)
    assert drop_time(1_000, finishing) == 1_000 + OVERLAP_MS_MIN
