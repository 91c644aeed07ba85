"""What is read of a request's body in the Messages API, whatever its shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meshd.core.needs import TOOLS_PREAMBLE, RequestNeeds
from meshd.formats.anthropic.body.needs import read
from meshd.formats.openai.body.lengths import MOST_ITEMS
from meshd.formats.openai.body.needs import ELSEWHERE
from meshd.formats.protocol import Asked
from meshd.operations.chat import CHAT
from modelmesh import InvalidRequestError
from tests.support.formats import anthropic_messages, openai_chats

HELLO = [{"role": "user", "content": "Hello"}]


def asked(**body: Any) -> Asked:
    return read(CHAT, json.dumps({"model": "m", "max_tokens": 9, "messages": HELLO} | body).encode())


def needs(**body: Any) -> RequestNeeds:
    return asked(**body).needs


def block(kind: str, **source: Any) -> dict[str, Any]:
    return {"type": kind, "source": source}


PIXEL = block("image", type="base64", media_type="image/png", data="A" * 40_000)


def blocks(*content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(content)}]


def test_a_plain_question_needs_a_few_tokens() -> None:
    found = needs()
    assert found == RequestNeeds(CHAT, tokens=len(json.dumps(HELLO)) // 4, max_output=9, most=found.most)
    assert asked().model == "m"


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        ({"stream": True}, "stream", True),
        ({"tools": [{"name": "f", "input_schema": {}}]}, "tools", True),
        ({"output_config": {"format": {"type": "json_schema", "schema": {}}}}, "structured", True),
        ({"output_format": {"type": "json_schema", "schema": {}}}, "structured", True),
        ({"output_config": {"effort": "high"}}, "structured", False),
        ({"max_tokens": 5}, "max_output", 5),
        ({"max_tokens": 0}, "max_output", 1),
        ({"max_tokens": -1}, "max_output", None),
        ({"max_tokens": None}, "max_output", None),
        ({"cache_control": {"type": "ephemeral"}}, "caches", "short"),
        ({"system": [{"type": "text", "text": "x", "cache_control": {"ttl": "1h"}}]}, "caches", "lasting"),
        ({"messages": blocks({"type": "text", "text": "x", "cache_control": {}})}, "caches", "short"),
        ({"thinking": {"type": "enabled", "budget_tokens": 5000}}, "predicted", 0),  # a part of max_tokens
        ({"mcp_servers": [{"url": "u"}]}, "costly", ("mcp_servers",)),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "costly", ("tools",)),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "costly", ()),
        ({"context_management": {"edits": []}}, "unknown", ()),
        ({"x_newer": 1}, "unknown", ("x_newer",)),
        ({"messages": blocks({"type": "x_newer"})}, "fixed", ("messages[].content[].x_newer",)),
    ],
)  # fmt: skip
def test_what_a_request_needs_is_seen(body: dict[str, Any], field: str, value: Any) -> None:
    assert getattr(needs(**body), field) == value


def test_images_count_wherever_they_are_and_their_bytes_are_no_text() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": [PIXEL]}
    inside = block("document", type="content", content=[PIXEL])
    found = needs(messages=blocks(PIXEL, result, inside, block("image", type="url", url="https://h/a.png")))
    assert found.images == 4
    assert found.most < 2000
    assert found.attached == 0


@pytest.mark.parametrize(
    ("source", "tokens"),
    [
        ({"type": "base64", "media_type": "application/pdf", "data": "A" * 100}, 100),
        ({"type": "url", "url": "https://h/a.pdf"}, ELSEWHERE),
        ({"type": "file", "file_id": "f"}, ELSEWHERE),
        ({"type": "text", "media_type": "text/plain", "data": "A" * 100}, 0),
        ({"type": "content", "content": "A" * 100}, 0),
    ],
)
def test_documents(source: dict[str, Any], tokens: int) -> None:
    assert needs(messages=blocks(block("document", **source))).attached == tokens


def test_instructions_and_tools_are_a_part_of_the_prompt() -> None:
    long = needs(system="x" * 4000, tools=[{"name": "f", "description": "y" * 4000, "input_schema": {}}])
    assert long.tokens > 2000
    assert long.most > 8000 + TOOLS_PREAMBLE


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "the body is empty"),
        (b"[]", "cannot be read"),
        (b'{"messages": []}', "model"),
        (b'{"model": 1, "messages": []}', "model"),
        (b'{"model": "m", "messages": [1]}', "messages"),
        (b'{"model": "m", "messages": {}}', "messages"),
        (b'{"model": "m", "messages": [], "max_tokens": "many"}', "max_tokens"),
        (b'{"model": "m", "messages": [], "max_tokens": 1e12}', "max_tokens"),
        (b'{"model": "m", "messages": [], "stream": "yes"}', "stream"),
        (b'{"model": "m", "messages": [' + b"{}," * MOST_ITEMS + b"{}]}", "messages"),
        (b'{"model": "m", "messages": [], "tools": [' + b"{}," * MOST_ITEMS + b"{}]}", "tools"),
        (b'{"model": "m", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "JSON|messages"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(body: bytes, says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        read(CHAT, body)


def test_unknown_fields_pass_and_nothing_is_encoded_again() -> None:
    body = rb'{"model":"m","max_tokens":9,"messages":[ {"role":"user","content":"\u00e9"} ],"x":{"y":1.50}}'
    fields = read(CHAT, body).fields
    assert bytes(fields["messages"]) == rb'[ {"role":"user","content":"\u00e9"} ]'
    assert bytes(fields["x"]) == b'{"y":1.50}'


def test_half_a_surrogate_pair_is_sent_on_as_it_came() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"a\\ud83d"}]}'
    found = read(CHAT, body)
    assert b"\\ufffd" in bytes(found.fields["messages"])
    assert b"\\ud83d" in bytes(found.sent["messages"])


@given(anthropic_messages.requests())
def test_every_request_of_the_api_is_read(body: dict[str, Any]) -> None:
    found = read(CHAT, json.dumps(body).encode())
    assert found.needs.max_output == body["max_tokens"]
    assert found.needs.stream is bool(body.get("stream"))
    unbudgeted = read(CHAT, json.dumps(body).encode(), budgeted=False).needs
    assert replace(unbudgeted, costly=(), unknown=(), fixed=(), files=False, caches="") == replace(
        found.needs, costly=(), unknown=(), fixed=(), files=False, caches=""
    )


names = st.sampled_from(["messages", "system", "tools", "content", "type", "source", "data", "max_tokens", "stream",
                         "output_config", "format", "role", "cache_control"])  # fmt: skip
odd = st.recursive(
    openai_chats.scalars | st.sampled_from(["image", "document", "base64", "tool_result"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=15,
)


@given(st.dictionaries(names, odd, max_size=5))
def test_an_odd_body_is_read_or_refused(body: dict[str, Any]) -> None:
    try:
        assert read(CHAT, json.dumps({"model": "m", **body}).encode()).needs.most > 0
    except InvalidRequestError as error:
        assert error.message  # noqa: PT017
