"""Parameters of the Messages API: sessions, repeatable answers, output limits, tokens."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.formats.anthropic.body.meaning import repeatable, session
from meshd.formats.anthropic.body.meaning import user as whom
from meshd.formats.anthropic.body.needs import read
from meshd.formats.anthropic.body.parameters import with_output_limit
from meshd.formats.anthropic.body.tokens import count
from meshd.formats.openai.body.tokens import PER_TOOLS
from meshd.operations.chat import CHAT
from tests.support.formats import anthropic_messages, openai_chats
from tests.support.formats.bodies import split

ID = "57a121ec-f78c-48c3-a745-e3036a3ecc33"


def fields(**body: Any) -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(json.dumps(body), type=dict[str, msgspec.Raw])


@pytest.mark.parametrize(
    ("user", "named"),
    [
        (f"user_abc_account__session_{ID}", ID),
        (f"user_abc_account_def_session_{ID}", ID),
        (json.dumps({"device_id": "d", "account_uuid": "", "session_id": ID}), ID),
        (json.dumps({"device_id": "d"}), ""),
        ("{not JSON", ""),
        ("user_abc_session_", ""),
        ("ada", ""),
        ("", ""),
        (None, ""),
        (7, ""),
    ],
)
def test_claude_codes_session_is_in_the_users_id(user: Any, named: str) -> None:
    sent = fields(metadata={"user_id": user})
    assert session(sent) == named
    assert whom(sent) == (user if isinstance(user, str) else "")


@given(openai_chats.values)
def test_any_metadata_names_a_session_or_none(value: Any) -> None:
    assert isinstance(session(split(json.dumps({"metadata": value}).encode())), str)
    assert isinstance(session(split(json.dumps({"metadata": {"user_id": json.dumps(value)}}).encode())), str)


@pytest.mark.parametrize(
    ("body", "repeats"),
    [
        ({}, False),
        ({"temperature": 0}, True),
        ({"temperature": 0.0}, True),
        ({"temperature": 1}, False),
        ({"temperature": False}, False),
        ({"temperature": 0, "tools": [{"name": "f"}]}, True),
        ({"temperature": 0, "tools": [{"type": "web_search_20250305"}]}, False),
        ({"temperature": 0, "mcp_servers": [{"url": "u"}]}, False),
        ({"temperature": 0, "mcp_servers": []}, True),
        ({"temperature": 0, "container": "c"}, False),
    ],
)
def test_repeatable_answers(body: dict[str, Any], repeats: bool) -> None:
    assert repeatable(fields(**body)) is repeats


@pytest.mark.parametrize(
    ("thinking", "limit", "left"),
    [
        (None, 50, None),
        ({"type": "adaptive"}, 50, {"type": "adaptive"}),
        ({"type": "enabled", "budget_tokens": 2000}, 3000, {"type": "enabled", "budget_tokens": 2000}),
        ({"type": "enabled", "budget_tokens": 2000}, 2000, {"type": "enabled", "budget_tokens": 1999}),
        ({"type": "enabled", "budget_tokens": 2000}, 1024, {"type": "disabled"}),
    ],
)
def test_an_output_limit_leaves_room_for_thinking_or_none(thinking: Any, limit: int, left: Any) -> None:
    given_fields = fields(**({} if thinking is None else {"thinking": thinking}), max_tokens=9000)
    limited = {name: msgspec.json.decode(raw) for name, raw in with_output_limit(given_fields, limit, "other").items()}
    assert limited == {"max_tokens": limit} | ({} if left is None else {"thinking": left})


def words(text: str) -> int:
    return len(text.split())


def test_text_is_counted_wherever_it_is_and_media_are_not() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "a b c d e f g h"}}
    plain = count(CHAT, fields(messages=[{"role": "user", "content": "one two three"}]), words)
    assert plain == 3 + 3 + 3
    more = count(CHAT, fields(system="one two", messages=[{"role": "user", "content": "one two three"}]), words)
    assert more == plain + 2
    drawn = count(CHAT, fields(messages=[{"role": "user", "content": [image]}]), words)
    assert drawn < plain + 3
    tools = count(CHAT, fields(messages=[], tools=[{"name": "f", "description": "one two"}]), words)
    assert tools > PER_TOOLS


@given(anthropic_messages.requests())
def test_every_request_can_be_counted_and_none_has_more_tokens_than_bytes(body: dict[str, Any]) -> None:
    found = read(CHAT, json.dumps(body, ensure_ascii=False).encode())
    counted = count(CHAT, found.fields, lambda text: len(text.encode()))
    assert counted > 0
    texts = sum(len(m["content"].encode()) for m in body["messages"] if isinstance(m["content"], str))
    assert counted >= texts


@given(st.dictionaries(st.sampled_from(["messages", "system", "tools", "output_config"]), openai_chats.values))
def test_anything_can_be_counted(body: dict[str, Any]) -> None:
    assert count(CHAT, split(json.dumps(body).encode()), len) > 0
