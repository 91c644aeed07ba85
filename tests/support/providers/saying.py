"""What a provider says, byte for byte, and what came of it."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from meshd.connectors.providers.openai import OpenAIProvider
from meshd.sdk import Operation, ProviderCall, ProviderFailure, StreamEvent

DONE = b"data: [DONE]\n\n"
STOP: dict[str, Any] = {"index": 0, "delta": {}, "finish_reason": "stop"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def event(document: Any) -> bytes:
    return b"data: " + (document if isinstance(document, bytes) else json.dumps(document).encode()) + b"\n\n"


def chunk(text: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {} if text is None else {"content": text}
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": None, **more}]}


AB = event(chunk("a")) + event(chunk("b"))
END = event({"choices": [STOP]}) + DONE


def call(stream: bool = True, operation: Operation = Operation.CHAT, **options: Any) -> ProviderCall:
    body = options.pop("body", {"messages": [{"role": "user", "content": "hi"}]})
    fields = msgspec.json.decode(msgspec.json.encode(body), type=dict[str, msgspec.Raw])
    patience = {"timeout": 10.0, "first_token_timeout": 5.0, "idle_timeout": 5.0} | options
    return ProviderCall(operation, "m", fields, stream=stream, **patience)


async def read(provider: OpenAIProvider, **options: Any) -> tuple[str, ProviderFailure | None, list[StreamEvent]]:
    events: list[StreamEvent] = []
    try:
        async for each in provider.stream(call(**options)):
            events.append(each)
    except ProviderFailure as failure:
        return "".join(each.text for each in events), failure, events
    return "".join(each.text for each in events), None, events
