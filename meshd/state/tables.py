"""The mirror of the router's tables, and which of their rows are not written yet.

Owns: both. Must never: write to a storage.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.sdk.storage import Storage, StorageError
from meshd.state.codec import read_stored, stored_key, table_key

logger = logging.getLogger("meshd.state")

PRIVATE = ("response", "file", "batch")
"""What apps sent and received: only they may see it, so no export contains it."""
WRITE_THROUGH = frozenset({"statistics", *PRIVATE})
"""Tables too large to be mirrored: written and forgotten, read back only on request (`rows`)."""

Row = dict[str, Any]
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.decode


class Tables:
    """pending: (table, id) → the row that is to be written, None if it was removed."""

    def __init__(self) -> None:
        self.pending: dict[tuple[str, str], Row | None] = {}
        self._mirror: dict[str, dict[str, Row]] = {}

    def read(self, storage: Storage) -> dict[str, dict[str, Row]]:
        """Read the stored rows. Rows that the router sent while the storage could not be read are newer, and stay; all
        others are returned. Raises StorageError, with nothing changed."""
        found: dict[str, dict[str, Row]] = {}
        for key, value in storage.items("table/"):
            table, id = table_key(key)
            if table not in WRITE_THROUGH and id not in self._mirror.get(table, {}):
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
                rows = {table_key(key)[1]: _decode(value) for key, value in storage.items(f"table/{table}/")}
            except (StorageError, msgspec.MsgspecError) as error:
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
        """Replace all tables with those of an export: rows that it lacks are removed."""
        for table, rows in self._mirror.items():
            self.pending.update({(table, id): None for id in rows})
        self._mirror = {table: dict(rows) for table, rows in tables.items() if table not in WRITE_THROUGH}

    def write_all_again(self) -> None:
        for table, rows in self._mirror.items():
            self.pending.update({(table, id): row for id, row in rows.items()})

    def written(self, rows: Mapping[tuple[str, str], Row | None]) -> None:
        for key in rows:
            del self.pending[key]


def changes_of(rows: Mapping[tuple[str, str], Row | None]) -> dict[str, bytes | None]:
    """As they are stored."""
    return {stored_key(*key): None if row is None else _encode(row) for key, row in rows.items()}
