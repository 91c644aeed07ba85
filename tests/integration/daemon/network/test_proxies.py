"""A daemon behind a proxy whose variables were written as people write them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.providers.faulty.odd_provider import OddProvider

CONFIG: dict[str, Any] = {
    "providers": {
        "far": {"connector": "openai-compatible.v1", "base_url": "http://192.0.2.1:8000/v1", "api_key": "EMPTY"}
    },
    "models": {"far.m": {"provider": "far", "model": "m", "capabilities": ["chat-completion"]}},
    "discovery": {"local": {"enabled": False}, "health": {"enabled": False}},
}


@pytest.fixture
def proxy() -> Iterator[OddProvider]:
    made = OddProvider("by the proxy")
    yield made
    made.close()


def test_quotes_and_bad_entries_cost_no_request(meshd: Callable[..., Any], proxy: OddProvider) -> None:
    place = proxy.url.removeprefix("http://").removesuffix("/v1")
    no_proxy = '"192.168.1.*,10.0.0.0/99,http://corp.example/,x:port"'
    daemon = meshd(CONFIG, env={"HTTP_PROXY": f'"{place}"', "NO_PROXY": no_proxy})
    assert daemon.say(model="far.m").choices[0].message.content == "by the proxy"
    log = daemon.log()
    assert "NO_PROXY: 10.0.0.0/99 is not a network (10.0.0.0/8), so it has no effect" in log
    assert "NO_PROXY: x:port has no port between 1 and 65535, so it has no effect" in log
    assert "192.168" not in log
    assert "corp.example" not in log
