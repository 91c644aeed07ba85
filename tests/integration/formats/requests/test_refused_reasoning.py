"""Reasoning that a provider refuses: the same model is asked again without it, and nothing else is left out."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.providers.vendors.six_apis import SixApis
from tests.support.providers.vendors.three_apis import Asked, Refused, Said

Json = dict[str, Any]

CALL: Json = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CHAT: Json = {
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hm", "reasoning_content": "SECRET", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "done"},
    ]
}
MESSAGES: Json = {
    "max_tokens": 2000,
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "context_management": {"edits": [{"type": "clear_thinking_20251015"}, {"type": "clear_tool_uses_20250919"}]},
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "SECRET", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "SECRET"},
            {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
        ]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "done"}]},
    ],
}  # fmt: skip
RESPONSES: Json = {
    "store": False,
    "input": [
        {"role": "user", "content": "hi"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "SECRET"},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "done"},
    ],
}
APPS = {
    "openai": ("/v1/chat/completions", CHAT),
    "anthropic": ("/v1/messages", MESSAGES),
    "responses": ("/v1/responses", RESPONSES),
}


def told(message: str, code: str | None = None) -> Json:
    return {"type": "error", "error": {"type": "invalid_request_error", "message": message, "code": code}}


WORDS = [
    ("openai", told("reasoning_content is not allowed in the input messages")),
    ("openai", told("messages.1.reasoning_content: Extra inputs are not permitted")),
    ("anthropic", told("messages.1.content.0: Invalid `signature` in `thinking` block")),
    ("anthropic", told("The request is invalid", "thinking_signature_invalid")),
    ("anthropic", told("messages.1.content.0: `thinking` or `redacted_thinking` blocks in the latest assistant message "
                       "cannot be modified. These blocks must remain as they were in the original response.")),
    ("responses", told("The encrypted content gAAA could not be verified.", "invalid_encrypted_content")),
    ("responses", told("Item with id 'rs_1' not found. Items are not persisted when `store` is set to false.")),
]  # fmt: skip


def refusing(body: Json, status: int = 400) -> Any:
    def answer(asked: Asked) -> Refused | Said:
        return Refused(status, body) if b"SECRET" in asked.raw else Said("done")

    return answer


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("app", "words"), WORDS)
def test_the_same_model_answers_without_it(
    app: str, words: Json, stream: bool, apis: SixApis, http: httpx.Client
) -> None:
    apis.answer = refusing(words)
    path, body = APPS[app]
    answer = http.post(path, json={**body, "model": f"{app}.m-{app}", "stream": stream})
    assert answer.status_code == 200
    assert "done" in answer.text.replace('"delta":"', "")
    assert [b"SECRET" in each.raw for each in apis.asked] == [True, False]
    assert b'"c1"' in apis.asked[1].raw


def test_the_attempt_says_so(apis: SixApis, daemon: Any) -> None:
    apis.answer = refusing(WORDS[0][1])
    answer = daemon.client().chat.completions.create(model="of-openai", **CHAT)
    (attempt,) = answer.mesh["attempts"]
    assert (attempt["reason"], attempt["status"], attempt["model"]) == ("", 200, "openai.m-openai")
    assert "without the reasoning" in attempt["message"]


def test_thinking_is_off_in_a_loop_of_tools(apis: SixApis, http: httpx.Client) -> None:
    """Its last turn would have to begin with a thought."""
    apis.answer = refusing(WORDS[2][1])
    assert http.post("/v1/messages", json={**MESSAGES, "model": "of-anthropic"}).status_code == 200
    sent = apis.asked[1].body
    assert sent["thinking"] == {"type": "disabled"}
    assert sent["context_management"] == {"edits": [{"type": "clear_tool_uses_20250919"}]}
    assert [block["type"] for block in sent["messages"][1]["content"]] == ["tool_use"]


def test_ids_of_stored_items_go_too(apis: SixApis, http: httpx.Client) -> None:
    apis.answer = refusing(WORDS[5][1])
    assert http.post("/v1/responses", json={**RESPONSES, "model": "of-responses"}).status_code == 200
    items = apis.asked[1].body["input"]
    assert [item.get("type") for item in items] == [None, "function_call", "function_call_output"]
    assert not any("id" in item for item in items)


def test_what_is_refused_without_it_too_is_asked_once_more_only(apis: SixApis, http: httpx.Client) -> None:
    apis.answer = Refused(400, WORDS[2][1])
    answer = http.post("/v1/messages", json={**MESSAGES, "model": "of-anthropic"})
    assert answer.status_code >= 400
    assert len(apis.asked) == 2


def test_nothing_is_asked_twice_without_reasoning_in_it(apis: SixApis, http: httpx.Client) -> None:
    apis.answer = Refused(400, WORDS[2][1])
    hi = {"model": "of-anthropic", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    assert http.post("/v1/messages", json=hi).status_code >= 400
    assert len(apis.asked) == 1


def test_another_refusal_says_nothing_of_reasoning(apis: SixApis, http: httpx.Client) -> None:
    apis.answer = refusing(told("messages: roles must alternate"))
    http.post("/v1/messages", json={**MESSAGES, "model": "of-anthropic"})
    assert len(apis.asked) == 1


def test_reasoning_of_one_format_for_a_member_of_another(apis: SixApis, http: httpx.Client) -> None:
    """A signature goes to Anthropic from a chat app too, and is left out there."""
    detail = {"type": "reasoning.text", "text": "SECRET", "signature": "c2ln"}
    messages: list[Json] = [{**CHAT["messages"][1], "reasoning_details": [detail]}]
    apis.answer = refusing(WORDS[2][1])
    body = {"model": "of-anthropic", "messages": [CHAT["messages"][0], *messages, CHAT["messages"][2]]}
    assert http.post("/v1/chat/completions", json=body).status_code == 200
    assert [b"SECRET" in each.raw for each in apis.asked] == [True, False]
