"""Any conversation means the same to a member of another format, and its answer the same to the app.

The app's requests and the member's answers are drawn by hypothesis; what arrives is read by the vendors' own types
(`tests/support/conversations`). What a format cannot say is in `_as_said_to`, as docs/providers.md has it.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from tests.support.conversations import asked, drawn, told
from tests.support.conversations.member import Member, answered
from tests.support.providers.three_apis import Said

FORMATS = ("openai", "anthropic", "responses", "gemini")
few = settings(max_examples=12)
PAIRS = [*itertools.permutations(FORMATS, 2), *itertools.product(FORMATS, ("bedrock", "cohere"))]


def _as_said_to(member: str, app: str, facts: list[Any]) -> list[Any]:
    """Only Anthropic's API and Gemini's say that a tool failed, and in the latter images come after a result's text. In
    a chat a tool's result is text, and images in it are the user's. Converse refuses blank texts."""
    if member == "bedrock":
        facts = [fact for fact in facts if not _is_blank(fact[-1])]
        facts = [(*fact[:2], [each for each in fact[2] if not _is_blank(each)], False) if fact[0] == "result" else fact
                 for fact in facts]  # fmt: skip
    made: list[Any] = []
    shown: list[Any] = []
    for fact in facts:
        if fact[0] != "result":
            made, shown = [*made, *shown, fact], []
            continue
        _, call, said, failed = fact
        if "gemini" in (app, member):
            said = sorted(said, key=lambda each: type(each) is tuple)
        if member in ("openai", "cohere"):
            for n, each in enumerate(said):
                if type(each) is tuple:
                    name = f"image {len(shown) // 2 + 1}"
                    shown += [("user", f"[{name}, from a tool]"), ("user", each)]
                    said = [*said[:n], f"[{name}: see the next message]", *said[n + 1 :]]
        made.append(("result", call, said, failed and {app, member} <= {"anthropic", "gemini"}))
    return [*made, *shown]


def _is_blank(said: Any) -> bool:
    return isinstance(said, str) and not said.strip()


@pytest.mark.parametrize(("app", "member"), PAIRS)
@few
@given(chat=drawn.chats())
async def test_what_was_said_reaches_the_member(app: str, member: str, chat: drawn.Chat) -> None:
    if app == "openai":
        chat = drawn.without_pictures_of_tools(chat)
    if member == "bedrock":
        chat = drawn.with_pictures_in_hand(chat)
    upstream = Member(member, Said())
    await answered(app, asked.body(app, chat), upstream, stream=False)
    found = asked.meant(member, upstream.asked)
    assert [fact for fact in found if fact[0] != "thought"] == _as_said_to(member, app, drawn.facts(chat))
    assert not [fact for fact in found if fact[0] == "thought"], "its provider knows it by nothing"
    assert asked.tools_in(member, upstream.asked) == asked.tools_of(member, chat.tools)
    assert asked.limit_in(member, upstream.asked) == chat.limit


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("app", "member"), PAIRS)
@few
@given(said=drawn.answers())
async def test_the_answer_reaches_the_app(app: str, member: str, stream: bool, said: Said) -> None:
    said = drawn.as_said_in(member, said)
    got = await answered(app, asked.body(app, drawn.HELLO), Member(member, said), stream=stream)
    answer = told.streamed(app, got) if stream else got[0]
    found, meant = told.told(app, answer), told.meant(said)
    assert replace(found, cites=()) == replace(meant, cites=())
    if stream and len(said.calls) > 1 and member == "gemini" and app in ("anthropic", "responses"):
        assert not found.cites, "it comes after the calls, when the text is closed"
    elif stream and app == "anthropic" and member != "bedrock":
        assert told.cited_at_the_end(found.cites, meant.cites), "a block cites, and what it says was told already"
    else:
        assert found.cites == meant.cites


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("app", "member"), PAIRS)
@few
@given(said=drawn.answers())
async def test_the_member_gets_back_what_it_thought(app: str, member: str, stream: bool, said: Said) -> None:
    """All that the app does is to send the answer again, as it came."""
    said = drawn.as_said_in(member, said)
    upstream = Member(member, said)
    first = asked.body(app, drawn.HELLO)
    got = await answered(app, first, upstream, stream=stream)
    answer = told.streamed(app, got) if stream else got[0]
    second = asked.followed(app, first, told.history(app, answer))
    await answered(app, second, upstream, stream=stream)
    found = asked.meant(member, upstream.asked)
    thoughts = [fact for fact in found if fact[0] == "thought"]
    sealed = (said.thought or said.sealed) and member not in ("openai", "cohere")
    assert thoughts == ([("thought", said.thought, said.sealed)] if sealed else [])
    calls = [(fact[2], fact[3]) for fact in found if fact[0] == "call"]
    assert tuple(calls) == told.meant(said).calls
    results = [fact[2] for fact in found if fact[0] == "result"]
    assert results == [["done"] for _ in calls]
    spoken = [fact[1] for fact in found if fact[0] == "assistant"]
    assert "".join(spoken) == said.text or not said.text.strip()
