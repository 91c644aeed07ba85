"""What a member cites, read by the real SDKs over the real daemon."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest

from tests.integration.formats.conftest import FORMATS
from tests.support.providers.vendors.three_apis import Said, ThreeApis

HI: Any = [{"role": "user", "content": "Will it rain?"}]
TEXT, PAGE = "They say: Rain is likely. 🌧", ("https://weather.example/", "Weather")
CITED = Said(text=TEXT, cites=((*PAGE, 10, 25),))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("member", FORMATS)
def test_a_page_reaches_the_sdks(
    member: str, stream: bool, apis: ThreeApis, claude: anthropic.Anthropic, gpt: openai.OpenAI
) -> None:
    apis.answer = CITED
    pool = f"of-{member}"
    chat = _chat(gpt, pool, stream=stream)
    assert chat.content == TEXT
    [annotation] = chat.annotations
    said = annotation.url_citation
    assert (said.url, said.title, TEXT[said.start_index : said.end_index]) == (*PAGE, TEXT[10:25])

    response = _response(gpt, pool, stream=stream)
    found = [(part.text, each) for part in response.output[0].content for each in part.annotations]
    [(text, said)] = found
    assert (said.url, said.title, text[said.start_index : said.end_index]) == (*PAGE, TEXT[10:25])
    assert response.output_text == TEXT

    message = _message(claude, pool, stream=stream)
    assert "".join(block.text for block in message.content) == TEXT
    [(text, cited)] = [(block.text, each) for block in message.content for each in block.citations or ()]
    assert (cited.type, cited.url, cited.title) == ("web_search_result_location", *PAGE)
    assert TEXT[10:25] in text
    if member == "anthropic" or not stream:
        assert text == TEXT[10:25]

    history = [*HI, {"role": "assistant", "content": message.to_dict()["content"]}, *HI]
    claude.messages.create(model="of-anthropic", max_tokens=50, messages=history)
    sent = json.dumps(apis.bodies()[-1])
    assert "mesh.cited" not in sent, "Anthropic would refuse a page that its search did not find"
    assert (PAGE[0] in sent) is (member == "anthropic")


def _chat(gpt: openai.OpenAI, pool: str, *, stream: bool) -> Any:
    if not stream:
        return gpt.chat.completions.create(model=pool, messages=HI).choices[0].message
    with gpt.chat.completions.stream(model=pool, messages=HI) as events:
        return events.get_final_completion().choices[0].message


def _response(gpt: openai.OpenAI, pool: str, *, stream: bool) -> Any:
    if not stream:
        return gpt.responses.create(model=pool, input="Will it rain?")
    with gpt.responses.stream(model=pool, input="Will it rain?") as events:
        return events.get_final_response()


def _message(claude: anthropic.Anthropic, pool: str, *, stream: bool) -> Any:
    if not stream:
        return claude.messages.create(model=pool, messages=HI, max_tokens=50)
    with claude.messages.stream(model=pool, messages=HI, max_tokens=50) as events:
        return events.get_final_message()
