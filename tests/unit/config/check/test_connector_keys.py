"""What connectors need: their keys, packages, addresses and headers."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.config import MeshConfig
from meshd.config.check import connectors as check
from meshd.config.schema.proxy import ProxyToken
from meshd.connectors.registry import ConnectorRegistry
from meshd.host.installing import how_to_install
from meshd.sdk.connector import ConnectorSpec
from tests.support.config.problems import found, house, said_at


def test_keys_of_connectors() -> None:
    assert found({"storage": {"pth": "a.db"}}) == ['storage.pth: unknown key; did you mean "path"?']
    assert found({"storage": {"connector": "modelmesh.memory.v1", "path": "a.db"}}) == ["storage.path: unknown key"]
    assert found({"secrets": {"prefix": "X_"}}) == []
    assert found({"secrets": {"store": "systemd.credentials.v1", "prefix": "X_"}}) == ["secrets.prefix: unknown key"]
    assert found({"secrets": {"store": [{"connector": "modelmesh.dotenv.v1", "override": "maybe"}]}}) == [
        "secrets.store[0].override: expected true or false, got 'maybe'"
    ]
    assert found({"observability": {"statistics": {"connector": "modelmesh.file.v1", "path": "x", "keep": 0}}}) == [
        "observability.statistics.keep: expected a number of at least 1, got 0"
    ]
    assert found({"providers": {"local-llm": {"idle_timeout": "never"}}}) == [
        "providers.local-llm.idle_timeout: expected a duration like 30s or a number of seconds, got 'never'"
    ]


def test_a_webhook_needs_an_address_in_either_place() -> None:
    assert found({"observability": {"logging": "modelmesh.webhook.v1"}}) == ["observability.logging.url: is missing"]
    sinks: list[Any] = ["modelmesh.console.v1", "modelmesh.webhook.v1"]
    assert found({"observability": {"logging": {"connector": sinks}}}) == [
        "observability.logging.connector[1].url: is missing"
    ]
    assert found({"observability": {"logging": {"connector": sinks, "url": "https://h"}}}) == []
    assert found({"observability": {"logging": [{"connector": "modelmesh.webhook.v1", "url": "https://h"}]}}) == []


SETTINGS: dict[str, dict[str, Any]] = {
    "modelmesh.prometheus.v1": {"port": 9465, "token": "t"},
    "modelmesh.webhook.v1": {"url": "https://h", "batch_size": 5},
    "modelmesh.file.v1": {"path": "a.jsonl", "keep": 3},
    "modelmesh.syslog.v1": {"address": "/dev/log", "app_name": "m"},
    "opentelemetry.otlp.v1": {"endpoint": "https://h", "encoding": "json"},
}


@pytest.mark.parametrize(("connector", "settings"), SETTINGS.items())
def test_settings_may_be_split_over_a_section_and_an_entry(connector: str, settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        rest = {key: each for key, each in settings.items() if key != name}
        for several in (False, True):
            entry: Any = {"connector": connector, name: value}
            sections = {"statistics": {"connector": [entry] if several else entry, **rest}}
            assert found({"observability": sections}) == []


def test_what_is_wrong_with_both_together_is_said_once_and_where() -> None:
    sink = "modelmesh.prometheus.v1"
    both = [{"connector": sink, "port": 1}, {"connector": sink, "port": 2}]
    assert found({"observability": {"statistics": {"connector": both, "path": "x.prom"}}}) == [
        f"observability.statistics.connector[{index}]: expected either `path` or `port`" for index in (0, 1)
    ]
    both = [{"connector": sink, "port": 1}, {"connector": sink, "port": 0}]
    assert found({"observability": {"statistics": {"connector": both, "token": 5}}}) == [
        "observability.statistics.token: expected text, got a value that is not shown",
        "observability.statistics.connector[1].port: expected a number from 1 to 65535, got 0",
    ]


def test_openai_compatible_needs_an_address() -> None:
    (problem,) = found({"providers": {"x": {"connector": "openai-compatible.v1"}}})
    assert problem.startswith("providers.x.base_url: is missing")


def test_a_missing_package_names_the_extra() -> None:
    registry = ConnectorRegistry(outside=False)
    registry.register(ConnectorSpec("acme.llm.v1", "provider", "x", "a:B", requires=("no_such_package",), extra="acme"))
    config = {"providers": {"x": {"connector": "acme.llm.v1", "anything": 1}}}
    assert found(config, registry) == [
        "providers.x.connector: acme.llm.v1 needs the package no_such_package; "
        f"install it with {how_to_install('acme')}"
    ]
    config["providers"]["x"]["enabled"] = False
    assert found(config, registry) == []


def test_where_secrets_come_from_is_not_a_secret() -> None:
    (problem,) = found({"secrets": {"store": "modelmesh.dotenv.v1", "path": "${secrets:WHERE}"}})
    assert "cannot refer to a secret" in problem


@pytest.mark.parametrize("url", ["ftp://h/v1", "h:80/v1", "localhost", "http://", "http://h:port/v1", "http:///v1"])
def test_a_base_url_that_cannot_be_called(url: str) -> None:
    said = said_at({"providers": {"a": {"connector": "openai-compatible.v1", "base_url": url}}})
    assert said == {"providers.a.base_url": "expected http://…, https://… or unix:/… (the path of a socket)"}


@pytest.mark.parametrize(
    "url", ["http://h", "https://u:p@h:1/v1?x=1", "unix:/run/x", "${secrets:URL}", "http://${secrets:H}/v1"]
)
def test_a_base_url_that_can_be_called(url: str) -> None:
    assert said_at({"providers": {"a": {"connector": "openai-compatible.v1", "base_url": url}}}) == {}


def test_two_credentials_for_one_provider_are_one_too_many() -> None:
    entry = {"connector": "openai-compatible.v1", "base_url": "https://user:hunter2@h/v1", "api_key": "${secrets:K}"}
    said = said_at({"providers": {"a": entry}})
    assert list(said) == ["providers.a.base_url"]
    assert "hunter2" not in str(said)


@pytest.mark.parametrize("socket", ["tcp://127.0.0.1:9", "http://x", "inproc://x"])
def test_a_socket_that_is_not_a_path(socket: str) -> None:
    assert "expected the path of a socket" in said_at({"daemon": {"socket": socket}})["daemon.socket"]
    assert said_at({"daemon": {"socket": "ipc:///run/x.sock"}}) == {}


def test_a_group_that_does_not_exist() -> None:
    said = said_at({"daemon": {"socket_group": "no-such-group-here"}})
    assert said == {"daemon.socket_group": "there is no group 'no-such-group-here' on this machine"}
    assert said_at({"daemon": {"socket_group": "root"}}) == {}


# -- what is sent in a header ---------------------------------------------------------------------------


def test_blanks_at_the_ends_of_what_is_sent_are_left_out() -> None:
    provider = house(
        base_url=" http://h/v1\n",
        api_key="\tsk-1 \r\n",
        api_keys=["  k1 ", {"key": "k2\n"}],
        headers={" X-A ": " v \n"},
    )
    config = MeshConfig.from_dict({"providers": provider}, environ={})
    assert found({"providers": provider}) == []
    read = config.providers["house"]
    assert (read.base_url, read.api_key, read.headers) == ("http://h/v1", "sk-1", {"X-A": "v"})
    assert (read.api_keys[0], read.api_keys[1].key) == ("k1", "k2")
    assert ProxyToken(app="a", hash=f" sha256:{'AB' * 32}\n").hash == "ab" * 32


BREAK = "has a line break or another control character inside, which is not allowed in a header"


@pytest.mark.parametrize(
    ("provider", "told"),
    [
        ({"api_key": "a\nSECRET"}, f"providers.house.api_key: {BREAK}"),
        ({"api_keys": ["fine", "a\x00SECRET"]}, f"providers.house.api_keys[1]: {BREAK}"),
        ({"api_keys": [{"key": "a\r\nSECRET"}]}, f"providers.house.api_keys[0].key: {BREAK}"),
        ({"api_keys": ["  "]}, "providers.house.api_keys[0]: is empty"),
        (
            {"api_key": "\u201cSECRET\u201d"},
            "providers.house.api_key: has characters that are not allowed in an HTTP header",
        ),
        ({"headers": {"X-A": "a\nSECRET"}}, f"providers.house.headers.X-A: {BREAK}"),
        ({"headers": {"X A": "v"}}, "providers.house.headers.X A: is not the name of a header"),
        ({"headers": {"": "v"}}, "is not the name of a header"),
        ({"base_url": "http://h/v1\nSECRET"}, "providers.house.base_url: has a space, a line break"),
    ],
)
def test_what_no_header_can_carry_is_refused_by_name(provider: dict[str, Any], told: str) -> None:
    problems = found({"providers": house(**provider)})
    assert len(problems) == 1
    assert told in problems[0]
    assert "SECRET" not in problems[0]


def test_http2_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "find_spec", lambda module: None if module == "h2" else module)
    needs = f"needs the package h2; install it with {how_to_install('http2')}"
    told = found({"providers": house(connection_pool={"http2": True})})
    assert told == [f"providers.house.connection_pool.http2: {needs}"]
    assert found({"providers": house(connection_pool={"http2": False})}) == []
    assert found({"providers": house(connection_pool={"http2": True}, enabled=False)}) == []
