"""The stores of a `secrets` section, asked in turn, and a cache of their answers.

Must never: show a value, except to a caller that asks for it by name.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from meshd.connectors.secrets.bounded import BoundedStore
from meshd.core.secret_sources import SecretSources, StoreStanding
from meshd.host.file_watching import being_written
from meshd.sdk.secrets import (
    SecretMissing,
    SecretStore,
    SecretStoreError,
    SecretStoreUnreachable,
    SecretUnavailable,
    SecretUnreachable,
)
from modelmesh.errors import ConfigurationError

UNKEPT = 300.0
"""Seconds after which values are read again if they are not kept in memory."""

_KINDS: list[type[SecretMissing]] = [SecretMissing, SecretUnavailable, SecretUnreachable]

MakeStore = Callable[[str, Mapping[str, Any]], SecretStore]


def make_store(id: str, settings: Mapping[str, Any]) -> SecretStore:
    from meshd.connectors.make import make_connector

    store: SecretStore = make_connector("secret-store", id, settings)
    return store


def _asked(id: str, store: SecretStore, name: str) -> str:
    """Raises only SecretMissing and SecretStoreError."""
    try:
        return store.get(name)
    except (SecretMissing, SecretStoreError):
        raise
    except Exception as error:  # a store's mistake; its text may contain a value
        raise SecretStoreError(f"{id} failed with {type(error).__name__}") from None


def _kind_of(error: SecretMissing | SecretStoreError) -> type[SecretMissing]:
    """What it means for the name, whichever store raised it."""
    if isinstance(error, SecretStoreUnreachable | SecretUnreachable):
        return SecretUnreachable
    return SecretUnavailable if isinstance(error, SecretStoreError | SecretUnavailable) else SecretMissing


def usable(name: str, value: str) -> str:
    """The value without surrounding whitespace, which copying may leave, and without the quotes that `docker run
    --env-file` keeps. Raises SecretStoreError, without the value, if a header cannot contain it."""
    value = value.strip()
    if len(value) > 1 and value[0] in "\"'" and value[-1] == value[0]:
        value = value[1:-1].strip()
    if not value:
        raise SecretMissing(f"{name} is empty")
    if any(character < " " or "\x7f" <= character <= "\x9f" for character in value):
        raise SecretStoreError(f"{name} has a line break or another control character inside: it cannot be a key")
    if any(character > "\xff" for character in value):
        raise SecretStoreError(
            f"{name} has characters that are not allowed in an HTTP header (was it pasted with quotes?)"
        )
    return value


class SecretStores:
    """The stores in their order, and a cache of their answers. named: each with its id."""

    def __init__(self, sources: SecretSources, make: MakeStore = make_store) -> None:
        stores = [(id, sorted(settings.items())) for id, settings in sources.stores]
        # Hashed, as settings may contain values.
        self.key = hashlib.sha256(repr((stores, sources.keep, sources.folder, sources.timeout)).encode()).hexdigest()
        self._keep = sources.keep
        self.problems: list[str] = []
        self.named: list[tuple[str, SecretStore]] = []
        self._outside: list[BoundedStore] = []  # those of them that may block
        self._cache: dict[str, tuple[str, float]] = {}
        self._came_from: dict[str, int] = {}  # name → number of its store
        for id, settings in sources.stores:
            another = partial(make, id, {"folder": sources.folder, "timeout": sources.timeout, **settings})
            try:
                store = another()
            except (ConfigurationError, ValueError, SecretStoreError) as error:
                self.problems.append(f"{id}: {error}")
                continue
            if store.blocks:
                store = BoundedStore(id, store, sources.timeout, another)
                self._outside.append(store)
            self.named.append((id, store))

    def begin(self, seconds: float, *, again: bool = False) -> None:
        """The reads from now on may take this long altogether. again: also ask stores that have just failed to
        answer."""
        for store in self._outside:
            store.begin(seconds)
            if again:
                store.retry()

    @property
    def read_again_after(self) -> float | None:
        """Seconds until stores outside this process should be asked again, None if there are none."""
        if not self._outside:
            return None
        down = [store.again_at - time.monotonic() for store in self._outside if store.standing.error]
        return max(0.0, min([self._keep or UNKEPT, *down]))

    @property
    def standings(self) -> tuple[StoreStanding, ...]:
        """The state of the stores outside this process."""
        return tuple(store.standing for store in self._outside)

    def get(self, name: str, now: float) -> str:
        """Raises SecretMissing with every store's reason: SecretUnreachable if one of them does not answer,
        SecretUnavailable if one of them cannot be read now."""
        cached = self._cache.get(name)
        if cached is not None and now < cached[1]:
            return cached[0]
        reasons, kind = list(self.problems), _KINDS[0]
        for number, (id, store) in enumerate(self.named):
            try:
                value = usable(name, _asked(id, store, name))
            except (SecretMissing, SecretStoreError) as error:
                reasons.append(str(error))
                kind = max(kind, _kind_of(error), key=_KINDS.index)
                if _kind_of(error) is not SecretMissing and self._came_from.get(name) == number:
                    break  # a later store's value must not replace one that may be missing only for a moment
                continue
            self._came_from[name] = number
            self.remember(name, value, now)
            return value
        raise kind("; ".join(dict.fromkeys(reasons)) or "no secret store is configured")

    def remember(self, name: str, value: str, now: float) -> None:
        if self._keep:
            self._cache[name] = (value, now + self._keep)

    def files(self, name: str) -> list[Path]:
        """The files that its value may come from."""
        return [path for _, store in self.named for path in store.files(name)]

    def being_written(self, name: str) -> bool:
        return any(being_written(path) for path in self.files(name))

    def forget(self, names: Iterable[str]) -> None:
        for name in names:
            self._cache.pop(name, None)
        for _, store in self.named:
            store.refresh()

    def close(self) -> None:
        self._cache.clear()
        for _, store in self.named:
            store.close()
