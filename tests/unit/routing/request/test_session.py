"""What makes two requests one session."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meshd.formats.anthropic.format import ANTHROPIC
from meshd.formats.openai.format import OPENAI
from meshd.formats.responses.format import RESPONSES
from meshd.routing.request.session import session_of
from meshd.routing.table.policies import SessionPolicy
from meshd.routing.table.specs import DEFAULT_STRATEGY, STICKY, PoolSpec
from tests.support.formats.bodies import split

CLAUDE_CODES = {"user_id": json.dumps({"device_id": "d", "session_id": "in body"})}
HEADERS = (
    "mesh-session", "x-session-id", "x-session-affinity", "x-claude-code-session-id", "session_id", "Session-Id",
    "Thread-Id", "conversation_id",
)  # fmt: skip


def name(
    body: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
    key: Any = "auto",
    strategy: str = STICKY,
    format: Any = OPENAI,
) -> str:
    pool = PoolSpec("chat", "", (), strategy=strategy, session=SessionPolicy(key))
    found = session_of(pool, headers or {}, format.app, split(json.dumps(body or {}).encode()), "app")
    label, _, rest = found.partition("\0")
    assert label == ("app" if found else ""), "two apps never share a session"
    return rest


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("strategy", [STICKY, DEFAULT_STRATEGY])
def test_headers_of_agents_name_a_session(header: str, strategy: str) -> None:
    body = {"prompt_cache_key": "k", "user": "u"}
    assert name(body, {"accept": "*/*", header.lower(): "s"}, strategy=strategy) == "s"
    assert name({"user": "u"}, {header.lower(): ""}) == '"u"'


def test_the_first_known_header_counts_in_whatever_order_they_come() -> None:
    given = {header.lower(): header for header in HEADERS}
    assert name(headers=given) == name(headers=dict(reversed(given.items()))) == "mesh-session"


@pytest.mark.parametrize(
    ("format", "body", "named"),
    [
        (OPENAI, {"prompt_cache_key": "k", "user": "u"}, '"k"'),
        (RESPONSES, {"prompt_cache_key": "k", "previous_response_id": "r"}, '"k"'),
        (RESPONSES, {"conversation": "c", "previous_response_id": "r"}, '"c"'),
        (RESPONSES, {"previous_response_id": "r", "user": "u"}, '"r"'),
        (ANTHROPIC, {"metadata": CLAUDE_CODES}, "in body"),
    ],
)
@pytest.mark.parametrize("strategy", [STICKY, DEFAULT_STRATEGY])
def test_so_do_fields_of_each_format(format: Any, body: dict[str, Any], named: str, strategy: str) -> None:
    assert name(body, format=format, strategy=strategy) == named
    assert name(body, {"x-session-id": "s"}, format=format, strategy=strategy) == "s"


def test_a_user_is_a_session_only_where_the_pool_keeps_sessions_at_one_model() -> None:
    assert name({"user": "u"}) == name({"safety_identifier": "u"}) == '"u"'
    assert name({"metadata": {"user_id": "ada"}}, format=ANTHROPIC) == "ada"
    assert name({"user": "u"}, strategy=DEFAULT_STRATEGY) == ""
    assert name({"metadata": {"user_id": "ada"}}, format=ANTHROPIC, strategy=DEFAULT_STRATEGY) == ""


def test_a_pool_may_say_what_counts() -> None:
    body, headers = {"prompt_cache_key": "k", "user": "u"}, {"x-session-id": "s"}
    assert name(body, headers, "user") == '"u"'
    assert name({"prompt_cache_key": "k"}, headers, "user") == '"k"'
    assert name(body, headers, "header") == "s"
    assert name(body, {}, "header") == ""
    assert name(body, headers, "app", DEFAULT_STRATEGY) == ""
    pool = PoolSpec("chat", "", (), strategy=STICKY, session=SessionPolicy("app"))
    assert session_of(pool, headers, OPENAI.app, {}, "app") == "app"
