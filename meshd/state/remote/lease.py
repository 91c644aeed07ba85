"""The lease on a remote storage, or on one daemon's part of it.

Owns: who has it, and how long it lasts. Must never: count as held when it may have expired.
"""

from __future__ import annotations

import time

from meshd.sdk.storage import Storage
from meshd.state.lock import StateLocked

LEASE = 15.0  # s; renewed three times as often


class StorageInUse(StateLocked):
    """Another daemon has the lease."""

    def __init__(self, storage: str, holder: str) -> None:
        self.pid = 0
        Exception.__init__(
            self,
            f"the storage {storage} is in use by the daemon {holder}: stop it (a dead one's lease ends within "
            f"{LEASE:g} s), or give this one another place in it",
        )


class StateLease:
    """name: of the lease. holder: this daemon; the same after a restart, so that it gets its lease back at once."""

    def __init__(self, storage: Storage, name: str, holder: str) -> None:
        self._storage = storage
        self._name = name
        self._holder = holder
        self._until = 0.0  # by the monotonic clock

    def renew(self) -> str:
        """Take or extend it. Returns which other daemon has it, "" if this one does. Raises StorageError."""
        asked = time.monotonic()
        if self._storage.acquire(self._name, self._holder, LEASE):
            self._until = asked + LEASE
            return ""
        self._until = 0.0
        return self._storage.is_locked(self._name) or "that had it until now"

    def lasts(self, seconds: float) -> bool:
        """Whether it is held for at least this long."""
        return time.monotonic() + seconds < self._until

    def give_back(self) -> None:
        """Raises StorageError."""
        if self._until:
            self._until = 0.0
            self._storage.release(self._name, self._holder)
