"""A daemon with all services, each served by a local server that answers as its provider documents it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import modelmesh
from tests.support.providers.services.documents import UNSTRUCTURED, LlamaParse, llamaparse
from tests.support.providers.services.google_cloud import GOOGLE_CLOUD
from tests.support.providers.services.searches import SEARCHES
from tests.support.providers.services.server import KEY, ServicesServer
from tests.support.providers.services.texts import TEXTS

CONNECTORS = {
    "tavily": "tavily.search.v1",
    "serper": "serper.search.v1",
    "brave": "brave.search.v1",
    "google-search": "google.search.v1",
    "bing": "microsoft.bing-search.v1",
    "jina": "jina.ai.v1",
    "firecrawl": "firecrawl.search.v1",
    "searxng": "searxng.search.v1",
    "deepl": "deepl.translation.v1",
    "google-cloud": "google.cloud-ai.v1",
    "perspective": "google.moderation.v1",
    "huggingface": "huggingface.inference.v1",
    "unstructured": "unstructured.doc-parse.v1",
    "llamaparse": "llamaindex.doc-parse.v1",
}
SEARCHING = [name for name, id in CONNECTORS.items() if ".search." in id or name in ("bing", "jina")]
QUERIES = {"google-search": "?cx=engine-1"}


@pytest.fixture(scope="module")
def jobs() -> LlamaParse:
    return LlamaParse()


@pytest.fixture(scope="module")
def services(jobs: LlamaParse) -> Iterator[ServicesServer]:
    server = ServicesServer(*SEARCHES, *TEXTS, GOOGLE_CLOUD, UNSTRUCTURED, llamaparse(jobs))
    yield server
    server.close()


def providers(services: ServicesServer) -> dict[str, Any]:
    return {
        name: {
            "connector": id,
            "base_url": services.url(name) + QUERIES.get(name, ""),
            "api_key": KEY,
            "passthrough": name == "deepl",
        }
        for name, id in CONNECTORS.items()
    }


TRANSLATORS_FAIL = (456, 529)
FAILING = ("limited", "broken", "used-up", "paged", "emptied")


def failing(services: ServicesServer) -> tuple[dict[str, Any], dict[str, Any]]:
    """Providers and pools: in each of these, the first provider is Tavily, whose failures set only itself aside."""
    made: dict[str, Any] = {"spent": {"connector": "tavily.search.v1", "base_url": services.url("tavily")}}
    pools: dict[str, Any] = {}
    for name in FAILING:
        made[name] = made["spent"]
        made[f"{name}-second"] = {"connector": "serper.search.v1", "base_url": services.url("serper")}
        pools[name] = {"models": [f"{name}.search", f"{name}-second.search"]}
    for status in TRANSLATORS_FAIL:
        made[f"deepl-{status}"] = {"connector": "deepl.translation.v1", "base_url": services.url("deepl")}
        made[f"google-{status}"] = {"connector": "google.cloud-ai.v1", "base_url": services.url("google-cloud")}
        pools[f"translated-{status}"] = {"models": [f"deepl-{status}.translate", f"google-{status}.nmt"]}
    return {name: {**provider, "api_key": KEY} for name, provider in made.items()}, pools


def config(services: ServicesServer, **more: Any) -> dict[str, Any]:
    """Each provider's models as the catalogue has them, and pools that rotate."""
    more_providers, pools = failing(services)
    return {
        "providers": {**providers(services), **more_providers},
        "models": {
            "huggingface.BAAI/bge-large-en-v1.5": {},
            "huggingface.google-bert/bert-base-uncased": {"capabilities": ["text-embeddings"]},
        },
        "pools": {
            **pools,
            "two": {"models": ["tavily.search", "serper.search"], "retry": {"max_attempts": 2}},
            "poor": {"models": ["google-cloud.nmt"], "budget": {"daily_limit": 0.01}},
            "documents": {"models": ["unstructured.partition", "llamaparse.agentic"]},
            "kept": {"models": ["brave.search"], "cache": {"ttl": "1h"}},
        },
        "discovery": {"health": {"enabled": False}},
        **more,
    }


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, module_short: Path, services: ServicesServer) -> Any:
    proxy = {"enabled": True, "port": "auto", "socket": str(module_short / "http.sock")}
    return module_meshd(config(services, proxy=proxy))


@pytest.fixture
def client(daemon: Any) -> Iterator[Any]:
    with modelmesh.OpenAIClient(socket=str(daemon.socket), max_retries=0, timeout=20.0) as made:
        yield made
