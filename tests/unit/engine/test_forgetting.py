"""Marks of requests go when nobody repeats these any more, and not before."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from meshnode.base.errors import CatalogUnavailable
from meshnode.base.ids import Generation, RepositoryId, RoundId
from meshnode.catalog.memory import CatalogCall, MemoryCatalog
from meshnode.core.keys import REQUESTS
from meshnode.core.request_marks import KEPT_MS, RequestMark, encode_request_mark, request_mark_key
from meshnode.core.round import WriteKind
from meshnode.engine.forgetting import INTERVAL_MS, PAGE, Forgetting
from meshnode.ports import Put


@dataclass
class HandClock:
    """Two clocks, moved by hand."""

    monotonic: int = 0
    wall: int = 10 * KEPT_MS

    def monotonic_ms(self) -> int:
        return self.monotonic

    def wall_ms(self) -> int:
        return self.wall

    async def sleep(self, duration_ms: int) -> None:
        raise AssertionError(f"nobody sleeps {duration_ms} ms here")


def mark(at_ms: int) -> bytes:
    return encode_request_mark(
        RequestMark(
            repository=RepositoryId("1" * 32), round_id=RoundId("2" * 32), generation=Generation(1), at_ms=at_ms
        )
    )


async def keys_of(catalog: MemoryCatalog) -> list[str]:
    return [entry.key for entry in await catalog.range(REQUESTS)]


async def test_old_marks_go_and_young_ones_stay_however_many_there_are() -> None:
    catalog, clock = MemoryCatalog(), HandClock()
    for number in range(2 * PAGE + 7):
        age = KEPT_MS + 1 if number % 2 else KEPT_MS
        await catalog.transact([], [Put(f"{REQUESTS}{number:064d}", mark(clock.wall - age))])
    assert await Forgetting(catalog=catalog, clock=clock).run_once() == PAGE + 3
    assert await keys_of(catalog) == [f"{REQUESTS}{number:064d}" for number in range(0, 2 * PAGE + 7, 2)]


async def test_a_mark_that_cannot_be_read_stays_and_the_others_go(caplog: pytest.LogCaptureFixture) -> None:
    catalog, clock = MemoryCatalog(), HandClock()
    await catalog.transact([], [Put(f"{REQUESTS}a", b"{}"), Put(f"{REQUESTS}b", mark(0))])
    assert await Forgetting(catalog=catalog, clock=clock).run_once() == 1
    assert await keys_of(catalog) == [f"{REQUESTS}a"]
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["request_mark_unreadable"]


async def test_marks_are_looked_at_once_an_hour() -> None:
    catalog, clock = MemoryCatalog(), HandClock()
    forgetting = Forgetting(catalog=catalog, clock=clock)
    assert await forgetting.run_if_due() == 0
    await catalog.transact([], [Put(f"{REQUESTS}a", mark(0))])
    clock.monotonic = INTERVAL_MS - 1
    assert await forgetting.run_if_due() == 0
    clock.monotonic = INTERVAL_MS
    assert await forgetting.run_if_due() == 1


async def test_a_catalog_that_is_away_takes_no_mark_with_it() -> None:
    async def away(_: CatalogCall) -> None:
        raise CatalogUnavailable("away")

    catalog, clock = MemoryCatalog(), HandClock()
    await catalog.transact([], [Put(f"{REQUESTS}a", mark(0))])
    with pytest.raises(CatalogUnavailable):
        await Forgetting(catalog=catalog.client(away), clock=clock).run_once()
    assert await keys_of(catalog) == [f"{REQUESTS}a"]


def test_a_request_is_known_by_who_what_for_and_its_key_and_only_where_it_has_one() -> None:
    def of(kind: WriteKind, *names: str, key: str = "k", actor: str = "a") -> str | None:
        return request_mark_key(kind, names, request_key=key, actor=actor)

    different = [
        of(WriteKind.CREATE, "a/b"),
        of(WriteKind.DELETE, "a/b"),
        of(WriteKind.CREATE, "a/c"),
        of(WriteKind.RENAME, "a/b", "a/c"),
        of(WriteKind.RENAME, "a/c", "a/b"),
        of(WriteKind.CREATE, "a/b", key="l"),
        of(WriteKind.CREATE, "a/b", actor="b"),
    ]
    assert len(set(different)) == len(different)
    assert of(WriteKind.CREATE, "a/b") == of(WriteKind.CREATE, "a/b")
    assert of(WriteKind.CREATE, "a/b", key="") is None
