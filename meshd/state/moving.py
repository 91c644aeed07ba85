"""From one storage to another, or to another form of its values.

Owns: the storages that are opened before they are taken into use, and which values only the storage before has: those
of tables that are not mirrored, and sums of spend that are too old for the ledger. The keeper writes everything else
again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from meshd.sdk.storage import Storage, StorageError
from meshd.state.codec import table_key
from meshd.state.outage import Report
from meshd.state.remote.copier import Patience
from meshd.state.remote.remote_copy import RemoteCopy, near_storage, remote_copy
from meshd.state.settings import StateSettings
from meshd.state.tables import WRITE_THROUGH, readable

logger = logging.getLogger("meshd.state")

_AT_ONCE = 500  # values


class Prepared(NamedTuple):
    """What a reload takes into use. near, remote: None if the storage stays as it is."""

    settings: StateSettings
    near: Storage | None = None
    remote: RemoteCopy | None = None

    @classmethod
    def opened(
        cls,
        settings: StateSettings,
        directory: Path,
        now: Callable[[], float],
        report: Report,
        patience: Patience,
        before: RemoteCopy,
    ) -> Prepared:
        """before: what is in use now. Raises like `near_storage` and `RemoteCopy.meet`, with nothing left open."""
        near, remote = None, remote_copy(settings, directory, now, report, patience)
        try:
            near = near_storage(settings, directory)
            remote.meet(near, before)
        except BaseException:
            cls(settings, near, remote).close()
            raise
        return cls(settings, near, remote)

    def close(self) -> None:
        if self.remote is not None:
            self.remote.close()
        if self.near is not None:
            self.near.close()


def take_along(source: Storage, target: Storage) -> None:
    """Values that cannot be read stay where they are, and are named in the log."""
    try:
        count = _copy(source, target)
    except StorageError as error:
        logger.warning("statistics, files and batches of earlier runs stay in the storage before: %s", error)
    else:
        if count:
            logger.info("%d values were taken along from the storage that was in use", count)


def _copy(source: Storage, target: Storage) -> int:
    changes: dict[str, bytes | None] = dict(readable(source, "table/", lambda key: table_key(key)[0] in WRITE_THROUGH))
    if source.atomic and target.atomic:  # otherwise the sums are one value, which the keeper writes
        changes |= readable(source, "usage/")
    keys = list(changes)
    for begin in range(0, len(keys), _AT_ONCE):
        target.save_many({key: changes[key] for key in keys[begin : begin + _AT_ONCE]})
    return len(keys)
