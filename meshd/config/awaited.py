"""What runs while a store of secrets does not answer: everything but what needs a secret from it.

Owns: which parts of a configuration can be left out until their secrets are there, and doing so. Storage is not left
out but waits by itself (`state/settings.py`), since its limits may be shared with other daemons.
Must never: leave out what protects, such as a hook.
"""

from __future__ import annotations

from typing import Any

from meshd.config.check.references import secret_names, strings
from meshd.config.schema import RootConfig
from meshd.config.schema.observability import ObservabilityConfig
from meshd.connectors.registry import default_registry
from meshd.core.text.key_path import Path
from modelmesh.errors import ConfigurationError


def consequence(path: Path, root: RootConfig) -> str:
    """What happens without the secret at `path`, in words; "" if the configuration cannot be used without it."""
    if path[0] == "providers":
        return f"provider {path[1]} is left out"
    if path[0] == "observability":
        return f"the sink of observability.{path[1]} that needs it is left out"
    if path[:2] == ("discovery", "connector"):
        return "the discovery connector that needs it is left out"
    if path[:2] == ("storage", "encryption"):
        return "what is stored cannot be read, and requests that a budget pays for are refused"
    if path[0] == "storage" and _is_remote(root.storage.connector):
        return "state is kept in the state directory alone"
    return ""


def without_awaited(root: RootConfig) -> RootConfig:
    """The same root without the sinks and discovery connectors whose settings still refer to a secret."""
    parts = {part: _without(getattr(root.observability, part)) for part in ObservabilityConfig.model_fields}
    return root.model_copy(
        update={
            "observability": root.observability.model_copy(update=parts),
            "discovery": _without(root.discovery),
        }
    )


def _without(section: Any) -> Any:
    kept = tuple(entry for entry in section.connector if not _awaits(entry.settings))
    return section.model_copy(update={"connector": kept})


def _awaits(settings: Any) -> bool:
    return any(secret_names(text) for _, text in strings(settings))


def _is_remote(connector: str) -> bool:
    try:
        return bool(getattr(default_registry().get_connector(connector, "storage"), "remote", False))
    except ConfigurationError:
        return False
