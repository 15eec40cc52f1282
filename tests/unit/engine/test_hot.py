"""One node's counts: a window that moves, and memory that does not grow with the number of repositories."""

from __future__ import annotations

from typing import Any

from meshnode.base.ids import NodeId
from meshnode.engine.hot import KEPT_MAX, MINUTES, HotCounter
from meshnode.telemetry.access import Access
from tests.unit.rpc.fakes import SystemClock


class Hand(SystemClock):
    """A clock that is set by hand."""

    now_ms = 1_000_000

    def monotonic_ms(self) -> int:
        return self.now_ms


def request(repository: str = "team/one", kind: str = "accessor", **fields: Any) -> Access:
    return Access(server="http", method="upload-pack", kind=kind, node="n1", repository=repository, **fields)


def test_reads_writes_bytes_and_git_are_counted_where_they_were_answered() -> None:
    counter = HotCounter(NodeId("n1"), Hand())
    counter.note(request(bytes_out=100, git_ms=30))
    counter.note(request(kind="mutator", bytes_in=50))
    for ignored in (
        request(forwarded_to="n2"),
        request(outcome="NOT_FOUND"),
        request(repository=""),
        request(kind="maintenance"),
    ):
        counter.note(ignored)
    report = counter.report(600, 10)
    (counts,) = report.repositories.values()
    assert (counts.reads, counts.writes, counts.bytes_in, counts.bytes_out, counts.git_ms) == (1, 1, 50, 100, 30)
    assert (report.node, report.missed_work) == ("n1", 0)
    assert report.cores >= 1


def test_the_window_moves_and_says_how_much_of_it_was_seen() -> None:
    clock = Hand()
    counter = HotCounter(NodeId("n1"), clock)
    counter.note(request())
    clock.now_ms += 30_000
    assert counter.report(600, 10).observed_s == 30
    clock.now_ms += 10 * 60_000
    assert counter.report(600, 10).repositories == {}
    assert counter.report(3_600, 10).repositories["team/one"].reads == 1
    clock.now_ms += MINUTES * 60_000
    counter.note(request())
    assert counter.report(3_600, 10).repositories["team/one"].reads == 1
    assert counter.report(3_600, 10).observed_s <= 3_600


def test_memory_is_bounded_and_the_heavy_ones_stay_among_any_number_of_light_ones() -> None:
    counter = HotCounter(NodeId("n1"), Hand())
    for number in range(20 * KEPT_MAX):
        counter.note(request(repository=f"team/light-{number}"))
        if number % 10 == 0:
            counter.note(request(repository="team/heavy", git_ms=5))
    report = counter.report(600, 3)
    assert next(iter(report.repositories)) == "team/heavy"
    assert report.repositories["team/heavy"].reads == 2 * KEPT_MAX
    assert len(counter._minutes[Hand.now_ms // 60_000 % MINUTES].counts) <= KEPT_MAX
    assert report.missed_work > 0
