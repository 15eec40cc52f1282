# ruff: noqa: ASYNC220, ASYNC240 - files and processes of the test's own; nothing else runs on its loop
"""The sqlite catalog when its file is locked, damaged, full, moved, or shared with a process that dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from meshnode.base.errors import CatalogUnavailable, Corrupt, InvalidRequest, OutcomeUnknown
from meshnode.catalog.sqlite import QUEUE_MAX, SqliteCatalog
from meshnode.catalog.sqlite_file import CHANGES_MAX, boottime_ms
from meshnode.ports import Compare, Delete, Put, WatchEvent

DEADLINE_S = 15.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.db"


@pytest.fixture
async def catalog(path: Path) -> AsyncIterator[SqliteCatalog]:
    catalog = await SqliteCatalog.open(path, deadline_ms=5_000)
    yield catalog
    await catalog.close()


@contextlib.contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection of another program's."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


async def value_of(catalog: SqliteCatalog, key: str) -> bytes | None:
    (entry,) = await catalog.get([key])
    return None if entry is None else entry.value


# ---------------------------------------------------------------- locks and processes


async def test_a_file_locked_beyond_the_deadline_refuses_writes_and_still_serves_reads(path: Path) -> None:
    catalog = await SqliteCatalog.open(path, deadline_ms=400)
    await catalog.transact([], [Put("a", b"1")])
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        began_s = time.monotonic()
        writing = asyncio.ensure_future(catalog.transact([], [Put("a", b"2")]))
        assert await value_of(catalog, "a") == b"1"
        with pytest.raises(CatalogUnavailable, match="locked by another process"):
            await writing
        assert time.monotonic() - began_s < 10
        other.execute("ROLLBACK")
    assert await catalog.transact([], [Put("a", b"3")]) is not None
    assert await value_of(catalog, "a") == b"3"
    await catalog.close()


async def test_a_lock_held_for_a_moment_is_waited_for(catalog: SqliteCatalog, path: Path) -> None:
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.ensure_future(catalog.transact([], [Put("a", b"1")]))
        await asyncio.wait({writing}, timeout=0.1)
        other.execute("ROLLBACK")
        assert await writing is not None


MIDWAY = """
import sys, time
from pathlib import Path
from meshnode.catalog.sqlite_schema import open_connection
connection = open_connection(Path(sys.argv[1]), 1000)
connection.execute("BEGIN IMMEDIATE")
connection.execute("INSERT INTO entries VALUES ('half', x'00', 1, 0)")
connection.execute("UPDATE state SET revision = 1000")
print("midway", flush=True)
sys.stdin.read()
"""


async def test_a_process_killed_within_a_transaction_leaves_nothing_of_it(catalog: SqliteCatalog, path: Path) -> None:
    revision = await catalog.transact([], [Put("a", b"1")])
    with subprocess.Popen(
        [sys.executable, "-c", MIDWAY, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == b"midway\n"
        process.kill()
    assert await catalog.get(["half"]) == [None]
    assert revision is not None
    assert await catalog.transact([Compare("half", 0)], [Put("a", b"2")]) == revision + 1


COUNTER = """
import asyncio, sys
from pathlib import Path
from meshnode.catalog.sqlite import SqliteCatalog
from meshnode.ports import Compare, Put

async def main():
    catalog = await SqliteCatalog.open(Path(sys.argv[1]), deadline_ms=10_000)
    wins = 0
    while wins < 25:
        (entry,) = await catalog.get(["counter"])
        count, revision = (int(entry.value), entry.revision) if entry else (0, 0)
        put = Put("counter", str(count + 1).encode())
        wins += await catalog.transact([Compare("counter", revision)], [put]) is not None
    await catalog.close()

asyncio.run(main())
"""


async def test_processes_that_make_the_file_together_count_together(path: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", COUNTER, str(path)]) for _ in range(3)]
    try:
        async with asyncio.timeout(4 * DEADLINE_S):
            codes = [await asyncio.to_thread(process.wait) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert codes == [0, 0, 0]
    catalog = await SqliteCatalog.open(path)
    assert await value_of(catalog, "counter") == b"75"
    await catalog.close()


# ---------------------------------------------------------------- the file


async def test_a_missing_directory_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="directory does not exist"):
        await SqliteCatalog.open(tmp_path / "none" / "catalog.db")


async def test_a_relative_path_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="must be absolute"):
        await SqliteCatalog.open(Path("catalog.db"))


async def test_a_directory_in_the_files_place_is_told_as_such(path: Path) -> None:
    path.mkdir()
    with pytest.raises(CatalogUnavailable, match="cannot be opened"):
        await SqliteCatalog.open(path)


async def test_a_new_file_is_readable_by_its_owner_only(catalog: SqliteCatalog, path: Path) -> None:
    await catalog.transact([], [Put("a", b"")])
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


async def test_a_file_that_is_no_database_is_corrupt_and_is_not_written_to(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(Corrupt, match="damaged"):
        await SqliteCatalog.open(path)
    assert path.read_bytes() == b"not a database at all" * 100


async def test_another_programs_database_is_refused_and_not_written_to(path: Path) -> None:
    with raw(path) as other:
        other.execute("CREATE TABLE theirs(x)")
    with pytest.raises(InvalidRequest, match="another program"):
        await SqliteCatalog.open(path)
    with raw(path) as other:
        assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]


async def test_a_newer_format_is_refused(path: Path) -> None:
    await (await SqliteCatalog.open(path)).close()
    with raw(path) as other:
        other.execute("PRAGMA user_version = 2")
    with pytest.raises(InvalidRequest, match="another format"):
        await SqliteCatalog.open(path)


async def test_a_damaged_page_is_found_when_the_file_is_opened(path: Path) -> None:
    catalog = await SqliteCatalog.open(path)
    for number in range(50):
        await catalog.transact([], [Put(f"k{number}", bytes(1_000))])
    await catalog.close()
    content = bytearray(path.read_bytes())
    content[5 * 4_096 : 9 * 4_096] = os.urandom(4 * 4_096)
    path.write_bytes(content)
    with pytest.raises(Corrupt, match="damaged"):
        await SqliteCatalog.open(path)


async def test_a_truncated_file_is_found_when_it_is_opened(path: Path) -> None:
    catalog = await SqliteCatalog.open(path)
    for number in range(50):
        await catalog.transact([], [Put(f"k{number}", bytes(1_000))])
    await catalog.close()
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(Corrupt, match="damaged"):
        await SqliteCatalog.open(path)


async def test_a_file_that_was_moved_away_or_replaced_is_not_used_any_more(catalog: SqliteCatalog, path: Path) -> None:
    await catalog.transact([], [Put("a", b"1")])
    path.rename(path.with_suffix(".moved"))
    with pytest.raises(CatalogUnavailable, match="is gone"):
        await catalog.transact([], [Put("a", b"2")])
    shutil.copy(path.with_suffix(".moved"), path)
    with pytest.raises(CatalogUnavailable, match="was replaced"):
        await catalog.get(["a"])
    path.with_suffix(".moved").rename(path)
    assert await value_of(catalog, "a") == b"1"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory that holds 512 KiB where this user may mount, else one that is not small."""
    directory = tmp_path / "small"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k,mode=0700", "meshnode-test", str(directory)]
    is_mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        yield directory
    finally:
        if is_mounted:
            subprocess.run(["umount", str(directory)], check=True)


async def test_a_full_disk_refuses_writes_and_keeps_what_was_written(small_disk: Path) -> None:
    catalog = await SqliteCatalog.open(small_disk / "catalog.db")
    if not small_disk.is_mount():
        file = catalog._writer._file
        assert file is not None
        file._connection.execute("PRAGMA max_page_count = 60")
    written = 0

    async def fill() -> None:
        nonlocal written
        while written < 1_000:
            await catalog.transact([Compare(f"k{written}", 0)], [Put(f"k{written}", bytes(10_000))])
            written += 1

    with pytest.raises(CatalogUnavailable, match="no space left"):
        await fill()
    assert written > 0
    assert [entry.key for entry in await catalog.range("k")] == sorted(f"k{number}" for number in range(written))
    assert await catalog.get([f"k{written}"]) == [None]
    await catalog.close()


LIMITED = """
import asyncio, resource, sys
from pathlib import Path
from meshnode.base.errors import CatalogUnavailable, OutcomeUnknown
from meshnode.catalog.sqlite import SqliteCatalog
from meshnode.ports import Put

async def main():
    catalog = await SqliteCatalog.open(Path(sys.argv[1]))
    await catalog.transact([], [Put("a", b"before")])
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    try:
        for number in range(100):
            await catalog.transact([], [Put("a", bytes(10_000))])
    except (CatalogUnavailable, OutcomeUnknown) as error:
        print(type(error).__name__, await catalog.get(["a"]) != [None])

asyncio.run(main())
"""


async def test_a_failing_write_never_counts_as_done(path: Path) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", LIMITED, str(path), stdout=subprocess.PIPE)
    async with asyncio.timeout(DEADLINE_S):
        out, _ = await process.communicate()
    assert out.decode().split() in (["OutcomeUnknown", "True"], ["CatalogUnavailable", "True"])
    catalog = await SqliteCatalog.open(path)
    assert await catalog.transact([], [Put("a", b"after")]) is not None
    await catalog.close()


# ---------------------------------------------------------------- time


class StuckClock:
    """CLOCK_BOOTTIME, until it is told to hold up whoever asks: a disk that does not answer."""

    def __init__(self) -> None:
        self.is_free = threading.Event()
        self.is_free.set()
        self.is_asked = threading.Event()

    def __call__(self) -> int:
        self.is_asked.set()
        assert self.is_free.wait(DEADLINE_S)
        return boottime_ms()


async def test_a_write_that_began_and_does_not_end_is_unknown_and_one_behind_it_is_taken_back(path: Path) -> None:
    clock = StuckClock()
    catalog = await SqliteCatalog.open(path, deadline_ms=300, now_ms=clock)
    clock.is_free.clear()
    stuck = asyncio.ensure_future(catalog.transact([], [Put("a", b"1")]))
    behind = asyncio.ensure_future(catalog.transact([], [Put("b", b"1")]))
    cancelled = asyncio.ensure_future(catalog.transact([], [Put("c", b"1")]))
    try:
        await asyncio.to_thread(clock.is_asked.wait, DEADLINE_S)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        with pytest.raises(CatalogUnavailable, match="does not answer"):
            await catalog.range("a")
        with pytest.raises(OutcomeUnknown, match="does not answer"):
            await stuck
        with pytest.raises(CatalogUnavailable, match="too busy"):
            await behind
        with pytest.raises(CatalogUnavailable, match="too busy"):
            await catalog.keep_lease(1)
    finally:
        clock.is_free.set()
    await catalog.transact([], [Put("d", b"1")])
    assert [await value_of(catalog, key) for key in "abcd"] == [b"1", None, None, b"1"]
    await catalog.close()


async def test_more_requests_than_the_queue_holds_are_refused(path: Path) -> None:
    clock = StuckClock()
    catalog = await SqliteCatalog.open(path, deadline_ms=10_000, now_ms=clock)
    clock.is_free.clear()
    try:
        asking = [asyncio.ensure_future(catalog.range("a")) for _ in range(QUEUE_MAX + 1)]
        with pytest.raises(CatalogUnavailable, match="too many requests"):
            await asking.pop()
    finally:
        clock.is_free.set()
    async with asyncio.timeout(DEADLINE_S):
        assert await asyncio.gather(*asking) == [[]] * QUEUE_MAX
    await catalog.close()


async def test_closing_takes_back_what_waits(path: Path) -> None:
    clock = StuckClock()
    catalog = await SqliteCatalog.open(path, deadline_ms=5_000, now_ms=clock)
    clock.is_free.clear()
    try:
        running = asyncio.ensure_future(catalog.transact([], [Put("a", b"1")]))
        waiting = asyncio.ensure_future(catalog.transact([], [Put("b", b"1")]))
        await asyncio.to_thread(clock.is_asked.wait, DEADLINE_S)
        closing = asyncio.ensure_future(catalog.close())
        with pytest.raises(CatalogUnavailable, match="closed"):
            await waiting
    finally:
        clock.is_free.set()
    assert await running is not None
    await closing


async def test_a_lease_from_before_a_reboot_is_over(path: Path) -> None:
    before = await SqliteCatalog.open(path, now_ms=lambda: 1_000_000)
    lease = await before.open_lease(5_000)
    await before.transact([], [Put("online/n1", b"", lease), Put("nodes/n1", b"")])
    await before.close()
    after = await SqliteCatalog.open(path, now_ms=lambda: 100)
    assert await after.get(["online/n1"]) == [None]
    assert await after.range("online/") == []
    assert await after.keep_lease(lease) is False
    assert all(await after.get(["nodes/n1"]))
    await after.close()


# ---------------------------------------------------------------- the change log


async def test_a_watch_further_behind_than_the_change_log_is_told_to_read_everything(
    catalog: SqliteCatalog, path: Path
) -> None:
    hints = catalog.watch("a/")
    async with asyncio.timeout(DEADLINE_S):
        assert (await anext(hints)).key == ""
        with raw(path) as other:
            other.execute("UPDATE state SET revision = 20000, trimmed = 15000")
        gap = await anext(hints)
        assert (gap.key, gap.revision) == ("", 20_000)
        await catalog.transact([], [Put("a/1", b"")])
        assert await anext(hints) == WatchEvent("a/1", 20_001)


async def test_the_change_log_is_trimmed_as_it_grows(catalog: SqliteCatalog, path: Path) -> None:
    await catalog.transact([], [Put("old", b"")])
    with raw(path) as other:
        other.execute("UPDATE state SET revision = 20479")
        await catalog.transact([], [Put("new", b"")])
        assert other.execute("SELECT key FROM changes").fetchall() == [("new",)]
        assert other.execute("SELECT trimmed FROM state").fetchall() == [(20_480 - CHANGES_MAX,)]


async def test_a_watch_catches_up_page_by_page(catalog: SqliteCatalog) -> None:
    hints = catalog.watch("a/")
    async with asyncio.timeout(DEADLINE_S):
        await anext(hints)
        for start in range(0, 1_920, 60):
            await catalog.transact([], [Put(f"a/{number:05d}", b"") for number in range(start, start + 60)])
        assert [(await anext(hints)).key for _ in range(1_920)] == [f"a/{number:05d}" for number in range(1_920)]


async def test_a_watch_keeps_its_place_while_the_file_is_away(catalog: SqliteCatalog, path: Path) -> None:
    hints = catalog.watch("a/")
    async with asyncio.timeout(DEADLINE_S):
        await anext(hints)
        waiting = asyncio.ensure_future(anext(aiter(hints)))
        path.rename(path.with_suffix(".moved"))
        await asyncio.wait({waiting}, timeout=0.2)
        path.with_suffix(".moved").rename(path)
        await catalog.transact([], [Put("a/1", b""), Delete("a/2")])
        assert (await waiting).key == "a/1"
