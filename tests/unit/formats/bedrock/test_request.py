"""A request's body for one provider: the rest of an answer, and marks for the prompt cache."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from meshd.formats.bedrock.request import RequestWriter
from meshd.operations.chat import CHAT
from meshd.sdk.provider import ProviderCall, ProviderSettings
from tests.support.formats.converse_types import check

OLDER, NEWER = "anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic.claude-opus-4-8"
POINT = {"cachePoint": {"type": "default"}}
ASKED: dict[str, Any] = {
    "system": [{"text": "Be brief."}],
    "messages": [
        {"role": "user", "content": [{"text": "One"}]},
        {"role": "assistant", "content": [{"text": "Two"}]},
        {"role": "user", "content": [{"text": "Three"}]},
        {"role": "assistant", "content": [{"text": "Four"}]},
        {"role": "user", "content": [{"text": "Five"}]},
    ],
}
TOOLS = {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]}


def written(model: str, asked: dict[str, Any] = ASKED, quirks: Any = None, **call: Any) -> dict[str, Any]:
    fields = msgspec.json.decode(json.dumps(asked), type=dict[str, msgspec.Raw])
    writer = RequestWriter(ProviderSettings("here", "aws.bedrock.v1", quirks=quirks or {}))
    body: dict[str, Any] = json.loads(writer.write(ProviderCall(CHAT, model, fields, **call)))
    check(body)
    return body


def test_a_request_is_sent_as_it_was_translated() -> None:
    assert written(OLDER) == ASKED


def test_the_rest_of_an_answer() -> None:
    so_far = {"role": "assistant", "content": [{"text": "Si"}]}
    assert written(OLDER, so_far="Si")["messages"] == [*ASKED["messages"], so_far]
    for body in (
        written(NEWER, so_far="Si"),
        written(OLDER, {**ASKED, "toolConfig": TOOLS}, so_far="Si"),
        written(OLDER, {**ASKED, "additionalModelRequestFields": {"thinking": {"type": "adaptive"}}}, so_far="Si"),
        written(OLDER, quirks={"prefill": "instruct"}, so_far="Si"),
    ):
        *_, answer, more = body["messages"]
        assert answer == so_far
        assert more["role"] == "user"
        assert "cut off" in more["content"][0]["text"]
    with pytest.raises(ValueError, match="prefill"):
        written(OLDER, quirks={"prefill": "prefix"})


def test_marks_for_the_cache() -> None:
    body = written(OLDER, {**ASKED, "toolConfig": TOOLS}, mark_caches=True)
    assert body["system"] == [*ASKED["system"], POINT]
    assert body["toolConfig"]["tools"] == [*TOOLS["tools"], POINT]
    marked = [POINT in message["content"] for message in body["messages"]]
    assert marked == [False, False, True, False, True]
    nova = written("amazon.nova-pro-v1:0", {**ASKED, "toolConfig": TOOLS}, mark_caches=True)
    assert nova["toolConfig"] == TOOLS
    assert written("meta.llama3-3-70b-instruct-v1:0", mark_caches=True) == ASKED
    own = {**ASKED, "system": [*ASKED["system"], POINT]}
    assert written(OLDER, own, mark_caches=True) == own
