"""Whether what clients saw of one register can be explained by some order of its operations.

An operation takes effect at one moment between its call and its answer; one whose answer never came, at any moment
after its call or never. The search takes one operation after another that may come next and remembers the states it
has been in (the operations done, and the value), so each is looked at once.

Source: Wing and Gong, "Testing and verifying concurrent objects" (1993); the memory is Lowe's (2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Final

STATES_MAX: Final = 200_000
"""States looked at before the question is given up."""


class Kind(Enum):
    """What an operation does to the register."""

    READ = "read"
    WRITE = "write"
    SWAP = "swap"
    """Compare-and-set."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One operation of a client on one register; None is "does not exist"."""

    kind: Kind
    called_at: float
    answered_at: float = inf
    """inf: it was never said to have taken effect, and may have or not."""
    expected: str | None = None
    """SWAP: the value it starts from."""
    value: str | None = None
    """READ: what was seen; WRITE and SWAP: the new value."""
    label: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it may as well never take effect."""
        return self.answered_at == inf


class Verdict(Enum):
    """What the search found."""

    EXPLAINED = "explained"
    IMPOSSIBLE = "impossible"
    GIVEN_UP = "given up"


def check_register(calls: Sequence[Call], initial: str | None = None, *, states_max: int = STATES_MAX) -> Verdict:
    """Search for an order that explains every answer."""
    ordered = sorted(calls, key=lambda call: (call.called_at, call.answered_at))
    must = sum(1 << number for number, call in enumerate(ordered) if not call.is_open)
    seen: set[tuple[int, str | None]] = set()
    todo: list[tuple[int, str | None]] = [(0, initial)]
    while todo:
        done, value = todo.pop()
        if done & must == must:
            return Verdict.EXPLAINED
        if (done, value) in seen:
            continue
        seen.add((done, value))
        if len(seen) > states_max:
            return Verdict.GIVEN_UP
        todo += _next_states(ordered, done, value)
    return Verdict.IMPOSSIBLE


def _next_states(ordered: Sequence[Call], done: int, value: str | None) -> list[tuple[int, str | None]]:
    """States one operation on. Only what was called before the first outstanding answer can come next."""
    first_answer = inf
    states: list[tuple[int, str | None]] = []
    for number in range((~done & done + 1).bit_length() - 1, len(ordered)):
        call = ordered[number]
        if call.called_at > first_answer:  # whatever comes later was called, and so answered, later still
            break
        if done >> number & 1:
            continue
        first_answer = min(first_answer, call.answered_at)
        match call.kind:
            case Kind.READ if call.value == value:
                states.append((done | 1 << number, value))
            case Kind.WRITE:
                states.append((done | 1 << number, call.value))
            case Kind.SWAP if call.expected == value:
                states.append((done | 1 << number, call.value))
            case _:
                continue
    return states
