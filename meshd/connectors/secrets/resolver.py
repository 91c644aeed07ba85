"""Names to values through the stores of a `secrets` section, remembered for a while.

Owns: the stores, the cache, and what a secret's value was last (as a digest), to know when it changed.
Must never: show a value; results leave only as values asked for by name.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from meshd.cdk.secrets import SecretMissing, SecretStore, SecretStoreError
from modelmesh._errors import ConfigurationError

logger = logging.getLogger("meshd.secrets")
REFRESH_INTERVAL = 10.0  # s: a key that stays wrong must not make every request read the stores

MakeStore = Callable[[str, Mapping[str, Any]], SecretStore]


def make_store(id: str, settings: Mapping[str, Any]) -> SecretStore:
    from meshd.cdk.connector import make_connector

    store: SecretStore = make_connector("secret-store", id, settings)
    return store


def usable(name: str, value: str) -> str:
    """The value without blanks and line breaks at its ends, as copying leaves them. Raises SecretStoreError for what
    no header can carry, naming the secret and never its value."""
    value = value.strip()
    if not value:
        raise SecretMissing(f"{name} is empty")
    if any(character < " " or "\x7f" <= character <= "\x9f" for character in value):
        raise SecretStoreError(f"{name} has a line break or another control character inside: it cannot be a key")
    if any(character > "\xff" for character in value):
        raise SecretStoreError(f"{name} has characters that no HTTP header can carry (is it pasted with quotes?)")
    return value


class SecretSection:
    """One `secrets` section made ready: its stores in order and its cache.

    section: the typed view, or a map of the same keys. folder: what relative paths in it are relative to.
    """

    def __init__(self, section: Any, folder: str = "", make: MakeStore = make_store) -> None:
        view = _typed(section)
        self.key = repr((sorted(_plain(view).items(), key=lambda item: item[0]), folder))
        self.key = hashlib.sha256(self.key.encode()).hexdigest()  # the section itself may hold values
        self.ttl = float(view.cache_ttl) if view.cache_enabled else 0.0
        self.problems: list[str] = []
        self._stores: list[SecretStore] = []
        self._cache: dict[str, tuple[str, float]] = {}
        for entry in view.store:
            settings = {"folder": folder, **view.settings, **entry.settings}
            try:
                self._stores.append(make(entry.connector, settings))
            except (ConfigurationError, ValueError, SecretStoreError) as error:
                self.problems.append(f"{entry.connector}: {error}")

    def get(self, name: str, now: float) -> str:
        """Raises SecretMissing with every store's reason."""
        cached = self._cache.get(name)
        if cached is not None and now < cached[1]:
            return cached[0]
        reasons = list(self.problems)
        for store in self._stores:
            try:
                value = usable(name, store.get(name))
            except (SecretMissing, SecretStoreError) as error:
                reasons.append(str(error))
                continue
            if self.ttl:
                self._cache[name] = (value, now + self.ttl)
            return value
        raise SecretMissing("; ".join(dict.fromkeys(reasons)) or "no secret store is configured")

    def forget(self, names: Iterable[str]) -> None:
        for name in names:
            self._cache.pop(name, None)
        for store in self._stores:
            store.refresh()

    def close(self) -> None:
        self._cache.clear()
        for store in self._stores:
            store.close()


class SecretResolver:
    """now: a monotonic clock."""

    def __init__(self, *, now: Callable[[], float], make: MakeStore = make_store) -> None:
        self._now = now
        self._make = make
        self._committed: SecretSection | None = None
        self._other: SecretSection | None = None  # of a generation that is being prepared
        self._seen: dict[str, bytes] = {}
        self._refreshed_at: dict[str, float] = {}
        # A salt, so that a digest in a core dump is no oracle for guesses.
        self._salt = os.urandom(16)

    def resolve(
        self, names: Iterable[str], section: Any = None, folder: str = ""
    ) -> tuple[dict[str, str], dict[str, str]]:
        """(values, missing name → why)."""
        stores = self._section(section, folder) if section is not None else self._current()
        now = self._now()
        values: dict[str, str] = {}
        missing: dict[str, str] = {}
        for name in names:
            try:
                values[name] = stores.get(name, now)
                self._seen[name] = self._digest(values[name])
            except SecretMissing as error:
                missing[name] = str(error)
        return values, missing

    def refresh(self, names: Iterable[str]) -> list[str]:
        """Ask the stores again; the names that have another value now. Each at most every ten seconds."""
        now = self._now()
        due = [name for name in names if now - self._refreshed_at.get(name, -REFRESH_INTERVAL) >= REFRESH_INTERVAL]
        if not due:
            return []
        stores = self._current()
        stores.forget(due)
        changed = []
        for name in due:
            self._refreshed_at[name] = now
            try:
                digest = self._digest(stores.get(name, now))
            except SecretMissing as error:
                logger.warning("the secret %s cannot be resolved again: %s", name, error)
                continue
            before = self._seen.get(name)
            self._seen[name] = digest
            if before is not None and before != digest:
                changed.append(name)
        return changed

    def prepare(self, section: Any, folder: str = "") -> list[str]:
        """Objections to a section: stores that cannot be made."""
        return [f"secrets.store: {problem}" for problem in self._section(section, folder).problems]

    def commit(self) -> None:
        if self._other is not None:
            if self._committed is not None:
                self._committed.close()
            self._committed, self._other = self._other, None

    def discard(self) -> None:
        if self._other is not None:
            self._other.close()
            self._other = None

    def close(self) -> None:
        self.discard()
        if self._committed is not None:
            self._committed.close()

    def _current(self) -> SecretSection:
        if self._committed is None:
            if self._other is not None:
                return self._other
            self._committed = SecretSection({}, make=self._make)
        return self._committed

    def _section(self, section: Any, folder: str) -> SecretSection:
        made = SecretSection(section, folder, self._make)
        for known in (self._committed, self._other):
            # The same section again keeps its cache: a reload must not read every store anew.
            if known is not None and known.key == made.key and not known.problems:
                made.close()
                return known
        self.discard()
        self._other = made
        return made

    def _digest(self, value: str) -> bytes:
        return hashlib.blake2b(value.encode(), key=self._salt, digest_size=16).digest()


def _typed(section: Any) -> Any:
    if not isinstance(section, Mapping):
        return section
    from meshd.config.schema.secrets import SecretsConfig

    return SecretsConfig.model_validate(dict(section))


def _plain(view: Any) -> dict[str, Any]:
    return {
        "ttl": view.cache_ttl,
        "cached": view.cache_enabled,
        "settings": sorted(view.settings.items()),
        "stores": [(entry.connector, sorted(entry.settings.items())) for entry in view.store],
    }
