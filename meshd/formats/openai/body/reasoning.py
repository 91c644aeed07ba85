"""A chat without the reasoning that a provider refuses in what is sent to it.

Servers use different fields for it (`sdk/reading/message_content.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.sdk.reading.lenient import UNREADABLE, whole
from meshd.sdk.reading.message_content import REASONING

_encode = msgspec.json.Encoder().encode


def without_reasoning(fields: Mapping[str, msgspec.Raw]) -> Mapping[str, msgspec.Raw]:
    """The same object if there is nothing to leave out."""
    try:
        messages = msgspec.json.decode(whole(bytes(fields["messages"])))
    except (KeyError, *UNREADABLE):
        return fields
    if not isinstance(messages, list):
        return fields
    kept = [_without_thoughts(message) for message in messages]
    return fields if kept == messages else {**fields, "messages": msgspec.Raw(_encode(kept))}


def _without_thoughts(message: Any) -> Any:
    if not isinstance(message, dict) or message.get("role") != "assistant":
        return message
    return {name: value for name, value in message.items() if name not in REASONING}
