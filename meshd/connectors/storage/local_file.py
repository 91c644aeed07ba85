"""`modelmesh.local-file.v1`: one file per key, each replaced by an atomic rename.

Owns: a directory. Must never: leave half a value behind, or one that others can read.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from meshd.sdk.storage import Storage, StorageError, StoredStat

_ENDING = ".value"


class LocalFileStorage(Storage):
    def __init__(self, settings: Mapping[str, Any], directory: Path) -> None:
        path = settings.get("path")
        self._directory = Path(path).expanduser() if path else directory / "files"
        self._backup = bool(settings.get("backup", False))
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make {self._directory}: {error.strerror}") from error

    def load(self, key: str) -> bytes | None:
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"cannot read {self._path(key)}: {error.strerror}") from error

    def save(self, key: str, value: bytes) -> None:
        path = self._path(key)
        temporary = ""
        try:
            fd, temporary = tempfile.mkstemp(dir=self._directory, prefix=".writing-")
            with os.fdopen(fd, "wb") as file:
                file.write(value)
                file.flush()
                os.fsync(file.fileno())
            if self._backup and path.exists():
                backup = path.with_name(path.name + ".backup")
                with suppress(FileNotFoundError):
                    backup.unlink()
                os.link(path, backup)
            os.replace(temporary, path)
        except OSError as error:
            if temporary:
                with suppress(OSError):
                    os.unlink(temporary)
            raise StorageError(f"cannot write {path}: {error.strerror}") from error

    def delete(self, key: str) -> bool:
        try:
            self._path(key).unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StorageError(f"cannot delete {self._path(key)}: {error.strerror}") from error
        return True

    def list(self, prefix: str = "") -> list[str]:
        try:
            names = os.listdir(self._directory)
        except OSError as error:
            raise StorageError(f"cannot list {self._directory}: {error.strerror}") from error
        keys = (unquote(name.removesuffix(_ENDING)) for name in names if name.endswith(_ENDING))
        return sorted(key for key in keys if key.startswith(prefix))

    def stat(self, key: str) -> StoredStat | None:
        try:
            found = self._path(key).stat()
        except OSError:
            return None
        return StoredStat(found.st_size, found.st_mtime)

    def _path(self, key: str) -> Path:
        return self._directory / (quote(key, safe="") + _ENDING)
