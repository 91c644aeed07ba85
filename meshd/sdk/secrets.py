"""The interface of a secret store: from a name to a value, or a reason why there is none.

Owns: the abstract `SecretStore` and its exceptions.
Must never: cache (the secret actor does), or put a value into an exception or a repr.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar


class SecretStoreError(Exception):
    """The store cannot be read: unreadable file, wrong permissions, no network. The text says what to do."""


class SecretStoreUnreachable(SecretStoreError):
    """The store does not answer, whatever name is asked for. It is not asked again for a moment."""


class SecretMissing(LookupError):
    """The store has no such secret."""


class SecretUnavailable(SecretMissing):
    """The source is missing, empty or not readable, perhaps only for a moment; the secret may still exist."""


class SecretUnreachable(SecretUnavailable):
    """A store that may have it does not answer."""


class SecretStore(ABC):
    """Created from its own keys in the `secrets` section, without contacting anything yet. Used by one thread at a
    time."""

    blocks: ClassVar[bool] = True
    """Whether a call may wait for something outside this process. If so, calls run in the store's own thread, the
    daemon stops waiting for them after `secrets.timeout`, and values are read again after `secrets.cache_ttl`."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings

    @abstractmethod
    def get(self, name: str) -> str:
        """The value. Raises SecretMissing or SecretStoreError."""

    def files(self, name: str) -> Sequence[Path]:
        """The files that the value comes from. They are watched, and not read while being written."""
        return ()

    def list(self) -> list[str]:
        """All names, never values. Raises SecretStoreError if the store cannot list them."""
        raise SecretStoreError(f"{type(self).__name__} cannot list its secrets")

    def set(self, name: str, value: str) -> None:
        """Add the secret, or replace it. Raises SecretStoreError."""
        raise SecretStoreError(f"{type(self).__name__} cannot be written")

    def delete(self, name: str) -> None:
        """Raises SecretMissing or SecretStoreError."""
        raise SecretStoreError(f"{type(self).__name__} cannot be written")

    @property
    def writable(self) -> bool:
        """Whether it has `set` and `delete`."""
        return type(self).set is not SecretStore.set

    def refresh(self) -> None:  # noqa: B027 - most read the source at every get
        """Forget cached values: the next get reads the source."""

    def close(self) -> None:  # noqa: B027
        """Close connections. Idempotent."""

    def __repr__(self) -> str:  # never the settings: they may hold secrets
        return f"{type(self).__name__}()"
