"""Any conversation means the same to a member of another format, and its answer the same to the app.

The app's requests and the member's answers are drawn by hypothesis; what arrives is read by the vendors' own types
(`tests/support/conversations`).
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings

from tests.support.conversations import asked, drawn, told
from tests.support.conversations.expressed import chat_for, check_answer, facts_for
from tests.support.conversations.member import Member, answered
from tests.support.providers.vendors.three_apis import Said

FORMATS = ("openai", "anthropic", "responses", "gemini")
few = settings(max_examples=12)
PAIRS = [*itertools.permutations(FORMATS, 2), *itertools.product(FORMATS, ("bedrock", "cohere"))]


@pytest.mark.parametrize(("app", "member"), PAIRS)
@few
@given(chat=drawn.chats())
async def test_what_was_said_reaches_the_member(app: str, member: str, chat: drawn.Chat) -> None:
    chat = chat_for(app, member, chat)
    upstream = Member(member, Said())
    await answered(app, asked.body(app, chat), upstream, stream=False)
    found = asked.meant(member, upstream.asked)
    assert [fact for fact in found if fact[0] != "thought"] == facts_for(app, member, chat)
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
    check_answer(app, member, told.told(app, answer), said, stream=stream)


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
