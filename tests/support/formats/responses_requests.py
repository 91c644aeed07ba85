"""Requests of the Responses API, read and written."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace

from meshd.formats.conversation.request import Conversation, Turn
from meshd.formats.openai.conversation import request as chat
from meshd.formats.responses.conversation.request import read_request, write_request


def read(**fields: Any) -> Conversation:
    return read_request(json.dumps({"model": "m", "input": "Hello?", **fields}).encode())


def written(conversation: Conversation) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(write_request(conversation))
    return document


def as_chat(conversation: Conversation) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(chat.write_request(conversation))
    return document


def said(*items: dict[str, Any], **fields: Any) -> tuple[Turn, ...]:
    turns = read(input=list(items), **fields).turns
    return tuple(replace(turn, original=None) for turn in turns)
