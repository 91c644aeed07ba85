"""What a request to the Responses API needs of a model, what may raise its price, and how it is changed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.core.needs import PREAMBLE, TOOLS_PREAMBLE, RequestNeeds
from meshd.formats.protocol import Asked
from meshd.formats.responses.format import RESPONSES
from meshd.operations.chat import CHAT
from modelmesh.errors import InvalidRequestError
from tests.support.formats import openai_chats, responses_api

APP = RESPONSES.app
PICTURE = {"type": "input_image", "image_url": "data:image/png;base64," + "QUJD" * 1000}
FUNCTION = {"type": "function", "name": "f", "parameters": {}, "strict": False}


def asked(**fields: Any) -> Asked:
    return APP.read(CHAT, json.dumps({"model": "m", "input": "?", **fields}).encode())


def needs(**fields: Any) -> RequestNeeds:
    return asked(**fields).needs


def user(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def test_parameters_are_read() -> None:
    found = needs(
        stream=True,
        max_output_tokens=50,
        text={"format": {"type": "json_schema", "name": "a", "schema": {}}},
        include=["message.output_text.logprobs"],
        tools=[FUNCTION],
    )
    assert (found.stream, found.max_output, found.structured, found.logprobs, found.tools) == (
        True,
        50,
        True,
        True,
        True,
    )
    assert needs(text={"format": {"type": "json_object"}}).json_mode
    plain = needs(stream=None, max_output_tokens=None, text=None, include=None, tools=[], instructions=None)
    assert (plain.stream, plain.max_output, plain.structured, plain.tools) == (False, None, False, False)


def test_all_of_the_text_is_estimated() -> None:
    assert needs(input="x" * 4000, instructions="y" * 4000).tokens >= 2000
    assert needs(input="x" * 4000).most >= 4000 + PREAMBLE
    assert needs(tools=[FUNCTION]).most - needs().most >= TOOLS_PREAMBLE


@pytest.mark.parametrize(
    "items", [user(PICTURE), [{"type": "function_call_output", "call_id": "a", "output": [PICTURE]}]]
)
def test_a_picture_is_no_text(items: Any) -> None:
    found = needs(input=items)
    assert found.images == 1
    assert found.tokens < 2000
    assert not found.fixed


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[]", None),
        (b'{"input":"?"}', "model"),
        (b'{"model":5}', "model"),
        (b'{"model":"m","input":5}', "input"),
        (b'{"model":"m","input":[5]}', "input"),
        (b'{"model":"m","max_output_tokens":"x"}', None),
        (b'{"model":"m","stream":"yes"}', None),
        (b'{"model":"m","input":[' + b",".join([b"{}"] * 10_001) + b"]}", "input"),
    ],
)
def test_what_cannot_be_read_is_refused(body: bytes, param: str | None) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        APP.read(CHAT, body)
    assert caught.value.param == param


@given(responses_api.requests())
def test_every_request_is_read_and_counted(request: dict[str, Any]) -> None:
    """A text has no more tokens than bytes."""
    found = APP.read(CHAT, msgspec.json.encode(request))
    counted = APP.count(CHAT, found.fields, lambda text: len(text.encode()))
    assert counted >= 0
    assert bytes(found.fields["model"]) == msgspec.json.encode(request["model"])
    list(APP.names(found.fields, CHAT.text))
    json.dumps(APP.session(found.fields))
    APP.repeatable(found.fields)
    left = APP.priced(found.needs, found.fields)
    again = APP.read(CHAT, msgspec.json.encode(left)).needs
    assert not again.costly
    assert not again.unknown


@given(
    st.dictionaries(st.sampled_from(["input", "tools", "text", "include", "instructions", "x"]), openai_chats.values)
)
def test_odd_values_are_read_or_refused(fields: dict[str, Any]) -> None:
    try:
        found = APP.read(CHAT, json.dumps({"model": "m", **fields}).encode())
    except InvalidRequestError:
        return
    APP.count(CHAT, found.fields, len)
    APP.priced(found.needs, found.fields)
    APP.repeatable(found.fields)
    list(APP.names(found.fields, ()))


def test_what_codex_sends_has_a_price() -> None:
    found = needs(
        instructions="You are an agent.",
        input=[
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "x"}]},
            {"type": "reasoning", "summary": [], "content": None, "encrypted_content": "x"},
            {"type": "custom_tool_call", "call_id": "a", "name": "apply_patch", "input": "x", "status": "completed"},
            {"type": "custom_tool_call_output", "call_id": "a", "output": "done"},
        ],
        tools=[
            FUNCTION,
            {
                "type": "custom",
                "name": "apply_patch",
                "format": {"type": "grammar", "syntax": "lark", "definition": "x"},
            },
            {"type": "namespace", "name": "n", "description": "d", "tools": [FUNCTION]},
            {"type": "local_shell"},
        ],
        tool_choice="auto",
        parallel_tool_calls=False,
        reasoning={"effort": "low", "summary": "auto"},
        store=False,
        stream=True,
        include=["reasoning.encrypted_content"],
        prompt_cache_key="k",
        text={"verbosity": "low"},
        client_metadata={"a": "b"},
    )
    assert (found.costly, found.unknown, found.fixed) == ((), (), ())


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "c"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"background": True}, "background"),
        ({"service_tier": "priority"}, "service_tier"),
    ],
)
def test_what_may_cost_more_is_named_and_left_out(fields: dict[str, Any], name: str) -> None:
    found = asked(**fields)
    assert found.needs.costly == (name,)
    assert name not in APP.priced(found.needs, found.fields)


def test_unknown_names_are_left_out_of_a_copy() -> None:
    items = [{"role": "user", "content": [{"type": "input_text", "text": "x", "y": 1}], "z": 2}]
    found = asked(input=items, w=3)
    assert set(found.needs.unknown) == {"w", "input[].z", "input[].content[].y"}
    left = APP.priced(found.needs, found.fields)
    assert "w" not in left
    assert json.loads(bytes(left["input"])) == [{"role": "user", "content": [{"type": "input_text", "text": "x"}]}]


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ({"type": "item_reference", "id": "x"}, "input[].item_reference"),
        ({"id": "x"}, "input[].item_reference"),
        ({"type": "computer_call", "action": {}}, "input[].computer_call"),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, "input[].content[].input_audio"),
        ({"role": "user", "content": {"a": 1}}, "input[].content"),
    ],
)
def test_what_costs_more_and_cannot_be_left_out_is_named(item: dict[str, Any], name: str) -> None:
    assert needs(input=[item]).fixed == (name,)


def test_marks_of_a_prompt_cache_are_found() -> None:
    part = {"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}
    assert needs(input=user(part)).caches
    assert not needs(input=user({"type": "input_text", "text": "x"})).caches


def test_half_surrogates_pass_as_they_came() -> None:
    body = b'{"model":"m","input":"a\\ud83d"}'
    found = APP.read(CHAT, body)
    assert bytes(found.sent["input"]) == b'"a\\ud83d"'
    assert json.loads(bytes(found.fields["input"])) == "a�"


def test_the_session_is_what_the_app_names() -> None:
    assert APP.session(asked(user="u", previous_response_id="r", prompt_cache_key="k").fields) == '"k"'
    assert APP.session(asked(user="u", previous_response_id="r").fields) == '"r"'
    assert APP.session(asked(user="u", prompt_cache_key=None).fields) == ""
    assert APP.user(asked(user="u", prompt_cache_key="k").fields) == '"u"'
    assert APP.session(asked().fields) == ""


@pytest.mark.parametrize(
    ("fields", "repeats"),
    [
        ({"temperature": 0, "store": False}, True),
        ({"temperature": 0, "store": False, "tools": [FUNCTION]}, True),
        ({"temperature": 0}, False),  # it is to be kept
        ({"temperature": 0.5, "store": False}, False),
        ({"temperature": 0, "store": False, "tools": [{"type": "web_search"}]}, False),
        ({"temperature": 0, "store": False, "previous_response_id": "r"}, False),
    ],
)
def test_an_answer_repeats_if_nothing_but_the_request_decides_it(fields: dict[str, Any], repeats: bool) -> None:
    assert APP.repeatable(asked(**fields).fields) is repeats


def test_an_output_limit_has_one_name() -> None:
    fields = asked(max_output_tokens=None).fields
    assert bytes(APP.with_output_limit(fields, 5, "max_tokens")["max_output_tokens"]) == b"5"
    assert APP.with_output_limit(fields, 5, "") is fields
    given = asked(max_output_tokens=50).fields
    assert bytes(APP.with_output_limit(given, 5, "")["max_output_tokens"]) == b"5"
    changed = APP.with_parameters(given, {"temperature": 1}, {"max_output_tokens": 7})
    assert (bytes(changed["temperature"]), bytes(changed["max_output_tokens"])) == (b"1", b"7")


def test_everything_that_the_model_reads_is_counted() -> None:
    def count(**fields: Any) -> int:
        return APP.count(CHAT, asked(**fields).fields, len)

    base = count()
    for fields in (
        {"instructions": "x" * 50},
        {"input": "x" * 50},
        {"input": [{"role": "user", "content": "x" * 50}]},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "x" * 50}]}]},
        {"input": [{"type": "function_call", "name": "f", "call_id": "c", "arguments": "x" * 50}]},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": "x" * 50}]},
        {"input": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "x" * 50}]}]},
        {"tools": [{"type": "function", "name": "x" * 50}]},
        {"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "x" * 50}]}]},
        {"text": {"format": {"type": "json_schema", "name": "x" * 50}}},
    ):
        assert count(**fields) >= base + 49
    assert count(input=user(PICTURE)) < base + 50
