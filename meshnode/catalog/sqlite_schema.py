"""Opens the catalog's file: makes it, checks that it is one, and says in our errors what SQLite says in its own.

    state    revision (of the last change), trimmed (changes up to this revision are forgotten)
    entries  key -> value, the revision that wrote it, the lease it hangs on (0: none)
    leases   lease -> its life, and when it ends on CLOCK_BOOTTIME
    changes  (revision, key): what watches read

Rule: a file that is not a sound catalog of this format is refused before anything is written to it.
Source: https://www.sqlite.org/rescode.html, https://www.sqlite.org/wal.html
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from meshnode.base.errors import CatalogUnavailable, Corrupt, InvalidRequest, OutcomeUnknown

APPLICATION_ID: Final = 0x4D4E6F64
"""What `file` and we tell a catalog by ("MNod")."""
FORMAT: Final = 1

_TABLES: Final = (
    "CREATE TABLE state(id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL, trimmed INTEGER NOT NULL)",
    "INSERT INTO state VALUES (1, 0, 0)",
    "CREATE TABLE entries(key TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL, lease INTEGER NOT NULL)",
    "CREATE INDEX entries_by_lease ON entries(lease) WHERE lease != 0",
    "CREATE TABLE leases(lease INTEGER PRIMARY KEY AUTOINCREMENT, ttl_ms INTEGER NOT NULL, ends_at_ms INTEGER NOT NULL)",
    "CREATE TABLE changes(revision INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY (revision, key)) WITHOUT ROWID",
)


def open_connection(path: Path, wait_ms: int) -> sqlite3.Connection:
    """Open the file, make it where it does not exist, and check that it is a catalog of this format.

    Raises:
        InvalidRequest: no such directory, another program's database, or another format.
        Corrupt: not a database, or a damaged one.
        CatalogUnavailable: locked for longer than `wait_ms`, no right to write, disk full, or a filesystem on
            which processes cannot share memory.
    """
    if not path.parent.is_dir():
        raise InvalidRequest("the catalog's directory does not exist", path=str(path.parent))
    is_new = not path.exists()
    with facts(path):
        connection = sqlite3.connect(
            path, timeout=wait_ms / 1_000, isolation_level=None, check_same_thread=False, cached_statements=64
        )
    try:
        with facts(path):
            if is_new:
                # By path: a descriptor of our own, closed, would drop the locks of SQLite's (fcntl(2)).
                path.chmod(0o600)
            _enter_wal(connection, path, wait_ms)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA trusted_schema = OFF")
            _check_format(connection, path)
            # From here on waiting for locks is the caller's, see CatalogFile._begin.
            connection.execute("PRAGMA busy_timeout = 0")
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def facts(path: Path, *, is_committing: bool = False) -> Iterator[None]:
    """Turn SQLite's errors into ours.

    Only a failed write or sync at COMMIT leaves a doubt: the frame may be in the log, and recovery after a crash
    would find it there. A full disk does not: the frame is incomplete and its checksum does not hold.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        facts = {"path": str(path), "detail": f"{getattr(error, 'sqlite_errorname', '')} {error}".strip()}
        match code:
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                raise CatalogUnavailable("the catalog's file is locked by another process", **facts) from error
            case sqlite3.SQLITE_FULL:
                raise CatalogUnavailable("no space left for the catalog", **facts) from error
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                raise Corrupt("the catalog's file is damaged", **facts) from error
            case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN:
                raise CatalogUnavailable("the catalog's file cannot be opened for writing", **facts) from error
            case sqlite3.SQLITE_IOERR if is_committing:
                raise OutcomeUnknown("the catalog's disk failed while a write was made durable", **facts) from error
            case _:
                raise CatalogUnavailable("the catalog's file cannot be used", **facts) from error


def _enter_wal(connection: sqlite3.Connection, path: Path, wait_ms: int) -> None:
    """Switch to the write-ahead log. SQLite does not wait for locks here, so waiting is ours."""
    deadline = time.monotonic() + wait_ms / 1_000
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    if mode != "wal":
        raise CatalogUnavailable("the catalog's filesystem cannot share memory between processes", path=str(path))


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables in an empty file; refuse what is not a sound catalog of this format."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if (application, version, tables) == (0, 0, 0):
            for statement in _TABLES:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
        elif application != APPLICATION_ID:
            raise InvalidRequest("the file is a database of another program", path=str(path))
        elif version != FORMAT:
            raise InvalidRequest("the catalog has another format", path=str(path), format=version, known=FORMAT)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise Corrupt("the catalog's file is damaged", path=str(path), detail=verdict[:200])
