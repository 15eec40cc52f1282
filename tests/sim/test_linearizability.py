"""The checker of histories, held against histories whose answer is known."""

from __future__ import annotations

from itertools import permutations
from random import Random

import pytest

from tests.sim.linearizability import Call, Kind, Verdict, check_register

NEVER = float("inf")


def read(start: float, end: float, value: str | None) -> Call:
    return Call(kind=Kind.READ, called_at=start, answered_at=end, value=value)


def write(start: float, end: float, value: str | None) -> Call:
    return Call(kind=Kind.WRITE, called_at=start, answered_at=end, value=value)


def swap(start: float, end: float, expected: str | None, value: str | None) -> Call:
    return Call(kind=Kind.SWAP, called_at=start, answered_at=end, expected=expected, value=value)


GOOD = {
    "nothing happened": [],
    "one after the other": [write(0, 1, "a"), read(2, 3, "a"), swap(4, 5, "a", "b"), read(6, 7, "b")],
    "a read beside a write sees the old value": [write(0, 10, "a"), read(1, 2, None), read(3, 4, "a")],
    "two swaps from one value, the second after the first": [swap(0, 9, None, "a"), swap(0, 9, "a", "b")],
    "an unanswered write is seen later": [write(0, NEVER, "a"), read(5, 6, None), read(7, 8, "a")],
    "an unanswered write is never seen": [write(0, NEVER, "a"), read(5, 6, None), read(7, 8, None)],
    "an unanswered write lands after a later one": [write(0, NEVER, "a"), write(1, 2, "b"), read(3, 4, "a")],
    "an unanswered swap explains another's start": [swap(0, NEVER, None, "a"), swap(5, 6, "a", "b"), read(7, 8, "b")],
    "a deletion": [write(0, 1, "a"), swap(2, 3, "a", None), read(4, 5, None)],
}

BAD = {
    "a read that goes back": [write(0, 1, "a"), write(2, 3, "b"), read(4, 5, "a")],
    "a lost write": [write(0, 1, "a"), read(2, 3, None)],
    "two swaps from one value": [swap(0, 9, None, "a"), swap(0, 9, None, "b")],
    "a value nobody wrote": [write(0, 1, "a"), read(2, 3, "x")],
    "two readers disagree on the order": [
        write(0, 20, "a"),
        write(0, 20, "b"),
        read(1, 2, "a"),
        read(3, 4, "b"),
        read(5, 6, "a"),
    ],
    "an unanswered write takes effect before its call": [read(0, 1, "a"), write(2, NEVER, "a")],
    "an unanswered swap whose start never was": [swap(0, NEVER, "x", "a"), read(5, 6, "a")],
    "a swap refused to none and yet undone": [swap(0, 1, None, "a"), read(2, 3, "a"), swap(4, 5, None, "b")],
}


@pytest.mark.parametrize("name", GOOD)
def test_a_history_that_some_order_explains_is_accepted(name: str) -> None:
    assert check_register(GOOD[name]) is Verdict.EXPLAINED


@pytest.mark.parametrize("name", BAD)
def test_a_history_that_no_order_explains_is_refused(name: str) -> None:
    assert check_register(BAD[name]) is Verdict.IMPOSSIBLE


def test_a_search_without_end_is_given_up() -> None:
    calls = [write(0, NEVER, str(number)) for number in range(20)] + [read(1, 2, "x")]
    assert check_register(calls, states_max=1_000) is Verdict.GIVEN_UP


def test_the_search_agrees_with_trying_every_order() -> None:
    chance = Random(7)
    verdicts = set()
    for _ in range(1_500):
        calls = [_any_call(chance) for _ in range(chance.randint(1, 5))]
        expected = Verdict.EXPLAINED if _is_explained(calls) else Verdict.IMPOSSIBLE
        assert check_register(calls) is expected, calls
        verdicts.add(expected)
    assert verdicts == {Verdict.EXPLAINED, Verdict.IMPOSSIBLE}


def _any_call(chance: Random) -> Call:
    start = chance.randint(0, 8)
    kind = chance.choice(list(Kind))
    is_open = kind is not Kind.READ and chance.random() < 0.25
    return Call(
        kind=kind,
        called_at=start,
        answered_at=NEVER if is_open else start + chance.randint(1, 5),
        expected=chance.choice((None, "a", "b")),
        value=chance.choice((None, "a", "b")),
    )


def _is_explained(calls: list[Call]) -> bool:
    must = [call for call in calls if not call.is_open]
    maybe = [call for call in calls if call.is_open]
    for chosen in range(1 << len(maybe)):
        some = must + [call for number, call in enumerate(maybe) if chosen >> number & 1]
        if any(_explains(order) for order in permutations(some)):
            return True
    return False


def _explains(order: tuple[Call, ...]) -> bool:
    value: str | None = None
    for position, call in enumerate(order):
        if any(later.answered_at < call.called_at for later in order[position + 1 :]):
            return False
        if call.kind is Kind.READ and call.value != value:
            return False
        if call.kind is Kind.SWAP and call.expected != value:
            return False
        if call.kind is not Kind.READ:
            value = call.value
    return True
