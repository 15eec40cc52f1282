"""Answers that cannot change are made once, kept within bounds, and never mixed up."""

from __future__ import annotations

import pytest

from meshnode.base.errors import NotFound
from meshnode.rpc.answer_cache import ANSWER_BYTES_MAX, ENTRY_BYTES, AnswerCache


class Maker:
    """Makes answers of one size and counts."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.made = 0

    async def make(self) -> bytes:
        self.made += 1
        return bytes(self.size)


async def test_answer_is_made_once() -> None:
    cache, maker = AnswerCache(), Maker(10)
    for _ in range(3):
        assert await cache.get(("repository", "question"), maker.make) == bytes(10)
    assert maker.made == 1
    await cache.get(("another repository", "question"), maker.make)
    assert maker.made == 2


async def test_least_used_answer_goes_first() -> None:
    maker = Maker(1_000)
    cache = AnswerCache(bytes_max=2 * (1_000 + ENTRY_BYTES))
    for question in "abac":  # c pushes out b
        await cache.get(question, maker.make)
    assert maker.made == 3
    for question in "ac":
        await cache.get(question, maker.make)
    assert maker.made == 3
    await cache.get("b", maker.make)
    assert maker.made == 4


async def test_huge_answer_is_given_but_not_kept() -> None:
    cache, maker = AnswerCache(), Maker(ANSWER_BYTES_MAX + 1)
    await cache.get("a", maker.make)
    await cache.get("a", maker.make)
    assert maker.made == 2


async def test_failure_is_not_kept() -> None:
    cache, maker = AnswerCache(), Maker(10)

    async def fail() -> bytes:
        raise NotFound("no such object")

    with pytest.raises(NotFound):
        await cache.get("a", fail)
    assert await cache.get("a", maker.make) == bytes(10)
