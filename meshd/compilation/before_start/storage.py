"""Why the storage that a configuration names could never be used.

Must never: open it.
"""

from __future__ import annotations

from pathlib import Path

from meshd.config import MeshConfig
from meshd.connectors.registry import default_registry
from meshd.connectors.storage.encoded import Form
from meshd.core.objection import Objection
from meshd.sdk.storage import Storage
from modelmesh.errors import ConfigurationError


def objections_to_storage(config: MeshConfig, directory: Path) -> list[Objection]:
    """Empty if it can, as far as can be seen; what still waits for a secret is not looked at. directory: of the
    state."""
    section = config.storage
    key_awaits = config.awaited("storage", "encryption")
    if not key_awaits:
        try:
            Form.of(section.format, section.compression, section.encryption.key, section.encryption.key_file)
        except ValueError as error:
            return [Objection(("storage", "encryption"), str(error))]
    if set(config.awaited("storage")) - set(key_awaits):
        return []
    try:
        cls: type[Storage] = default_registry().get_connector(section.connector, "storage")
        why = cls.fault(section.settings, directory)
    except ConfigurationError as error:
        return [Objection(("storage", "connector"), str(error))]
    return [Objection(("storage",), f"{section.connector} {why}")] if why else []
