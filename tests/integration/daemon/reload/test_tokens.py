"""A daemon whose providers need tokens, over a proxy: nothing of them is shown, and a reload in the middle costs no
request."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.providers.credentials.token_server import SECRET, TokenServer
from tests.support.providers.servers.small_proxy import SmallProxy
from tests.support.waiting import until

PASSWORD = "pr0xy-passw0rd"


@pytest.fixture
def server() -> Iterator[TokenServer]:
    made = TokenServer()
    yield made
    made.close()


@pytest.fixture
def proxy() -> Iterator[SmallProxy]:
    made = SmallProxy(password=PASSWORD)
    yield made
    made.close()


def config(server: TokenServer, proxy: SmallProxy, **auth: Any) -> dict[str, Any]:
    login = {"method": "oauth", **server.auth(client_secret="${secrets:HOUSE_SECRET}", **auth)}
    return {
        "providers": {
            "house": {
                "connector": "openai-compatible.v1",
                "base_url": f"http://api.invalid:{server.port}/v1",
                "proxy": f"socks5://me:${{env:PROXY_PASSWORD}}@127.0.0.1:{proxy.port}",
                "auth": login,
            }
        },
        "models": {"house.m": {"provider": "house", "model": "m"}},
        "pools": {"chat": {"models": ["house.m"], "retry": {"max_attempts": 1}}},
        "discovery": {"local": {"enabled": False}, "health": {"enabled": False}},
        "daemon": {"log_level": "debug"},
    }


def test_nothing_of_it_is_shown(
    meshd: Any, server: TokenServer, proxy: SmallProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSE_SECRET", SECRET)
    monkeypatch.setenv("PROXY_PASSWORD", PASSWORD)
    daemon = meshd(config(server, proxy))
    assert daemon.say(model="house.m").choices[0].message.content == "hi"
    assert set(proxy.asked) == {f"SOCKS 127.0.0.1:{server.port}", f"SOCKS api.invalid:{server.port}"}
    server.accepted = type("Nothing", (set,), {"add": lambda self, token: None})()
    told = []
    for _ in range(2):
        with pytest.raises(Exception, match="key of provider house is refused") as refused:
            daemon.say(model="house.m")
        told.append(repr((refused.value, vars(refused.value))))
    server.instead = 400, {"error": "invalid_client", "error_description": f"not {SECRET}"}
    daemon.ask("POST", "/mesh/v1/probe", {})
    for path in ("status", "providers", "models", "pools/chat", "events?limit=1000", "stats", "config"):
        told.append(json.dumps(daemon.ask("GET", f"/mesh/v1/{path}")))
    daemon.signal(signal.SIGUSR1)
    until(lambda: "state dump" in daemon.log(), what="the dump")
    for command in (["config", "show"], ["providers", "house"], ["status"], ["doctor"]):
        shown = subprocess.run(
            [sys.executable, "-m", "meshd.cli", "--socket", str(daemon.socket), *command],
            capture_output=True, check=False, timeout=60, env={**os.environ, "HOME": str(daemon.directory)},
        )  # fmt: skip
        told.append((shown.stdout + shown.stderr).decode())
    daemon.stop()
    files = (path for path in daemon.directory.rglob("*") if path.is_file() and path.name != "mesh.yaml")
    told += [daemon.log(), *(path.read_bytes().decode(errors="replace") for path in files)]
    everything = "\n".join(told)
    assert "the token •••" in everything, "the provider's words are shown"
    assert "invalid_client" in everything, "and the token server's"
    for secret in (SECRET, PASSWORD, "t0ken-"):
        assert secret not in everything, secret


def test_a_reload_in_the_middle_of_a_renewal(
    meshd: Any, server: TokenServer, proxy: SmallProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSE_SECRET", SECRET)
    monkeypatch.setenv("PROXY_PASSWORD", PASSWORD)
    server.rotates, server.life, server.delay = True, 0, 0.2
    written = config(server, proxy, refresh_token="r3fresh-0")
    daemon = meshd(written)
    answers: list[str] = []

    def ask() -> None:
        answers.append(str(daemon.client().chat.completions.create(
            model="house.m", messages=[{"role": "user", "content": "x"}]).choices[0].message.content))  # fmt: skip

    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: server.forms, what="a request for a token")
    written["providers"]["house"]["timeout"] = 50
    daemon.write(written)
    daemon.ask("POST", "/mesh/v1/reload", {})
    assert daemon.say(model="house.m").choices[0].message.content == "hi"
    asking.join(20)
    assert answers == ["hi"]
    used = [form["refresh_token"] for form in server.forms]
    assert len(used) == len(set(used)) >= 2, "none is used twice"
    assert server.most_at_once == 1


def test_a_replaced_secret_is_found_when_the_old_one_is_refused(
    meshd: Any, server: TokenServer, proxy: SmallProxy, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROXY_PASSWORD", PASSWORD)
    path = tmp_path / "secrets.env"
    path.write_text(f"HOUSE_SECRET={SECRET}\n")
    path.chmod(0o600)
    written = config(server, proxy)
    written["secrets"] = {"store": "modelmesh.dotenv.v1", "path": str(path)}
    written["daemon"]["watch"] = False
    daemon = meshd(written)
    assert daemon.say(model="house.m").choices[0].message.content == "hi"
    server.secret = "an0ther-secret-of-the-mesh"
    server.revoke()
    path.write_text(f"HOUSE_SECRET={server.secret}\n")
    assert daemon.say(model="house.m").choices[0].message.content == "hi"
    assert [form["basic_secret"] for form in server.forms][-1] == server.secret
