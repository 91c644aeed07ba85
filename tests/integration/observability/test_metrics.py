"""`/metrics` of a real daemon: who may read it, what it says, and that a real Prometheus reads it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.waiting import WAIT, until

TOKENS = {name: f"token of {name}" for name in ("scraper", "plain", "chief")}


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, module_short: Path) -> Any:
    digest = {name: hashlib.sha256(token.encode()).hexdigest() for name, token in TOKENS.items()}
    return module_meshd(
        {
            "providers": {
                "p": {"connector": "modelmesh.scripted.v1", "budget": {"daily_limit": 5.0}},
            },
            "models": {
                "p.m": {"provider": "p", "model": "m", "capabilities": ["chat-completion"],
                        "pricing": {"per_request": 0.25}},
            },
            "pools": {"chat": {"models": ["p.m"]}},
            "apps": {
                "scraper": {"match": {"token": digest["scraper"]}, "metrics": True},
                "plain": {"match": {"token": digest["plain"]}},
                "chief": {"match": {"token": digest["chief"]}, "admin": True},
            },
            "proxy": {"enabled": True, "port": "auto"},
            "observability": {
                "statistics": {
                    "connector": {"connector": "modelmesh.prometheus.v1", "path": str(module_short / "meshd.prom")},
                    "metrics_interval": "1s",
                }
            },
            "discovery": {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}},
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def url(daemon: Any) -> str:
    address: str = daemon.status()["http"]["addresses"][0]
    for stream in (False, True):
        said = httpx.post(
            f"{address}/v1/chat/completions",
            headers=_as("plain"),
            json={"model": "chat", "stream": stream, "messages": [{"role": "user", "content": "hello"}]},
            timeout=WAIT,
        )
        assert said.status_code == 200, said.text
    return address


def _as(app: str) -> dict[str, str]:
    return {"authorization": f"Bearer {TOKENS[app]}"}


def scrape(url: str, app: str = "scraper") -> dict[str, Any]:
    found = httpx.get(f"{url}/metrics", headers=_as(app), timeout=WAIT)
    assert found.status_code == 200, found.text
    assert found.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {family.name: family for family in text_string_to_metric_families(found.text)}


def test_the_request_is_counted_under_its_app(url: str) -> None:
    found = scrape(url)
    (ended,) = found["meshd_requests"].samples
    assert ended.value == 2
    assert ended.labels == {
        "meshd_app": "plain", "meshd_pool": "chat", "meshd_provider": "p", "meshd_model": "p.m",
        "gen_ai_operation_name": "chat", "meshd_status": "200",
    }  # fmt: skip
    (cost,) = found["meshd_cost_usd"].samples
    assert cost.value == 0.5
    samples = found["gen_ai_client_operation_duration_seconds"].samples
    counts = [each for each in samples if each.name.endswith("_count")]
    assert [each.value for each in counts] == [2]
    assert counts[0].labels["gen_ai_request_model"] == "m"


def test_state_is_shown(url: str) -> None:
    found = scrape(url)
    available = {each.labels["meshd_pool"]: each for each in found["meshd_member_available"].samples}
    assert (available["chat"].labels["meshd_model"], available["chat"].value) == ("p.m", 1)
    spent = found["meshd_limit_spent"].samples
    assert [(each.labels["meshd_name"], each.value) for each in spent] == [("p", 0.5)]
    assert found["process_resident_memory_bytes"].samples[0].value > 10_000_000


@pytest.mark.parametrize("app", ["scraper", "chief"])
def test_who_may_read_it(url: str, app: str) -> None:
    assert scrape(url, app)


def test_who_may_not(url: str) -> None:
    refused = httpx.get(f"{url}/metrics", headers=_as("plain"), timeout=WAIT)
    assert refused.status_code == 403
    assert "metrics: true" in refused.json()["error"]["message"]


def test_the_sink_writes_the_same(url: str, module_short: Path) -> None:
    path = module_short / "meshd.prom"
    until(lambda: path.exists() and 'meshd_requests_total{meshd_app="plain"' in path.read_text())
    assert "meshd_member_available" in path.read_text()


def test_no_name_that_a_program_gives_itself_is_a_label(url: str, daemon: Any) -> None:
    with daemon.client(app="a name of its own") as client:
        client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "hello"}])
    text = httpx.get(f"{url}/metrics", headers=_as("scraper"), timeout=WAIT).text
    assert "a name of its own" not in text
    assert 'meshd_app="default"' in text
