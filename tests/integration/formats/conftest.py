"""One real daemon, whose pools have members that speak the three formats, and one server behind all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.support.providers.three_apis import ThreeApis, serving
from tests.support.waiting import WAIT

FORMATS = ("openai", "anthropic", "responses")


def config(apis: ThreeApis) -> dict[str, Any]:
    names = {f"of-{name}": {"models": [f"{name}.m-{name}"]} for name in FORMATS}
    pairs = {
        f"{first}-then-{second}": {
            "models": [f"{first}.m-{first}", f"{second}.{'n' if first == second else 'm'}-{second}"],
            "strategy": "modelmesh.priority-selection.v1",
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
def module_apis() -> Iterator[ThreeApis]:
    with serving(ThreeApis()) as apis:
        yield apis


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, module_short: Path, module_apis: ThreeApis) -> Any:
    return module_meshd(config(module_apis))


@pytest.fixture
def apis(module_apis: ThreeApis, daemon: Any) -> ThreeApis:
    fresh = ThreeApis()
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
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=WAIT) as made:
        yield made
