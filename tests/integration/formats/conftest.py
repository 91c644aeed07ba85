"""One real daemon, whose pools have members that speak the six formats, and one server behind all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai.types import HttpOptions

from tests.support.apps.sdks.sdk_calls import Sdks
from tests.support.providers.vendors.six_apis import SixApis
from tests.support.providers.vendors.three_apis import serving
from tests.support.waiting import WAIT

FORMATS = ("openai", "anthropic", "responses", "gemini", "cohere", "bedrock")
"""That members speak."""
APPS = ("openai", "anthropic", "responses", "gemini")
"""That apps speak."""


def config(apis: SixApis) -> dict[str, Any]:
    once = {"retry": {"max_attempts": 1}}
    names = {f"of-{name}": {"models": [f"{name}.m-{name}"], **once} for name in FORMATS}
    pairs = {
        f"{first}-then-{second}": {
            "models": [f"{first}.m-{first}", f"{second}.{'n' if first == second else 'm'}-{second}"],
            "strategy": "modelmesh.priority-selection.v1",
            "retry": {"max_attempts": 2, "initial_delay": "1ms"},
        }
        for first in FORMATS
        for second in FORMATS
    }
    models = [f"{name}.{model}-{name}" for name in FORMATS for model in "mn"]
    return {
        "providers": {name: apis.provider(name) for name in FORMATS},
        "models": {model: {"capabilities": ["chat-completion"]} for model in models},
        "pools": names | pairs,
        "proxy": {"enabled": True, "port": "auto"},
        "discovery": {"sync": {"enabled": False}, "health": {"enabled": False}},
    }


@pytest.fixture(scope="module")
def module_apis() -> Iterator[SixApis]:
    with serving(SixApis()) as apis:
        yield apis


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, module_short: Path, module_apis: SixApis) -> Any:
    return module_meshd(config(module_apis))


@pytest.fixture
def apis(module_apis: SixApis, daemon: Any) -> SixApis:
    fresh = SixApis()
    fresh.url = module_apis.url
    module_apis.__dict__.update(fresh.__dict__)
    return module_apis


@pytest.fixture(scope="module")
def url(daemon: Any) -> str:
    found: str = daemon.status()["http"]["addresses"][0]
    return found


@pytest.fixture
def claude(url: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=url, api_key="none", max_retries=0, timeout=WAIT) as made:
        yield made


@pytest.fixture
def gpt(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=WAIT) as made:
        yield made


@pytest.fixture
def google(url: str) -> genai.Client:
    return genai.Client(api_key="none", http_options=HttpOptions(base_url=url, timeout=int(WAIT * 1000)))


@pytest.fixture
def sdks(gpt: openai.OpenAI, claude: anthropic.Anthropic, google: genai.Client) -> Sdks:
    return Sdks(gpt, claude, google)


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=WAIT) as made:
        yield made
