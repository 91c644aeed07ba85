"""The headers of a real daemon's answers: what the mesh did, and what is left of the app's own limits."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.gateway.conftest import SCRIPTED, provider
from tests.support.daemons.pool_rule_cases import Cases
from tests.support.waiting import WAIT

TOKENS = {name: f"token of {name}" for name in ("limited", "narrow", "free")}
MESSAGES = [{"role": "user", "content": "hi"}]
PATHS = ("/v1/chat/completions", "/v1/responses", "/v1/messages")
PRICED = {"pricing": {"input_per_1m": "1.00", "output_per_1m": "2.00"}}
LIMITS = {
    "/v1/chat/completions": "x-ratelimit-{what}-{kind}",
    "/v1/responses": "x-ratelimit-{what}-{kind}",
    "/v1/messages": "anthropic-ratelimit-{kind}-{what}",
}


@pytest.fixture(scope="module")
def url(module_meshd: Any, module_upstream: Any, module_short: Path) -> str:
    server = module_upstream()
    cases = Cases(server, proxy={"enabled": True, "port": "auto", "socket": str(module_short / "http.sock")})
    said = {"x-request-id": "theirs", "x-ratelimit-remaining-requests": "7", "x-other": "kept"}
    cases.model("plain", {"reply": "one two", "headers": said, "usage": {"prompt_tokens": 10, "completion_tokens": 5}},
                **PRICED)  # fmt: skip
    cases.case("moves", {"error": 503})
    cases.case("fails", {"error": 503})
    cases.pool("fails", "fails-a", retry={"max_attempts": 1})
    cases.model("breaks", {"tokens": ["a", "b", "c"], "fault": "reset", "after": 2})
    cases.pool("plain", "plain")
    cases.pool("breaks", "breaks", retry={"max_attempts": 1}, stream={"on_failure": "terminate"})
    cases.pool("kept", "plain", cache={"ttl": "1h"})
    cases.config["providers"]["p-secret"] = provider({"reply": "x"}, connector=SCRIPTED)
    cases.config["models"]["secret"] = {"provider": "p-secret", "capabilities": ["chat-completion"]}
    cases.pool("both", "secret", "plain")
    digest = {name: hashlib.sha256(token.encode()).hexdigest() for name, token in TOKENS.items()}
    cases.config["apps"] = {
        "limited": {"match": {"token": digest["limited"]}, "rate_limit": {"rpm": 50, "tpm": 100_000}},
        "narrow": {"match": {"token": digest["narrow"]}, "models": ["plain"], "rate_limit": {"rpm": 9}},
        "free": {"match": {"token": digest["free"]}},
    }
    cases.play()
    address: str = module_meshd(cases.config).status()["http"]["addresses"][0]
    return address


def ask(url: str, path: str, model: str, app: str = "limited", **fields: Any) -> httpx.Response:
    turns = "input" if path == "/v1/responses" else "messages"
    body = {"model": model, turns: MESSAGES, "max_tokens": 100, **fields}
    if path == "/v1/responses":
        del body["max_tokens"]
    return httpx.post(f"{url}{path}", json=body, headers={"x-api-key": TOKENS.get(app, "")}, timeout=WAIT)


def remarks(answer: httpx.Response) -> dict[str, str]:
    lines = (line[2:].split(": ", 1) for line in answer.text.splitlines() if line.startswith(": x-mesh-"))
    return dict(lines)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [False, True])
def test_they_say_what_the_mesh_did(url: str, path: str, stream: bool) -> None:
    answer = ask(url, path, "moves", stream=stream)
    assert answer.status_code == 200, answer.text
    did = {name: answer.headers.get(f"x-mesh-{name}") for name in ("pool", "model", "provider", "attempts")}
    assert did["pool"] == "moves"
    assert (did["model"], did["provider"]) == ("moves-b", "p-moves-b")
    assert len(answer.headers["x-request-id"]) == 32
    assert "request-id" in answer.headers or path != "/v1/messages"


@pytest.mark.parametrize("path", PATHS)
def test_what_a_stream_cost_is_said_at_its_end(url: str, path: str) -> None:
    whole, streamed = ask(url, path, "plain"), ask(url, path, "plain", stream=True)
    assert float(whole.headers["x-mesh-cost"]) == pytest.approx(0.00002)
    assert "x-mesh-cost" not in streamed.headers
    told = remarks(streamed)
    assert float(told["x-mesh-cost"]) > 0
    assert (told["x-mesh-pool"], told["x-mesh-model"], told["x-mesh-attempts"]) == ("plain", "plain", "1")
    end = streamed.text.rstrip().splitlines()[-1]
    assert end == "data: [DONE]" if path == "/v1/chat/completions" else end.startswith(": x-mesh-")


@pytest.mark.parametrize("path", PATHS)
def test_errors_have_them_too(url: str, path: str) -> None:
    answer = ask(url, path, "fails", stream=True)
    assert answer.status_code == 502
    assert (answer.headers["x-mesh-pool"], answer.headers["x-mesh-model"]) == ("fails", "fails-a")
    assert answer.headers["x-mesh-attempts"] == "1"
    broken = ask(url, path, "breaks", stream=True)
    assert broken.status_code == 200
    assert broken.headers["x-mesh-model"] == "breaks"
    assert remarks(broken)["x-mesh-attempts"] == "1"
    unknown = ask(url, path, "no-such-model")
    assert unknown.status_code == 404
    assert not [name for name in unknown.headers if name.startswith("x-mesh-")]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("model", "stream"), [("plain", False), ("plain", True), ("no-such-model", False)])
def test_they_say_what_is_left_of_the_apps_own_limits(url: str, path: str, model: str, stream: bool) -> None:
    def figure(what: str, kind: str) -> str:
        found: str = answer.headers[LIMITS[path].format(what=what, kind=kind)]
        return found

    answer = ask(url, path, model, stream=stream)
    assert (figure("limit", "requests"), figure("limit", "tokens")) == ("50", "100000")
    before = int(figure("remaining", "requests"))
    answer = ask(url, path, "plain", stream=stream)
    assert int(figure("remaining", "requests")) == before - 1
    assert 0 < int(figure("remaining", "tokens")) < 100_000
    assert figure("reset", "requests").endswith("Z" if path == "/v1/messages" else "s")


@pytest.mark.parametrize("path", PATHS)
def test_a_providers_own_limits_and_ids_are_not_taken_for_the_apps(url: str, path: str) -> None:
    answer = ask(url, path, "plain", app="free")
    assert not [name for name in answer.headers if "ratelimit" in name]
    if path == "/v1/chat/completions":
        assert answer.headers["x-mesh-provider-request-id"] == "theirs"
        assert answer.headers["x-other"] == "kept"
    assert answer.headers.get_list("x-request-id") == [answer.headers["x-request-id"]]
    assert len(answer.headers["x-request-id"]) == 32


def test_an_app_sees_only_models_that_it_may_use(url: str) -> None:
    for stream in (False, True):
        answer = ask(url, PATHS[0], "both", app="narrow", stream=stream)
        assert "secret" not in json.dumps(dict(answer.headers)) + answer.text
        assert answer.headers["x-mesh-model"] == "plain"
    refused = ask(url, PATHS[0], "secret", app="narrow")
    assert refused.status_code == 403
    assert "p-secret" not in json.dumps(dict(refused.headers)) + refused.text
    assert refused.headers["x-ratelimit-limit-requests"] == "9"
    assert "x-ratelimit-limit-tokens" not in refused.headers


def test_a_kept_answer_cost_nothing(url: str) -> None:
    for stream in (False, True):
        asked = {"temperature": 0, "stream": stream, "app": "the daemon's own user"}
        first, again = ask(url, PATHS[0], "kept", **asked), ask(url, PATHS[0], "kept", **asked)
        assert first.headers["x-mesh-model"] == again.headers["x-mesh-model"] == "plain"
        cost = again.headers.get("x-mesh-cost") or remarks(again)["x-mesh-cost"]
        assert float(cost) == 0


def test_a_list_and_a_page_have_what_there_is(url: str) -> None:
    listed = httpx.get(f"{url}/v1/models", headers={"x-api-key": TOKENS["limited"]}, timeout=WAIT)
    assert listed.headers["x-ratelimit-limit-requests"] == "50"
    page = httpx.get(f"{url}/health", timeout=WAIT)
    assert "x-ratelimit-limit-requests" not in page.headers
    assert page.headers["x-request-id"]
