"""`auth.method: passthrough` of a real daemon: each app's own key goes to its provider, and nowhere else."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from modelmesh.errors import AuthenticationError
from tests.support.providers.credentials.app_keys_api import AppKeysApi
from tests.support.waiting import WAIT, until

ADA, BOB, BAD = "k3y-of-ada-0123456789", "k3y-of-bob-0123456789", "k3y-of-none-0123456789"
TOKEN, LIMITED = "mesh-" + "t" * 43, "token-of-the-limited-app"
FORGOTTEN = "mesh-" + "f" * 43


@pytest.fixture(scope="module")
def api() -> Iterator[AppKeysApi]:
    made = AppKeysApi(ADA, BOB)
    yield made
    made.close()


@pytest.fixture(scope="module")
def daemon(api: AppKeysApi, module_meshd: Any, module_short: Path) -> Any:
    base = {"base_url": f"http://127.0.0.1:{api.port}/v1", "auth": {"method": "passthrough"}}
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in (TOKEN, LIMITED)}
    config = {
        "providers": {
            "far": {"connector": "openai-compatible.v1", "passthrough": True, **base},
            "claude": {"connector": "anthropic-compatible.v1", **base},
            "own": {"connector": "openai-compatible.v1", "api_key": BOB, "base_url": base["base_url"]},
            "house": {"connector": "modelmesh.scripted.v1", "script": [{"reply": "in the house"}]},
        },
        "models": {
            **{f"far.{name}": {"provider": "far", "model": name} for name in ("m", "n")},
            "claude.m": {"provider": "claude", "model": "m"},
            "own.m": {"provider": "own", "model": "m"},
            "house.m": {"provider": "house", "model": "m"},
        },
        "pools": {
            "far": {"models": ["far.m", "far.n"], "cache": {"ttl": "5m", "scope": "shared"}},
            "mixed": {"models": ["far.m", "house.m"], "strategy": "priority-selection"},
        },
        "apps": {
            "friend": {"match": {"token": digests[TOKEN]}, "passthrough": True},
            "limited": {"match": {"token": digests[LIMITED]}, "models": ["far.m"]},
        },
        "proxy": {"enabled": True, "port": "auto", "socket": str(module_short / "http.sock")},
        "discovery": {"sync": {"enabled": False}, "local": {"enabled": False}, "health": {"enabled": False}},
        "daemon": {"log_level": "debug"},
    }  # fmt: skip
    return module_meshd(config)


@pytest.fixture(scope="module")
def url(daemon: Any) -> str:
    address: str = daemon.status()["http"]["addresses"][0]
    return address


def ask(url: str, headers: dict[str, str], model: str = "far", text: str = "x", **more: Any) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
    return httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=WAIT)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


# -- what goes where ----------------------------------------------------------------------------------


def test_the_sdks_keys_go_to_the_provider_as_they_are(url: str, api: AppKeysApi) -> None:
    one = openai.OpenAI(base_url=f"{url}/v1", api_key=ADA, max_retries=0)
    assert one.chat.completions.create(model="far", messages=[{"role": "user", "content": "1"}]).usage
    assert api.seen[-1] == ("/v1/chat/completions", {"authorization": f"Bearer {ADA}"})
    two = anthropic.Anthropic(base_url=url, api_key=BOB, max_retries=0)
    assert two.messages.create(model="claude.m", max_tokens=9, messages=[{"role": "user", "content": "1"}]).content
    assert api.seen[-1] == ("/v1/messages", {"authorization": f"Bearer {BOB}"})
    three = anthropic.Anthropic(base_url=url, auth_token=ADA, max_retries=0)
    assert three.messages.create(model="claude.m", max_tokens=9, messages=[{"role": "user", "content": "1"}]).content
    assert api.seen[-1] == ("/v1/messages", {"authorization": f"Bearer {ADA}"})
    body = {"model": "claude.m", "max_tokens": 9, "messages": [{"role": "user", "content": "1"}]}
    assert httpx.post(f"{url}/v1/messages", json=body, headers={"x-api-key": BOB}, timeout=WAIT).status_code == 200
    assert api.seen[-1] == ("/v1/messages", {"x-api-key": BOB})
    assert all(agent.startswith("meshd/") for agent in api.agents), "the mesh is itself"


@pytest.mark.parametrize(
    ("headers", "model", "sent"),
    [
        (bearer(ADA), "claude.m", {"x-api-key": ADA}),  # of another format: as this provider takes keys
        ({"x-goog-api-key": ADA}, "far", {"authorization": f"Bearer {ADA}"}),
        ({**bearer(TOKEN), "x-api-key": ADA}, "far", {"authorization": f"Bearer {ADA}"}),
        ({"x-api-key": TOKEN, **bearer(ADA)}, "claude.m", {"x-api-key": ADA}),
        ({**bearer(FORGOTTEN), "x-api-key": ADA, "cookie": "c=1"}, "far", {"authorization": f"Bearer {ADA}"}),
    ],
)
def test_the_meshs_token_is_never_sent(
    url: str, api: AppKeysApi, headers: dict[str, str], model: str, sent: dict[str, str]
) -> None:
    assert ask(url, headers, model, text=json.dumps([headers, model])).status_code == 200
    assert api.seen[-1][1] == sent


def test_other_providers_get_the_daemons_key_or_none(url: str, api: AppKeysApi) -> None:
    assert ask(url, bearer(ADA), "own.m").status_code == 200
    assert api.seen[-1][1] == {"authorization": f"Bearer {BOB}"}


def test_over_the_socket(daemon: Any, api: AppKeysApi) -> None:
    client = daemon.client()
    asked: dict[str, Any] = {"model": "far", "messages": [{"role": "user", "content": "s"}]}
    assert client.chat.completions.create(**asked, extra_headers={"Authorization": f"Bearer {ADA}"}).usage
    assert api.seen[-1][1] == {"authorization": f"Bearer {ADA}"}
    with pytest.raises(AuthenticationError, match="takes the app's own key, and the request has none; send it as"):
        client.chat.completions.create(**asked)


def test_the_providers_own_api(url: str, api: AppKeysApi) -> None:
    path = f"{url}/providers/far/files"
    own = {"x-api-key": TOKEN, **bearer(ADA)}
    assert httpx.get(path, headers=own, timeout=WAIT).json() == {"path": "/v1/files"}
    assert api.seen[-1][1] == {"authorization": f"Bearer {ADA}"}
    wrong = httpx.get(path, headers={"x-api-key": TOKEN, **bearer(BAD)}, timeout=WAIT)
    assert (wrong.status_code, BAD in wrong.text) == (401, False)
    none = httpx.get(path, headers=bearer(TOKEN), timeout=WAIT)
    assert (none.status_code, none.json()["error"]["code"]) == (401, "missing_api_key")


def streamed(url: str, key: str, model: str) -> tuple[int, str]:
    body = {"model": model, "messages": [{"role": "user", "content": "stream"}], "stream": True}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers=bearer(key), timeout=WAIT)
    return answer.status_code, answer.text


def test_streams(url: str, api: AppKeysApi) -> None:
    status, said = streamed(url, ADA, "far.m")
    assert status == 200
    assert '"begun"' in said
    assert said.rstrip().endswith("[DONE]")
    assert api.seen[-1][1] == {"authorization": f"Bearer {ADA}"}
    status, said = streamed(url, ADA, "far.n")
    assert status == 200
    assert "what is" in said, "the provider's words"
    assert ADA not in said
    assert streamed(url, BAD, "far.m")[0] == 401


# -- without one, and with a wrong one ----------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, bearer(TOKEN), bearer(FORGOTTEN), {"cookie": "a=b"}, bearer("unused")])
def test_without_a_key_it_says_what_to_do(url: str, api: AppKeysApi, headers: dict[str, str]) -> None:
    before = len(api.seen)
    answer = ask(url, headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "missing_api_key")
    assert "send it as `Authorization: Bearer` or `x-api-key`" in answer.json()["error"]["message"]
    assert len(api.seen) == before
    mixed = ask(url, headers, "mixed")
    assert mixed.status_code == 200, mixed.text
    assert mixed.json()["choices"][0]["message"]["content"] == "in the house"


def test_a_wrong_key_and_a_limit_are_the_apps_own(daemon: Any, url: str, api: AppKeysApi) -> None:
    before = len(api.seen)
    for number in range(6):
        answer = ask(url, bearer(BAD), text=f"wrong {number}")
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"
        assert answer.json()["error"]["message"].startswith("Provider far refuses the key that the app sent; ")
    assert len(api.seen) == before + 6, "the provider's other model is not asked with it"
    api.limited.add(BOB)
    assert ask(url, bearer(BOB), text="limited").status_code == 429
    api.limited.clear()
    assert ask(url, bearer(ADA), text="as before").status_code == 200
    shown = {row["name"]: row for row in daemon.ask("GET", "/mesh/v1/providers")["data"]}
    assert (shown["far"]["available"], shown["far"]["auth_valid"]) == (True, True), shown["far"]
    assert shown["far"]["key"] == "the app's"
    assert {daemon.model(name)["status"] for name in ("far.m", "far.n")} == {"active"}


def test_answers_are_kept_for_one_key_only(url: str, api: AppKeysApi) -> None:
    kept = {"temperature": 0, "seed": 1, "text": "cached"}
    first, again, other = (ask(url, bearer(key), **kept) for key in (ADA, ADA, BOB))
    assert first.json()["choices"] == again.json()["choices"]
    assert other.json()["choices"] != first.json()["choices"]
    assert ask(url, bearer(BAD), **kept).status_code == 401
    assert ask(url, {}, **kept).status_code == 401


def test_the_app_is_still_known_and_limited(daemon: Any, url: str) -> None:
    headers = {"x-api-key": LIMITED, **bearer(ADA)}
    assert ask(url, headers, "far.m").status_code == 200
    assert ask(url, headers, "far.n").status_code == 403
    assert any(row["name"] == "limited" for row in daemon.ask("GET", "/mesh/v1/apps")["data"])


def test_probes_ask_nothing(daemon: Any, api: AppKeysApi) -> None:
    before = len(api.seen)
    daemon.ask("POST", "/mesh/v1/probe", {"provider": "far"})
    assert len(api.seen) == before


# Last: it looks at all that the tests before it have left.
def test_no_key_is_shown_logged_or_stored(daemon: Any, url: str) -> None:
    assert ask(url, bearer(BAD), text="for the log").status_code == 401
    paths = ("status", "providers", "models", "pools/far", "events?limit=1000", "stats", "config", "requests?limit=100")
    told = []
    for path in paths:
        try:
            told.append(json.dumps(daemon.ask("GET", f"/mesh/v1/{path}")))
        except Exception as error:
            told.append(repr(error))
    daemon.signal(signal.SIGUSR1)
    until(lambda: "state dump" in daemon.log(), what="the dump")
    told.append(daemon.log())
    files = (path for path in daemon.directory.rglob("*") if path.is_file() and path.name != "mesh.yaml")
    told += [path.read_bytes().decode(errors="replace") for path in files]
    everything = "\n".join(told)
    assert "Incorrect API key provided" in everything, "the provider's words are shown"
    for key in (ADA, BAD, TOKEN, LIMITED, FORGOTTEN):
        assert key not in everything
