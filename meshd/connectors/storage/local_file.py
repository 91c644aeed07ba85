"""`modelmesh.local-file.v1`: one file per key, each replaced by an atomic rename.

Owns: a directory. Must never: leave a partial value behind, or one that others can read.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, unquote

from meshd.connectors.storage.faults import of_folder
from meshd.sdk.storage import Storage, StorageError, StoredStat

_ENDING = ".value"
_LEASES = ".leases"


class LocalFileStorage(Storage):
    leases: ClassVar[bool] = True

    def __init__(self, settings: Mapping[str, Any], directory: Path) -> None:
        path = settings.get("path")
        self._directory = Path(os.path.expanduser(path)) if path else directory / "files"
        self._backup = bool(settings.get("backup", False))
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot create {self._directory}: {error.strerror}") from error

    @classmethod
    def fault(cls, settings: Mapping[str, Any], directory: Path) -> str:
        return of_folder(settings.get("path"))

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

    # -- leases: one JSON file, name → (holder, end in UTC s), changed under a lock ---------------------

    def acquire(self, name: str, holder: str, seconds: float) -> bool:
        with self._changing() as leases:
            if leases.get(name, (holder, 0.0))[0] != holder:
                return False
            leases[name] = (holder, time.time() + seconds)
        return True

    def release(self, name: str, holder: str) -> bool:
        with self._changing() as leases:
            return leases.get(name, ("", 0.0))[0] == holder and bool(leases.pop(name))

    def is_locked(self, name: str) -> str:
        with self._changing() as leases:
            return str(leases.get(name, ("", 0.0))[0])

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """The leases that have not expired. What the block changes is written."""
        path = self._directory / _LEASES
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(fd, "r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                text = file.read()
                leases = _unended(text)
                yield leases
                if (new := json.dumps(leases)) != text:
                    file.seek(0)
                    file.write(new)
                    file.truncate()
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}") from error

    def lost(self) -> bool:
        return not self._directory.is_dir()

    def _path(self, key: str) -> Path:
        return self._directory / (quote(key, safe="") + _ENDING)


def _unended(text: str) -> dict[str, Any]:
    """The leases in a file; none if a crash has damaged it."""
    try:
        return {name: (holder, until) for name, (holder, until) in json.loads(text).items() if until > time.time()}
    except (ValueError, TypeError, AttributeError):
        return {}
