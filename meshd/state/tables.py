"""The mirror of the router's tables, and which of their rows are not written yet.

Owns: both. Must never: write to a storage.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from meshd.connectors.storage.encoded import EncodedStorage
from meshd.sdk.storage import Storage, StorageError
from meshd.state.codec import read_stored, stored_key, table_key

logger = logging.getLogger("meshd.state")

PRIVATE = ("response", "file", "batch")
"""What apps sent and received: only they may see it, so no export contains it."""
WRITE_THROUGH = frozenset({"statistics", *PRIVATE})
"""Tables too large to be mirrored: written and forgotten, read back only on request (`rows`)."""

Row = dict[str, Any]
_encode = msgspec.json.Encoder().encode


def readable(
    storage: Storage, prefix: str, wanted: Callable[[str], bool] = lambda key: True
) -> Iterator[tuple[str, bytes]]:
    """Its values, apart from those that are damaged, which are named in the log. Raises StorageError."""
    if isinstance(storage, EncodedStorage):
        yield from storage.readable(prefix, wanted)
    else:
        yield from (item for item in storage.items(prefix) if wanted(item[0]))


def _is_mirrored(key: str) -> bool:
    return table_key(key)[0] not in WRITE_THROUGH


class Tables:
    """pending: (table, id) → the row that is to be written, None if it was removed."""

    def __init__(self) -> None:
        self.pending: dict[tuple[str, str], Row | None] = {}
        self._mirror: dict[str, dict[str, Row]] = {}

    def read(self, storage: Storage) -> dict[str, dict[str, Row]]:
        """Read the stored rows. Rows that the router sent while the storage could not be read are newer, and stay; all
        others are returned. Raises StorageError, with nothing changed."""
        found: dict[str, dict[str, Row]] = {}
        for key, value in readable(storage, "table/", _is_mirrored):
            table, id = table_key(key)
            if id not in self._mirror.get(table, {}):
                found.setdefault(table, {})[id] = read_stored(key, value, Row) or {}
        for table, rows in found.items():
            self._mirror.setdefault(table, {}).update(rows)
        return found

    def change(self, table: str, id: str, row: Row | None) -> None:
        """Change a row, in the mirror only."""
        rows = self._mirror.setdefault(table, {})
        if row is None:
            rows.pop(id, None)
        else:
            rows[id] = row

    def mirrored(self) -> dict[str, dict[str, Row]]:
        return {table: dict(rows) for table, rows in self._mirror.items()}

    def rows(self, table: str, storage: Storage | None) -> dict[str, Row]:
        """All rows of a table, even if it is not mirrored."""
        rows: dict[str, Row] = dict(self._mirror.get(table, {}))
        if table in WRITE_THROUGH and storage is not None:
            try:
                stored = ((key, read_stored(key, value, Row)) for key, value in readable(storage, f"table/{table}/"))
                rows = {table_key(key)[1]: row for key, row in stored if row is not None}
            except StorageError as error:
                logger.warning("the table %s cannot be read: %s", table, error)
        for (name, id), row in self.pending.items():
            if name != table:
                continue
            if row is None:
                rows.pop(id, None)
            else:
                rows[id] = row
        return rows

    def replace(self, tables: Mapping[str, dict[str, Row]]) -> None:
        """Replace all tables that an export may have: rows that it lacks are removed."""
        for table, rows in self._mirror.items():
            if table not in WRITE_THROUGH:
                self.pending.update({(table, id): None for id in rows})
        kept = {table: rows for table, rows in self._mirror.items() if table in WRITE_THROUGH}
        self._mirror = kept | {table: dict(rows) for table, rows in tables.items() if table not in WRITE_THROUGH}

    def drop(self, table: str) -> None:
        """Do not write the rows of a table that wait."""
        self.pending = {key: row for key, row in self.pending.items() if key[0] != table}

    def write_all_again(self) -> None:
        for table, rows in self._mirror.items():
            self.pending.update({(table, id): row for id, row in rows.items()})

    def written(self, rows: Mapping[tuple[str, str], Row | None]) -> None:
        for key in rows:
            del self.pending[key]


def changes_of(rows: Mapping[tuple[str, str], Row | None]) -> dict[str, bytes | None]:
    """As they are stored."""
    return {stored_key(*key): None if row is None else _encode(row) for key, row in rows.items()}
