"""Making a connector that is not a provider: its class from the registry, its own keys checked and typed.

Owns: `make_connector`. Must never: know what a connector does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshd.connectors.registry import default_registry


def make_connector(type: str, id: str, settings: Mapping[str, Any], *arguments: Any) -> Any:
    """An instance of the connector: `cls(settings, *arguments)`.

    A section's keys are shared by all connectors it names, so those of others are left out. A connector without a
    schema gets them all. Raises ConfigurationError (from the registry) for an id that is unknown or not installed,
    ValueError for a setting of a wrong type.
    """
    registry = default_registry()
    cls = registry.get_connector(id, type)
    spec = registry.find(id, type)
    schema = spec.load_settings() if spec is not None else None
    given = dict(settings)
    # Building a schema takes a while, and every connector knows its own defaults.
    if schema is not None and given:
        given = schema.model_validate({key: given[key] for key in given if key in schema.model_fields}).model_dump()
        # Keys that the schema does not have yet still reach a connector used as a library.
        given.update({key: value for key, value in settings.items() if key not in given})
    return cls(given, *arguments)
