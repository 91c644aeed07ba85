"""Storage connectors: where state is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from meshd.connectors.storage.encoded import EncodedStorage, Form
from meshd.sdk.storage import Storage


def open_storage(id: str, settings: Mapping[str, Any], directory: Path, form: Form | None = None) -> Storage:
    """Open a storage. directory: for its files, unless its settings say otherwise. form: how values are encoded; None:
    not at all.

    Raises ConfigurationError (an unknown connector), ValueError (a wrong setting), StorageError.
    """
    from meshd.connectors.make import make_connector  # late, because the registry reads the catalogue

    storage = cast(Storage, make_connector("storage", id, settings, directory))
    return storage if form is None else EncodedStorage(storage, form)
