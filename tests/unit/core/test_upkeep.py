"""Which packs are combined: few rewrites, few packs, and never one that is to be left alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshnode.core.upkeep import FACTOR, PackFacts, plan_combination


def packs(*sizes: int) -> list[PackFacts]:
    return [PackFacts(f"pack-{number:03d}", size) for number, size in enumerate(sizes)]


def sizes(planned: tuple[PackFacts, ...]) -> list[int]:
    return [pack.objects for pack in planned]


def test_few_packs_are_left_alone() -> None:
    assert plan_combination(packs(1, 1, 1), 4) == ()
    assert plan_combination([], 2) == ()
    assert plan_combination(packs(5), 1) == ()


def test_small_packs_go_into_one_and_large_ones_stay() -> None:
    assert sizes(plan_combination(packs(9_000, 5, 7, 9, 100, 400), 4)) == [5, 7, 9]
    assert sizes(plan_combination(packs(1, 1, 1, 1), 4)) == [1, 1, 1, 1]


def test_packs_that_are_in_progression_gain_nothing() -> None:
    assert plan_combination(packs(1, 2, 6, 18, 54), 2) == ()


def test_kept_packs_are_not_touched() -> None:
    kept = PackFacts("pack-kept", 1, is_kept=True)
    planned = plan_combination([kept, *packs(1, 1, 1)], 2)
    assert kept not in planned
    assert sizes(planned) == [1, 1, 1]


@given(st.lists(st.integers(0, 10_000), max_size=60), st.integers(2, 30))
def test_afterwards_every_pack_is_large_against_what_lies_before_it(counts: list[int], packs_min: int) -> None:
    before = packs(*counts)
    planned = plan_combination(before, packs_min)
    assert len(planned) != 1
    if not planned:
        return
    assert len(before) >= packs_min
    rest = sorted(pack.objects for pack in before if pack not in planned)
    total = sum(pack.objects for pack in planned)
    for size in rest:
        assert size >= FACTOR * total
        total += size


@given(st.integers(1, 300))
def test_each_object_is_rewritten_a_few_times_only(pushes: int) -> None:
    current: list[PackFacts] = []
    rewritten = 0
    for number in range(pushes):
        current.append(PackFacts(f"push-{number}", 3))
        planned = plan_combination(current, 10)
        if planned:
            total = sum(pack.objects for pack in planned)
            rewritten += total
            current = [pack for pack in current if pack not in planned] + [PackFacts(f"made-{number}", total)]
    assert len(current) <= 10 + 8
    assert rewritten <= 3 * pushes * 8
