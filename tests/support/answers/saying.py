"""What a provider says, byte for byte, and what came of it."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from meshd.connectors.providers.openai import OpenAIProvider
from meshd.operations.chat import CHAT
from meshd.sdk import OperationSpec, ProviderCall, ProviderFailure, StreamEvent

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

# Errors in the shapes that servers put into a stream.
ERRORS: list[Any] = [
    {"error": {"message": "boom", "code": 500}},
    {"error": "boom"},
    {"error": True},
    {"errors": [{"message": "boom"}]},
    {"text": "the engine is overloaded", "error_code": 50001},
    {"object": "error", "message": "boom", "code": 40303},
    {"type": "error", "message": "boom"},
    {"detail": "boom"},
    {"detail": [{"msg": "boom"}]},
    {"base_resp": {"status_code": 1002, "status_msg": "rate limit"}},
    {"id": "x", "choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
    {"id": "x", "choices": [], "error": {"message": "boom"}},
    {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "insufficient_system_resource"}]},
    {"choices": [{"index": 0, "delta": {"content": "c"}, "finish_reason": "error"}]},
    {"choices": [{"index": 0, "delta": {"content": "c"}, "error": {"code": 502, "message": "boom"}}]},
    {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": None}], "error": {"message": "boom"}},
    {"code": 1301, "msg": "boom"},
    {"code": "InvalidParameter", "message": "boom", "request_id": "r"},
    {"status": 503, "title": "boom"},
    {"success": False, "reason": "boom"},
    {"message": "Internal server error"},
    {"err": "boom"},
    {"error_description": "boom"},
    {"errmsg": "boom", "errcode": 7},
    [{"error": {"code": 503, "message": "boom"}}],
    {"Error": "boom"},
    {"Message": "Internal failure"},
    {"fault": {"faultstring": "boom"}},
    {"internalServerException": {"message": "boom"}},
    {"response": {"error": {"message": "boom"}}},
    {"data": {"error": "boom"}},
    {"header": {"code": 10013, "message": "boom", "sid": "x"}},
    {"ResponseMetadata": {"Error": {"Code": "InvalidParameter", "Message": "boom"}}},
    {"httpStatus": 503, "text": "boom"},
    {"usage": USAGE, "message": "boom", "code": 500},
    {"is_error": True, "content": "boom"},
    {"choices": [{"index": 0, "delta": {"error": {"message": "boom"}}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "timeout"}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "engine_overloaded"}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "function_call_filter: MALFORMED_FUNCTION_CALL"}]},
]


def call(stream: bool = True, operation: OperationSpec = CHAT, **options: Any) -> ProviderCall:
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
