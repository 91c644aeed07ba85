"""A configuration that a storage connector holds instead of a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from meshd.config import MeshConfig
from meshd.core.text.exceptions import one_line
from meshd.sdk.storage import Storage, StorageError
from modelmesh.errors import ConfigurationError


@contextmanager
def stored(connector: str, settings: Mapping[str, Any]) -> Iterator[Storage]:
    """An open storage. settings: the connector's own. Raises ConfigurationError."""
    from meshd.connectors.storage.encoded import Form
    from meshd.connectors.storage.open import open_storage
    from meshd.state.directory import default_state_dir

    try:
        # Written as plain text only, but read in any form.
        storage = open_storage(connector, settings, default_state_dir(), Form())
    except ValidationError as error:  # whose text shows what was given
        wrong = ", ".join(f"{each['loc'][0]}: {each['msg']}" for each in error.errors() if each["loc"])
        raise _wrong(f"{connector}: {wrong}") from None
    except (StorageError, ValueError) as error:
        raise _wrong(f"{connector}: {one_line(error)}") from None
    try:
        yield storage
    except StorageError as error:
        raise _wrong(str(error)) from None
    finally:
        storage.close()


def read_stored(connector: str, settings: Mapping[str, Any], key: str) -> MeshConfig:
    """Raises ConfigurationError."""
    with stored(connector, settings) as storage:
        value = storage.load(key)
    if value is None:
        raise _wrong(f"{connector} holds no {key!r}")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise _wrong(f"{key!r} in {connector} is not a text") from None
    return MeshConfig.from_text(text, Path(key).suffix.lstrip(".") or "yaml")


def _wrong(why: str) -> ConfigurationError:
    return ConfigurationError(why, problems=[])
