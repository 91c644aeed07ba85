"""Reading values of a body whose names may be written in two ways: `generationConfig`, `generation_config`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.sdk.reading.lenient import UNREADABLE, whole

CONTENTS = ("contents",)
SYSTEM = ("systemInstruction", "system_instruction")
CONFIG = ("generationConfig", "generation_config")
TOOLS = ("tools",)
PROMPT = (*SYSTEM, *CONTENTS, *TOOLS)


def value(fields: Mapping[str, msgspec.Raw], names: tuple[str, ...]) -> Any:
    """None if it is missing or cannot be read."""
    name = next((each for each in names if each in fields), None)
    if name is None:
        return None
    try:
        return msgspec.json.decode(whole(bytes(fields[name])))
    except UNREADABLE:
        return None


def config_of(fields: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    """`generationConfig`; empty if there is none."""
    found = value(fields, CONFIG)
    return found if isinstance(found, dict) else {}


def member(found: Mapping[str, Any], *names: str) -> Any:
    """The first of these that is given."""
    return next((found[name] for name in names if found.get(name) is not None), None)


def listed(found: Any) -> list[Any]:
    """A list, or a single value given without a list."""
    return found if isinstance(found, list) else [] if found is None else [found]


def parts_of(content: Any) -> list[dict[str, Any]]:
    parts = listed(content.get("parts")) if isinstance(content, dict) else []
    return [part for part in parts if isinstance(part, dict)]
