"""What a secret store is: a name in, a value or a reason out.

Owns: the abstract `SecretStore` and the exceptions that cross its seam.
Must never: cache (the secret actor does), or put a value into an exception or a repr.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class SecretStoreError(Exception):
    """The store cannot be asked: unreadable file, wrong permissions, no network. The text says what to do."""


class SecretMissing(LookupError):
    """The store was asked and has no such secret."""


class SecretUnavailable(SecretMissing):
    """The source is not there, empty or not readable, which says nothing of the secret: it may be back in a moment."""


class SecretStore(ABC):
    """Made from its own keys of the `secrets` section. Used by the secret actor's thread alone; may block."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings

    @abstractmethod
    def get(self, name: str) -> str:
        """The value. Raises SecretMissing or SecretStoreError."""

    def files(self, name: str) -> Sequence[Path]:
        """Files that its value comes from: they are watched, and one that is being written is left to its writer."""
        return ()

    def list(self) -> list[str]:
        """The names there are, never values. Raises SecretStoreError where the store cannot tell."""
        raise SecretStoreError(f"{type(self).__name__} cannot list its secrets")

    def refresh(self) -> None:  # noqa: B027 - most read afresh at every get
        """Forget whatever was read ahead: the next get asks the source."""

    def close(self) -> None:  # noqa: B027
        """Give back connections. Idempotent."""

    def __repr__(self) -> str:  # never the settings: they may hold secrets
        return f"{type(self).__name__}()"
