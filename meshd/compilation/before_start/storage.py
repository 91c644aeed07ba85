"""Why the storage that a configuration names could never be used.

Must never: open it.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from meshd.config import MeshConfig
from meshd.config.schema import StorageConfig
from meshd.connectors.registry import default_registry
from meshd.connectors.storage.encoded import Form
from meshd.core.objection import Objection
from meshd.sdk.storage import Storage
from modelmesh.errors import ConfigurationError


class AwaitedSecrets(NamedTuple):
    """Of the section `storage`, the names of those that no store gives now: for its settings, and for the key."""

    settings: list[str]
    key: list[str]

    @classmethod
    def of(cls, config: MeshConfig) -> AwaitedSecrets:
        of_key = config.awaited("storage", "encryption")
        return cls([name for name in config.awaited("storage") if name not in of_key], of_key)


def objections_to_storage(section: StorageConfig, awaited: AwaitedSecrets, directory: Path) -> list[Objection]:
    """Empty if it can, as far as can be seen; what still waits for a secret is not looked at. directory: of the
    state."""
    if not awaited.key:
        try:
            Form.of(section.format, section.compression, section.encryption.key, section.encryption.key_file)
        except ValueError as error:
            return [Objection(("storage", "encryption"), str(error))]
    if awaited.settings:
        return []
    try:
        cls: type[Storage] = default_registry().get_connector(section.connector, "storage")
        why = cls.fault(section.settings, directory)
    except ConfigurationError as error:
        return [Objection(("storage", "connector"), str(error))]
    return [Objection(("storage",), f"{section.connector} {why}")] if why else []
