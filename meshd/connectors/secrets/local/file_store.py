"""A store that is one file: read again when it has changed, and changed under a lock.

Owns: reading it, and replacing all of it or nothing. Must never: accept a file that others can read, or put part of it
into an error.
"""

from __future__ import annotations

import fcntl
import os
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from meshd.connectors.secrets.files import beside, read_text, text_of, why
from meshd.connectors.secrets.written import require_name, write
from meshd.host.file_watching import state_of
from meshd.sdk.secrets import SecretMissing, SecretStore, SecretStoreError, SecretUnavailable

PATIENCE = 10.0  # s for another process that is changing the file
_AGAIN = 0.02


class FileStore(SecretStore):
    """path: relative to `folder` of the settings, which the resolver adds."""

    blocks = False

    def __init__(self, settings: Mapping[str, Any], path: str) -> None:
        super().__init__(settings)
        self.path = beside(settings, path)
        self._read_at: tuple[int, ...] | None = None
        self._values: dict[str, str] = {}

    @abstractmethod
    def _parsed(self, text: str) -> dict[str, str]:
        """Names to values. Raises SecretStoreError."""

    @abstractmethod
    def _changed(self, text: str | None, name: str, value: str | None) -> str:
        """The text with a secret set, or deleted if value is None. text: None if there is no file.

        Raises SecretMissing and SecretStoreError."""

    def get(self, name: str) -> str:
        value = self._load().get(name)
        if value is None:
            raise SecretMissing(f"{self.path} has no {name}")
        return value

    def list(self) -> list[str]:
        return sorted(self._load())

    def files(self, name: str) -> tuple[Path, ...]:
        return (self.path,)

    def refresh(self) -> None:
        self._read_at = None

    def set(self, name: str, value: str) -> None:
        require_name(name)
        self._change(name, value)

    def delete(self, name: str) -> None:
        if name not in self._load():
            raise SecretMissing(f"{self.path} has no {name}")
        self._change(name, None)

    def _change(self, name: str, value: str | None) -> None:
        self.refresh()
        with locked(self.path):
            try:
                text: str | None = read_text(self.path, private=True)
            except SecretUnavailable:
                text = None
            values = {} if text is None else self._parsed(text)
            wanted = {key: kept for key, kept in values.items() if key != name}
            if value is not None:
                wanted[name] = value
            write(self.path, self._changed(text, name, value), name, wanted, self._reread)

    def _reread(self, content: bytes) -> dict[str, str]:
        return self._parsed(text_of(content, self.path))

    def _load(self) -> dict[str, str]:
        version = state_of(self.path)
        if version is None or version != self._read_at:
            self._values = self._parsed(read_text(self.path, private=True))
            self._read_at = version
        return self._values


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock the file, so that no other process changes it. Its directory is created if it is missing. Raises
    SecretStoreError."""
    try:
        place = path.resolve()
        if place.is_dir():
            raise IsADirectoryError("it is a directory, not a file")
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        lock = os.open(place.parent / f".{place.name}.lock", flags, 0o600)
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
        raise SecretStoreError(f"{path} cannot be changed: {why(error)}") from None
    try:
        _wait_for(lock, path)
        yield
    finally:
        os.close(lock)


def _wait_for(lock: int, path: Path) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:
            if time.monotonic() > until:
                raise SecretStoreError(f"{path} has been locked by another process for {PATIENCE:g} s") from None
            time.sleep(_AGAIN)
