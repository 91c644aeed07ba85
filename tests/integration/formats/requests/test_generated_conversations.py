"""Generated conversations, by each API, to members of each format, through one real daemon."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.formats.conftest import APPS, FORMATS
from tests.support.conversations import asked, drawn, told
from tests.support.conversations.expressed import chat_for, check_answer, facts_for
from tests.support.conversations.over_http import answered
from tests.support.providers.vendors.six_apis import SixApis
from tests.support.providers.vendors.three_apis import Said
from tests.support.waiting import WAIT


@pytest.fixture(scope="module")
def app(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=WAIT) as made:
        yield made


@pytest.mark.parametrize(("api", "member"), list(itertools.product(APPS, FORMATS)))
@settings(max_examples=4)
@given(chat=drawn.chats(), said=drawn.answers(), stream=st.booleans())
def test_a_conversation_means_the_same_through_a_daemon(
    app: httpx.Client,
    module_apis: SixApis,
    api: str,
    member: str,
    chat: drawn.Chat,
    said: Said,
    stream: bool,
) -> None:
    chat = chat_for(api, member, chat)
    said = drawn.as_said_in(member, said)
    module_apis.answer = said = replace(said, whole=said.whole and api != member)  # an odd one would pass as it came
    module_apis.asked.clear()
    answer = answered(app, api, f"of-{member}", asked.body(api, chat), stream=stream)
    (sent,) = [each.body for each in module_apis.asked]
    found = [fact for fact in asked.meant(member, sent) if fact[0] != "thought"]
    assert found == facts_for(api, member, chat)
    check_answer(api, member, told.told(api, answer), said, stream=stream)
