"""`modelmesh.memory.v1`: storage that lasts only as long as the process. For tests, and for use without files."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from meshd.sdk.storage import Storage, StoredStat


class MemoryStorage(Storage):
    leases: ClassVar[bool] = True

    def __init__(self, settings: Mapping[str, Any] | None = None, directory: Path | None = None) -> None:
        self._values: dict[str, tuple[bytes, float]] = {}
        self._leases: dict[str, tuple[str, float]] = {}  # name → holder, end by the monotonic clock

    def load(self, key: str) -> bytes | None:
        found = self._values.get(key)
        return found[0] if found else None

    def save(self, key: str, value: bytes) -> None:
        self._values[key] = (bytes(value), time.time())

    def delete(self, key: str) -> bool:
        return self._values.pop(key, None) is not None

    def list(self, prefix: str = "") -> list[str]:
        return sorted(key for key in self._values if key.startswith(prefix))

    def stat(self, key: str) -> StoredStat | None:
        found = self._values.get(key)
        return StoredStat(len(found[0]), found[1]) if found else None

    def acquire(self, name: str, holder: str, seconds: float) -> bool:
        if self.is_locked(name) not in ("", holder):
            return False
        self._leases[name] = holder, time.monotonic() + seconds
        return True

    def release(self, name: str, holder: str) -> bool:
        if self.is_locked(name) != holder:
            return False
        del self._leases[name]
        return True

    def is_locked(self, name: str) -> str:
        holder, until = self._leases.get(name, ("", 0.0))
        return holder if time.monotonic() < until else ""
