"""The JSON Schema of the configuration file, for editors (`meshctl config schema`).

Owns: what pydantic's schema lacks: short forms, nested `config:` maps, connectors' own keys.
Must never: be used for the daemon's own validation.
"""

from __future__ import annotations

from typing import Any

from meshd.config.schema import RootConfig
from meshd.connectors.registry import default_registry

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_OPEN = {
    "ProviderConfig": "provider",
    "SecretsConfig": "secret-store",
    "StorageConfig": "storage",
    "RoutingSinks": "observability",
    "LoggingSinks": "observability",
    "StatisticsSinks": "observability",
}
_NESTED = ("ProviderConfig", "PoolConfig")
_SHORT = ("RoutingSinks", "LoggingSinks", "StatisticsSinks")


def json_schema() -> dict[str, Any]:
    """The whole schema, as one document without outside references."""
    schema = RootConfig.model_json_schema(mode="validation")
    definitions: dict[str, Any] = schema.setdefault("$defs", {})
    _tidy(schema)
    for name, kind in _OPEN.items():
        _add_connector_keys(definitions, definitions[name], kind)
    for name in _NESTED:
        _allow_nested(definitions, name)
    for name in _SHORT:
        _allow_short(definitions, name)
    _allow_empty_entries(schema)
    schema["properties"]["profiles"]["additionalProperties"] = {"anyOf": [{"$ref": "#"}, {"type": "null"}]}
    schema["patternProperties"] = {"^x-": {"description": "The author's own keys, such as a place for YAML anchors."}}
    return {"$schema": DIALECT, **schema, "title": "meshd configuration"}


def _add_connector_keys(definitions: dict[str, Any], definition: dict[str, Any], kind: str) -> None:
    """Add the keys of every possible connector, since the schema cannot know which one is used."""
    for spec in default_registry().list_connectors(kind):
        settings = spec.load_settings()
        if settings is None:
            continue
        own = settings.model_json_schema(ref_template="#/$defs/{model}")
        definitions.update(own.get("$defs", {}))
        for name, part in own.get("properties", {}).items():
            _tidy(part)
            part["description"] = f"{part.get('description', '')} ({spec.id})".strip()
            definition["properties"].setdefault(name, part)


def _allow_nested(definitions: dict[str, Any], name: str) -> None:
    flat = definitions[name]
    flat["properties"]["config"] = {
        "type": "object",
        "description": "The same keys. They mean the same here as directly under the name.",
    }


def _allow_short(definitions: dict[str, Any], name: str) -> None:
    full = definitions.pop(name)
    definitions[f"{name}Map"] = full
    definitions[name] = {
        "description": full.get("description", "Sinks."),
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "object"}]}},
            {"$ref": f"#/$defs/{name}Map"},
        ],
    }


def _allow_empty_entries(schema: dict[str, Any]) -> None:
    for section in ("providers", "models", "pools", "apps"):
        part = schema["properties"][section]
        part["additionalProperties"] = {"anyOf": [part["additionalProperties"], {"type": "null"}]}


def _tidy(value: Any) -> None:
    """Drop what only the documentation uses, and defaults in internal units."""
    if isinstance(value, dict):
        value.pop("shown_default", None)
        if "x-unit" in value or any("x-unit" in part for part in value.get("anyOf", ()) if isinstance(part, dict)):
            value.pop("default", None)
        if isinstance(value.get("default"), dict) and value["default"]:
            value.pop("default")
        for item in value.values():
            _tidy(item)
    elif isinstance(value, list):
        for item in value:
            _tidy(item)
