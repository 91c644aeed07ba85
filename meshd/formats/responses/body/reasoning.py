"""An input without the reasoning that a provider refuses: only the provider that encrypted or stored it can read it.

The ids of the other items are removed too, since a provider looks up a stored item by its id and then asks for the
reasoning before it (https://platform.openai.com/docs/guides/reasoning). Calls are identified by their `call_id`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.sdk.reading.lenient import UNREADABLE, whole

_STORED = ("message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output")
_OF_REASONING = "rs_"
_encode = msgspec.json.Encoder().encode


def without_reasoning(fields: Mapping[str, msgspec.Raw]) -> Mapping[str, msgspec.Raw]:
    """The same object if there is nothing to leave out."""
    try:
        items = msgspec.json.decode(whole(bytes(fields["input"])))
    except (KeyError, *UNREADABLE):
        return fields
    if not isinstance(items, list):
        return fields
    kept = [_without_id(item) for item in items if not _is_reasoning(item)]
    return fields if kept == items else {**fields, "input": msgspec.Raw(_encode(kept))}


def _is_reasoning(item: Any) -> bool:
    if not isinstance(item, dict):
        return False
    refers = item.get("type") in (None, "item_reference") and "role" not in item
    return item.get("type") == "reasoning" or (refers and str(item.get("id")).startswith(_OF_REASONING))


def _without_id(item: Any) -> Any:
    if not isinstance(item, dict) or (item.get("type") not in _STORED and "role" not in item):
        return item
    return {name: value for name, value in item.items() if name != "id"}
