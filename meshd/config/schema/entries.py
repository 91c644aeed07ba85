"""A connector named in the configuration, with the keys that are its own.

Owns: `ConnectorEntry` and the reading of its short forms (an id, a map, a list of either).
Must never: know what a connector's keys mean.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from meshd.config.schema.base import OpenSection


class ConnectorEntry(OpenSection):
    """One connector and its own settings."""

    connector: str = Field(description="Connector id.")


def read_entries(value: Any) -> Any:
    """One id or one map stands for a list of one; an id stands for a map that names it."""
    items = list(value) if isinstance(value, list | tuple) else [value]
    for item in items:
        if not isinstance(item, str | dict | ConnectorEntry):
            raise PydanticCustomError("meshd", "expected {expected}", {"expected": "a connector id or a list of them"})
    return [{"connector": item} if isinstance(item, str) else item for item in items]


_ENTRY_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string"},
        {"type": "object", "required": ["connector"], "properties": {"connector": {"type": "string"}}},
    ]
}
Entries = Annotated[
    tuple[ConnectorEntry, ...],
    BeforeValidator(read_entries),
    WithJsonSchema({"anyOf": [*_ENTRY_SCHEMA["anyOf"], {"type": "array", "items": _ENTRY_SCHEMA}]}),
]
