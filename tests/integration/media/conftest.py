"""A daemon with providers that make and read audio and images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.providers.media_server import MediaServer

KINDS = {
    "tts": ["text-to-speech"],
    "stt": ["speech-to-text"],
    "image": ["text-to-image"],
    "moderation": ["content-moderation"],
    "rerank": ["reranking"],
}
WRONG = ("dying", "empty", "told", "page", "refusing", "failing", "endless")
PRICES = {
    "tts": {"per_1k_chars": 15.0},
    "stt": {"per_minute": 6.0},
    "image": {"per_image": 0.25},
    "rerank": {"per_search": 2.0},
}


def config(url: str, **more: Any) -> dict[str, Any]:
    """One model of each kind, and for each mistake one that makes it, alone in a pool and before a good one."""
    models: dict[str, Any] = {}
    pools: dict[str, Any] = {}
    for kind, capabilities in KINDS.items():
        common = {"provider": "up", "capabilities": capabilities}
        priced = {"pricing": PRICES[kind]} if kind in PRICES else {}
        models[f"up.{kind}"] = {**common, **priced}
        for wrong in WRONG:
            models[f"up.{wrong}-{kind}"] = dict(common)
            alone = {"deactivation": {"retry_limit": 1000}, "provider_deactivation": [], "retry": {"max_attempts": 1}}
            pools[f"{wrong}-{kind}"] = {"models": [f"up.{wrong}-{kind}"], **alone}
            pools[f"{wrong}-then-{kind}"] = {
                "models": [f"up.{wrong}-{kind}", f"up.{kind}"],
                "deactivation": {"retry_limit": 1000},
                "provider_deactivation": [],
            }
        pools[kind] = pools[capabilities[0]] = {"models": [f"up.{kind}"]}
    providers = {"up": {"connector": "openai-compatible.v1", "base_url": url, "api_key": "sk-upstream"}}
    return {
        "providers": providers,
        "models": models,
        "pools": pools,
        "discovery": {"health": {"enabled": False}},
        **more,
    }


@pytest.fixture(scope="module")
def media() -> Iterator[MediaServer]:
    server = MediaServer().start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, module_short: Path, media: MediaServer) -> Any:
    proxy = {"enabled": True, "port": "auto", "socket": str(module_short / "http.sock")}
    return module_meshd(config(media.url, proxy=proxy))
