"""A configuration that a storage connector holds instead of a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from meshd.config import MeshConfig
from meshd.sdk.storage import Storage
from modelmesh.errors import ConfigurationError


@contextmanager
def stored(connector: str, settings: Mapping[str, Any]) -> Iterator[Storage]:
    """An open storage. settings: the connector's own. Raises ConfigurationError."""
    from meshd.connectors.storage.open import open_storage
    from meshd.state.directory import default_state_dir

    storage = open_storage(connector, settings, default_state_dir())
    try:
        yield storage
    finally:
        storage.close()


def read_stored(connector: str, settings: Mapping[str, Any], key: str) -> MeshConfig:
    """Raises ConfigurationError."""
    with stored(connector, settings) as storage:
        value = storage.load(key)
    if value is None:
        raise ConfigurationError(f"{connector} holds no {key!r}", problems=[])
    return MeshConfig.from_text(value.decode(), Path(key).suffix.lstrip(".") or "yaml")
