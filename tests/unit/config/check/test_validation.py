"""Every kind of bad input: what is said, where, and what would be right."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.config import MeshConfig
from meshd.config.schema.access import ProxyToken
from meshd.connectors.registry import ConnectorRegistry, ConnectorSpec
from meshd.core.events import EventType

VALID = """
secrets:
  store: [modelmesh.env.v1, {connector: modelmesh.dotenv.v1, path: .env}]
  cache_ttl: 5m
providers:
  house:
    connector: openai-compatible.v1
    base_url: http://127.0.0.1:9000/v1
    auth: {method: none}
  test: {connector: modelmesh.scripted.v1, cycle: true}
models:
  house.qwen:
    capabilities: [chat-completion]
    pricing: {input_per_1m: 0.15}
pools:
  chat:
    capability: chat-completion
    models: [house.qwen]
    strategy: round-robin
    provider_priority: [house, ollama]
    retry: {backoff: fixed, initial_delay: 100ms}
storage: {connector: modelmesh.memory.v1}
observability:
  routing: modelmesh.console.v1
  logging: [modelmesh.null.v1, {connector: modelmesh.file.v1, path: a.jsonl, keep: 2}]
  statistics: {connector: [modelmesh.console.v1, modelmesh.file.v1], path: b, max_size: 1MB, flush_interval: 10s}
discovery: {local: {servers: [ollama]}, health: {method: completion, interval: 30s}}
capabilities: {compliance: [pii-detection]}
daemon: {request_timeout: 2m, max_message_size: 1MiB, socket_mode: "0600"}
"""


def found(text: str | dict[str, Any], registry: ConnectorRegistry | None = None) -> list[str]:
    config = (
        MeshConfig.from_dict(text, environ={})
        if isinstance(text, dict)
        else MeshConfig.from_text(text, file="mesh.yaml", environ={})
    )
    return [str(problem).removeprefix("configuration: ") for problem in config.validate(registry)]


def house(**extra: Any) -> dict[str, Any]:
    return {"house": {"connector": "openai-compatible.v1", "base_url": "http://h/v1", **extra}}


def test_secrets_are_always_masked() -> None:
    (problem,) = found({"providers": house(), "observability": {"logging": {"redact_secrets": False}}})
    assert problem.startswith("observability.logging.redact_secrets: expected true: keys are masked at every level")


def test_a_valid_file_has_no_problems() -> None:
    assert found(VALID) == []


def test_all_problems_at_once_in_the_order_of_the_file() -> None:
    text = """\
secrets: {cache_ttl: soon}
providers:
  house: {connector: openai-compatibel.v1}
  other: {connector: openai-compatible.v1, base_url: http://o/v1, timeot: 3s}
models:
  other.m: {provider: othr, capabilities: [chat-completon]}
pools:
  chat:
    models: [other.n]
    strategy: round-robbin
    retry:
      backof: fixed
      max_attempts: none
deamon: {watch: true}
"""
    assert found(text) == [
        "mesh.yaml:1: secrets.cache_ttl: expected a duration like 30s or a number of seconds, got 'soon'",
        "mesh.yaml:3: providers.house.connector: unknown provider connector 'openai-compatibel.v1'; "
        'did you mean "openai-compatible.v1"?',
        'mesh.yaml:4: providers.other.timeot: unknown key; did you mean "timeout"?',
        "mesh.yaml:6: models.other.m.provider: there is no provider 'othr'; did you mean \"other\"?",
        "mesh.yaml:6: models.other.m.capabilities[0]: unknown capability 'chat-completon' "
        '(also near: text-completion, format-conversion); did you mean "chat-completion"?',
        "mesh.yaml:10: pools.chat.strategy: unknown rotation policy 'modelmesh.round-robbin.v1'; "
        'did you mean "modelmesh.round-robin.v1"?',
        'mesh.yaml:12: pools.chat.retry.backof: unknown key; did you mean "backoff"?',
        "mesh.yaml:13: pools.chat.retry.max_attempts: expected a whole number, got 'none'",
        'mesh.yaml:14: deamon: unknown key; did you mean "daemon"?',
    ]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"daemon": "x"}, "daemon: expected a map of settings, got 'x'"),
        ({"daemon": {"watch": "perhaps"}}, "daemon.watch: expected true or false, got 'perhaps'"),
        ({"daemon": {"max_inflight": True}}, "daemon.max_inflight: expected a number, got true"),
        ({"daemon": {"socket": 5}}, "daemon.socket: expected text, got 5"),
        ({"daemon": {"socket": {"a": 1}}}, "daemon.socket: expected text, got a map"),
        ({"daemon": {"socket_mode": "rw"}}, "daemon.socket_mode: expected file permissions like 0660, got 'rw'"),
        (
            {"daemon": {"max_message_size": "large"}},
            "daemon.max_message_size: expected a size like 512MB, 1GiB or a number of bytes, got 'large'",
        ),
        ({"pools": {"ocr": {"models": "m"}}}, "pools.ocr.models: expected a list, got 'm'"),
        ({"pools": ["chat"]}, "pools: expected a map, got a list"),
        (
            {"pools": {"ocr": {"retry": {"retryable_codes": [42]}}}},
            "pools.ocr.retry.retryable_codes[0]: expected an HTTP status from 100 to 599, got 42",
        ),
        (
            {"daemon": {"log_level": "warn"}},
            "daemon.log_level: expected debug, info, warning, error or critical, got 'warn'; did you mean \"warning\"?",
        ),
        (
            {"secrets": {"store": 5}},
            "secrets.store: expected a connector id or a list of them, got 5",
        ),
    ],
)
def test_wrong_types_say_what_was_expected(section: dict[str, Any], message: str) -> None:
    assert found(section) == [message]


def test_money_and_keys_of_headers() -> None:
    assert found({"providers": house(pricing={"input_per_1m": "cheap"})}) == [
        "providers.house.pricing.input_per_1m: expected an amount in USD like 0.15, got 'cheap'"
    ]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ({"key": "k", "weight": -2}, "providers.house.api_keys[1].weight: expected a number of at least 0"),
        ({"weight": 2}, "providers.house.api_keys[1].key: is missing"),
        (5, "providers.house.api_keys[1]: expected text"),
    ],
)
def test_one_problem_for_a_key_that_is_a_text_or_a_map(key: object, message: str) -> None:
    """And in the words of the file: not one for each of the two, with the names of their types."""
    (problem,) = found({"providers": house(api_keys=["first", key])})
    assert problem.startswith(message), problem


def test_a_key_at_the_wrong_level_is_recognised() -> None:
    assert found({"pools": {"ocr": {"cooldown": "5s"}}}) == [
        'pools.ocr.cooldown: unknown key; did you mean "recovery.cooldown"?'
    ]


def test_names() -> None:
    assert found({"pools": {"my pool": {"capability": "ocr"}}}) == [
        "pools.my pool: a name may hold letters, digits and . - _ / : only"
    ]


def test_secret_values_are_not_quoted() -> None:
    (problem,) = found({"providers": house(api_key={"sk-123": 1})})
    assert "sk-123" not in problem
    (problem,) = found({"secrets": {"store": "modelmesh.memory-secrets.v1", "values": {"A": ["sk-1"]}}})
    assert problem == "secrets.values.A: expected text, got a value that is not shown"


# -- references by name -------------------------------------------------------------------------------


def test_dangling_references_of_pools() -> None:
    config = {
        "providers": house(),
        "models": {"house.a": {"capabilities": ["ocr"]}},
        "pools": {
            "ocr": {
                "models": ["house.b"],
                "providers": ["hause"],
                "excluded_providers": ["nobody"],
                "excluded_models": ["house.x"],
                "model_priority": ["house.a"],
                "provider_priority": ["house", "ollama"],
            }
        },
    }
    assert found(config) == [
        "pools.ocr.models[0]: there is no model 'house.b'; did you mean \"house.a\"?",
        "pools.ocr.excluded_models[0]: there is no model 'house.x'; did you mean \"house.a\"?",
        "pools.ocr.providers[0]: there is no provider 'hause'; did you mean \"house\"?",
        "pools.ocr.excluded_providers[0]: there is no provider 'nobody'",
    ]


def test_models_that_are_found_rather_than_listed_may_be_named() -> None:
    pools = {"ocr": {"models": ["house.anything", "ollama.llama3"]}}
    assert found({"providers": house(), "pools": pools}) == []
    listed = {"house.a": {"capabilities": ["ocr"]}}
    assert len(found({"providers": house(), "models": listed, "pools": pools})) == 1
    assert found({"providers": house(catalogue={"auto_discover": True}), "models": listed, "pools": pools}) == []


def test_a_model_needs_a_provider() -> None:
    (problem,) = found({"models": {"gpt-4o": {"capabilities": ["ocr"]}}})
    assert problem == "models.gpt-4o: `provider` is missing, and the id does not begin with a provider's name"


def test_discovery_names_providers() -> None:
    assert found({"providers": house(), "discovery": {"health": {"providers": ["hose"]}}}) == [
        "discovery.health.providers[0]: there is no provider 'hose'; did you mean \"house\"?"
    ]


# -- capabilities -------------------------------------------------------------------------------------


def test_a_model_serves_leaves() -> None:
    (problem,) = found({"providers": house(), "models": {"house.a": {"capabilities": ["text-generation"]}}})
    assert "text-generation is a branch" in problem
    assert "chat-completion" in problem


def test_a_pool_targets_any_node_and_its_name_may_be_one() -> None:
    assert found({"pools": {"embeddings": None, "x": {"capability": "generation"}}}) == []
    (problem,) = found({"pools": {"cheap": {}}})
    assert problem == "pools.cheap: has neither `models` nor `capability`, and its name is not a capability"
    (problem,) = found({"pools": {"x": {"capability": "chat"}}})
    assert "unknown capability 'chat'" in problem


def test_custom_capabilities() -> None:
    config = {
        "capabilities": {"compliance": ["pii-detection"], "text-generation": {"verse": ["sonnet"]}},
        "providers": house(),
        "models": {"house.a": {"capabilities": ["pii-detection", "sonnet"]}},
        "pools": {"compliance": {}, "verse": {}},
    }
    assert found(config) == []
    for bad in ({"bad.name": ["x"]}, {"a": 5}, {"a": [["x"]]}, {"a": [{"x": ["y"]}]}, {"a": {"b": 1}}, {"b c": ["d"]}):
        (problem,) = found({"capabilities": bad})
        assert problem.startswith(f"capabilities.{next(iter(bad))}: expected a map or list")
    assert MeshConfig(config).capability_tree().resolve("sonnet") == "generation.text-generation.verse.sonnet"


# -- connectors ---------------------------------------------------------------------------------------


def test_unknown_connectors_with_the_nearest() -> None:
    assert found({"storage": {"connector": "modelmesh.sqlit.v1"}}) == [
        "storage.connector: unknown storage connector 'modelmesh.sqlit.v1'; did you mean \"modelmesh.sqlite.v1\"?"
    ]
    assert found({"observability": {"routing": ["modelmesh.consle.v1"]}}) == [
        "observability.routing[0]: unknown observability connector 'modelmesh.consle.v1'; "
        'did you mean "modelmesh.console.v1"?'
    ]
    assert found({"providers": {"house": None}}) == ["providers.house: names no `connector`, and 'house' is not one"]


def test_aliases_and_prefixes() -> None:
    config = {
        "storage": {"connector": "storage.modelmesh.sqlite.v1", "path": "a.db"},
        "observability": {"logging": {"connector": "modelmesh.local-file.v1", "path": "x"}},
        "pools": {"ocr": {"strategy": "rotation.modelmesh.priority-selection.v1"}},
    }
    assert found(config) == []
    assert MeshConfig(config).pools["ocr"].strategy == "modelmesh.priority-selection.v1"


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


def test_a_file_sink_needs_a_path_in_either_place() -> None:
    assert found({"observability": {"logging": "modelmesh.file.v1"}}) == ["observability.logging.path: is missing"]
    sinks: list[Any] = ["modelmesh.console.v1", "modelmesh.file.v1"]
    assert found({"observability": {"logging": {"connector": sinks}}}) == [
        "observability.logging.connector[1].path: is missing"
    ]
    assert found({"observability": {"logging": {"connector": sinks, "path": "x"}}}) == []
    assert found({"observability": {"logging": [{"connector": "modelmesh.file.v1", "path": "x"}]}}) == []


def test_openai_compatible_needs_an_address() -> None:
    (problem,) = found({"providers": {"x": {"connector": "openai-compatible.v1"}}})
    assert problem.startswith("providers.x.base_url: is missing")


def test_a_missing_package_names_the_extra() -> None:
    registry = ConnectorRegistry(outside=False)
    registry.register(ConnectorSpec("acme.llm.v1", "provider", "x", "a:B", requires=("no_such_package",), extra="acme"))
    config = {"providers": {"x": {"connector": "acme.llm.v1", "anything": 1}}}
    assert found(config, registry) == [
        "providers.x.connector: acme.llm.v1 needs the package no_such_package; "
        'install it with pip install "modelmesh[acme]"'
    ]
    config["providers"]["x"]["enabled"] = False
    assert found(config, registry) == []


def test_where_secrets_come_from_is_no_secret() -> None:
    (problem,) = found({"secrets": {"store": "modelmesh.dotenv.v1", "path": "${secrets:WHERE}"}})
    assert "cannot refer to a secret" in problem


# -- not supported yet --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "section",
    [
        {"proxy": {"enabled": True}},
        {"connectors": {"packages": [{"path": "x", "sha256": "0"}]}},
        {"providers": house(auth={"method": "oauth"})},
        {"providers": house(connection_pool={"http2": True})},
        {"providers": house(managed={"command": "x"})},
        {"providers": {"anthropic": {"connector": "anthropic.claude.v1"}}},
        {"storage": {"durability": "power"}},
        {"storage": {"format": "json"}},
        {"storage": {"connector": "redis.redis.v1"}},
        {"secrets": {"store": "hashicorp.vault.v1"}},
        {"observability": {"logging": {"level": "full"}}},
        {"observability": {"tracing": {"min_severity": "info"}}},
        {"observability": {"routing": "modelmesh.webhook.v1"}},
        {"daemon": {"listen": ["tcp://0.0.0.0:1"]}},
    ],
)
def test_what_is_not_built_is_refused(section: dict[str, Any]) -> None:
    (problem,) = found(section)
    assert problem.endswith("not supported yet")


@pytest.mark.parametrize(
    "section",
    [
        {"providers": house(connection_pool={"http2": False})},
        {"pools": {"ocr": {"stream": {"on_failure": "terminate"}}}},
        {"storage": {"durability": "process"}},
        {"observability": {"logging": {"level": "metadata"}}},
        {"connectors": {}},
    ],
)
def test_the_built_values_beside_them_are_not(section: dict[str, Any]) -> None:
    assert found(section) == []


def test_the_first_shown_error_names_them_all() -> None:
    from modelmesh import ConfigurationError

    with pytest.raises(ConfigurationError) as caught:
        MeshConfig({"daemon": {"watch": "x", "socket": 1}, "proxy": {}}).require_valid()
    assert len(caught.value.problems) == 3
    assert set(caught.value.problems[0]) == {"path", "line", "message", "suggestion", "file"}
    with pytest.raises(ConfigurationError):
        _ = MeshConfig({"daemon": {"watch": "x"}}).daemon


# -- addresses, sockets, pools that leave nobody ------------------------------------------------------------


def _said(config: dict[str, Any]) -> dict[str, str]:
    return {problem.path: problem.message for problem in MeshConfig.from_dict(config).validate()}


@pytest.mark.parametrize("url", ["ftp://h/v1", "h:80/v1", "localhost", "http://", "http://h:port/v1", "http:///v1"])
def test_a_base_url_that_nobody_can_call(url: str) -> None:
    said = _said({"providers": {"a": {"connector": "openai-compatible.v1", "base_url": url}}})
    assert said == {"providers.a.base_url": "expected http://…, https://… or unix:/… (the path of a socket)"}


@pytest.mark.parametrize(
    "url", ["http://h", "https://u:p@h:1/v1?x=1", "unix:/run/x", "${secrets:URL}", "http://${secrets:H}/v1"]
)
def test_a_base_url_that_can_be_called(url: str) -> None:
    assert _said({"providers": {"a": {"connector": "openai-compatible.v1", "base_url": url}}}) == {}


def test_two_credentials_for_one_provider_are_one_too_many() -> None:
    entry = {"connector": "openai-compatible.v1", "base_url": "https://user:hunter2@h/v1", "api_key": "${secrets:K}"}
    said = _said({"providers": {"a": entry}})
    assert list(said) == ["providers.a.base_url"]
    assert "hunter2" not in str(said)


@pytest.mark.parametrize("socket", ["tcp://127.0.0.1:9", "http://x", "inproc://x"])
def test_a_socket_that_is_no_path(socket: str) -> None:
    assert "expected the path of a socket" in _said({"daemon": {"socket": socket}})["daemon.socket"]
    assert _said({"daemon": {"socket": "ipc:///run/x.sock"}}) == {}


def test_a_group_that_is_not_there() -> None:
    said = _said({"daemon": {"socket_group": "no-such-group-here"}})
    assert said == {"daemon.socket_group": "there is no group 'no-such-group-here' on this machine"}
    assert _said({"daemon": {"socket_group": "root"}}) == {}


@pytest.mark.parametrize(
    ("pool", "empty"),
    [
        ({"models": ["house.a"], "excluded_models": ["house.a"]}, True),
        ({"models": ["house.a"], "excluded_providers": ["house"]}, True),
        ({"models": ["house.a"], "providers": ["other"]}, True),
        ({"capability": "chat-completion", "excluded_providers": ["house", "other"]}, True),
        ({"capability": "chat-completion", "providers": ["other"], "excluded_models": ["other.b"]}, True),
        ({"models": ["house.a", "other.b"], "providers": ["other"]}, False),
        ({"capability": "chat-completion", "excluded_models": ["house.a"]}, False),
        ({"capability": "chat-completion", "excluded_models": ["house.a"], "excluded_providers": ["other"]}, True),
        ({"capability": "chat-completion", "providers": ["free"], "excluded_models": ["house.a", "other.b"]}, False),
    ],
)
def test_a_pool_that_leaves_itself_nobody(pool: dict[str, Any], empty: bool) -> None:
    address = {"connector": "openai-compatible.v1", "base_url": "http://h/v1"}
    config: dict[str, Any] = {
        "providers": {"house": address, "other": address},
        "models": {"house.a": {}, "other.b": {}},
        "pools": {"p": pool},
    }
    if "free" in pool.get("providers", ()):
        config["providers"]["free"] = address  # nothing of it is listed: it is asked what it has
    assert ("pools.p" in _said(config)) is empty


def test_an_unknown_event_is_told_the_nearest() -> None:
    (problem,) = found({"providers": house(), "observability": {"routing": {"events": ["model_deactivate"]}}})
    assert problem.startswith("observability.routing.events")
    assert problem.endswith('did you mean "model_deactivated"?')


@pytest.mark.parametrize("type", EventType)
def test_every_event_can_be_chosen(type: EventType) -> None:
    assert found({"providers": house(), "observability": {"routing": {"events": [str(type)]}}}) == []


@pytest.mark.parametrize("part", ["routing", "logging", "statistics"])
@pytest.mark.parametrize("beside", [{}, {"connector": None}, {"connector": []}])
def test_a_sink_that_is_not_named_has_no_keys(part: str, beside: dict[str, Any]) -> None:
    (problem,) = found({"observability": {part: {"path": "/tmp/x", **beside}}})
    assert problem.startswith(f"observability.{part}.path: unknown key")
    assert found({"observability": {part: {"path": "/tmp/x", "connector": "modelmesh.file.v1"}}}) == []


@pytest.mark.parametrize("how", ["connector", "name"])
def test_a_disabled_provider_may_wait_for_its_connector(how: str) -> None:
    planned = "anthropic.claude.v1"
    name, connector = ("later", {"connector": planned}) if how == "connector" else (planned, {})
    entry = {"enabled": False, "api_key": "${secrets:X}", "region": "eu", **connector}
    assert found({"providers": {**house(), name: entry}}) == []
    (problem,) = found({"providers": {**house(), name: {**entry, "enabled": True}}})
    assert "not supported yet" in problem


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
    assert ProxyToken(app="a", token=" t\n").token == "t"


BREAK = "has a line break or another control character inside: no header can carry it"


@pytest.mark.parametrize(
    ("provider", "told"),
    [
        ({"api_key": "a\nSECRET"}, f"providers.house.api_key: {BREAK}"),
        ({"api_keys": ["fine", "a\x00SECRET"]}, f"providers.house.api_keys[1]: {BREAK}"),
        ({"api_keys": [{"key": "a\r\nSECRET"}]}, f"providers.house.api_keys[0].key: {BREAK}"),
        ({"api_keys": ["  "]}, "providers.house.api_keys[0]: is empty"),
        ({"api_key": "\u201cSECRET\u201d"}, "providers.house.api_key: has characters that no HTTP header can carry"),
        ({"headers": {"X-A": "a\nSECRET"}}, f"providers.house.headers.X-A: {BREAK}"),
        ({"headers": {"X A": "v"}}, "providers.house.headers.X A: is not the name of a header"),
        ({"headers": {"": "v"}}, "is not the name of a header"),
        ({"base_url": "http://h/v1\nSECRET"}, "providers.house.base_url: has a blank, a line break"),
    ],
)
def test_what_no_header_can_carry_is_refused_by_name(provider: dict[str, Any], told: str) -> None:
    problems = found({"providers": house(**provider)})
    assert len(problems) == 1
    assert told in problems[0]
    assert "SECRET" not in problems[0]
