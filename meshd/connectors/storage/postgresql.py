"""`postgresql.postgresql.v1`: two tables of a PostgreSQL database, through `psycopg`.

Owns: the tables `TABLE` and `TABLE_leases`, which it creates if they are missing.
Must never: import psycopg before it is opened, wait for a silent server, or show a password in an error.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from meshd.connectors.storage.faults import of_certificates
from meshd.connectors.storage.sizes import batches, checked
from meshd.host.plain_text import one_line as shown
from meshd.sdk.storage import Storage, StorageError, StoredStat

T = TypeVar("T")
Rows = list[Any]
URL = "postgresql://"
_MOST_SAID = 200
_VALUES = 'key text COLLATE "C" PRIMARY KEY, value bytea NOT NULL, modified timestamptz NOT NULL'
_LEASES = "name text PRIMARY KEY, holder text NOT NULL, until timestamptz NOT NULL"


_OPTIONS = {"password": "password", "sslrootcert": "ca_file", "sslcert": "cert_file", "sslkey": "key_file"}
"""libpq's names, and ours."""


class PostgresqlStorage(Storage):
    """Settings: `url` (`postgresql://…`, or the form `host=… dbname=…`; libpq's variables fill in what it lacks),
    `password`, `table`, `timeout`, `ca_file`, `cert_file`, `key_file`."""

    atomic: ClassVar[bool] = True
    remote: ClassVar[bool] = True
    leases: ClassVar[bool] = True

    def __init__(self, settings: Mapping[str, Any], directory: Path) -> None:
        from psycopg import sql

        self._settings = settings
        self._patience = float(settings.get("timeout") or 5.0)
        table = str(settings.get("table") or "meshd_state")
        self._names = {"values": sql.Identifier(table), "leases": sql.Identifier(f"{table}_leases")}
        self._connection: Any = None
        self._where = "PostgreSQL"

    @classmethod
    def fault(cls, settings: Mapping[str, Any], directory: Path) -> str:
        from psycopg import ProgrammingError, conninfo

        try:
            conninfo.conninfo_to_dict(str(settings.get("url") or ""))
        except ProgrammingError:  # its text may contain the password
            return "cannot read its url: it is postgresql://USER@HOST:PORT/NAME, or host=… dbname=…"
        return of_certificates(settings)

    # -- values ---------------------------------------------------------------------------------------

    def load(self, key: str) -> bytes | None:
        size = self._row("SELECT length(value) FROM {values} WHERE key = %s", key)
        checked(key, size[0] if size else 0)
        row = self._row("SELECT value FROM {values} WHERE key = %s", key)
        return row[0] if row else None

    def save(self, key: str, value: bytes) -> None:
        self.save_many({key: value})

    def delete(self, key: str) -> bool:
        return self._count("DELETE FROM {values} WHERE key = %s", key) > 0

    def list(self, prefix: str = "") -> list[str]:
        rows = self._rows("SELECT key FROM {values} WHERE starts_with(key, %s) ORDER BY key", prefix)
        return [row[0] for row in rows]

    def items(self, prefix: str = "") -> Iterator[tuple[str, bytes]]:
        sizes = self._rows("SELECT key, length(value) FROM {values} WHERE starts_with(key, %s) ORDER BY key", prefix)
        for some in batches(sizes):
            yield from self._rows("SELECT key, value FROM {values} WHERE key = ANY(%s) ORDER BY key", some)

    def stat(self, key: str) -> StoredStat | None:
        query = "SELECT length(value), extract(epoch FROM modified)::float8 FROM {values} WHERE key = %s"
        row = self._row(query, key)
        return StoredStat(*row) if row else None

    def save_many(self, changes: Mapping[str, bytes | None]) -> None:
        saved = [(key, value) for key, value in changes.items() if value is not None]
        gone = [key for key, value in changes.items() if value is None]
        upsert = self._text(
            "INSERT INTO {values} VALUES (%s, %s, now()) ON CONFLICT (key) "
            "DO UPDATE SET value = excluded.value, modified = excluded.modified"
        )
        delete = self._text("DELETE FROM {values} WHERE key = ANY(%s)")

        def write(connection: Any) -> None:
            with connection.transaction(), connection.cursor() as cursor:
                if saved:
                    # In the same order in all daemons, since otherwise two could wait for each other's rows.
                    cursor.executemany(upsert, sorted(saved))
                if gone:
                    cursor.execute(delete, (sorted(gone),))

        self._do(write)

    # -- leases ---------------------------------------------------------------------------------------

    def acquire(self, name: str, holder: str, seconds: float) -> bool:
        query = (
            "INSERT INTO {leases} AS held VALUES (%s, %s, now() + %s * interval '1 second') ON CONFLICT (name) "
            "DO UPDATE SET holder = excluded.holder, until = excluded.until "
            "WHERE held.holder = excluded.holder OR held.until <= now()"
        )
        return self._count(query, name, holder, seconds) > 0

    def release(self, name: str, holder: str) -> bool:
        query = "DELETE FROM {leases} WHERE name = %s AND holder = %s AND until > now()"
        return self._count(query, name, holder) > 0

    def is_locked(self, name: str) -> str:
        row = self._row("SELECT holder FROM {leases} WHERE name = %s AND until > now()", name)
        return str(row[0]) if row else ""

    # -- asking ---------------------------------------------------------------------------------------

    def _rows(self, query: str, *values: Any) -> Rows:
        text = self._text(query)
        found: Rows = self._do(lambda connection: connection.execute(text, values).fetchall())
        return found

    def _row(self, query: str, *values: Any) -> Any:
        return next(iter(self._rows(query, *values)), None)

    def _count(self, query: str, *values: Any) -> int:
        text = self._text(query)
        return int(self._do(lambda connection: connection.execute(text, values).rowcount))

    def _text(self, query: str) -> Any:
        from psycopg import sql

        return sql.SQL(query).format(**self._names)

    def _do(self, work: Callable[[Any], T]) -> T:
        """Raises StorageError. A connection that failed is not used again."""
        import psycopg

        fresh = self._connection is None
        try:
            connection = self._opened()
            with self._watched(connection):
                return work(connection)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self.close()
            if fresh or not _was_closed(error):
                raise StorageError(self._said(error)) from None
        except (psycopg.Error, ValueError) as error:
            raise StorageError(self._said(error)) from None
        return self._do(work)  # the server has been restarted since the last call

    def _said(self, error: Exception) -> str:
        password = str(self._settings.get("password") or "")
        said = shown(str(error).partition("\n")[0])[:_MOST_SAID]
        return f"{self._where}: {said.replace(password, '…') if password else said}"

    @contextlib.contextmanager
    def _watched(self, connection: Any) -> Iterator[None]:
        """Cut the connection if the server is silent for too long: libpq would wait forever."""
        watch = threading.Timer(self._patience, _cut, (connection,))
        watch.daemon = True
        watch.start()
        try:
            yield
        finally:
            watch.cancel()

    def _opened(self) -> Any:
        if self._connection is None:
            import psycopg

            given = {theirs: self._settings.get(ours) for theirs, ours in _OPTIONS.items()}
            connection = psycopg.connect(
                str(self._settings.get("url") or URL),
                autocommit=True,
                connect_timeout=max(int(self._patience), 2),
                application_name="meshd",
                **{name: value for name, value in given.items() if value},
            )
            self._where = f"PostgreSQL at {connection.info.host or 'localhost'}"
            try:
                with self._watched(connection):
                    self._make_tables(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _make_tables(self, connection: Any) -> None:
        from psycopg import errors, sql

        for name, columns in (("values", _VALUES), ("leases", _LEASES)):
            table = self._names[name]
            # A user who may use the tables may not be allowed to create any.
            if connection.execute("SELECT to_regclass(%s)", (table.as_string(connection),)).fetchone()[0] is None:
                make = sql.SQL("CREATE TABLE IF NOT EXISTS {} ({})").format(table, sql.SQL(columns))
                # Another daemon is creating it now; which of its catalogue rows conflicts first is a matter of chance.
                with contextlib.suppress(errors.UniqueViolation, errors.DuplicateTable, errors.DuplicateObject):
                    connection.execute(make)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _was_closed(error: Exception) -> bool:
    """Whether the server had ended the connection before it was used."""
    import psycopg

    closed = psycopg.errors.AdminShutdown, psycopg.errors.CrashShutdown, psycopg.errors.IdleSessionTimeout
    return isinstance(error, closed) or "server closed the connection" in str(error)


def _cut(connection: Any) -> None:
    with contextlib.suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as held:  # it has just ended
        held.shutdown(socket.SHUT_RDWR)
