"""One answer for all who ask the same: who gets it, what it costs whom, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest

from meshnode.base.errors import Corrupt, Overloaded
from meshnode.git.shared_answers import ANSWERS_MAX, KEPT_S, RETRY_S, SMALL_BYTES, SharedAnswers, packs_bytes
from tests.sim.virtual_time import run_virtual

SNAPSHOT = object()


class Making:
    """A maker that is told when to go on."""

    def __init__(self, *pieces: bytes, error: Exception | None = None, is_whole: bool = True) -> None:
        self.pieces = pieces
        self.error = error
        self.whole = is_whole
        self.may_go_on = asyncio.Event()
        self.begun = asyncio.Event()
        self.is_ended = False

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        self.begun.set()
        try:
            for number, piece in enumerate(self.pieces):
                if number:
                    await self.may_go_on.wait()
                yield piece
            if self.error is not None:
                raise self.error
        finally:
            self.is_ended = True

    def is_whole(self) -> bool:
        return self.whole


class Site:
    """Shared answers, with what was counted."""

    def __init__(
        self, directory: Path = Path("/nowhere"), bytes_max: int = 1 << 30, **options: Callable[[Path], int]
    ) -> None:
        self.counted: list[str] = []
        self.answers = SharedAnswers(directory, bytes_max, self.counted.append, **options)

    def ask(
        self, making: Making, key: str = "k", *, snapshot: object = SNAPSHOT, size: int = 1
    ) -> AsyncGenerator[bytes, None]:
        async def expect_bytes() -> int:
            return size

        return self.answers.stream(key, snapshot, make=lambda: making, expect_bytes=expect_bytes, chunk_bytes=1 << 18)


async def whole(answer: AsyncGenerator[bytes, None]) -> bytes:
    return b"".join([chunk async for chunk in answer])


def play(story: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await story()

    run_virtual(run())


def test_who_asks_meanwhile_or_within_a_minute_gets_the_same_answer_from_its_beginning() -> None:
    async def story() -> None:
        site, making = Site(), Making(b"one", b"two", b"three")
        first = site.ask(making)
        assert await anext(first) == b"one"
        second = site.ask(Making(b"never"))
        assert await anext(second) == b"one"
        making.may_go_on.set()
        assert await whole(first) == await whole(second) == b"twothree"
        assert await whole(site.ask(Making(b"never"))) == b"onetwothree"
        await asyncio.sleep(KEPT_S + 1)
        assert await whole(site.ask(Making(b"again"))) == b"again"
        assert site.counted == ["made", "shared", "shared", "made"]

    play(story)


def test_another_question_or_other_references_have_an_answer_of_their_own() -> None:
    async def story() -> None:
        site = Site()
        assert await whole(site.ask(Making(b"a"))) == b"a"
        assert await whole(site.ask(Making(b"b"), "other")) == b"b"
        assert await whole(site.ask(Making(b"c"), snapshot=object())) == b"c"
        assert site.counted == ["made"] * 3

    play(story)


def test_one_reader_who_leaves_disturbs_nobody_and_the_last_one_ends_the_work() -> None:
    async def story() -> None:
        site, making = Site(), Making(b"one", b"two")
        first, second = site.ask(making), site.ask(Making())
        assert (await anext(first), await anext(second)) == (b"one", b"one")
        await first.aclose()
        assert not making.is_ended
        await second.aclose()
        assert making.is_ended
        assert await whole(site.ask(Making(b"anew"))) == b"anew"

    play(story)


def test_a_cancelled_reader_ends_the_work_before_it_is_gone() -> None:
    async def story() -> None:
        site, making = Site(), Making(b"one", b"two")
        reading = asyncio.ensure_future(whole(site.ask(making)))
        await making.begun.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert making.is_ended

    play(story)


def test_an_error_is_for_all_who_wait_and_for_nobody_after() -> None:
    async def story() -> None:
        site, making = Site(), Making(b"one", b"two", error=Corrupt("bad object"))
        first, second = site.ask(making), site.ask(Making())
        assert (await anext(first), await anext(second)) == (b"one", b"one")
        making.may_go_on.set()
        for reader in (first, second):
            with pytest.raises(Corrupt, match="bad object"):
                await whole(reader)
        assert await whole(site.ask(Making(b"anew"))) == b"anew"

    play(story)


def test_a_complaint_is_told_once_and_not_kept() -> None:
    async def story() -> None:
        site = Site()
        assert await whole(site.ask(Making(b"ERR not our ref", is_whole=False))) == b"ERR not our ref"
        assert await whole(site.ask(Making(b"fine"))) == b"fine"
        assert site.counted == ["made", "made"]

    play(story)


def test_what_has_no_room_is_made_for_one_alone_and_idle_answers_make_room() -> None:
    async def story() -> None:
        site = Site(bytes_max=8 << 20)
        assert await whole(site.ask(Making(b"large"), size=(2 << 20) + 1)) == b"large"
        assert site.counted == ["alone"]
        for number in range(5):
            assert await whole(site.ask(Making(b"x"), f"k{number}", size=2 << 20)) == b"x"
        assert await whole(site.ask(Making(), "k4", size=2 << 20)) == b"x"
        assert await whole(site.ask(Making(b"gone"), "k0", size=2 << 20)) == b"gone", "the oldest made room"
        assert site.counted[1:] == ["made"] * 5 + ["shared", "made"]
        busy = [site.ask(Making(b"1", b"2"), f"busy{number}", size=2 << 20) for number in range(4)]
        for one in busy:
            await anext(one)
        assert await whole(site.ask(Making(b"alone"), "late", size=2 << 20)) == b"alone"
        assert site.counted[-1] == "alone"
        for one in busy:
            await one.aclose()
        none = Site(bytes_max=0)
        assert await whole(none.ask(Making(b"x"))) == b"x"
        assert none.counted == ["alone"]

    play(story)


def test_an_answer_that_nobody_else_gets_takes_its_room_until_its_last_reader_has_left() -> None:
    async def story() -> None:
        site = Site(bytes_max=8 << 20)
        slow = []
        for _ in range(4):  # one generation after the other, each with a client that takes its time
            making = Making(b"1", b"2")
            reader = site.ask(making, snapshot=object(), size=2 << 20)
            assert await anext(reader) == b"1"
            making.may_go_on.set()
            slow.append(reader)
        assert await whole(site.ask(Making(b"x"), size=2 << 20)) == b"x"
        assert site.counted == ["made"] * 4 + ["alone"]
        for reader in slow:
            assert await whole(reader) == b"2"
        assert await whole(site.ask(Making(b"x"), size=2 << 20)) == b"x"
        assert site.counted[-1] == "made"

    play(story)


async def test_an_answer_that_makes_room_gives_its_file_back_at_once(tmp_path: Path) -> None:
    site = Site(tmp_path, bytes_max=4 * SMALL_BYTES)
    before = len(await asyncio.to_thread(os.listdir, "/proc/self/fd"))
    for number in range(6):
        making = Making(bytes(SMALL_BYTES), b"more")
        making.may_go_on.set()
        assert len(await whole(site.ask(making, str(number)))) == SMALL_BYTES + 4
        del making
    gc.collect()
    kept = len(await asyncio.to_thread(os.listdir, "/proc/self/fd")) - before
    assert kept == 3, "each is a little over a quarter of the room"


def test_no_more_answers_are_kept_than_files_may_be_open_for() -> None:
    async def story() -> None:
        site = Site(bytes_max=1 << 40)
        for number in range(ANSWERS_MAX + 1):
            assert await whole(site.ask(Making(b"x"), str(number))) == b"x"
        assert await whole(site.ask(Making(b"anew"), "0")) == b"anew"

    play(story)


async def test_a_long_answer_lies_in_a_file_that_has_no_name(tmp_path: Path) -> None:
    site, noise = Site(tmp_path), os.urandom(SMALL_BYTES)
    making = Making(noise[:7], noise[7:], noise, b"end")
    making.may_go_on.set()
    expected = noise + noise + b"end"
    slow = site.ask(making)
    head = await anext(slow)
    assert await whole(site.ask(Making())) == expected
    assert making.is_ended, "it is done at its own pace, not at a slow reader's"
    assert not await asyncio.to_thread(os.listdir, tmp_path)
    assert head + await whole(slow) == expected


async def test_a_full_disk_is_told_and_the_next_ones_have_answers_of_their_own() -> None:
    site = Site(Path("/"), open_file=lambda _: os.open("/dev/full", os.O_RDWR))
    making = Making(b"x", bytes(SMALL_BYTES))
    making.may_go_on.set()
    with pytest.raises(Overloaded):
        await whole(site.ask(making))
    assert making.is_ended
    assert await whole(site.ask(Making(b"direct"))) == b"direct"
    assert site.counted == ["made", "alone"]
    assert RETRY_S > 0


async def test_two_who_ask_first_at_once_have_one_answer_made() -> None:
    site, making = Site(), Making(b"one")
    answers = await asyncio.gather(*(whole(site.ask(making)) for _ in range(5)))
    assert answers == [b"one"] * 5
    assert sorted(site.counted) == ["made"] + ["shared"] * 4


def test_the_packs_of_a_fork_are_its_parents_too(tmp_path: Path) -> None:
    parent, fork = tmp_path / "parent", tmp_path / "fork"
    for number, repository in enumerate((parent, fork), start=1):
        (repository / "objects" / "pack").mkdir(parents=True)
        (repository / "objects" / "info").mkdir()
        (repository / "objects" / "pack" / "p.pack").write_bytes(bytes(10**number))
        (repository / "objects" / "pack" / "p.idx").write_bytes(bytes(1_000))
    (fork / "objects" / "info" / "alternates").write_text("../../parent/objects\n")
    assert packs_bytes(parent) == 10
    assert packs_bytes(fork) == 110
    (parent / "objects" / "info" / "alternates").write_text("../../fork/objects\n")  # a ring ends
    assert packs_bytes(fork) == 110
    with contextlib.suppress(FileNotFoundError):
        assert packs_bytes(tmp_path / "none") == 0
