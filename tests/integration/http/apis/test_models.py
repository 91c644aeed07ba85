"""A real daemon's lists of models and its aliases, over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest

from tests.integration.gateway.conftest import CONFIG
from tests.support.waiting import WAIT

ANTHROPIC = {"anthropic-version": "2023-06-01"}
HI: Any = [{"role": "user", "content": "hi there"}]


@pytest.fixture(scope="module")
def url(module_meshd: Any) -> str:
    aliases = {"gpt-4o": "chat", "claude-*": "chat"}
    daemon = module_meshd({**CONFIG, "aliases": aliases, "proxy": {"enabled": True, "port": "auto"}})
    found: str = daemon.status()["http"]["addresses"][0]
    return found


def test_openais_sdk_reads_the_list_and_asks_by_an_alias(url: str) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=WAIT) as client:
        ids = [each.id for each in client.models.list()]
        assert {"chat", "gpt-4o", "claude-chat"} <= set(ids)
        assert client.models.retrieve("claude-opus-4-6").id == "claude-opus-4-6"
        by_pool = client.chat.completions.create(model="chat", messages=HI)
        by_alias = client.chat.completions.create(model="claude-opus-4-6", messages=HI)
        assert by_alias.choices[0].message.content == by_pool.choices[0].message.content
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="cloude-opus", messages=HI)


def test_every_api_takes_an_alias(url: str) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "/v1/messages": {"messages": HI, "max_tokens": 9},
        "/v1/responses": {"input": "hi there"},
        "/v1/completions": {"prompt": "hi there"},
    }
    for path, body in bodies.items():
        answer = httpx.post(url + path, json={"model": "claude-x", **body}, headers=ANTHROPIC, timeout=WAIT)
        pool = httpx.post(url + path, json={"model": "chat", **body}, headers=ANTHROPIC, timeout=WAIT)
        assert (answer.status_code, pool.status_code) == (200, 200), answer.text
        assert answer.json().keys() == pool.json().keys()
        assert answer.json()["model"] == pool.json()["model"]


def test_anthropics_list_and_its_errors(url: str) -> None:
    page = httpx.get(f"{url}/v1/models?limit=1000", headers=ANTHROPIC, timeout=WAIT).json()
    assert page["has_more"] is False
    assert "claude-chat" in [each["id"] for each in page["data"]]
    refused = httpx.get(f"{url}/v1/models?limit=x", headers=ANTHROPIC, timeout=WAIT)
    assert refused.status_code == 400
    assert (refused.json()["type"], refused.json()["error"]["type"]) == ("error", "invalid_request_error")
    unknown = httpx.get(f"{url}/v1/models/nothing", headers=ANTHROPIC, timeout=WAIT)
    assert (unknown.status_code, unknown.json()["error"]["type"]) == (404, "not_found_error")
    assert "object" in httpx.get(f"{url}/v1/models", timeout=WAIT).json()


def test_codexs_catalogue(url: str) -> None:
    catalogue = httpx.get(f"{url}/v1/models?client_version=0.171.0", timeout=WAIT).json()
    assert {"chat", "gpt-4o", "claude-chat"} <= {each["slug"] for each in catalogue["models"]}
