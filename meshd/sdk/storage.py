"""The interface of a storage connector: bytes under string keys.

Owns: the abstract `Storage` and its exceptions.
Must never: know what is stored. Used only by the state actor's thread, so a connector may block.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar

import msgspec


class StorageError(Exception):
    """The storage cannot do it now: it is full, read-only or unreachable. It may recover; nothing is half done."""


class StorageReset(StorageError):
    """The stored data is lost (a corrupt file was moved aside) and the storage is empty: write everything again."""


class StoredStat(msgspec.Struct, frozen=True):
    """modified: UTC seconds."""

    size: int
    modified: float


class Storage(ABC):
    """atomic: `save_many` saves all values or none; otherwise only each single value is written atomically."""

    atomic: ClassVar[bool] = False
    readonly: bool = False
    """Whether it can be read but not written now."""

    @abstractmethod
    def load(self, key: str) -> bytes | None:
        """The value, None if there is none. Raises StorageError, as all methods do."""

    @abstractmethod
    def save(self, key: str, value: bytes) -> None: ...

    @abstractmethod
    def delete(self, key: str) -> bool:
        """Delete a value. Returns whether there was one."""

    @abstractmethod
    def list(self, prefix: str = "") -> list[str]:
        """The keys that begin with prefix, sorted."""

    @abstractmethod
    def stat(self, key: str) -> StoredStat | None: ...

    def exists(self, key: str) -> bool:
        return self.stat(key) is not None

    def items(self, prefix: str = "") -> Iterator[tuple[str, bytes]]:
        """Keys that begin with prefix and their values."""
        for key in self.list(prefix):
            value = self.load(key)
            if value is not None:
                yield key, value

    def save_many(self, changes: Mapping[str, bytes | None]) -> None:
        """Save, or delete (None), in the order given; in one transaction if `atomic`."""
        for key, value in changes.items():
            if value is None:
                self.delete(key)
            else:
                self.save(key, value)

    def flush(self) -> None:  # noqa: B027 - most have nothing to do
        """Return when everything that was saved would survive a power cut."""

    def lost(self) -> bool:
        """Whether its file is no longer under its name: removed, renamed or replaced."""
        return False

    def close(self) -> None:  # noqa: B027
        """Close files. Idempotent."""
