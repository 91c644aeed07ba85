"""`/providers/NAME/…` of a real daemon: a provider's own API with the daemon's key, for those who may use it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.providers.own_api import KEY, OwnApi
from tests.support.waiting import WAIT, until

TOKENS = {name: f"token of {name}" for name in ("passing", "plain", "slow", "narrow", "poor")}
OTHER = 12345


@pytest.fixture(scope="module")
def daemon(api: OwnApi, module_meshd: Any, module_short: Path) -> Any:
    digest = {name: hashlib.sha256(token.encode()).hexdigest() for name, token in TOKENS.items()}
    off = {"discovery": {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}}}
    config = {
        "providers": {
            "open": api.provider(passthrough=True, headers={"x-project": "ours"}),
            "shut": api.provider(fine_tuning={"supported": True}),
            "dear": api.provider(passthrough=True, budget={"daily_limit": 5}),
            "down": {**api.provider(passthrough=True), "base_url": "http://127.0.0.1:9/v1"},
            "made-up": {"connector": "modelmesh.scripted.v1", "passthrough": True},
        },
        "models": {f"{name}.m": {"provider": name, "model": "m", "capabilities": ["chat-completion"]}
                   for name in ("open", "shut", "dear", "down", "made-up")},
        "apps": {
            "passing": {"match": {"token": digest["passing"]}, "passthrough": True},
            "plain": {"match": {"token": digest["plain"]}},
            "slow": {"match": {"token": digest["slow"]}, "passthrough": True, "rate_limit": {"rpm": 2, "tpm": 1000}},
            "narrow": {"match": {"token": digest["narrow"]}, "passthrough": True, "models": ["shut.m"]},
            "poor": {"match": {"token": digest["poor"]}, "passthrough": True, "budget": {"daily_limit": 5}},
        },
        "proxy": {"enabled": True, "port": "auto", "socket": str(module_short / "http.sock"), "max_body": "4MiB"},
        **off,
    }  # fmt: skip
    return module_meshd(config)


@pytest.fixture(scope="module")
def url(daemon: Any) -> str:
    address: str = daemon.status()["http"]["addresses"][0]
    return address


def ask(url: str, path: str, app: str = "passing", method: str = "GET", **options: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {TOKENS[app]}", **options.pop("headers", {})} if app else {}
    return httpx.request(method, f"{url}/providers/{path}", headers=headers, timeout=WAIT, **options)


def test_fine_tuning_goes_to_the_provider_that_is_configured_for_it(url: str, api: OwnApi) -> None:
    def tune(app: str, path: str = "jobs?limit=2", **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {TOKENS[app]}"}
        return httpx.request("POST", f"{url}/v1/fine_tuning/{path}", headers=headers, timeout=WAIT, **options)

    assert tune("passing", json={"model": "m"}).status_code == 200
    method, path, headers, body = api.asked[-1]
    assert (method, path, json.loads(body)) == ("POST", "/v1/fine_tuning/jobs?limit=2", {"model": "m"})
    assert headers["authorization"] == f"Bearer {KEY}"
    before = len(api.asked)
    assert tune("plain", json={}).status_code == 403
    assert tune("poor", json={}).json()["error"]["code"] == "unpriced"
    assert tune("passing", "..%2fmodels", json={}).status_code == 400
    assert len(api.asked) == before


def raw(url: str, target: str, *headers: str) -> tuple[int, str]:
    """The target as it is, which clients would tidy up."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=WAIT) as line:
        connection = "upgrade" if any(header.startswith("Upgrade") for header in headers) else "close"
        lines = [f"GET {target} HTTP/1.1", "Host: localhost", f"Connection: {connection}", *headers]
        line.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        said = b""
        while data := line.recv(65536):
            said += data
    return int(said.split()[1]), said.decode("latin-1")


# -- what passes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_a_request_and_its_answer_pass_with_the_daemons_key(url: str, api: OwnApi, method: str) -> None:
    secrets = {"x-goog-api-key": "mine", "cookie": "mine=1", "api-key": "mine", "x-auth-token": "mine"}
    headers = {**secrets, "content-type": "text/csv", "anthropic-beta": "b", "x-project": "mine", "te": "trailers",
               "connection": "keep-alive, x-hop", "x-hop": "1", "idempotency-key": "i",
               "x-forwarded-for": "1.2.3.4"}  # fmt: skip
    body = b"a,b" if method != "GET" else b""
    answer = ask(url, "open/some/thing%2Fodd?a=1&key=mine&b=%20", method=method, headers=headers, content=body)
    assert answer.status_code == 200
    assert answer.json()["echo"] == body.decode()
    asked, path, got, sent = api.asked[-1]
    assert (asked, path, sent) == (method, "/v1/some/thing%2Fodd?a=1&b=%20", body)
    assert got["authorization"] == f"Bearer {KEY}"
    assert "mine" not in json.dumps(got)
    assert TOKENS["passing"] not in json.dumps(got)
    assert (got["anthropic-beta"], got["idempotency-key"], got["x-project"]) == ("b", "i", "ours")
    assert not {"x-hop", "te", "x-forwarded-for"} & got.keys()
    assert got.get("content-type") == ("text/csv" if body else None)


def test_its_headers_pass_but_for_secrets_and_those_of_the_connection(url: str) -> None:
    answer = ask(url, "open/file")
    assert answer.content == b"\x00\xff" * 1000
    assert (answer.headers["content-type"], answer.headers["x-kept"]) == ("audio/mpeg", "yes")
    assert not {"x-leak", "set-cookie", "x-ratelimit-remaining-requests"} & answer.headers.keys()
    assert answer.headers["x-mesh-provider"] == "open"
    assert answer.headers["x-mesh-provider-request-id"] == "theirs"
    empty = ask(url, "open/nothing")
    assert (empty.status_code, empty.content) == (204, b"")
    assert "transfer-encoding" not in empty.headers
    moved = ask(url, "open/moved")
    assert (moved.status_code, moved.headers.get("location")) == (307, None)
    for path in ("file", "endless"):
        head = ask(url, f"open/{path}", method="HEAD")
        assert (head.status_code, head.content) == (200, b"")


def test_a_stream_passes_and_what_it_used_is_counted(daemon: Any, url: str) -> None:
    with httpx.stream("GET", f"{url}/providers/open/events", headers={"x-api-key": TOKENS["passing"]}) as answer:
        said = answer.read()
    assert answer.headers["content-type"] == "text/event-stream"
    assert said.endswith(b"data: [DONE]\n\n")
    row = used(daemon, "passing")
    assert row["tokens_in"] >= 11
    assert row["tokens_out"] >= 7
    assert ask(url, "open/chat/completions", method="POST", json={}).status_code == 200
    until(lambda: used(daemon, "passing")["tokens_in"] >= row["tokens_in"] + 11, what="a unary one counts as well")


def used(daemon: Any, app: str) -> dict[str, Any]:
    until(lambda: daemon.ask("GET", f"/mesh/v1/stats?by=app&name={app}")["data"], what="it is counted")
    row: dict[str, Any] = daemon.ask("GET", f"/mesh/v1/stats?by=app&name={app}")["data"][0]
    return row


def test_an_answer_comes_as_fast_as_it_is_read_and_ends_with_its_caller(url: str, api: OwnApi) -> None:
    with httpx.stream("GET", f"{url}/providers/open/endless", headers={"x-api-key": TOKENS["passing"]}) as answer:
        pieces = answer.iter_raw(1000)
        next(pieces)
        seen: list[int] = []

        def stands() -> bool:
            seen.append(api.sent)
            return len(seen) > 100 and seen[-100] == seen[-1]  # for half a second

        until(stands, what="the provider is not read on")
        assert api.sent < 40 * 1024**2
        assert api.open == 1
    until(lambda: api.open == 0, what="the provider is let go")


def test_one_that_breaks_does_not_look_whole(url: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        ask(url, "open/cut")


# -- what does not ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "..", "../v2/x", "a/../../x", "%2e%2e/x", "a/%2E%2e/x", "a%2f..%2f..%2fx", "a/..%2fx", "%252e%252e/x",
        "a\\..\\x",        "a%5c..%5cx", "/etc", "//evil.example/x", "http://evil.example/", "a//b", "./x",
        "a/..;/x", "%00", "a%0d%0ab",
        "a\x7f", "%zz", "é", "x?a=\x01", "x?<", "%25252525252e/x", "x" * 5000,
    ],
)  # fmt: skip
def test_no_path_leaves_the_providers_address(url: str, api: OwnApi, path: str) -> None:
    before = len(api.asked)
    status, said = raw(url, f"/providers/open/{path}", f"x-api-key: {TOKENS['passing']}")
    assert status == 400, said
    assert len(api.asked) == before


@pytest.mark.parametrize(
    ("app", "path", "status", "code"),
    [
        ("plain", "open/models", 403, "passthrough_denied"),
        ("plain", "nope/models", 403, "passthrough_denied"),
        ("passing", "shut/models", 403, "passthrough_off"),
        ("passing", "nope/models", 404, "provider_not_found"),
        ("narrow", "open/models", 404, "provider_not_found"),
        ("passing", "dear/models", 402, "unpriced"),
        ("poor", "open/models", 402, "unpriced"),
        ("passing", "down/models", 502, "provider_connection"),
        ("passing", "made-up/models", 502, "provider_error"),
    ],
)
def test_who_and_what_is_refused_is_told_in_words(url: str, app: str, path: str, status: int, code: str) -> None:
    answer = ask(url, path, app)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert KEY not in answer.text + str(answer.headers)


def test_administrators_may_without_a_right(url: str) -> None:
    assert ask(url, "open/models", app="").status_code == 200


def test_an_error_passes_without_the_key_in_it(daemon: Any, url: str) -> None:
    answer = ask(url, "open/refused")
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "bad_key"
    assert KEY not in answer.text
    assert KEY not in daemon.log()


def test_an_apps_limits_hold(url: str) -> None:
    answers = [ask(url, "open/chat/completions", "slow", "POST", json={}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[1].headers["x-ratelimit-remaining-requests"] == "0"
    assert int(answers[2].headers["retry-after"]) > 30
    assert int(answers[2].headers["x-ratelimit-remaining-tokens"]) <= 1000 - 18


def test_sizes_and_upgrades(url: str) -> None:
    assert ask(url, "open/x", "passing", "POST", content=b"x" * (5 * 1024**2)).status_code == 413
    token = f"x-api-key: {TOKENS['passing']}"
    status, _ = raw(url, "/providers/open/x", token, "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    assert status == 426


def test_it_is_only_for_http(daemon: Any) -> None:
    with pytest.raises(Exception, match="over HTTP"):
        daemon.ask("GET", "/providers/open/models")


AS_OTHER = """
import json, socket, sys
line = socket.socket(socket.AF_UNIX); line.connect(sys.argv[1])
lines = ["GET /providers/open/models HTTP/1.1", "Host: mesh", "Connection: close", sys.argv[2]]
line.sendall("\\r\\n".join([*filter(None, lines), "", ""]).encode())
print(line.makefile("rb").read().decode())
"""


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
@pytest.mark.parametrize(("header", "status"), [("", 403), (f"x-api-key: {TOKENS['passing']}", 200)])
def test_another_user_needs_the_right(daemon: Any, url: str, header: str, status: int) -> None:
    if not Path("/usr/bin/python3").exists():
        pytest.skip("needs a Python that other users may run")
    path = Path(daemon.status()["http"]["addresses"][1])
    path.chmod(0o666)
    for parent in path.parents[:2]:
        parent.chmod(parent.stat().st_mode | 0o111)
    command = ["setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups", "/usr/bin/python3", "-c", AS_OTHER]
    done = subprocess.run([*command, str(path), header], capture_output=True, text=True, timeout=WAIT)
    assert f"HTTP/1.1 {status} " in done.stdout, done.stderr
    assert KEY not in done.stdout
