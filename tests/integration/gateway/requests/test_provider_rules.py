"""What `providers.NAME` says of connections, headers, quotas that can be asked for and lists of models, held against an
upstream that notes what it was asked; and rubbish in `providers`, `apps` and `discovery`, which is refused."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from typing import Any

import pytest

from modelmesh import MeshError
from tests.support.daemons.pool_rule_cases import Cases, events, provider
from tests.support.providers.servers.local_server import Handler, LocalServer

WAIT = 20.0
ANSWER = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}  # fmt: skip


class Noting(LocalServer):
    """An upstream that notes every request. documents: what GET answers, by path below /v1/."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {"models": {"data": [{"id": "m"}]}}
        self.headers: list[Any] = []  # of each POST
        self.got: list[str] = []  # the paths of each GET
        self.connections = 0  # that a POST came over
        self.closed = 0
        self.most = 0  # POSTs at once
        self.together: threading.Barrier | None = None  # a POST waits until so many are there
        self._open = 0
        self._lock = threading.Lock()
        upstream = self

        class Answering(Handler):
            connected = False

            def do_POST(self) -> None:
                self.body()
                with upstream._lock:
                    upstream.connections += not self.connected
                    self.connected = True
                    upstream.headers.append(self.headers)
                    upstream._open += 1
                    upstream.most = max(upstream.most, upstream._open)
                if upstream.together is not None:
                    with contextlib.suppress(threading.BrokenBarrierError):
                        upstream.together.wait(WAIT)
                with upstream._lock:
                    upstream._open -= 1
                self.send(200, ANSWER)

            def finish(self) -> None:
                super().finish()
                with upstream._lock:
                    upstream.closed += self.connected

            def do_GET(self) -> None:
                name = self.path.removeprefix("/v1/")
                upstream.got.append(name)
                found = upstream.documents.get(name)
                self.send(200 if found else 404, found or {"error": {"message": "no"}})

        super().__init__(Answering)

    def provider(self, **settings: Any) -> dict[str, Any]:
        return {"connector": "openai-compatible.v1", "base_url": self.url, "api_key": "sk-1234567890", **settings}


@pytest.fixture
def noting():
    upstream = Noting()
    yield upstream
    upstream.close()


def config(provider: dict[str, Any], **sections: Any) -> dict[str, Any]:
    off = {"enabled": False}
    return {
        "providers": {"up": provider},
        "models": {"up.m": {"provider": "up", "capabilities": ["chat-completion"]}},
        "pools": {"chat": {"models": ["up.m"]}},
        "discovery": {"health": off, "sync": off, "local": off},
        **sections,
    }


def at_once(daemon: Any, count: int) -> list[str]:
    """The models of so many requests that were begun together."""
    client, models = daemon.client(), []

    def ask() -> None:
        body = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}
        models.append(client.chat.completions.create(**body).mesh.model)

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    return models


# -- connections ------------------------------------------------------------------------------------------


@pytest.fixture
def deaf():
    """The port of a socket whose queue is full: a client that connects gets no answer."""
    with socket.socket() as listening, contextlib.ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(8):  # what is in the queue is never accepted
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


def test_a_server_that_does_not_accept_is_given_up_in_time(meshd, upstream, deaf):
    cases = Cases(upstream())
    cases.case("deaf", recovery={"cooldown": "1h"})
    cases.config["providers"]["p-deaf-a"] |= {"base_url": f"http://127.0.0.1:{deaf}/v1", "connect_timeout": "400ms"}
    cases.play()
    daemon = meshd(cases.config)
    began = time.monotonic()
    mesh = daemon.say(model="deaf").mesh
    took = time.monotonic() - began
    assert mesh.model == "deaf-b"
    assert 0.3 < took < 5, "neither at once nor after `timeout`"
    [first] = (each for each in mesh.attempts if each.model == "deaf-a")
    assert 0.3 < first.duration < 5
    daemon.ask("POST", "/mesh/v1/models/activate", {"id": "deaf-a"})
    with pytest.raises(MeshError) as caught:
        daemon.say(model="deaf-a")
    assert caught.value.status_code in (502, 503, 504)


def test_headers_go_with_every_request_and_are_not_shown_to_apps(meshd, noting):
    headers = {"X-Team": "blue", "HTTP-Referer": "https://example.org", "X-Secret-Token": "tok-very-secret"}
    daemon = meshd(config(noting.provider(headers=headers)))
    daemon.say(model="chat", extra_headers={"x-own": "1", "X-Team": "red"})
    [sent] = noting.headers
    assert {name: sent[name] for name in headers} == headers, "an app does not replace what is configured"
    assert sent["Authorization"] == "Bearer sk-1234567890"
    assert sent["x-own"] is None, "an app's own headers are the mesh's, not the provider's"
    shown = json.dumps(daemon.ask("GET", "/mesh/v1/config"))
    assert "tok-very-secret" not in shown
    assert "tok-very-secret" not in daemon.log()


def test_so_many_connections_and_no_more(meshd, noting):
    noting.together = threading.Barrier(2)
    daemon = meshd(config(noting.provider(connection_pool={"max_connections": 2, "keepalive": "1h"})))
    assert at_once(daemon, 6) == ["up.m"] * 6
    assert (noting.most, noting.connections) == (2, 2)
    noting.together = None
    for _ in range(3):
        daemon.say(model="chat")
    assert noting.connections == 2, "they are kept, and used again"


def test_an_idle_connection_is_kept_for_its_time(meshd, noting, eventually):
    daemon = meshd(config(noting.provider(connection_pool={"keepalive": "50ms"})))
    daemon.say(model="chat")
    eventually(lambda: noting.closed == 1)
    daemon.say(model="chat")
    assert noting.connections == 2


# -- what it tells of itself ------------------------------------------------------------------------------

PROBED = {"health": {"enabled": True, "interval": "1s"}, "sync": {"enabled": False}, "local": {"enabled": False}}


@pytest.mark.parametrize("key", ["query_current", "query_remaining"])
def test_a_quota_that_can_be_asked_for_is_and_what_it_says_holds(meshd, noting, eventually, key):
    noting.documents["key"] = {"data": {"usage": 2.5, "limit_remaining": 7.5, "limit": 10}}
    up = noting.provider(connector="openrouter.gateway.v1", quota={key: True, "reset_schedule": "monthly"})
    daemon = meshd(config(up, discovery=PROBED))
    row = eventually(lambda: (found := provider(daemon, "up"))["quota"] and found)
    assert (row["available"], row["quota"]["used"], row["quota"]["remaining"]) == (True, 2.5, 7.5)
    noting.documents["key"] = {"data": {"usage": 10, "limit_remaining": 0, "limit": 10}}
    row = eventually(lambda: (found := provider(daemon, "up")) and not found["available"] and found)
    assert row["reason"] == "it reports its quota used up"
    [event] = events(daemon, "provider_deactivated", provider="up")
    assert event["reason"] == row["reason"]
    assert event["changed"]["until"] > time.time()
    before = len(noting.headers)
    with pytest.raises(MeshError) as caught:
        daemon.say(model="chat")
    assert (caught.value.code, len(noting.headers)) == ("no_active_model", before)
    noting.documents["key"] = {"data": {"usage": 0, "limit_remaining": 10, "limit": 10}}
    eventually(lambda: provider(daemon, "up")["available"])
    assert daemon.say(model="chat").mesh.model == "up.m"


def test_a_quota_is_not_asked_for_unasked(meshd, noting, eventually):
    noting.documents["key"] = {"data": {"usage": 10, "limit_remaining": 0, "limit": 10}}
    daemon = meshd(config(noting.provider(connector="openrouter.gateway.v1"), discovery=PROBED))
    eventually(lambda: noting.got.count("models") >= 2, what="it is probed")
    assert "key" not in noting.got
    assert provider(daemon, "up")["available"]


@pytest.mark.parametrize(
    ("asks", "window", "kind", "got"),
    [
        ({}, None, "text-embeddings", ["models"]),
        ({"model_details": True}, 4321, "text-embeddings", ["models", "models/m"]),
        ({"capability_query": False}, None, "chat-completion", ["models"]),  # only what its name tells
        ({"enumerate_models": False}, None, None, []),
    ],
)
def test_what_a_sync_asks_for(meshd, noting, eventually, asks, window, kind, got):
    noting.documents["models"] = {"data": [{"id": "m", "type": "embedding"}]}
    noting.documents["models/m"] = {"id": "m", "type": "embedding", "context_length": 4321}
    found = config(
        noting.provider(discovery=asks), discovery={"health": {"enabled": False}, "local": {"enabled": False}}
    )
    found["pools"] = {"chat-completion": {}, "text-embeddings": {}}
    del found["models"]
    daemon = meshd(found)
    daemon.ask("POST", "/mesh/v1/discover")

    def pools():
        return [name for name in found["pools"] if daemon.ask("GET", f"/mesh/v1/pools/{name}")["models"]]

    if kind:
        assert eventually(pools) == [kind]
        assert daemon.model("up.m")["context_window"] == window
    else:
        assert pools() == []
    assert sorted(set(noting.got)) == got


# -- rubbish ----------------------------------------------------------------------------------------------

PROVIDER = {
    "connector": "openai-compatibel.v1", "enabled": "perhaps", "timeout": "soon", "connect_timeout": -1,
    "max_retries": -1, "headers": ["X-Team"], "bse_url": "http://h", "auth.method": "magic", "auth.key_rotation": 3,
    "connection_pool.max_connections": 0, "connection_pool.keepalive": "long", "connection_pool.max_conections": 1,
    "quota.query_current": "maybe", "quota.query_remaining": 7, "quota.reset_schedule": "weekly",
    "quota.requests": -1, "quota.tokens": "many", "rate_limit.rpm": 0, "rate_limit.tpm": True,
    "rate_limit.concurrency": 1.5, "budget.daily_limit": -1, "budget.monthly_limit": "much",
    "budget.alert_threshold": 80, "budget.enforce": "if possible", "discovery.enumerate_models": "all",
    "discovery.model_details": 2, "discovery.capability_query": "yes please", "catalogue.auto_discover": "x",
    "catalogue.refresh_interval": "x", "error.retryable_codes": [99], "error.non_retryable_codes": "5xx",
    "pricing.input_per_1m": "cheap", "pricing.output_per_1m": -1, "pricing.per_requst": 1,
}  # fmt: skip
APP = {
    "match.uid": -1, "match.user": 7, "match.gid": "wheel", "match.exec": "/bin/sh", "match.unit": ["a.service"],
    "pools": ["chta"], "models": ["up.n"], "budget.daily_limit": "much", "budget.alert_threshold": -0.1,
    "rate_limit.rpm": -3, "rate_limit.tpm": "x", "rate_limit.concurrency": 0, "concurrency": 0, "priority": "high",
    "weight": -1, "admin": "root", "wieght": 2,
}  # fmt: skip
DISCOVERY = {
    "sync.enabled": 5, "sync.interval": "often", "sync.auto_register": "x", "sync.providers": ["upp"],
    "sync.on_new_model": "regster", "sync.on_deprecated_model": "forget", "sync.on_new_modell": "register",
    "health.enabled": "x", "health.interval": -5, "health.timeout": "x", "health.failure_threshold": 0,
    "health.providers": ["upp"], "health.method": "ping", "local.enabled": "x", "local.servers": ["olama"],
    "locl.enabled": True,
}  # fmt: skip
MEANT = {
    "providers.bad.connector": "openai-compatible.v1", "providers.bad.bse_url": "base_url",
    "providers.bad.connection_pool.max_conections": "max_connections",
    "providers.bad.pricing.per_requst": "per_request",
    "apps.bad.pools[0]": "chat", "apps.bad.models[0]": "up.m", "apps.bad.match.exec": "exe",
    "apps.bad.wieght": "weight",
    "discovery.sync.on_new_modell": "on_new_model", "discovery.health.providers[0]": "up", "discovery.locl": "local",
    "discovery.sync.on_new_model": "register", "discovery.local.servers[0]": "ollama",
}  # fmt: skip


ITEMS = {'"X-Team"', '"chta"', '"up.n"', '"upp"', '"olama"', '"a.service"', "99"}  # what lists of it hold


def nested(values: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, value in values.items():
        section, _, key = path.rpartition(".")
        (found.setdefault(section, {}) if section else found)[key] = value
    return found


def test_rubbish_is_refused_with_its_line_and_what_was_meant(meshd, noting):
    good = config(noting.provider())
    daemon = meshd(good)
    bad = json.loads(json.dumps(good))
    # A connector that is unknown has no keys of its own, so whether `bse_url` is one of them can be said of another.
    unknown = {"connector": PROVIDER["connector"]}
    known = {path: value for path, value in PROVIDER.items() if path != "connector"}
    bad["providers"] |= {
        "bad": nested(known) | {"connector": "openai-compatible.v1", "base_url": "http://h/v1"},
        "unknown": unknown,
    }
    bad["apps"] = {"bad": nested(APP)}
    bad["discovery"] = nested(DISCOVERY)
    wrong = {f"providers.bad.{path}" for path in known} | {"providers.unknown.connector"}
    wrong |= {f"apps.bad.{path}" for path in APP} | {f"discovery.{path}" for path in DISCOVERY}
    wrong = wrong - {"discovery.locl.enabled"} | {"discovery.locl"}
    daemon.write(bad)
    report = daemon.ask("POST", "/mesh/v1/reload")
    assert not report["ok"]
    lines = daemon.config.read_text().splitlines()
    found: dict[str, list[Any]] = {}
    for problem in report["problems"]:
        at = max(
            (path for path in wrong if f"{problem['path']}.".startswith((f"{path}.", f"{path}["))),
            key=len,
            default=None,
        )
        assert at is not None, f"what is wrong with {problem['path']}? {problem['message']}"
        found.setdefault(at, []).append(problem)
        assert problem["file"] == str(daemon.config)
        key, item, _ = problem["path"].rpartition(".")[2].partition("[")
        where = lines[problem["line"] - 1]
        assert (where.strip().strip(",") in ITEMS) if item else (f'"{key}"' in where), (problem, where)
        assert len(problem["message"]) > 10
    assert wrong - found.keys() == set(), "these are taken as they are"
    said = {problem["path"]: f"{problem['message']} {problem['suggestion']}" for problem in report["problems"]}
    for path, meant in MEANT.items():
        path = path if path != "providers.bad.connector" else "providers.unknown.connector"
        assert meant in said[path], (path, said[path])
    assert daemon.say(model="chat").mesh.model == "up.m", "and the running configuration stays"
