"""A storage: bytes under keys. Every method may raise StorageError."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from meshd.sdk.storage import Storage, StorageError, StoredStat


class Folder(Storage):
    def __init__(self, settings: Mapping[str, Any], directory: Path) -> None:
        """directory: the daemon's own, for a storage without a place of its own."""
        self._folder = Path(settings["path"])
        self._folder.mkdir(parents=True, exist_ok=True)

    def load(self, key: str) -> bytes | None:
        try:
            return self._file(key).read_bytes()
        except FileNotFoundError:
            return None

    def save(self, key: str, value: bytes) -> None:
        partial = self._folder / ".partial"
        try:
            partial.write_bytes(value)
            os.replace(partial, self._file(key))
        except OSError as error:
            raise StorageError(f"{self._folder} cannot be written: {error.strerror}") from error

    def delete(self, key: str) -> bool:
        there = self._file(key).exists()
        self._file(key).unlink(missing_ok=True)
        return there

    def list(self, prefix: str = "") -> list[str]:
        keys = (unquote(file.name) for file in self._folder.iterdir() if file.name != ".partial")
        return sorted(key for key in keys if key.startswith(prefix))

    def stat(self, key: str) -> StoredStat | None:
        try:
            found = self._file(key).stat()
        except FileNotFoundError:
            return None
        return StoredStat(found.st_size, found.st_mtime)

    def _file(self, key: str) -> Path:
        return self._folder / quote(key, safe="")
