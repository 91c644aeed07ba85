"""Makes a connector that is not a provider: takes its class from the registry, and checks and converts its own keys.

Owns: `make_connector`. Must never: know what a connector does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshd.connectors.contained import contained
from meshd.connectors.registry import default_registry
from meshd.core.text.exceptions import one_line
from meshd.sdk.connector import SECRET_STORE
from meshd.sdk.secrets import SecretStoreError
from meshd.sdk.storage import StorageError
from modelmesh.errors import ConfigurationError


def make_connector(type: str, id: str, settings: Mapping[str, Any], *arguments: Any) -> Any:
    """An instance of the connector: `cls(settings, *arguments)`.

    A section's keys are shared by all connectors it names, so those of others are left out. A connector without a
    schema gets them all. Raises ConfigurationError for an id that is unknown or not installed, and for a connector of
    another package that cannot be made; ValueError for a setting of a wrong type.
    """
    registry = default_registry()
    cls = registry.get_connector(id, type)
    spec = registry.find(id, type)
    schema = spec.load_settings() if spec is not None else None
    given = dict(settings)
    # Without keys, the schema is not built: that takes a while, and every connector knows its own defaults.
    if schema is not None and given:
        given = schema.model_validate({key: given[key] for key in given if key in schema.model_fields}).model_dump()
        # Keys that the schema does not have yet still reach a connector used as a library.
        given.update({key: value for key, value in settings.items() if key not in given})
    if spec is None or not spec.is_outside:
        return cls(given, *arguments)
    try:
        return contained(type, spec.id, cls(given, *arguments))
    except (ValueError, SecretStoreError, StorageError):
        raise
    except (Exception, SystemExit) as error:
        # The text of a secret store's exception may contain a secret.
        why = error.__class__.__name__ if type == SECRET_STORE else one_line(error)
        raise ConfigurationError(f"connector {spec.id} of the package {spec.package} cannot be made: {why}") from None
