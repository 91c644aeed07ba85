"""Azure OpenAI by deployment and by its v1 API, behind the real daemon; and OpenAI's own class for it against the same
server."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest

from meshd.connectors.providers.deployments import by_deployment
from meshd.sdk.provider import ProviderSettings
from tests.support.providers.vendors.azure import FILTERED, KEY, VERSION, AzureApi
from tests.support.providers.vendors.three_apis import Said, serving
from tests.support.waiting import WAIT

HI: Any = [{"role": "user", "content": "hi"}]
DEPLOYMENTS = {"gpt-5-mini": "prod-chat", "text-embedding-3-small": "prod vectors", "whisper": "prod-chat"}
OLDER, NEWER = "older.gpt-5-mini", "newer.gpt-5-mini"


@pytest.fixture(scope="module")
def served() -> Iterator[AzureApi]:
    with serving(AzureApi()) as api:
        yield api


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, module_short: Path, served: AzureApi) -> Any:
    providers = {
        "older": served.connector(api_version=VERSION, deployments=DEPLOYMENTS),
        "newer": served.connector(deployments=DEPLOYMENTS),
        "named": served.connector(api_version=VERSION),
    }
    models = {
        "named.prod-chat": {"capabilities": ["chat-completion", "text-to-image"]},
        "named.gone": {"capabilities": ["chat-completion"]},
    }
    off = {"sync": {"enabled": False}, "health": {"enabled": False}}
    proxy = {"enabled": True, "port": "auto"}
    return module_meshd({"providers": providers, "models": models, "proxy": proxy, "discovery": off})


@pytest.fixture
def api(served: AzureApi) -> AzureApi:
    fresh = AzureApi()
    fresh.url = served.url
    served.__dict__.update(fresh.__dict__)
    return served


@pytest.fixture
def gpt(daemon: Any, api: AzureApi) -> Iterator[openai.OpenAI]:
    url = daemon.status()["http"]["addresses"][0]
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=WAIT) as made:
        yield made


@pytest.fixture
def azure(api: AzureApi) -> Iterator[openai.AzureOpenAI]:
    with openai.AzureOpenAI(
        azure_endpoint=api.url, api_key=KEY, api_version=VERSION, max_retries=0, timeout=WAIT
    ) as made:
        yield made


def test_openais_own_class_talks_to_the_server(azure: openai.AzureOpenAI, api: AzureApi) -> None:
    answer = azure.chat.completions.create(model="prod-chat", messages=HI)
    assert answer.choices[0].message.content == "Hello there"
    chunks = list(azure.chat.completions.create(model="prod-chat", messages=HI, stream=True))
    assert not chunks[0].choices
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == "Hello there"
    assert azure.embeddings.create(model="prod vectors", input="hi", encoding_format="float").usage.total_tokens == 4
    with pytest.raises(openai.NotFoundError) as missing:
        azure.chat.completions.create(model="gone", messages=HI)
    assert missing.value.code == "DeploymentNotFound"
    api.answer = FILTERED
    with pytest.raises(openai.BadRequestError) as refused:
        azure.chat.completions.create(model="prod-chat", messages=HI)
    assert refused.value.code == "content_filter"


PATHS = {
    OLDER: f"/openai/deployments/prod-chat/chat/completions?api-version={VERSION}",
    NEWER: "/openai/v1/chat/completions",
}


@pytest.mark.parametrize("model", [OLDER, NEWER])
def test_a_model_is_asked_at_its_deployment(model: str, gpt: openai.OpenAI, api: AzureApi) -> None:
    answer: Any = gpt.chat.completions.create(model=model, messages=HI)
    assert answer.choices[0].message.content == "Hello there"
    assert answer.choices[0].content_filter_results["hate"]["severity"] == "safe"
    assert answer.prompt_filter_results[0]["prompt_index"] == 0
    chunks = list(gpt.chat.completions.create(model=model, messages=HI, stream=True))
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == "Hello there"
    assert {asked.path for asked in api.asked} == {PATHS[model]}
    assert {asked.headers["api-key"] for asked in api.asked} == {KEY}
    assert "authorization" not in api.asked[0].headers
    assert [body["model"] for body in api.bodies()] == ["prod-chat", "prod-chat"]


def test_other_operations_by_deployment(gpt: openai.OpenAI, api: AzureApi) -> None:
    vectors = gpt.embeddings.create(model="older.text-embedding-3-small", input="hi", encoding_format="float")
    assert vectors.data[0].embedding == [0.5, 1.0]
    heard = gpt.audio.transcriptions.create(model="older.whisper", file=("a.wav", b"RIFF" + bytes(40)))
    assert heard.text == "Hello there"
    drawn = gpt.images.generate(model="named.prod-chat", prompt="a cat")
    assert drawn.data is not None
    assert drawn.data[0].b64_json == "aGk="
    assert [asked.path.removesuffix(f"?api-version={VERSION}") for asked in api.asked] == [
        "/openai/deployments/prod%20vectors/embeddings",
        "/openai/deployments/prod-chat/audio/transcriptions",
        "/openai/deployments/prod-chat/images/generations",
    ]


@pytest.mark.parametrize("model", [OLDER, NEWER])
def test_responses_are_translated_where_there_are_none(model: str, gpt: openai.OpenAI, api: AzureApi) -> None:
    assert gpt.responses.create(model=model, input="hi").output_text == "Hello there"
    assert api.asked[0].path == (PATHS[OLDER] if model == OLDER else "/openai/v1/responses")


def test_a_filtered_prompt_says_so(gpt: openai.OpenAI, api: AzureApi) -> None:
    api.answer = FILTERED
    with pytest.raises(openai.APIStatusError, match="content management policy") as refused:
        gpt.chat.completions.create(model=OLDER, messages=HI)
    assert refused.value.status_code == 400


def test_a_filtered_answer_keeps_its_reason(gpt: openai.OpenAI, api: AzureApi) -> None:
    api.answer = Said(text="Hel", finish="filter")
    answer = gpt.chat.completions.create(model=OLDER, messages=HI)
    assert answer.choices[0].finish_reason == "content_filter"


def test_a_deployment_that_does_not_exist(gpt: openai.OpenAI, api: AzureApi) -> None:
    with pytest.raises(openai.APIStatusError, match="deployment"):
        gpt.chat.completions.create(model="named.gone", messages=HI)


def test_what_it_costs(daemon: Any, api: AzureApi) -> None:
    """By the model's prices, whatever its deployment is called: USD 0.25 and 2 per million tokens."""
    api.answer = Said(tokens_in=2000, tokens_out=300)
    with daemon.client() as client:
        cost = client.chat.completions.create(model=OLDER, messages=HI, max_completion_tokens=900).mesh.cost
    assert Decimal(str(cost)) == 2000 * Decimal("0.25") / 10**6 + 300 * Decimal("2") / 10**6


BY_DEPLOYMENT = {"by_deployment": {"path": "openai/deployments", "instead_of": "openai/v1"}, "query": {"x": "1"}}


@pytest.mark.parametrize(
    ("base_url", "version", "base", "asked"),
    [
        ("https://me.openai.azure.com/openai/v1", VERSION, "https://me.openai.azure.com", VERSION),
        ("https://me.openai.azure.com/", VERSION, "https://me.openai.azure.com", VERSION),
        ("https://gate/a/openai/v1/", VERSION, "https://gate/a", VERSION),
        ("https://me/openai/deployments/d/chat/completions?api-version=2025-01-01-preview", None, "https://me",
         "2025-01-01-preview"),
        ("https://me/openai/v1?api-version=preview", None, "https://me/openai/v1?api-version=preview", None),
        ("https://me/openai/v1", None, "https://me/openai/v1", None),
    ],
)  # fmt: skip
def test_addresses(base_url: str, version: str | None, base: str, asked: str | None) -> None:
    options = {} if version is None else {"api_version": version}
    made = by_deployment(ProviderSettings("a", "c", base_url=base_url, options=options, quirks=BY_DEPLOYMENT))
    assert made.base_url == base
    assert made.quirks["query"] == ({"x": "1"} if asked is None else {"x": "1", "api-version": asked})
