"""What is read out of an event of a stream, and what a request asks of one."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from meshd.formats.openai import usage
from meshd.formats.openai import wire as _wire
from meshd.sdk.provider import StreamEvent


def read(choice: dict[str, Any]) -> StreamEvent:
    return _wire.read_event(json.dumps({"choices": [{"index": 0, **choice}]}).encode(), hide_usage=False)[0]


CALL = [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]


@pytest.mark.parametrize(
    ("delta", "text", "reasoning", "extra"),
    [
        ({"content": "a"}, "a", "", False),
        ({"role": "assistant", "content": ""}, "", "", False),
        ({"content": None, "tool_calls": None, "refusal": None}, "", "", False),
        ({"reasoning_content": "hm"}, "", "hm", False),
        ({"reasoning": "hm", "content": "a"}, "a", "hm", False),
        ({"tool_calls": CALL}, "", "", True),
        ({"tool_calls": []}, "", "", False),
        ({"content": "a", "tool_calls": CALL}, "a", "", True),
        ({"refusal": "no"}, "", "", True),
        ({"audio": {"data": "aaaa"}}, "", "", True),
        ({"images": [{"image_url": {"url": "data:image/png;base64,aaaa"}}]}, "", "", True),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab", "", False),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}, "", "hm", False),
    ],
    ids=str,
)
def test_content_is_text_thinking_or_more(delta: dict[str, Any], text: str, reasoning: str, extra: bool) -> None:
    event = read({"delta": delta})
    assert (event.text, event.reasoning, bool(event.extra)) == (text, reasoning, extra)
    assert event.content is bool(text or reasoning or extra)


@pytest.mark.parametrize(
    ("given", "asks", "sent"),
    [
        (None, False, {"include_usage": True}),
        (b"null", False, {"include_usage": True}),
        (b'{"include_usage":true}', True, {"include_usage": True}),
        (b'{"include_usage":false}', False, {"include_usage": True}),
        (b'{"include_obfuscation":false}', False, {"include_usage": True, "include_obfuscation": False}),
        (b'"nonsense"', False, {"include_usage": True}),
    ],
)
def test_the_usage_report_is_asked_for_whatever_the_app_wants(given: bytes | None, asks: bool, sent: Any) -> None:
    raw = None if given is None else msgspec.Raw(given)
    assert _wire.asks_for_usage({} if raw is None else {"stream_options": raw}) is asks
    assert msgspec.json.decode(_wire.with_usage(raw)) == sent


@pytest.mark.parametrize("prompt", [0, 9, -1, 10**13, None, "9", 9.0, True])
@pytest.mark.parametrize("total", [21, 9, 12, 30, None, "21", 10**13])
@pytest.mark.parametrize(
    "details", [None, {}, {"cached_tokens": 0}, {"cached_tokens": 3}, {"cache_write_tokens": 2}, []]
)
def test_usage_that_adds_up_is_read_as_any_other(prompt, total, details, monkeypatch) -> None:
    wire = usage.WireUsage(
        prompt_tokens=prompt, completion_tokens=12, total_tokens=total, prompt_tokens_details=details
    )
    quick = usage.usage_of(wire)
    monkeypatch.setattr(usage, "adds_up", lambda wire: False)
    assert quick == usage.usage_of(wire)
