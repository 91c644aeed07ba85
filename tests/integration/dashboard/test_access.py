"""The mesh's own operations over HTTP: for programs, and of pages only for the dashboard."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import httpx
import pytest

from modelmesh import OpenAIClient
from tests.integration.dashboard.conftest import CONFIG, HOSTILE, Dashboard
from tests.support.waiting import WAIT, until

TOKEN = "mesh-test-token"
PROMPT = "sixty-four words"


def ask(daemon: Any, model: str) -> None:
    with OpenAIClient(daemon.socket, timeout=WAIT) as client:
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": PROMPT}])


@pytest.mark.parametrize("path", ["/", "/dashboard/main.js", "/dashboard/style.css"])
def test_the_page_itself_is_for_all_and_says_nothing(dashboard: Dashboard, path: str) -> None:
    found = httpx.get(dashboard.url + path, headers={"sec-fetch-site": "cross-site"})
    assert found.status_code == 200
    assert "default-src 'none'" in found.headers["content-security-policy"]
    assert "unsafe" not in found.headers["content-security-policy"]
    assert "echo.chat" not in found.text


@pytest.mark.parametrize(
    "path", ["/dashboard/", "/dashboard/nothing.js", "/dashboard/../pages.py", "/dashboard/%2e%2e/pages.py"]
)
def test_no_other_file_is_shown(dashboard: Dashboard, path: str) -> None:
    assert httpx.get(dashboard.url + path).status_code == 404


PAGES: dict[str, dict[str, str]] = {
    "same origin": {"sec-fetch-site": "same-origin"},
    "same origin by name": {"origin": "http://HOST"},
    "a wrong key": {"sec-fetch-site": "same-origin", "x-mesh-dashboard-key": "0" * 64},
    "a key beyond ASCII": {"sec-fetch-site": "same-origin", "x-mesh-dashboard-key": "\u00e9"},
    "another port": {"origin": "http://127.0.0.1:1", "x-mesh-dashboard-key": "KEY"},
    "another site": {"sec-fetch-site": "cross-site", "x-mesh-dashboard-key": "KEY"},
    "without an origin": {"origin": "null", "x-mesh-dashboard-key": "KEY"},
    "rebound": {"host": "evil.example", "origin": "http://evil.example", "x-mesh-dashboard-key": "KEY"},
}
USES = [
    ("GET", "/mesh/v1/status"),
    ("POST", "/mesh/v1/reload"),
    ("POST", "/v1/chat/completions"),
    ("GET", "/v1/models"),
]


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
@pytest.mark.parametrize(("method", "path"), USES)
def test_other_pages_of_a_browser_may_use_nothing(
    dashboard: Dashboard, page: dict[str, str], method: str, path: str
) -> None:
    known = {"HOST": dashboard.url.partition("://")[2], "KEY": dashboard.key}
    headers = {}
    for name, value in page.items():
        for word, stands_for in known.items():
            value = value.replace(word, stands_for)
        headers[name] = value.encode()
    found = httpx.request(method, dashboard.url + path, headers=headers, json={})
    assert found.status_code == 403


def test_the_dashboard_and_programs_may(dashboard: Dashboard) -> None:
    host = dashboard.url.partition("://")[2]
    for headers in ({}, dashboard.headers, {**dashboard.headers, "origin": f"http://{host}"}):
        assert httpx.get(f"{dashboard.url}/mesh/v1/status", headers=headers).json()["pools"]
    assert httpx.post(f"{dashboard.url}/mesh/v1/reload", headers=dashboard.headers, json={}).json()["ok"]


def test_pages_that_may_ask_models_may_do_nothing_else(meshd: Any) -> None:
    origin = "http://good.example"
    daemon = meshd({**CONFIG, "proxy": {**CONFIG["proxy"], "cors": {"enabled": True, "origins": [origin]}}})
    found = daemon.ask("GET", "/mesh/v1/dashboard")
    headers = {"origin": origin, "sec-fetch-site": "cross-site"}
    assert httpx.get(f"{found['url']}/v1/models", headers=headers).status_code == 200
    for more in ({}, {"x-mesh-dashboard-key": found["key"]}):
        assert httpx.get(f"{found['url']}/mesh/v1/status", headers={**headers, **more}).status_code == 403
        assert httpx.post(f"{found['url']}/mesh/v1/reload", headers={**headers, **more}, json={}).status_code == 403


def test_a_key_is_its_users_and_of_this_start(meshd: Any) -> None:
    daemon = meshd(CONFIG)
    first = daemon.ask("GET", "/mesh/v1/dashboard")["key"]
    daemon.stop()
    daemon.start()
    second = daemon.ask("GET", "/mesh/v1/dashboard")
    assert second["key"] != first
    page = Dashboard(daemon, second["url"], first).headers
    refused = httpx.get(f"{second['url']}/mesh/v1/status", headers=page)
    assert refused.json()["error"]["code"] == "dashboard_key_needed"


def test_a_token_sees_only_what_is_its_apps(meshd: Any) -> None:
    proxy = {
        **CONFIG["proxy"],
        "auth": {"tokens": [{"app": "phone", "hash": hashlib.sha256(TOKEN.encode()).hexdigest()}]},
    }
    daemon = meshd({**CONFIG, "proxy": proxy})
    url = daemon.ask("GET", "/mesh/v1/dashboard")["url"]
    ask(daemon, "chat")
    page = {"sec-fetch-site": "same-origin", "authorization": f"Bearer {TOKEN}"}
    body = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}
    assert httpx.post(f"{url}/v1/chat/completions", headers=page, json=body).status_code == 200
    status = httpx.get(f"{url}/mesh/v1/status", headers=page).json()
    assert "config" not in status
    mine = httpx.get(f"{url}/mesh/v1/requests", headers=page).json()["data"]
    assert [each["app"] for each in mine] == ["phone"]
    assert httpx.post(f"{url}/mesh/v1/reload", headers=page, json={}).status_code == 403
    assert len(daemon.ask("GET", "/mesh/v1/requests")["data"]) == 2


def test_without_it_there_is_only_a_plain_page(meshd: Any) -> None:
    daemon = meshd({**CONFIG, "proxy": {**CONFIG["proxy"], "dashboard": False}})
    url = daemon.status()["http"]["addresses"][0]
    assert "meshctl status" in httpx.get(url).text
    assert httpx.get(f"{url}/dashboard/main.js").status_code == 404
    refused = httpx.get(f"{url}/mesh/v1/status")
    assert refused.status_code == 404
    assert "meshctl" in refused.json()["error"]["message"]


def test_only_the_offered_paths_exist(meshd: Any) -> None:
    daemon = meshd({**CONFIG, "proxy": {**CONFIG["proxy"], "endpoints": ["/v1/chat/*", "/v1/models"]}})
    url = daemon.status()["http"]["addresses"][0]
    body = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}
    assert httpx.post(f"{url}/v1/chat/completions", json=body).status_code == 200
    assert httpx.get(f"{url}/v1/models").status_code == httpx.get(f"{url}/health").status_code == 200
    for path in ("/v1/embeddings", "/v1/models/chat", "/mesh/v1/status", "/api/tags"):
        assert httpx.get(url + path).status_code == 404


def test_events_come_as_they_happen(dashboard: Dashboard) -> None:
    address = f"{dashboard.url}/mesh/v1/events?stream=true"
    with httpx.stream("GET", address, headers=dashboard.headers, timeout=WAIT) as stream:
        dashboard.daemon.ask("POST", "/mesh/v1/models/deactivate", {"id": "slow.chat", "reason": "tried"})
        lines = (line.removeprefix("data: ") for line in stream.iter_lines() if line.startswith("data: "))
        assert json.loads(next(lines))["type"] == "model_deactivated"
    dashboard.daemon.ask("POST", "/mesh/v1/models/activate", {"id": "slow.chat"})


def test_the_last_requests_tell_their_attempts_and_no_prompt(dashboard: Dashboard) -> None:
    ask(dashboard.daemon, "fragile")

    def last() -> Any:
        return dashboard.daemon.ask("GET", "/mesh/v1/requests?limit=1&app=all&pool=fragile")["data"]

    (found,) = until(last, what="the request is told")
    assert [each["model"] for each in found["attempts"] if each["ok"]] == ["echo.chat"]
    assert len(found["attempts"]) > 1
    assert found["attempts"][0]["message"].startswith(HOSTILE[:20])
    assert PROMPT not in json.dumps(found)
    for query in ("limit=0", "app=none", "pool=fragile&failed=true"):
        assert dashboard.daemon.ask("GET", f"/mesh/v1/requests?{query}")["data"] == []
