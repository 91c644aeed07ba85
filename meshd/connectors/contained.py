"""Wraps connectors of other packages, so that they raise only what their interface allows.

Owns: the wrappers of secret stores and storages. The callers of providers, sinks and strategies expect any exception.
Must never: wrap a connector that comes with the daemon, where a mistake is a defect that must show.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from meshd.core.text.exceptions import one_line
from meshd.sdk.connector import SECRET_STORE, STORAGE
from meshd.sdk.secrets import SecretMissing, SecretStore, SecretStoreError
from meshd.sdk.storage import Claim, Grant, Storage, StorageError, StoredStat

logger = logging.getLogger("meshd.connectors")
P = ParamSpec("P")
T = TypeVar("T")


def contained(type: str, id: str, connector: Any) -> Any:
    """The connector in a wrapper that contains its mistakes."""
    if type == SECRET_STORE:
        return ContainedSecretStore(id, connector)
    return ContainedStorage(id, connector) if type == STORAGE else connector


class ContainedSecretStore(SecretStore):
    """For an unexpected exception, only its class is shown, because its text may contain a secret."""

    def __init__(self, id: str, store: SecretStore) -> None:
        super().__init__({})
        self._id = id
        self._store = store
        self.blocks = bool(getattr(store, "blocks", True))  # type: ignore[misc]  # of the wrapped one's class

    def get(self, name: str) -> str:
        value = self._run(self._store.get, name)
        if not isinstance(value, str):
            raise SecretStoreError(f"{self._id} gave {name} as {type(value).__name__}, not as text")
        return value

    def files(self, name: str) -> Sequence[Path]:
        try:
            return [Path(path) for path in self._run(self._store.files, name)]
        except (LookupError, TypeError, SecretStoreError) as error:
            logger.warning("%s cannot say which files %s comes from: %s", self._id, name, error)
            return ()

    def list(self) -> list[str]:
        return self._run(self._store.list)

    def set(self, name: str, value: str) -> None:
        self._run(self._store.set, name, value)

    def delete(self, name: str) -> None:
        self._run(self._store.delete, name)

    @property
    def writable(self) -> bool:
        return bool(self._run(lambda: self._store.writable))

    def refresh(self) -> None:
        self._without_result(self._store.refresh)

    def close(self) -> None:
        self._without_result(self._store.close)

    def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return work(*args, **kwargs)
        except (SecretMissing, SecretStoreError):
            raise
        except (Exception, SystemExit) as error:
            raise SecretStoreError(f"{self._id} failed with {type(error).__name__}") from None

    def _without_result(self, work: Callable[[], None]) -> None:
        try:
            self._run(work)
        except (SecretMissing, SecretStoreError) as error:
            logger.warning("%s", error)


class ContainedStorage(Storage):
    def __init__(self, id: str, storage: Storage) -> None:
        self._id = id
        self._storage = storage
        for name in ("atomic", "remote", "leases", "shares"):  # of the wrapped one's class
            setattr(self, name, bool(getattr(storage, name)))

    @property
    def readonly(self) -> bool:  # type: ignore[override]
        return bool(self._run(lambda: self._storage.readonly))

    def load(self, key: str) -> bytes | None:
        return self._checked(self._run(self._storage.load, key))

    def save(self, key: str, value: bytes) -> None:
        self._run(self._storage.save, key, value)

    def delete(self, key: str) -> bool:
        return bool(self._run(self._storage.delete, key))

    def list(self, prefix: str = "") -> list[str]:
        return self._run(lambda: [str(key) for key in self._storage.list(prefix)])

    def stat(self, key: str) -> StoredStat | None:
        return self._run(self._storage.stat, key)

    def items(self, prefix: str = "") -> Iterator[tuple[str, bytes]]:
        for key, value in self._run(lambda: [*self._storage.items(prefix)]):
            checked = self._checked(value)
            if checked is not None:
                yield str(key), checked

    def save_many(self, changes: Mapping[str, bytes | None]) -> None:
        self._run(self._storage.save_many, changes)

    def acquire(self, name: str, holder: str, seconds: float) -> bool:
        return bool(self._run(self._storage.acquire, name, holder, seconds))

    def release(self, name: str, holder: str) -> bool:
        return bool(self._run(self._storage.release, name, holder))

    def is_locked(self, name: str) -> str:
        return str(self._run(self._storage.is_locked, name))

    def divide(self, member: str, claims: Sequence[Claim]) -> dict[str, Grant]:
        return dict(self._run(self._storage.divide, member, claims))

    def flush(self) -> None:
        self._run(self._storage.flush)

    def lost(self) -> bool:
        try:
            return bool(self._run(self._storage.lost))
        except StorageError as error:
            logger.warning("%s", error)
            return False

    def close(self) -> None:
        try:
            self._run(self._storage.close)
        except StorageError as error:
            logger.warning("%s", error)

    def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return work(*args, **kwargs)
        except StorageError:
            raise
        except (Exception, SystemExit) as error:
            raise StorageError(f"{self._id} failed: {one_line(error)}") from error

    def _checked(self, value: object) -> bytes | None:
        if value is None or isinstance(value, bytes):
            return value
        raise StorageError(f"{self._id} gave {type(value).__name__}, not bytes")
