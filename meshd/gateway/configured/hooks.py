"""The hooks that a configuration names, made again for each.

Owns: their names and order. Must never: run one (`gateway/requests/hooks/chain.py` does).
"""

from __future__ import annotations

from meshd.config import MeshConfig
from meshd.connectors.make import make_connector
from meshd.sdk.connector import HOOK
from meshd.sdk.hooks import Hook
from modelmesh.errors import ConfigurationError


def hooks_of(config: MeshConfig) -> tuple[list[tuple[str, Hook]], list[str]]:
    """The hooks by name, in the order of the configuration; and why some cannot be made."""
    made: dict[str, Hook] = {}
    faults: list[str] = []
    for index, entry in enumerate(config.hooks):
        id = entry.connector
        try:
            # A connector may be listed twice, with different settings.
            made[id if id not in made else f"{id} (hooks[{index}])"] = make_connector(HOOK, id, entry.settings)
        except (ConfigurationError, ValueError) as error:
            faults.append(f"hooks[{index}]: {error}")
    return list(made.items()), faults
