"""OpenAI's, Anthropic's and Google's own SDKs talk to the server behind the members, so that it is known to be right.

Those of Cohere and AWS do so in `test_cohere.py` and `providers/vendors/test_bedrock_sdk.py`, those of
services in `services`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors
from google.genai.types import HttpOptions

from tests.integration.formats.conftest import APPS
from tests.support.answers.refusals import KINDS, refusal
from tests.support.apps.sdks.sdk_calls import Sdks, asked
from tests.support.conversations import told
from tests.support.providers.vendors.six_apis import SixApis
from tests.support.providers.vendors.three_apis import Said, serving
from tests.support.waiting import WAIT

SAID = {
    "text": Said("Hello there", tokens_in=100, tokens_out=50, cached=40),
    "calls": Said("I look.", thought="Two.", calls=(("weather", {"city": "Oslo"}), ("weather", {"city": "Rome"}))),
    "length": Said("Hello", finish="length"),
    "filter": Said("Hello", finish="filter"),
}
STATUSES = {"wrong": 400, "too long": 400, "key": 401, "gone": 404, "limit": 429, "failed": 500, "busy": 503}


@pytest.fixture(scope="module")
def direct(module_apis: SixApis) -> Iterator[Sdks]:
    url = module_apis.url
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0, timeout=WAIT) as gpt,
        anthropic.Anthropic(base_url=url, api_key="k", max_retries=0, timeout=WAIT) as claude,
    ):
        options = HttpOptions(base_url=url, timeout=int(WAIT * 1000))
        yield Sdks(gpt, claude, genai.Client(api_key="k", http_options=options))


@pytest.fixture(scope="module")
def module_apis() -> Iterator[SixApis]:
    with serving(SixApis()) as made:
        yield made


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("api", APPS)
def test_its_answers_are_read(api: str, said: str, direct: Sdks, module_apis: SixApis) -> None:
    module_apis.answer = SAID[said]
    expected = told.meant(SAID[said])
    assert told.told(api, asked(direct, api, "m")) == expected
    assert told.told(api, told.streamed(api, asked(direct, api, "m", stream=True))) == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("api", APPS)
def test_its_refusals_are_read(api: str, kind: str, direct: Sdks, module_apis: SixApis) -> None:
    module_apis.answer = made = refusal(api, kind)
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError, errors.APIError)) as caught:
        asked(direct, api, "m")
    error: Any = caught.value
    assert made.body["error"]["message"] in str(error)
    status = error.code if api == "gemini" else error.status_code
    assert status == {("gemini", "key"): 400, ("anthropic", "busy"): 529}.get((api, kind), STATUSES[kind])


def test_its_models_are_listed(direct: Sdks, module_apis: SixApis) -> None:
    module_apis.models = [{"id": "m", "object": "model", "type": "model", "created": 1, "owned_by": "us"}]
    assert [each.id for each in direct.gpt.models.list()] == ["m"]
    assert [each.id for each in direct.claude.models.list()] == ["m"]
    assert (
        direct.claude.messages.count_tokens(model="m", messages=[{"role": "user", "content": "hi"}]).input_tokens == 42
    )
