"""What the stores that are services share: which of the service's secrets a name means, and a secret's fields.

Owns: `NAME#FIELD`, `prefix`, `path`, and reading a secret with many fields once. Must never: talk to a service.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from meshd.connectors.secrets.files import json_object
from meshd.sdk.secrets import SecretMissing, SecretStore, SecretStoreError

Content = str | dict[str, Any]
"""The content of a secret: a text, or fields."""

_SAME = 2.0  # s for which one read answers all names in the same secret


class RemoteStore(SecretStore):
    """Settings: `prefix`, put before a name to get the secret's name there; or `path`, the one secret whose fields are
    the secrets. A name may also be `SECRET#FIELD`.

    The fields of a secret that is a text are those of its JSON object.
    """

    only_field = "value"
    """The field that is meant if a name gives none and the secret has several."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._read: dict[str, tuple[Content, float]] = {}

    @abstractmethod
    def fetch(self, secret: str) -> Content:
        """Raises SecretMissing, SecretStoreError."""

    @abstractmethod
    def put(self, secret: str, content: Content) -> None:
        """Create or replace it. Raises SecretStoreError."""

    @abstractmethod
    def remove(self, secret: str) -> None:
        """Raises SecretMissing, SecretStoreError."""

    @abstractmethod
    def names(self) -> list[str]:
        """All secrets whose name begins with the prefix. Raises SecretStoreError."""

    def get(self, name: str) -> str:
        secret, field = self._place(name)
        content, at = self._read.get(secret, ("", 0.0))
        if not at or time.monotonic() - at > _SAME:
            content = self.fetch(secret)
            self._read[secret] = content, time.monotonic()
        return self._picked(content, secret, field)

    def set(self, name: str, value: str) -> None:
        secret, field = self._place(name)
        self.refresh()
        self.put(secret, value if field is None else {**self._fields(secret), field: value})

    def delete(self, name: str) -> None:
        secret, field = self._place(name)
        self.refresh()
        if field is None:
            self.remove(secret)
            return
        fields = _object(self.fetch(secret), secret)
        if field not in fields:
            raise SecretMissing(f"{secret} has no field {field}")
        self.put(secret, {key: value for key, value in fields.items() if key != field})

    def list(self) -> list[str]:
        if path := self._settings.get("path"):
            return sorted(self._fields(str(path)))
        return sorted(name.removeprefix(self._prefix) for name in self.names() if name.startswith(self._prefix))

    def refresh(self) -> None:
        self._read.clear()

    @property
    def _prefix(self) -> str:
        return str(self._settings.get("prefix") or "")

    def _place(self, name: str) -> tuple[str, str | None]:
        """(the secret, its field or None)."""
        secret, _, field = name.partition("#")
        if field:
            return secret, field
        path = self._settings.get("path")
        return (str(path), name) if path else (self._prefix + name, None)

    def _fields(self, secret: str) -> dict[str, Any]:
        try:
            return _object(self.fetch(secret), secret)
        except SecretMissing:
            return {}

    def _picked(self, content: Content, secret: str, field: str | None) -> str:
        if field is None and isinstance(content, str):
            return content
        fields = _object(content, secret)
        if field is None:
            field = next(iter(fields)) if len(fields) == 1 else self.only_field
        value = fields.get(field)
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise SecretMissing(f"{secret} has no field {field}")
        return str(value)


def _object(content: Content, secret: str) -> dict[str, Any]:
    """Raises SecretStoreError."""
    if isinstance(content, dict):
        return content
    found = json_object(content)
    if found is None:
        raise SecretStoreError(f"{secret} is not a JSON object, so it has no fields")
    return found
