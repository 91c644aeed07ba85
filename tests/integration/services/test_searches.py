"""Searches through the daemon: each provider's API becomes the same answer, and its failures those of any provider."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

import modelmesh
from tests.integration.services.conftest import FAILING, SEARCHING
from tests.support.providers.services.searches import page
from tests.support.providers.services.server import KEY, ServicesServer
from tests.support.waiting import until

TITLE, URL, WORDS = page(0)
WITHOUT_DATES = {"tavily", "bing", "firecrawl", "searxng"}


@pytest.mark.parametrize("name", SEARCHING)
def test_each_gives_the_same_shape(client: Any, services: ServicesServer, name: str) -> None:
    answer = client.search.create(model=f"{name}.search", query="lighthouses", max_results=3)
    first = answer.results[0].to_dict()
    assert (first["title"], first["url"], first["snippet"]) == (TITLE, URL, WORDS)
    assert ("published" in first) is (name not in WITHOUT_DATES)
    assert len(answer.results) == 3
    assert answer.object == "search"
    assert answer.query == "lighthouses"
    assert answer.usage.searches == 1
    assert answer.mesh.model == f"{name}.search"
    sent = services.sent[name][-1]
    assert sent.headers["user-agent"].startswith("meshd/")
    assert KEY not in answer.to_json()


@pytest.mark.parametrize(
    ("name", "wanted", "searches", "requests"),
    [("google-search", 25, 3, 3), ("google-search", 60, 5, 5), ("brave", 30, 2, 2), ("serper", 20, 2, 1)],
)
def test_many_results_take_several_requests(
    client: Any, services: ServicesServer, name: str, wanted: int, searches: int, requests: int
) -> None:
    before = len(services.sent[name])
    answer = client.search.create(model=f"{name}.search", query=f"many {wanted}", max_results=wanted)
    assert len(answer.results) == min(wanted, 45)
    assert len({row.url for row in answer.results}) == len(answer.results)
    assert answer.usage.searches == searches
    assert len(services.sent[name]) - before == requests


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("tavily", {"include_domains": ["a.example", "b.example"], "time_range": "week", "country": "germany"}),
        ("serper", {"q": "x (site:a.example OR site:b.example)", "tbs": "qdr:w", "gl": "de"}),
        ("firecrawl", {"query": "x (site:a.example OR site:b.example)", "tbs": "qdr:w", "country": "DE"}),
        ("brave", {"q": "x (site:a.example OR site:b.example)", "freshness": "pw", "country": "DE"}),
        ("google-search", {"dateRestrict": "w1", "gl": "de", "cx": "engine-1"}),
        ("bing", {"freshness": "Week", "cc": "DE"}),
    ],
)
def test_what_narrows_a_search_is_in_its_own_words(
    client: Any, services: ServicesServer, name: str, sent: dict[str, Any]
) -> None:
    domains = ["a.example", "b.example"]
    client.search.create(model=f"{name}.search", query="x", domains=domains, recency="week", country="de")
    last = services.sent[name][-1]
    asked = json.loads(last.body) if last.body else dict(last.query)
    assert {key: asked.get(key) for key in sent} == sent


def test_what_a_service_cannot_express_is_named_and_another_is_asked(client: Any, services: ServicesServer) -> None:
    with pytest.raises(modelmesh.InvalidRequestError, match="`language`") as refused:
        client.search.create(model="tavily.search", query="x", language="de")
    assert refused.value.param == "language"
    answer = client.search.create(model="two", query="x", language="de")
    assert answer.mesh.model == "serper.search"
    assert json.loads(services.sent["serper"][-1].body)["hl"] == "de"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"query": "x", "max_results": 1000}, "max_results"),
        ({"query": "x", "max_results": "many"}, "max_results"),
        ({"query": "x", "recency": "century"}, "recency"),
        ({"query": "x", "domains": ["a b"]}, "domains"),
        ({"query": ""}, "query"),
        ({"query": "x", "depth": 3}, "depth"),
    ],
)
def test_a_wrong_field_is_named(client: Any, body: dict[str, Any], param: str) -> None:
    with pytest.raises(modelmesh.InvalidRequestError) as refused:
        client.search.create(model="serper.search", **body)
    assert str(refused.value.param).startswith(param)


def test_another_is_asked_if_one_fails(client: Any, services: ServicesServer) -> None:
    """By its limits, its own statuses or a broken answer."""
    for pool, wrong in zip(FAILING, ("429", "500", "432", "page", "empty"), strict=True):
        answer = client.search.create(model=pool, query=f"tavily:{wrong}")
        assert answer.mesh.model == f"{pool}-second.search"


def test_a_quota_that_is_used_up_is_one(client: Any) -> None:
    with pytest.raises(modelmesh.RateLimitError, match="quota of provider spent is used up"):
        client.search.create(model="spent.search", query="tavily:432")


def test_what_was_used_is_counted_and_priced(client: Any) -> None:
    """0.008 USD a search at Tavily; at Serper 0.001, and twice as much for more than ten results."""
    assert client.search.create(model="tavily.search", query="price").mesh.cost == pytest.approx(0.008)
    assert client.search.create(model="tavily.search-advanced", query="price").mesh.cost == pytest.approx(0.016)
    assert client.search.create(model="serper.search", query="price", max_results=20).mesh.cost == pytest.approx(0.002)
    assert client.search.create(model="google-search.search", query="p", max_results=25).mesh.cost == pytest.approx(
        0.015
    )


def test_a_pool_may_keep_answers(client: Any, services: ServicesServer) -> None:
    first = client.search.create(model="kept", query="kept")

    def kept() -> bool:
        """It is kept after the first app has it."""
        before = len(services.sent["brave"])
        assert client.search.create(model="kept", query="kept").results == first.results
        return len(services.sent["brave"]) == before

    until(kept)


def test_the_same_over_http(daemon: Any, module_short: Path) -> None:
    transport = httpx.HTTPTransport(uds=str(module_short / "http.sock"))
    with httpx.Client(transport=transport, base_url="http://meshd", timeout=20.0) as http:
        told = http.post("/v1/search", json={"model": "tavily.search", "query": "over HTTP", "max_results": 1})
        refused = http.post("/v1/search", json={"model": "tavily.search", "query": "x", "language": "de"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "language")
    assert told.json()["results"] == [{"title": TITLE, "url": URL, "snippet": WORDS, "score": 0.9}]


def test_its_own_api_is_passed_on_with_its_key(daemon: Any, module_short: Path, services: ServicesServer) -> None:
    transport = httpx.HTTPTransport(uds=str(module_short / "http.sock"))
    with httpx.Client(transport=transport, base_url="http://meshd", timeout=20.0) as http:
        told = http.get("/providers/deepl/v2/usage")
    assert told.json()["character_limit"] == 1250000
    assert services.sent["deepl"][-1].headers["Authorization"] == f"DeepL-Auth-Key {KEY}"


def test_jinas_reranker_speaks_openais_format(client: Any, services: ServicesServer) -> None:
    model = "jina.jina-reranker-v2-base-multilingual"
    assert client.rerank.create(model=model, query="a", documents=["b", "c"]).results[0].relevance_score == 1.0
    assert services.sent["jina"][-1].path == "/rerank"


def test_nothing_found_is_an_answer_and_silent_engines_are_none(client: Any) -> None:
    assert client.search.create(model="searxng.search", query="x", content=False).results
    with pytest.raises(modelmesh.ProviderError):
        client.search.create(model="searxng.search", query="SILENCE")


def test_it_is_explained(client: Any) -> None:
    found = client.mesh.explain(model="two", path="/v1/search", query="x", max_results=25)
    assert found.chosen == "tavily.search"
    assert found.needs.to_dict()["units"] == {"searches": 3}
