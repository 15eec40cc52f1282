"""Tokens of mutating calls are good once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.auth.replay import ReplayCache
from meshnode.base.errors import InvalidRequest, Overloaded, Unauthenticated


def test_token_is_refused_the_second_time_and_for_the_whole_window() -> None:
    cache = ReplayCache(1_000, 10)
    cache.remember("app:web", "a", 0)
    for now_ms in (0, 1, 999, 1_000):
        with pytest.raises(Unauthenticated, match="used before"):
            cache.remember("app:web", "a", now_ms)


def test_refused_replay_does_not_prolong_the_memory() -> None:
    cache = ReplayCache(1_000, 10)
    cache.remember("app:web", "a", 0)
    with pytest.raises(Unauthenticated):
        cache.remember("app:web", "a", 900)
    cache.remember("app:web", "a", 1_001)


def test_same_id_of_another_issuer_is_another_token() -> None:
    cache = ReplayCache(1_000, 10)
    cache.remember("app:web", "a", 0)
    cache.remember("node:n1", "a", 0)
    assert len(cache) == 2


def test_full_cache_refuses_rather_than_forgets_and_says_when_to_come_back() -> None:
    cache = ReplayCache(1_000, 2)
    cache.remember("app:web", "a", 0)
    cache.remember("app:web", "b", 300)
    with pytest.raises(Overloaded) as refusal:
        cache.remember("app:web", "c", 400)
    assert refusal.value.fields["retry_after_ms"] == 601
    with pytest.raises(Unauthenticated):
        cache.remember("app:web", "a", 400)
    cache.remember("app:web", "c", 400 + 601)
    assert len(cache) == 2


def test_cache_without_window_or_room_cannot_be_made() -> None:
    for window_ms, entries_max in ((0, 1), (1, 0)):
        with pytest.raises(InvalidRequest):
            ReplayCache(window_ms, entries_max)


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 400)), max_size=40))
def test_no_token_is_taken_twice_within_a_window(steps: list[tuple[str, int]]) -> None:
    cache = ReplayCache(1_000, 3)
    taken: dict[str, int] = {}
    now_ms = 0
    for jti, pause_ms in steps:
        now_ms += pause_ms
        try:
            cache.remember("app:web", jti, now_ms)
        except (Unauthenticated, Overloaded):
            continue
        assert jti not in taken or now_ms - taken[jti] > 1_000
        taken[jti] = now_ms
        assert len(cache) <= 3
