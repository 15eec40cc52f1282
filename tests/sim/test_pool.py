"""That no seed is lost by the processes that run them: whatever becomes of a worker, its seed is named."""

from __future__ import annotations

import os
from collections.abc import Sequence
from threading import Event

from tests.sim.pool import BLOCK, Counts, Failure, run_many

BAD = 7


def verdict(seed: int) -> tuple[tuple[str, ...], Counts]:
    """Right but for one seed."""
    return (("I1: lost",) if seed == BAD else ()), {"runs": 1, "seeds": seed}


def dying(seed: int) -> tuple[tuple[str, ...], Counts]:
    """One seed takes its process with it."""
    if seed == BAD:
        os._exit(3)
    return verdict(seed)


def raising(seed: int) -> tuple[tuple[str, ...], Counts]:
    """One seed meets a defect of the simulator."""
    if seed == BAD:
        raise KeyError("nothing there")
    return verdict(seed)


def spinning(seed: int) -> tuple[tuple[str, ...], Counts]:
    """One seed computes for ever."""
    while seed == BAD:
        pass
    return verdict(seed)


def standing(seed: int) -> tuple[tuple[str, ...], Counts]:
    """One seed waits for ever."""
    while seed == BAD:
        Event().wait()
    return verdict(seed)


def test_each_seed_is_run_once_and_counted_block_by_block() -> None:
    blocks: list[tuple[range, Sequence[Failure], Counts]] = []
    failed, counts = run_many(0, 2 * BLOCK + 5, 2, on_block=lambda *block: blocks.append(block), run=verdict)
    assert failed == [(BAD, ("I1: lost",))]
    assert counts == {"runs": 2 * BLOCK + 5, "seeds": sum(range(2 * BLOCK + 5))}
    assert sorted(seed for block, _, _ in blocks for seed in block) == list(range(2 * BLOCK + 5))
    assert sum(some["runs"] for _, _, some in blocks) == 2 * BLOCK + 5


def test_a_worker_that_dies_names_its_seed_and_the_others_are_run() -> None:
    assert run_many(0, 10, 1, run=dying) == ([(BAD, ("worker ended with 3",))], {"runs": 9, "seeds": 45 - BAD})


def test_a_defect_of_the_simulator_is_a_failure_of_the_seed() -> None:
    assert run_many(0, 10, 1, run=raising) == ([(BAD, ("KeyError: 'nothing there'",))], {"runs": 10, "seeds": 45 - BAD})


def test_a_seed_that_computes_for_ever_is_ended_and_named() -> None:
    failed, counts = run_many(0, 10, 1, run=spinning, cpu_s_max=1)
    assert failed == [(BAD, ("more than 1 s of processor time",))]
    assert counts["runs"] == 9


def test_a_seed_that_waits_for_ever_is_ended_and_named() -> None:
    failed, counts = run_many(0, 10, 1, run=standing, wall_s_max=5)
    assert failed == [(BAD, ("no end within 5 s by the clock",))]
    assert counts["runs"] == 9
