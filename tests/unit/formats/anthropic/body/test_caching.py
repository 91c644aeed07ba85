"""Marks for the prompt cache in requests of apps that set none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.formats.anthropic.body.caching import with_marks
from meshd.formats.anthropic.format import ANTHROPIC
from meshd.formats.openai.format import OPENAI
from meshd.operations.chat import CHAT
from meshd.sdk.provider import ProviderCall, ProviderSettings
from tests.support.formats import anthropic_messages
from tests.support.formats.bodies import split
from tests.support.formats.openai_chats import texts, words

MARK = {"type": "ephemeral"}


def marked(**body: Any) -> dict[str, Any]:
    return {name: json.loads(bytes(raw)) for name, raw in with_marks(split(json.dumps(body).encode())).items()}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **more}


def marks_in(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        if "cache_control" in value:
            yield value["cache_control"]
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from marks_in(each)


def without_marks(value: Any) -> Any:
    """A text stands for a list of it alone, as it does in the API."""
    if isinstance(value, dict):
        return {name: without_marks(each) for name, each in value.items() if name != "cache_control"}
    return [without_marks(each) for each in value] if isinstance(value, list) else value


def test_tools_the_system_prompt_and_the_last_two_turns_are_marked() -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    found = marked(
        tools=[{"name": "f"}, {"name": "g"}, {"name": "later", "defer_loading": True}],
        system="be brief",
        messages=[
            user("one"),
            assistant(text("two")),
            user([text("three"), {"type": "image", "source": {}}]),
            assistant({"type": "thinking", "thinking": "hm", "signature": "s"}, call),
            user([{"type": "tool_result", "tool_use_id": "t"}, text("")]),
        ],
    )
    assert [tool.get("cache_control") for tool in found["tools"]] == [None, MARK, None]
    assert found["system"] == [text("be brief", cache_control=MARK)]
    first, _, third, fourth, last = found["messages"]
    assert first == user("one")
    assert third["content"] == [text("three"), {"type": "image", "source": {}, "cache_control": MARK}]
    assert not list(marks_in(fourth))
    assert last["content"] == [{"type": "tool_result", "tool_use_id": "t", "cache_control": MARK}, text("")]


@pytest.mark.parametrize(
    "own",
    [
        {"cache_control": MARK},
        {"system": [text("s", cache_control={"type": "ephemeral", "ttl": "1h"})]},
        {"tools": [{"name": "f", "cache_control": MARK}]},
        {"messages": [user([text("x", cache_control=None)]), user("y")]},
    ],
)
def test_a_request_with_a_mark_of_its_own_gets_none(own: dict[str, Any]) -> None:
    body = {"system": "s", "messages": [user("x")], **own}
    fields = split(json.dumps(body).encode())
    assert with_marks(fields) is fields


def test_a_mark_in_words_is_no_mark() -> None:
    found = marked(system='say "cache_control": now', messages=[user("cache_control")])
    assert len(list(marks_in(found))) == 2


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages":7}', b'{"messages":[7]}', b'{"messages":[{"role":"user","content":7}]}',
        b'{"system":{},"tools":{}}',
        b'{"messages":[{"role":"user","content":" \\n"}],"system":"","tools":[]}', b"{}", b'{"messages":[{}]}',
    ],
)  # fmt: skip
def test_what_cannot_be_marked_stays_as_it_is(body: bytes) -> None:
    fields = split(body)
    assert dict(with_marks(fields)) == dict(fields)


blocks = some.builds(text, texts) | some.builds(lambda id: {"type": "tool_result", "tool_use_id": id}, words)
contents = texts | some.lists(blocks | some.just({"type": "thinking", "thinking": "t"}), max_size=3)
turns = some.builds(lambda role, content: {"role": role, "content": content},
                    some.sampled_from(["user", "assistant"]), contents)  # fmt: skip


@given(some.lists(turns, max_size=6), some.none() | contents, some.lists(some.just({"name": "f"}), max_size=2))
def test_at_most_four_are_set_and_nothing_else_changes(messages: Any, system: Any, tools: Any) -> None:
    body = {"messages": messages, "tools": tools, **({} if system is None else {"system": system})}
    found = marked(**body)
    assert list(marks_in(found)) == [MARK] * len(list(marks_in(found)))
    assert len(list(marks_in(found))) <= 4

    def as_lists(said: dict[str, Any]) -> dict[str, Any]:
        def listed(content: Any) -> Any:
            return [text(content)] if isinstance(content, str) else content

        parts = {name: listed(value) if name == "system" else value for name, value in said.items()}
        return parts | {"messages": [{**each, "content": listed(each["content"])} for each in said["messages"]]}

    assert as_lists(without_marks(found)) == as_lists(body)
    again = split(json.dumps(found).encode())
    if list(marks_in(found)):
        assert with_marks(again) is again


@given(some.lists(anthropic_messages.messages(), max_size=4))
def test_any_conversation_can_be_marked(messages: Any) -> None:
    found = marked(messages=messages)
    assert without_marks(found["messages"]) is not None


def test_a_call_says_whether_to_mark_and_an_answer_to_be_continued_is_marked_before() -> None:
    side = ANTHROPIC.provider(ProviderSettings("p", "anthropic"))
    fields = split(json.dumps({"model": "pool", "messages": [user("one")], "max_tokens": 5}).encode())
    call = ProviderCall(CHAT, "claude-3-5-haiku-latest", fields, so_far="tw")
    assert not list(marks_in(json.loads(side.write(call))))
    written = json.loads(side.write(msgspec.structs.replace(call, mark_caches=True)))
    assert written["messages"][0] == user([text("one", cache_control=MARK)])
    assert written["messages"][1]["content"] == "tw"
    assert len(list(marks_in(written))) == 1
    plain = OPENAI.provider(ProviderSettings("p", "openai-compatible.v1"))
    assert b"cache_control" not in plain.write(msgspec.structs.replace(call, so_far="", mark_caches=True))
