"""What is kept of many inputs, and how a failing one becomes short."""

from __future__ import annotations

import pytest

from meshnode.git.pktline import PacketParser
from tests.fuzz import targets
from tests.fuzz.minimise import minimise, shrink
from tests.fuzz.run import seeds


def _parse(data: bytes) -> None:
    parser = PacketParser()
    parser.feed(data)
    while (packet := parser.next()) is not None:
        assert b"x" not in packet if isinstance(packet, bytes) else True


def test_the_shortest_input_of_each_path_is_kept() -> None:
    kept = minimise(_parse, [b"0005a", b"0005b", b"0006ab", b"0000", b"0000", b"", b"00"])
    assert kept == [b"", b"0000", b"0005a"]
    assert minimise(_parse, reversed([b"0005b", b"0005a", *kept])) == kept


def test_nothing_is_kept_of_nothing() -> None:
    assert minimise(_parse, []) == []


def test_a_failing_input_is_cut_to_what_fails() -> None:
    long = b"0005a" * 30 + b"0005x" + b"0005b" * 30
    short = shrink(_parse, long)
    assert len(short) < len(long) // 2
    with pytest.raises(AssertionError):
        _parse(short)


def test_an_input_that_holds_is_left_alone() -> None:
    assert shrink(_parse, b"0005a") == b"0005a"


def test_seeds_of_a_target_are_the_same_each_time_and_fit() -> None:
    target = targets.load("pktline")
    made = seeds(target)
    assert len(made) > 50
    assert made == seeds(target)
    assert all(len(data) <= targets.INPUT_BYTES_MAX for data in made)
