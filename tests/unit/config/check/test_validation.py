"""Every kind of bad input: what is said, where, and what would be right."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.config import MeshConfig
from tests.support.config.problems import VALID, found, house


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
    ("row", "message"),
    [
        ({"price": 1}, "[0]: expected a quality, a size, or both"),
        ({"quality": "low"}, "[0].price: is missing"),
        ({"size": "1x1", "price": -1}, "[0].price: expected an amount in USD like 0.15, got -1"),
        ({"size": " ", "price": 1}, "[0].size: expected a text like high or 1024x1024"),
        ("low", "[0]: expected a map of settings, got 'low'"),
    ],
)
def test_a_row_of_image_prices(row: object, message: str) -> None:
    (problem,) = found({"providers": house(pricing={"images": [row]})})
    assert problem.startswith(f"providers.house.pricing.images{message}")


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
        "pools.my pool: a name may contain only letters, digits and . - _ / :"
    ]


def test_secret_values_are_not_quoted() -> None:
    (problem,) = found({"providers": house(api_key={"sk-123": 1})})
    assert "sk-123" not in problem
    (problem,) = found({"secrets": {"store": "modelmesh.memory-secrets.v1", "values": {"A": ["sk-1"]}}})
    assert problem == "secrets.values.A: expected text, got a value that is not shown"


def test_aliases_and_prefixes() -> None:
    config = {
        "storage": {"connector": "storage.modelmesh.sqlite.v1", "path": "a.db"},
        "observability": {"logging": {"connector": "modelmesh.local-file.v1", "path": "x"}},
        "pools": {"ocr": {"strategy": "rotation.modelmesh.priority-selection.v1"}},
    }
    assert found(config) == []
    assert MeshConfig(config).pools["ocr"].strategy == "modelmesh.priority-selection.v1"


@pytest.mark.parametrize(
    "section",
    [
        {"providers": house(connection_pool={"http2": True})},
        {"pools": {"ocr": {"stream": {"on_failure": "terminate"}}}},
        {"storage": {"durability": "process"}},
        {"observability": {"logging": {"level": "metadata"}}},
        {"observability": {"tracing": {"min_severity": "warning", "content": True}}},
        {"connectors": {}},
    ],
)
def test_sections_without_a_problem(section: dict[str, Any]) -> None:
    assert found(section) == []


def test_the_first_shown_error_names_them_all() -> None:
    from modelmesh import ConfigurationError

    with pytest.raises(ConfigurationError) as caught:
        MeshConfig({"daemon": {"watch": "x", "socket": 1}, "proxy": {"endpoints": ["a"]}}).require_valid()
    assert len(caught.value.problems) == 3
    assert set(caught.value.problems[0]) == {"path", "line", "message", "suggestion", "file"}
    with pytest.raises(ConfigurationError):
        _ = MeshConfig({"daemon": {"watch": "x"}}).daemon
