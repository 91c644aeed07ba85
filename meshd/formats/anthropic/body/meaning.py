"""What parameters mean beyond the request itself: whether its answer is repeatable, and which session it belongs to.

Owns: the names of these parameters. Must never: read a header, or decide what is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.sdk.reading.lenient import UNREADABLE

IMMATERIAL = frozenset({"cache_control", "metadata"})
"""They say who asks, or what the provider keeps, and do not change the answer."""

_ELSEWHERE = ("container", "mcp_servers")
"""What a request with these reads may differ each time."""
_SESSION = "_session_"
_LONGEST = 500  # characters


def repeatable(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether the parameters make the answer repeatable: with a `temperature` of 0, and no tool that the provider
    runs."""
    if any(_value(fields, name) for name in _ELSEWHERE):
        return False
    tools = _value(fields, "tools")
    if isinstance(tools, list) and any(isinstance(tool, dict) and _runs_elsewhere(tool) for tool in tools):
        return False
    temperature = _value(fields, "temperature")
    return isinstance(temperature, int | float) and not isinstance(temperature, bool) and temperature == 0


def _runs_elsewhere(tool: dict[str, Any]) -> bool:
    kind = tool.get("type")
    return isinstance(kind, str) and kind.startswith(("web_", "code_execution", "mcp"))


def session(fields: Mapping[str, msgspec.Raw]) -> str:
    """The conversation that `metadata.user_id` names; "" if it names none. Claude Code writes it there, as
    `user_…_account_…_session_ID` or, since 2.1.78, as JSON with a `session_id`."""
    user_id = user(fields)
    if user_id.startswith("{"):
        try:
            told = msgspec.json.decode(user_id)
        except UNREADABLE:
            told = None
        id = told.get("session_id") if isinstance(told, dict) else None
        if isinstance(id, str) and id:
            return id[:_LONGEST]
    _, mark, id = user_id.rpartition(_SESSION)
    return id[:_LONGEST] if mark else ""


def user(fields: Mapping[str, msgspec.Raw]) -> str:
    """The whole of `metadata.user_id`, "" if there is none."""
    metadata = _value(fields, "metadata")
    user_id = metadata.get("user_id") if isinstance(metadata, dict) else None
    return user_id if isinstance(user_id, str) else ""


def _value(fields: Mapping[str, msgspec.Raw], name: str) -> Any:
    try:
        return msgspec.json.decode(fields[name])
    except (KeyError, *UNREADABLE):
        return None
