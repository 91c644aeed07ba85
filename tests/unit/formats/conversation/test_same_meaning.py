"""Any conversation means the same to a member of another format, and its answer the same to the app.

The app's requests and the member's answers are drawn by hypothesis; what arrives is read by the vendors' own types
(`tests/support/conversations`). What a format cannot say is in `_as_said_to`, as docs/providers.md has it.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings

from tests.support.conversations import asked, drawn, told
from tests.support.conversations.member import Member, answered
from tests.support.providers.three_apis import Said

FORMATS = ("openai", "anthropic", "responses")
few = settings(max_examples=12)
PAIRS = list(itertools.permutations(FORMATS, 2))


def _as_said_to(member: str, app: str, facts: list[Any]) -> list[Any]:
    """Only Anthropic's API says that a tool failed. In a chat a tool's result is text, and images in it are the
    user's."""
    made: list[Any] = []
    shown: list[Any] = []
    for fact in facts:
        if fact[0] != "result":
            made, shown = [*made, *shown, fact], []
            continue
        _, call, said, failed = fact
        if member == "openai":
            for n, each in enumerate(said):
                if type(each) is tuple:
                    name = f"image {len(shown) // 2 + 1}"
                    shown += [("user", f"[{name}, from a tool]"), ("user", each)]
                    said = [*said[:n], f"[{name}: see the next message]", *said[n + 1 :]]
        made.append(("result", call, said, failed and app == member == "anthropic"))
    return [*made, *shown]


@pytest.mark.parametrize(("app", "member"), PAIRS)
@few
@given(chat=drawn.chats())
async def test_what_was_said_reaches_the_member(app: str, member: str, chat: drawn.Chat) -> None:
    if app == "openai":
        chat = drawn.without_pictures_of_tools(chat)
    upstream = Member(member, Said())
    await answered(app, asked.body(app, chat), upstream, stream=False)
    found = asked.meant(member, upstream.asked)
    assert [fact for fact in found if fact[0] != "thought"] == _as_said_to(member, app, drawn.facts(chat))
    assert not [fact for fact in found if fact[0] == "thought"], "its provider knows it by nothing"
    for tool in upstream.asked["tools"]:
        tool.get("function", tool).setdefault("strict", False)
    assert upstream.asked["tools"] == asked.tools_of(member, chat.tools)
    limits = {"openai": "max_completion_tokens", "anthropic": "max_tokens", "responses": "max_output_tokens"}
    assert upstream.asked[limits[member]] == chat.limit


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("app", "member"), PAIRS)
@few
@given(said=drawn.answers())
async def test_the_answer_reaches_the_app(app: str, member: str, stream: bool, said: Said) -> None:
    got = await answered(app, asked.body(app, drawn.HELLO), Member(member, said), stream=stream)
    answer = told.streamed(app, got) if stream else got[0]
    assert told.told(app, answer) == told.meant(said)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("app", "member"), PAIRS)
@few
@given(said=drawn.answers())
async def test_the_member_gets_back_what_it_thought(app: str, member: str, stream: bool, said: Said) -> None:
    """All that the app does is to send the answer again, as it came."""
    upstream = Member(member, said)
    first = asked.body(app, drawn.HELLO)
    got = await answered(app, first, upstream, stream=stream)
    answer = told.streamed(app, got) if stream else got[0]
    second = asked.followed(app, first, told.history(app, answer))
    await answered(app, second, upstream, stream=stream)
    found = asked.meant(member, upstream.asked)
    thoughts = [fact for fact in found if fact[0] == "thought"]
    sealed = (said.thought or said.sealed) and member != "openai"
    assert thoughts == ([("thought", said.thought, said.sealed)] if sealed else [])
    calls = [(fact[2], fact[3]) for fact in found if fact[0] == "call"]
    assert tuple(calls) == told.meant(said).calls
    results = [fact[2] for fact in found if fact[0] == "result"]
    assert results == [["done"] for _ in calls]
    assert ("assistant", said.text) in found or not said.text.strip()
