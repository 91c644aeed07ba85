"""Takes along what only the storage has, when another one is taken into use, or another key.

Owns: which values these are: those of tables that are not mirrored, and sums of spend that are too old for the ledger.
The keeper writes everything else again.
"""

from __future__ import annotations

import logging

from meshd.sdk.storage import Storage
from meshd.state.codec import table_key
from meshd.state.tables import WRITE_THROUGH, readable

logger = logging.getLogger("meshd.state")

_AT_ONCE = 500  # values


def take_along(source: Storage, target: Storage) -> None:
    """Values that cannot be read are left behind, and named in the log. Raises StorageError."""
    changes: dict[str, bytes | None] = dict(readable(source, "table/", lambda key: table_key(key)[0] in WRITE_THROUGH))
    if source.atomic and target.atomic:  # otherwise the sums are one value, which the keeper writes
        changes |= readable(source, "usage/")
    keys = list(changes)
    for begin in range(0, len(keys), _AT_ONCE):
        target.save_many({key: changes[key] for key in keys[begin : begin + _AT_ONCE]})
    if keys:
        logger.info("%d values were taken along from the storage that was in use", len(keys))
