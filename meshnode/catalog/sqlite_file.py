"""One connection to the catalog's file: its tables, and each operation as one SQLite transaction. Blocking.

    state    revision (of the last change), trimmed (changes up to this revision are forgotten)
    entries  key -> value, the revision that wrote it, the lease it hangs on (0: none)
    leases   lease -> life, and when it ends on CLOCK_BOOTTIME, which all processes of a machine share
    changes  (revision, key): what watches read; the last 10,000 revisions

Rule: a change, its revision and its line in `changes` are one `BEGIN IMMEDIATE` transaction with synchronous=FULL.
A lease that is over is invisible to reads from that moment and removed by the next write, whoever writes it. A
lease that ends further ahead than its life comes from before a reboot: it is over too.
Source: https://www.sqlite.org/wal.html
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from meshnode.base.errors import CatalogUnavailable, MeshError, NotFound
from meshnode.catalog.checks import KEYS_MAX
from meshnode.catalog.sqlite_schema import facts, open_connection
from meshnode.ports import Compare, Delete, Entry, Put

T = TypeVar("T")

CHANGES_MAX: Final = 10_000
"""Revisions a watch may be behind: a minute of a busy cluster; further behind it is told to read everything."""
TRIM_EVERY: Final = 256
"""Forgetting changes one by one would touch two more pages in every write."""
CHANGES_PAGE: Final = 1_000
LOCK_POLL_S: Final = 0.001
"""About as long as another process holds the lock for one write."""

_KEYS_END: Final = "\U0010ffff" * 257
"""After every key: 257 times four bytes are more than a key may have."""
_IS_LIVE: Final = (
    "(lease = 0 OR lease IN (SELECT lease FROM leases WHERE ends_at_ms > :now AND ends_at_ms <= :now + ttl_ms))"
)
_FIND: Final = f"SELECT key, value, revision FROM entries WHERE {_IS_LIVE} AND key "  # noqa: S608 - constants
_RANGE_FROM: Final = f"{_FIND} >= :start AND key < :end ORDER BY key LIMIT :limit"
_RANGE_AFTER: Final = _RANGE_FROM.replace(">= :start", "> :start")

_ENDED: Final = "SELECT lease FROM leases WHERE ends_at_ms <= :now OR ends_at_ms > :now + ttl_ms"
_IS_QUIET: Final = f"SELECT revision = :revision AND NOT EXISTS ({_ENDED}) FROM state"  # noqa: S608 - constants


def boottime_ms() -> int:
    """Milliseconds since this machine booted, time asleep included; the same for every process on it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What happened after a revision, oldest first."""

    revision: int
    """Everything up to here is in `keys`."""
    keys: tuple[tuple[int, str], ...]
    """(revision, key), put or deleted."""
    is_gap: bool = False
    """Some of it is forgotten; anything may have changed."""
    has_ended_lease: bool = False
    """A lease is over whose keys are still to be removed."""


class CatalogFile:
    """A connection. To be used by one thread at a time."""

    def __init__(self, path: Path, connection: sqlite3.Connection, now_ms: Callable[[], int]) -> None:
        self._path = path
        self._place = str(path)
        self._connection = connection
        self._now_ms = now_ms
        self._lock_deadline_s = 0.0
        status = path.stat()
        self._inode = (status.st_dev, status.st_ino)

    @classmethod
    def open(cls, path: Path, wait_ms: int, now_ms: Callable[[], int] = boottime_ms) -> Self:
        """Open the file as `open_connection` does, with its errors. `now_ms` is what leases are measured by."""
        return cls(path, open_connection(path, wait_ms), now_ms)

    def close(self) -> None:
        """Close the connection; the last one of the machine folds the write-ahead log into the file."""
        self._connection.close()

    def wait_for_locks_until(self, deadline_s: float) -> None:
        """Give up waiting for other processes' locks at this moment of `time.monotonic()`."""
        self._lock_deadline_s = deadline_s

    def read(self, keys: Sequence[str]) -> list[Entry | None]:
        """The entries of `keys` in one snapshot."""
        names = [f"k{number}" for number in range(len(keys))]
        rows = self._ask(
            f"{_FIND} IN ({', '.join(f':{name}' for name in names)})",
            {**dict(zip(names, keys, strict=True)), "now": self._now_ms()},
        )
        found = {row[0]: Entry(*row) for row in rows}
        return [found.get(key) for key in keys]

    def range(self, prefix: str, after: str, limit: int) -> list[Entry]:
        """A page of entries below `prefix` and after `after`."""
        rows = self._ask(
            _RANGE_AFTER if after >= prefix else _RANGE_FROM,
            {"start": max(after, prefix), "end": _prefix_end(prefix), "limit": limit, "now": self._now_ms()},
        )
        return [Entry(*row) for row in rows]

    def changes(self, after_revision: int, prefix: str) -> Changes:
        """What changed below `prefix` after a revision; at most 1,000 keys, then `revision` is the last one's."""
        with self._reading():
            revision, trimmed = self._connection.execute("SELECT revision, trimmed FROM state").fetchone()
            has_ended = bool(self._ended_leases())
            if not trimmed <= after_revision <= revision:
                return Changes(revision=revision, keys=(), is_gap=True, has_ended_lease=has_ended)
            rows: list[tuple[int, str]] = self._connection.execute(
                "SELECT revision, key FROM changes WHERE revision > ? AND substr(key, 1, ?) = ?"
                " ORDER BY revision, key LIMIT ?",
                (after_revision, len(prefix), prefix, CHANGES_PAGE),
            ).fetchall()
        if len(rows) == CHANGES_PAGE:
            # One revision has at most 64 keys, so a page always holds a whole revision before the last.
            revision = rows[-1][0] - 1
            rows = [row for row in rows if row[0] <= revision]
        return Changes(revision=revision, keys=tuple(rows), has_ended_lease=has_ended)

    def is_quiet(self, revision: int) -> bool:
        """Whether nothing changed after a revision, and no lease is over whose keys are still to be removed."""
        ((is_quiet,),) = self._ask(_IS_QUIET, {"revision": revision, "now": self._now_ms()})
        return bool(is_quiet)

    def revision(self) -> int:
        """Revision of the last change."""
        ((revision,),) = self._ask("SELECT revision FROM state", {})
        return int(revision)

    def transact(self, compares: Sequence[Compare], writes: Sequence[Put | Delete]) -> int | None:
        """Apply `writes` if `compares` hold; the revision, or None where one does not."""
        with self._writing():
            if not self._holds(compares):
                return None
            for lease in {write.lease for write in writes if isinstance(write, Put) and write.lease}:
                if not self._connection.execute("SELECT 1 FROM leases WHERE lease = ?", (lease,)).fetchone():
                    raise _CommitFirst(NotFound("the lease has ended", lease=lease))
            return self._apply(writes)

    def open_lease(self, ttl_ms: int) -> int:
        """Start a lease."""
        with self._writing():
            cursor = self._connection.execute(
                "INSERT INTO leases(ttl_ms, ends_at_ms) VALUES (?, ?)", (ttl_ms, self._now_ms() + ttl_ms)
            )
            assert cursor.lastrowid is not None
            return cursor.lastrowid

    def keep_lease(self, lease: int) -> bool:
        """Prolong a lease; False where it is over."""
        with self._writing():
            cursor = self._connection.execute(
                "UPDATE leases SET ends_at_ms = ? + ttl_ms WHERE lease = ?", (self._now_ms(), lease)
            )
            return cursor.rowcount == 1

    def close_lease(self, lease: int) -> None:
        """End a lease and remove its keys."""
        with self._writing():
            self._end_leases([lease])

    def expire(self) -> None:
        """Remove the keys of leases that are over."""
        with self._writing():
            pass

    def _holds(self, compares: Sequence[Compare]) -> bool:
        for compare in compares:
            row = self._connection.execute("SELECT revision FROM entries WHERE key = ?", (compare.key,)).fetchone()
            if (0 if row is None else row[0]) != compare.revision:
                return False
        return True

    def _apply(self, writes: Sequence[Put | Delete]) -> int:
        (revision,) = self._connection.execute("SELECT revision FROM state").fetchone()
        next_revision = int(revision) + 1
        changed: list[tuple[int, str]] = []
        for write in writes:
            if isinstance(write, Put):
                self._connection.execute(
                    "INSERT INTO entries(key, value, revision, lease) VALUES (?, ?, ?, ?) ON CONFLICT(key) DO UPDATE"
                    " SET value = excluded.value, revision = excluded.revision, lease = excluded.lease",
                    (write.key, write.value, next_revision, write.lease),
                )
            elif not self._connection.execute("DELETE FROM entries WHERE key = ?", (write.key,)).rowcount:
                continue
            changed.append((next_revision, write.key))
        if not changed:
            return int(revision)
        self._connection.executemany("INSERT INTO changes VALUES (?, ?)", changed)
        self._connection.execute("UPDATE state SET revision = ?", (next_revision,))
        if next_revision % TRIM_EVERY == 0:
            trimmed = max(0, next_revision - CHANGES_MAX)
            self._connection.execute("DELETE FROM changes WHERE revision <= ?", (trimmed,))
            self._connection.execute("UPDATE state SET trimmed = ?", (trimmed,))
        return next_revision

    def _ended_leases(self) -> frozenset[int]:
        rows = self._connection.execute(_ENDED, {"now": self._now_ms()}).fetchall()
        return frozenset(lease for (lease,) in rows)

    def _end_leases(self, leases: Sequence[int]) -> None:
        for lease in leases:
            rows = self._connection.execute("SELECT key FROM entries WHERE lease = ?", (lease,)).fetchall()
            for start in range(0, len(rows), KEYS_MAX):
                self._apply([Delete(key) for (key,) in rows[start : start + KEYS_MAX]])
            self._connection.execute("DELETE FROM leases WHERE lease = ?", (lease,))

    def _ask(self, statement: str, values: Mapping[str, object]) -> list[Any]:
        """The rows of one statement, which is a snapshot of its own.

        Each statement more would be another wait for the interpreter lock, where a thread of this process computes.
        """
        with facts(self._path):
            self._check_place()
            return self._patiently(lambda: self._connection.execute(statement, values).fetchall())

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """A read transaction: all statements see one snapshot."""
        with facts(self._path):
            self._check_place()
            self._begin("BEGIN", "SELECT revision FROM state")
            try:
                yield
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """A write transaction that begins by removing what leases that are over leave behind."""
        refusal: MeshError | None = None
        with facts(self._path):
            self._check_place()
            self._begin("BEGIN IMMEDIATE")
            try:
                self._end_leases(sorted(self._ended_leases()))
                try:
                    yield
                except _CommitFirst as late:
                    refusal = late.error
                with facts(self._path, is_committing=True):
                    self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
        if refusal is not None:
            raise refusal

    def _begin(self, *statements: str) -> None:
        """Begin a transaction and take its lock or snapshot."""

        def begin() -> None:
            for statement in statements:
                self._connection.execute(statement).fetchone()

        self._patiently(begin)

    def _patiently(self, work: Callable[[], T]) -> T:
        """Do what needs a lock, waiting for it in short, even steps.

        SQLite's own waiting backs off to 100 ms a step: three writing processes then wait up to 335 ms for a lock
        that each holds for less than one (measured).
        """
        while True:
            try:
                return work()
            except sqlite3.OperationalError as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not is_busy or time.monotonic() >= self._lock_deadline_s:
                    raise
                time.sleep(LOCK_POLL_S)

    def _check_place(self) -> None:
        """Check that the path still leads to the open file: others would open another one, and both would answer."""
        try:
            status = os.stat(self._place)  # noqa: PTH116 - once for each read; a path's methods take twice as long
        except OSError as error:
            raise CatalogUnavailable("the catalog's file is gone", path=str(self._path)) from error
        if (status.st_dev, status.st_ino) != self._inode:
            raise CatalogUnavailable("the catalog's file was replaced; restart this node", path=str(self._path))


class _CommitFirst(Exception):
    """Refuse the caller's writes, but keep the removal of ended leases."""

    def __init__(self, error: MeshError) -> None:
        super().__init__()
        self.error = error


def _prefix_end(prefix: str) -> str:
    """A string after every key that starts with `prefix`, and before every other key that sorts after those."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return _KEYS_END
    last = ord(stem[-1]) + 1
    return stem[:-1] + chr(0xE000 if 0xD800 <= last <= 0xDFFF else last)
