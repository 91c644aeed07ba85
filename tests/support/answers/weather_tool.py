"""The one tool that conformance tests give to models, and the call that scripted models make of it."""

from __future__ import annotations

import json
from typing import Any

ARGUMENTS = {"city": "Paris"}
CALL = {"name": "weather", "arguments": ARGUMENTS, "id": "call_1"}  # as scripted providers are told
WIRE_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": json.dumps(ARGUMENTS)}}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "the weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
