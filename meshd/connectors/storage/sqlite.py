"""`modelmesh.sqlite.v1`: one SQLite file, write-ahead logged. The default.

Owns: that file and its companions (-wal, -shm).
Must never: delete what it cannot read. A corrupt file is moved aside, and a new one is created.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from meshd.connectors.storage.faults import of_file
from meshd.sdk.storage import Storage, StorageError, StorageReset, StoredStat

logger = logging.getLogger("meshd.storage")
T = TypeVar("T")

_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SCHEMA = """CREATE TABLE IF NOT EXISTS kv (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, modified REAL NOT NULL) WITHOUT ROWID"""
_LEASES = """CREATE TABLE IF NOT EXISTS leases (
    name TEXT PRIMARY KEY, holder TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID"""  # until: UTC s


class SqliteStorage(Storage):
    """Opens read-only if it cannot write (a full or read-only disk), so that stored data can be read."""

    atomic: ClassVar[bool] = True
    leases: ClassVar[bool] = True

    def __init__(self, settings: Mapping[str, Any], directory: Path) -> None:
        path = settings.get("path")
        self.path = Path(os.path.expanduser(path)) if path else directory / "state.sqlite3"
        self.readonly = False
        self._connection = self._open()
        self._file = _identity(self.path)

    @classmethod
    def fault(cls, settings: Mapping[str, Any], directory: Path) -> str:
        return of_file(settings.get("path"), directory)

    # -- opening --------------------------------------------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            if _is_corrupt(error):
                self._move_aside(error)
                try:
                    return self._connect()
                except sqlite3.Error as second:
                    raise StorageError(f"cannot open {self.path}: {second}") from second
            try:
                connection = sqlite3.connect(
                    f"{self.path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
                )
                connection.execute("SELECT count(*) FROM (SELECT 1 FROM kv LIMIT 1)").fetchone()
            except sqlite3.Error:
                raise StorageError(f"cannot open {self.path}: {error}") from error
            self.readonly = True
            return connection

    def _connect(self) -> sqlite3.Connection:
        # Private from the start: SQLite creates its companions with the file's own permissions.
        fresh = not self.path.exists()
        if fresh:
            try:
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            except OSError as error:
                raise sqlite3.OperationalError(error.strerror) from error
        # One thread uses it at a time, but not always the same one: a restarted actor takes it over.
        connection = sqlite3.connect(self.path, timeout=1.0, isolation_level=None, check_same_thread=False)
        try:
            # A new file has no data to lose, so creating it need not wait for the disk.
            connection.execute(f"PRAGMA synchronous={'OFF' if fresh else 'NORMAL'}")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA cache_size=-512")  # KiB, to keep idle memory low
            connection.execute(_SCHEMA)
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("SELECT key, length(value) FROM kv LIMIT 1").fetchone()
        except sqlite3.Error:
            connection.close()
            raise
        self.readonly = False
        return connection

    def _move_aside(self, error: sqlite3.Error) -> None:
        aside = self.path.with_name(f"{self.path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}")
        logger.warning("%s is corrupt (%s): moved to %s, starting with a fresh one", self.path, error, aside)
        try:
            os.replace(self.path, aside)
            for ending in ("-wal", "-shm"):
                if os.path.exists(f"{self.path}{ending}"):
                    os.replace(f"{self.path}{ending}", f"{aside}{ending}")
        except OSError as failure:
            raise StorageError(f"{self.path} is corrupt and cannot be moved aside: {failure.strerror}") from failure

    def _do(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except sqlite3.DatabaseError as error:
            if not _is_corrupt(error):
                raise StorageError(f"{self.path}: {error}") from error
            self._connection.close()
            self._move_aside(error)
            self._connection = self._open()
            self._file = _identity(self.path)
            raise StorageReset(f"{self.path} was corrupt; a new one was created") from error

    # -- values ---------------------------------------------------------------------------------------

    def load(self, key: str) -> bytes | None:
        row = self._do(lambda: self._connection.execute("SELECT value FROM kv WHERE key = ?", (key,)).fetchone())
        return row[0] if row else None

    def save(self, key: str, value: bytes) -> None:
        self.save_many({key: value})

    def delete(self, key: str) -> bool:
        existed = self.exists(key)
        self.save_many({key: None})
        return existed

    def save_many(self, changes: Mapping[str, bytes | None]) -> None:
        self._do(lambda: self._write(changes))

    def _write(self, changes: Mapping[str, bytes | None]) -> None:
        now = time.time()
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(
                "INSERT INTO kv VALUES (?, ?, ?) "
                "ON CONFLICT (key) DO UPDATE SET value = excluded.value, modified = excluded.modified",
                [(key, value, now) for key, value in changes.items() if value is not None],
            )
            gone = [(key,) for key, value in changes.items() if value is None]
            if gone:
                connection.executemany("DELETE FROM kv WHERE key = ?", gone)
            connection.execute("COMMIT")
        except sqlite3.Error:
            # A full disk has already caused a rollback.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def list(self, prefix: str = "") -> list[str]:
        rows = self._do(lambda: self._connection.execute("SELECT key FROM kv" + _RANGE, _range(prefix)).fetchall())
        return [row[0] for row in rows]

    def items(self, prefix: str = "") -> Iterator[tuple[str, bytes]]:
        query = "SELECT key, value FROM kv" + _RANGE
        return iter(self._do(lambda: self._connection.execute(query, _range(prefix)).fetchall()))

    def stat(self, key: str) -> StoredStat | None:
        query = "SELECT length(value), modified FROM kv WHERE key = ?"
        row = self._do(lambda: self._connection.execute(query, (key,)).fetchone())
        return StoredStat(row[0], row[1]) if row else None

    # -- leases ---------------------------------------------------------------------------------------

    def acquire(self, name: str, holder: str, seconds: float) -> bool:
        now = time.time()
        taken = "INSERT INTO leases VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE"
        taken += " SET holder = excluded.holder, until = excluded.until WHERE holder = excluded.holder OR until <= ?"
        return self._changed(taken, (name, holder, now + seconds, now))

    def release(self, name: str, holder: str) -> bool:
        return self._changed(
            "DELETE FROM leases WHERE name = ? AND holder = ? AND until > ?", (name, holder, time.time())
        )

    def is_locked(self, name: str) -> str:
        query = "SELECT holder FROM leases WHERE name = ? AND until > ?"
        row = self._do(lambda: self._leases().execute(query, (name, time.time())).fetchone())
        return row[0] if row else ""

    def _changed(self, statement: str, values: tuple[Any, ...]) -> bool:
        return self._do(lambda: self._leases().execute(statement, values).rowcount) > 0

    def _leases(self) -> sqlite3.Connection:
        """The table is made by the first lease: most databases never have one."""
        self._connection.execute(_LEASES)
        return self._connection

    # -- life -----------------------------------------------------------------------------------------

    def flush(self) -> None:
        # A checkpoint syncs the log and then the file.
        self._do(lambda: self._connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone())

    def lost(self) -> bool:
        # SQLite silently continues to write to a file that was removed.
        return self._file is not None and _identity(self.path) != self._file

    def close(self) -> None:
        self._connection.close()


_RANGE = " WHERE key >= ? AND key < ? ORDER BY key"


def _range(prefix: str) -> tuple[str, str]:
    # U+10FFFF sorts after every key; SQLite compares the UTF-8 bytes.
    return prefix, prefix + "\U0010ffff"


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_corrupt(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT
