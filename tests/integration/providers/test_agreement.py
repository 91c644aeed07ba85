"""The scripted provider and the scripted server behind the real connector come to the same, fault by fault."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from meshd.connectors.providers.scripted.provider import ScriptedProvider
from meshd.operations.chat import CHAT
from meshd.sdk import FailureKind, Provider, ProviderCall, ProviderFailure, ProviderSettings

STEPS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "reset": {"fault": "reset"},
    "clean_close": {"fault": "clean_close"},
    "cut_chunk": {"fault": "cut_chunk"},
    "silence": {"fault": "silence"},
    "bad_chunk": {"fault": "bad_chunk"},
    "bad_end": {"fault": "bad_end"},
    "openai": {"fault": "error_event", "message": "the server had an error"},
    "openai-rate-limit": {"fault": "error_event", "message": "slow down", "code": "rate_limit_exceeded"},
    "anthropic": {"fault": "error_event", "shape": "anthropic", "message": "Overloaded"},
    "gemini": {"fault": "error_event", "shape": "gemini", "message": "The model is overloaded."},
    "gemini-quota": {"fault": "error_event", "shape": "gemini", "code": "429", "type": "RESOURCE_EXHAUSTED"},
    "gemini-list": {"fault": "error_event", "shape": "gemini_list", "message": "The model is overloaded."},
    "empty": {"fault": "empty"},
    "html": {"fault": "html"},
    "timeout": {"fault": "timeout"},
    "pause": {"fault": "pause", "pause": "50ms"},
    "long-pause": {"fault": "pause", "pause": "20s"},
    "endless": {"fault": "endless"},
    "slow-bytes": {"byte_delay": "20s"},
    "late": {"delay": "20s"},
    "tool-call": {"tool_call": {"name": "f", "arguments": {"x": 1}}, "fault": "clean_close"},
    "reasoning": {"reasoning": ["hm ", "well "], "fault": "clean_close"},
    "429": {
        "error": 429,
        "retry_after": 3,
        "headers": {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"},
    },
    "500": {"error": 500, "message": "oops"},
}


def call(stream: bool) -> ProviderCall:
    fields = {"messages": msgspec.Raw(b'[{"role":"user","content":"hello there"}]')}
    patience = {"timeout": 10.0 if stream else 1.0, "first_token_timeout": 0.5, "idle_timeout": 0.5}
    return ProviderCall(CHAT, "m", fields, stream=stream, **patience)


async def outcome(provider: Provider, stream: bool) -> dict[str, Any]:
    """What came, and how it ended."""
    seen: dict[str, Any] = {"text": "", "reasoning": "", "extra": "", "finish": [], "usage": None}
    try:
        if stream:
            async for event in provider.stream(call(True)):
                seen["text"] += event.text
                seen["reasoning"] += event.reasoning
                seen["extra"] += event.extra
                seen["finish"] += [event.finish_reason] if event.finish_reason else []
                seen["usage"] = event.usage or seen["usage"]
        else:
            answer = await provider.execute(call(False))
            seen |= {"text": answer.body, "usage": answer.usage}
    except ProviderFailure as failure:
        inside = failure.status == 200 and failure.kind is FailureKind.BAD_ANSWER and failure.body
        words = failure.message if failure.status >= 400 or inside else ""
        seen |= {"kind": str(failure.kind), "retry_after": failure.retry_after, "limits": failure.limits}
        seen |= {"message": words if "scripted" not in words and "127.0.0.1" not in words else ""}
    return seen


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "unary"])
@pytest.mark.parametrize("name", STEPS)
async def test_they_agree(upstream, name: str, stream: bool):
    for before in ({}, {"preface": True}, {"after": 2}) if stream else ({},):
        step = {"tokens": ["one ", "two ", "three ", "four"], **STEPS[name], **before}
        _, real = await upstream([step])
        inside = ScriptedProvider(ProviderSettings("s", "modelmesh.scripted.v1", options={"script": [step]}))
        assert await outcome(inside, stream) == await outcome(real, stream), before
