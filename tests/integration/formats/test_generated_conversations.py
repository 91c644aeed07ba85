"""Generated conversations, by each API, to members of each format, through one real daemon."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.formats.conftest import FORMATS
from tests.integration.formats.test_members import PATHS
from tests.support.conversations import asked, drawn, told
from tests.support.providers.three_apis import Json, Said, ThreeApis
from tests.support.waiting import WAIT


@pytest.fixture(scope="module")
def app(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=WAIT) as made:
        yield made


def answered(client: httpx.Client, format: str, body: Json) -> Json:
    if not body["stream"]:
        answer = client.post(PATHS[format], json=body)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found
    with client.stream("POST", PATHS[format], json=body) as stream:
        assert stream.status_code == 200, stream.read()
        lines = stream.read().decode().split("\n")
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return told.streamed(format, [json.loads(each) for each in data if each != "[DONE]"])


@pytest.mark.parametrize(("api", "member"), list(itertools.product(FORMATS, repeat=2)))
@settings(max_examples=4)
@given(chat=drawn.chats(), said=drawn.answers(), stream=st.booleans())
def test_a_conversation_means_the_same_through_a_daemon(
    app: httpx.Client,
    module_apis: ThreeApis,
    api: str,
    member: str,
    chat: drawn.Chat,
    said: Said,
    stream: bool,
) -> None:
    chat = drawn.without_pictures_of_tools(chat)  # to a chat, they are the user's
    module_apis.answer = said = replace(said, whole=said.whole and api != member)  # an odd one would pass as it came
    module_apis.asked.clear()
    body = {"model": f"of-{member}", **asked.body(api, chat), "stream": stream}
    if api == "openai":
        body["stream_options"] = {"include_usage": True} if stream else None
    body = {name: value for name, value in body.items() if value is not None}
    answer = answered(app, api, body)
    (sent,) = [each.body for each in module_apis.asked]
    found = [fact for fact in asked.meant(member, sent) if fact[0] != "thought"]
    failures = api == member == "anthropic"  # the other APIs have none
    assert found == [(*fact[:3], fact[3] and failures) if fact[0] == "result" else fact for fact in drawn.facts(chat)]
    assert told.told(api, answer) == told.meant(said)
