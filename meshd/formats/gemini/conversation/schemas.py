"""Schemas of Gemini's own dialect (`responseSchema`, `parameters`) as JSON Schema.

The dialect is a part of OpenAPI 3.0: types in upper case, `nullable`, and counts that may be texts, as in all of
Google's JSON. JSON Schema is sent as it came (`responseJsonSchema`, `parametersJsonSchema`).
https://ai.google.dev/api/caching#Schema, 2026-11-28
"""

from __future__ import annotations

from typing import Any

_COUNTS = ("maxItems", "minItems", "maxProperties", "minProperties", "maxLength", "minLength")
_NOT_JSON_SCHEMA = frozenset({"nullable", "propertyOrdering", "example"})
_SPELLED: dict[str, str] = {
    "any_of": "anyOf", "max_items": "maxItems", "min_items": "minItems", "max_properties": "maxProperties",
    "min_properties": "minProperties", "max_length": "maxLength", "min_length": "minLength",
    "property_ordering": "propertyOrdering",
}  # fmt: skip


def json_schema(schema: Any) -> Any:
    """What is not a map stays as it is."""
    if not isinstance(schema, dict):
        return schema
    given: dict[Any, Any] = {_SPELLED.get(name, name): value for name, value in schema.items()}
    made: dict[str, Any] = {}
    for name, value in given.items():
        match name:
            case "type" if isinstance(value, str):
                made["type"] = value.lower()
            case "items":
                made["items"] = json_schema(value)
            case "properties" if isinstance(value, dict):
                made["properties"] = {key: json_schema(each) for key, each in value.items()}
            case "anyOf" if isinstance(value, list):
                made["anyOf"] = [json_schema(each) for each in value]
            case _ if name in _COUNTS and isinstance(value, str) and value.isdecimal():
                made[name] = int(value)
            case _ if name not in _NOT_JSON_SCHEMA:
                made[name] = value
    if given.get("nullable") is True:
        _allow_null(made)
    return made


def _allow_null(schema: dict[str, Any]) -> None:
    if isinstance(kind := schema.get("type"), str):
        schema["type"] = [kind, "null"]
    if isinstance(values := schema.get("enum"), list) and None not in values:
        schema["enum"] = [*values, None]
    if "type" not in schema and isinstance(choices := schema.get("anyOf"), list):
        schema["anyOf"] = [*choices, {"type": "null"}]
