"""The interface of a storage connector: bytes under string keys, and leases.

Owns: the abstract `Storage` and its exceptions.
Must never: know what is stored. One thread uses it at a time, and never the router's, so a connector may block.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec


class StorageError(Exception):
    """The storage cannot do it now: it is full, read-only or unreachable. It may recover; nothing is half done."""


class StorageReset(StorageError):
    """The stored data is lost (a corrupt file was moved aside) and the storage is empty: write everything again."""


class StoredStat(msgspec.Struct, frozen=True):
    """modified: UTC seconds."""

    size: int
    modified: float


class Claim(msgspec.Struct, frozen=True):
    """What a daemon claims of a limit that several share. key: of the limit and its window. limit, used, keeps, needs:
    in the limit's measure. used: taken so far. keeps: the least that it is granted, which it may take while it waits
    for the answer. needs: how much more than used is needed for what waits. lasts: s that the window is remembered.
    last: it will claim no more. ahead: the window has not begun."""

    key: str
    limit: int
    used: int
    keeps: int
    needs: int = 0
    lasts: int = 86400
    last: bool = False
    ahead: bool = False


class Grant(msgspec.Struct, frozen=True):
    """The answer. granted: what it may take in total, including what it has taken. elsewhere: what others have taken,
    or, if they do not answer, may take without asking. slack: its part of what is left, including what it needs."""

    granted: int
    elsewhere: int = 0
    slack: int = 0


class Storage(ABC):
    """atomic: `save_many` saves all values or none; otherwise only each single value is written atomically. remote: it
    may be slow or unreachable for hours, so the daemon works with a copy in its own directory. leases: it has leases.
    shares: several daemons may use it at once, and divide their budgets there."""

    atomic: ClassVar[bool] = False
    remote: ClassVar[bool] = False
    leases: ClassVar[bool] = False
    shares: ClassVar[bool] = False
    readonly: bool = False
    """Whether it can currently be read but not written."""

    @classmethod
    def fault(cls, settings: Mapping[str, Any], directory: Path) -> str:
        """Why these settings cannot work, in words that follow the storage's id; "": nothing is known. Called
        when a configuration is checked, so it must not write or connect. directory: for its files, unless the settings
        say otherwise."""
        return ""

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

    # -- leases: locks that end by themselves ---------------------------------------------------------

    def acquire(self, name: str, holder: str, seconds: float) -> bool:
        """Take a lease, or extend it if `holder` has it. It ends after `seconds`, by the storage's clock.

        Returns whether `holder` has got it. Raises StorageError."""
        raise StorageError(f"{type(self).__name__} has no leases")

    def release(self, name: str, holder: str) -> bool:
        """End the lease if `holder` has it. Returns whether it had."""
        raise StorageError(f"{type(self).__name__} has no leases")

    def is_locked(self, name: str) -> str:
        """Who has the lease now; "" if it is free."""
        raise StorageError(f"{type(self).__name__} has no leases")

    def divide(self, member: str, claims: Sequence[Claim]) -> dict[str, Grant]:
        """Divide limits between daemons, all or none. Returns what `member` is granted, by key. All grants together are
        at most the limit, except for what was already kept. Repeating the same claims changes nothing. Raises
        StorageError."""
        raise StorageError(f"{type(self).__name__} cannot divide limits")

    # -- the whole ------------------------------------------------------------------------------------

    def flush(self) -> None:  # noqa: B027 - most have nothing to do
        """Return when everything that was saved would survive a power cut."""

    def lost(self) -> bool:
        """Whether its file is no longer under its name: removed, renamed or replaced."""
        return False

    def close(self) -> None:  # noqa: B027
        """Close files. Idempotent."""
