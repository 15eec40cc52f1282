"""What the ways between nodes mean: who is cut off, who is far, and what a write waits for."""

from __future__ import annotations

import pytest

from meshnode.base.errors import Corrupt
from meshnode.base.ids import NodeId
from meshnode.core.round_trips import (
    STALE_MS,
    WARNINGS_MAX,
    RoundTrip,
    RoundTripReport,
    decode_report,
    encode_report,
    plan_warnings,
    wait_for_votes_us,
)

NOW_MS = 1_700_000_000_000


def report(node: str, at_ms: int = NOW_MS, **ways_us: int) -> RoundTripReport:
    """Ways in microseconds; 0: unreachable since a minute."""
    trips = tuple(
        RoundTrip(
            peer=NodeId(peer), min_us=us, median_us=us, samples=9, unreachable_since_ms=0 if us else NOW_MS - 60_000
        )
        for peer, us in ways_us.items()
    )
    return RoundTripReport(node=NodeId(node), at_ms=at_ms, trips=trips)


def warnings(*reports: RoundTripReport, online: str = "n1 n2 n3", factor: int = 3) -> tuple[str, ...]:
    nodes = [NodeId(node) for node in online.split()]
    return plan_warnings(reports, online=nodes, factor=factor, warn_ms=5, now_ms=NOW_MS)


def test_a_report_reads_as_it_was_written_and_another_is_not_believed() -> None:
    told = report("n1", n2=2_000, n3=0)
    assert decode_report(encode_report(told)) == told
    with pytest.raises(Corrupt):
        decode_report(encode_report(told).replace(b'"min_us":2000', b'"min_us":"2"'))


def test_near_nodes_are_nothing_to_speak_of() -> None:
    assert warnings(report("n1", n2=2_000, n3=4_900), report("n2", n1=5_000, n3=1)) == ()


def test_two_nodes_far_apart_are_named_once_with_the_worse_figure() -> None:
    assert warnings(report("n1", n2=1_000, n3=20_000), report("n3", n1=21_000, n2=1_000)) == (
        "n1 and n3 are 21.0 ms apart, more than 5 ms (replication.round_trip_warn_ms)",
    ), "two of three are near each other, so no write waits for the third"


def test_a_write_waits_for_the_slowest_that_its_quorum_needs() -> None:
    assert wait_for_votes_us(report("n1", n2=2_000, n3=9_000), factor=3) == 2_000
    assert wait_for_votes_us(report("n1", n2=2_000, n3=9_000, n4=7_000, n5=8_000), factor=5) == 7_000
    assert wait_for_votes_us(report("n1", n2=0, n3=9_000), factor=3) == 9_000
    assert wait_for_votes_us(report("n1", n2=0, n3=0), factor=3) == 0, "no quorum: it waits for ever"
    assert wait_for_votes_us(report("n1"), factor=3) == 0
    assert wait_for_votes_us(report("n1", n2=4_000), factor=1) == 0
    told = warnings(report("n3", n1=20_000, n2=30_000))
    assert told[-1] == "each write led by n3 waits 20.0 ms or more: the way to the slowest peer that its quorum needs"


def test_who_cannot_be_reached_is_named_with_by_whom_and_since_when() -> None:
    assert warnings(report("n2", n1=1_000, n3=0), report("n1", n2=1_000, n3=0)) == (
        "n3 cannot be reached from n1, n2 since 2023-11-14T22:12:20Z",
    )


def test_what_a_dead_node_said_or_anyone_long_ago_is_no_warning() -> None:
    assert warnings(report("n3", n1=50_000), online="n1 n2") == ()
    assert warnings(report("n1", NOW_MS - STALE_MS - 1, n2=50_000)) == ()


def test_there_are_not_more_warnings_than_one_reads() -> None:
    far = [
        report(f"n{number}", **{f"n{other}": 50_000 for other in range(1, 9) if other != number})
        for number in range(1, 9)
    ]
    told = warnings(*far, online=" ".join(f"n{number}" for number in range(1, 9)))
    assert len(told) == WARNINGS_MAX + 1
    assert told[-1] == "and 16 more about round trips"
