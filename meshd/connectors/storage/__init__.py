"""Storage connectors: where state is kept.

Owns: the rows of those that are built, and making one from its id and settings.
Must never: import a connector that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from meshd.cdk.connector import ConnectorInfo, find_connector
from meshd.cdk.storage import Storage, StorageError, StorageReset

__all__ = ["CONNECTORS", "Storage", "StorageError", "StorageReset", "open_storage"]

CONNECTORS: dict[str, ConnectorInfo] = {
    row.id: row
    for row in (
        ConnectorInfo(
            "modelmesh.sqlite.v1",
            "storage",
            "One SQLite file, write-ahead logged; a corrupt one is moved aside.",
            "meshd.connectors.storage.sqlite:SqliteStorage",
            {"path": "the file; default state.sqlite3 in the state directory"},
        ),
        ConnectorInfo(
            "modelmesh.local-file.v1",
            "storage",
            "One file a key in a directory, each replaced atomically.",
            "meshd.connectors.storage.local_file:LocalFileStorage",
            {"path": "the directory; default `files` in the state directory", "backup": "keep the value before"},
        ),
        ConnectorInfo(
            "modelmesh.memory.v1",
            "storage",
            "In memory: gone with the process.",
            "meshd.connectors.storage.memory:MemoryStorage",
        ),
    )
}


def open_storage(id: str, settings: Mapping[str, Any], directory: Path) -> Storage:
    """A storage, ready. directory: where it keeps its files unless its settings say otherwise.

    Raises UnknownConnector, StorageError.
    """
    row = find_connector("storage", id, CONNECTORS)
    return cast(Storage, row.load()(settings, directory))
