"""A real Prometheus reads a real daemon, and understands every query of the dashboard and of the alerts."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.support.network.ports import free_port
from tests.support.waiting import WAIT, until

DOCS = Path(__file__).parents[3] / "docs" / "monitoring"
RULES = DOCS / "alerts.yml"
TOKEN = "token of the scraper"
pytestmark = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")), reason="needs Debian's package prometheus"
)


def dashboard_queries() -> list[str]:
    panels = json.loads((DOCS / "grafana.json").read_text())["panels"]
    found = [target["expr"] for panel in panels for target in panel["targets"]]
    return [re.sub(r"\$(instance|pool)\b", ".*", each).replace("$__rate_interval", "1m") for each in found]


def alert_queries() -> list[str]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return [rule["expr"] for rule in group["rules"]]


@pytest.fixture(scope="module")
def prometheus(module_meshd: Any, module_short: Path) -> Iterator[str]:
    """Its address, once it has read the daemon after a request and a failure."""
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    failing = {"connector": "modelmesh.scripted.v1", "script": [{"error": 500}], "cycle": True}
    daemon = module_meshd(
        {
            "providers": {"p": {"connector": "modelmesh.scripted.v1", "budget": {"daily_limit": 5.0}}, "q": failing},
            "models": {
                f"{name}.m": {"provider": name, "model": "m", "capabilities": ["chat-completion"],
                              "pricing": {"per_request": 0.25}}
                for name in "pq"
            },
            "pools": {"chat": {"models": ["q.m", "p.m"], "strategy": "priority-selection", "cache": {"ttl": 60},
                               "model_priority": ["q.m", "p.m"], "retry": {"max_attempts": 1}}},
            "apps": {"scraper": {"match": {"token": digest}, "metrics": True}},
            "proxy": {"enabled": True, "port": "auto"},
            "observability": {"routing": "modelmesh.console.v1"},
            "discovery": {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}},
        }
    )  # fmt: skip
    for _ in daemon.say(model="chat", stream=True):
        pass
    daemon.say(model="chat")
    directory = module_short / "prometheus"
    directory.mkdir()
    target = daemon.status()["http"]["addresses"][0].removeprefix("http://")
    job = {"job_name": "meshd", "authorization": {"credentials": TOKEN}, "static_configs": [{"targets": [target]}]}
    written = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [job],
               "rule_files": [str(RULES)]}  # fmt: skip
    (directory / "prometheus.yml").write_text(yaml.safe_dump(written))
    port = free_port()
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={directory / 'data'}",
             f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"],
            stdout=log, stderr=log,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _values(address, "up") == [1.0], 2 * WAIT, "Prometheus reads the daemon")
        yield address
    finally:
        process.terminate()
        process.wait(WAIT)


def _values(address: str, query: str) -> list[float]:
    try:
        answer = httpx.get(f"{address}/api/v1/query", params={"query": query}, timeout=WAIT)
    except httpx.TransportError:
        return []
    if answer.status_code == 503:  # it is still starting
        return []
    found = answer.json()
    assert found["status"] == "success", f"{query}: {found.get('error')}"
    return [float(each["value"][1]) for each in found["data"]["result"]]


def test_it_has_what_was_asked(prometheus: str) -> None:
    served = 'meshd_requests_total{meshd_pool="chat",meshd_status="200"}'
    until(lambda: sum(_values(prometheus, served)) == 2)
    failed = 'gen_ai_client_operation_duration_seconds_count{error_type="server"}'
    until(lambda: sum(_values(prometheus, failed)) >= 1)


@pytest.mark.parametrize("query", [*dashboard_queries(), *alert_queries()])
def test_a_query_is_understood(prometheus: str, query: str) -> None:
    _values(prometheus, query)


def test_every_metric_that_is_asked_for_exists(prometheus: str) -> None:
    known = set(httpx.get(f"{prometheus}/api/v1/label/__name__/values", timeout=WAIT).json()["data"])
    queries = " ".join([*dashboard_queries(), *alert_queries()])
    asked = set(re.findall(r"\b(?:meshd|gen_ai|process)_[a-z_]+\b(?=[{\[ )/]|$)", queries))
    labels = {"meshd_pool", "meshd_model", "meshd_provider", "meshd_app", "meshd_status", "meshd_sink", "meshd_event"}
    assert len(asked) > 20
    assert not asked - known - labels - {"gen_ai_token_type"}


def test_promtool_accepts_what_is_served(prometheus: str) -> None:
    target = httpx.get(f"{prometheus}/api/v1/targets", timeout=WAIT).json()["data"]["activeTargets"][0]["scrapeUrl"]
    text = httpx.get(target, headers={"authorization": f"Bearer {TOKEN}"}, timeout=WAIT).content
    command = ["promtool", "check", "metrics"]
    checked = subprocess.run(command, input=text, capture_output=True, timeout=WAIT, check=False)
    ours = [line for line in checked.stderr.decode().splitlines() if not line.startswith("process_")]
    assert not ours


def test_promtool_accepts_the_rules() -> None:
    subprocess.run(["promtool", "check", "rules", RULES], check=True, capture_output=True, timeout=WAIT)


def test_promtool_accepts_the_example(tmp_path: Path) -> None:
    page = (DOCS.parent / "observability.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(# prometheus.yml\n.*?)```", page, re.DOTALL)
    (tmp_path / "token").write_text(TOKEN)
    file = tmp_path / "prometheus.yml"
    file.write_text(example.replace("/etc/prometheus/meshd.token", str(tmp_path / "token")))
    command = ["promtool", "check", "config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT, check=False)
    assert done.returncode == 0, done.stderr
