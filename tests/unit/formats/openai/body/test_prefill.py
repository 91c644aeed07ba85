"""Asking for the rest of an answer, as each server wants to be asked."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from meshd.connectors.providers.openai import OpenAIProvider
from meshd.core.needs import CONTINUING
from meshd.formats.openai.body.prefill import PREFILLS, continued, prefill_of
from meshd.operations.chat import CHAT
from meshd.operations.completion import COMPLETION
from meshd.sdk import ProviderFailure, ProviderSettings

FIELDS = {"messages": msgspec.Raw(b'[ {"role":"user","content":"count"} ]'), "seed": msgspec.Raw(b"1")}


def sent(how: str) -> dict[str, Any]:
    read: dict[str, Any] = msgspec.json.decode(
        msgspec.json.encode(continued(FIELDS, CHAT, "one two", how)), type=dict[str, Any]
    )
    return read


@pytest.mark.parametrize("how", PREFILLS)
def test_the_text_so_far_follows_what_the_app_sent(how: str) -> None:
    messages = sent(how)["messages"]
    assert messages[0] == {"role": "user", "content": "count"}
    assert messages[1].items() >= {"role": "assistant", "content": "one two"}.items()
    assert sent(how)["seed"] == 1
    assert len(messages) == (3 if how == "instruct" else 2)


def test_the_marks_of_each() -> None:
    assert sent("prefix")["messages"][-1]["prefix"] is True
    final = sent("final_message")
    assert (final["continue_final_message"], final["add_generation_prompt"]) == (True, False)
    assert sent("instruct")["messages"][-1]["role"] == "user"
    assert set(sent("assistant")) == set(FIELDS)


@pytest.mark.parametrize("how", PREFILLS)
@pytest.mark.parametrize("name", ["tools", "functions"])
def test_with_tools_on_offer_a_prefilled_turn_is_never_left_open(how: str, name: str) -> None:
    """A server need not read for calls what it writes after one."""
    tools = {**FIELDS, name: msgspec.Raw(b'[{"type":"function"}]')}
    made = continued(tools, CHAT, "one two", how)
    assert made == continued(tools, CHAT, "one two", "instruct")
    assert "the call" in made["messages"][-1]["content"]
    assert (
        continued({**FIELDS, name: msgspec.Raw(b"[]")}, CHAT, "one two", how)["messages"]
        == (continued(FIELDS, CHAT, "one two", how)["messages"])
    )


def test_a_legacy_prompt_is_made_longer() -> None:
    for prompt in (b'"count: "', b'["count: "]'):
        fields = {"prompt": msgspec.Raw(prompt)}
        assert continued(fields, COMPLETION, "one", "instruct") == {"prompt": "count: one"}
    with pytest.raises(ProviderFailure, match="not text"):
        continued({"prompt": msgspec.Raw(b"[1,2,3]")}, COMPLETION, "one", "instruct")


def test_an_unknown_way_is_an_error_when_the_provider_is_made() -> None:
    assert prefill_of({}, "p") == "instruct"
    with pytest.raises(ValueError, match="provider p: prefill 'shout' is not one of assistant, prefix"):
        OpenAIProvider(ProviderSettings("p", "c", base_url="http://x.test/v1", quirks={"prefill": "shout"}))


@pytest.mark.parametrize("how", PREFILLS)
@pytest.mark.parametrize("fields", [FIELDS, {**FIELDS, "tools": msgspec.Raw(b'[{"type":"function"}]')}])
def test_what_is_added_is_reserved_for(how: str, fields: dict[str, msgspec.Raw]) -> None:
    added = continued(fields, CHAT, "one two", how)
    size = len(msgspec.json.encode(added)) - len(msgspec.json.encode(fields)) - len("one two")
    assert 0 < size <= CONTINUING
