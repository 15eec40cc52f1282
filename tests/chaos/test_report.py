"""The figures of a run: windows without a success, and whether a quorum had been left alone then."""

from __future__ import annotations

from math import inf

from tests.chaos.history import FaultEvent
from tests.chaos.report import RECOVERY_S, Windows, spans_with_quorum, windows_of, within


def test_windows_are_the_long_gaps_between_successes_and_at_both_ends() -> None:
    windows = windows_of([1.0, 1.2, 1.3, 4.3, 4.4, 9.9], 0.0, 9.0)
    assert windows.spans == [(0.0, 1.0), (1.3, 4.3), (4.4, 9.0)]
    assert (windows.max_s, windows.p99_s) == (4.6, 4.6)
    assert round(windows.total_s, 3) == 8.6


def test_without_a_success_everything_is_one_window() -> None:
    assert windows_of([], 0.0, 9.0).spans == [(0.0, 9.0)]
    assert (Windows([]).max_s, Windows([]).p99_s) == (0.0, 0.0)


def test_99_of_100_windows_are_not_longer_than_the_p99() -> None:
    assert Windows([(0.0, float(number)) for number in range(1, 201)]).p99_s == 198.0


def test_one_of_three_may_be_hurt_and_two_may_not_until_they_had_time_to_recover() -> None:
    faults = [
        FaultEvent(kind="killed", victims=["n1"], begun_at=10, ended_at=20),
        FaultEvent(kind="paused", victims=["n2"], begun_at=15, ended_at=16),
        FaultEvent(kind="slow", victims=["n1"], begun_at=15, ended_at=30),
        FaultEvent(kind="killed", victims=["e1", "e2"], begun_at=60, ended_at=61),
        FaultEvent(kind="netsplit", victims=["n3", "e3"], begun_at=80, ended_at=inf),
    ]
    spans = spans_with_quorum(faults, 3, 0, 100)
    assert spans == [(0, 15), (16 + RECOVERY_S, 60), (61 + RECOVERY_S, 100)]


def test_of_five_nodes_two_may_be_hurt() -> None:
    faults = [FaultEvent(kind="killed", victims=["n1", "n2"], begun_at=10, ended_at=20)]
    assert spans_with_quorum(faults, 5, 0, 50) == [(0, 50)]
    faults.append(FaultEvent(kind="cut", victims=["n3"], begun_at=12, ended_at=13))
    assert spans_with_quorum(faults, 5, 0, 50) == [(0, 12), (13 + RECOVERY_S, 50)]


def test_the_part_of_a_window_that_lies_in_a_span_counts() -> None:
    parts = within(Windows([(0.0, 10.0), (20.0, 21.0)]), [(8.0, 20.3), (20.4, 30.0)])
    assert parts.spans == [(8.0, 10.0), (20.4, 21.0)]
