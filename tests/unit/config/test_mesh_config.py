"""Typed views, merging, secrets, redaction, comparison, dumping."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from meshd.config import MeshConfig
from meshd.config.read.loading import load_text

RAW: dict[str, Any] = {
    "secrets": {"store": "modelmesh.memory-secrets.v1", "values": {"A": "sk-memory"}},
    "providers": {
        "house": {
            "connector": "openai-compatible.v1",
            "base_url": "http://user:sk-url@h/v1",
            "api_key": "sk-literal",
            "headers": {"Authorization": "Bearer sk-header", "x-api-key": "sk-x", "x-team": "blue"},
        },
        "reference": {"connector": "openai-compatible.v1", "base_url": "http://r", "api_key": "${secrets:KEY}"},
    },
    "models": {"house.small": {"capabilities": ["chat-completion"], "pricing": {"input_per_1m": 0.15}}},
    "pools": {"chat": {"capability": "chat-completion", "strategy": "round-robin", "models": ["house.small"]}},
}


def test_typed_views() -> None:
    config = MeshConfig.from_dict(RAW)
    assert [problem.path for problem in config.validate()] == ["providers.house.base_url"]  # two credentials
    assert config.providers["house"].timeout == 60.0
    assert config.providers["house"].error.retryable_codes[0] == 408
    assert config.models["house.small"].provider == "house"
    assert config.models["house.small"].model == "small"
    assert config.models["house.small"].pricing.input_per_1m == 150_000_000
    assert config.pools["chat"].strategy == "modelmesh.round-robin.v1"
    assert config.pools["chat"].recovery.max_cooldown == 900.0
    assert config.daemon.max_message_size == 64 * 1024**2
    assert config.storage.connector == "modelmesh.sqlite.v1"


def test_an_empty_configuration_is_all_defaults() -> None:
    config = MeshConfig({})
    assert config.validate() == []
    assert config.providers == {}
    assert [entry.connector for entry in config.secrets.store] == ["modelmesh.env.v1"]
    assert config.observability.logging.connector == ()


@pytest.mark.parametrize(
    ("id", "provider", "expected"),
    [
        ("openai.gpt-4.1", {"openai": {"connector": "openai-compatible.v1"}}, "gpt-4.1"),
        ("openai.gpt-4o", {"main": {"connector": "openai.llm.v1"}}, "gpt-4o"),
        ("gpt-4.1", {"main": {"connector": "openai-compatible.v1"}}, "gpt-4.1"),
        ("llama3.2:1b", {"ollama": {"connector": "openai-compatible.v1"}}, "llama3.2:1b"),
        ("acme.big", {"main": {"connector": "openai-compatible.v1"}}, "big"),
        ("meta-llama/Llama-3", {"router": {"connector": "openai-compatible.v1"}}, "meta-llama/Llama-3"),
        ("router/meta-llama/Llama-3", {"router": {"connector": "openai-compatible.v1"}}, "meta-llama/Llama-3"),
    ],
)
def test_the_provider_knows_a_model_by_the_part_after_the_vendor(
    id: str, provider: dict[str, Any], expected: str
) -> None:
    (name,) = provider
    config = MeshConfig({"providers": provider, "models": {id: {"provider": name}}})
    assert config.models[id].model == expected


def test_nested_config_means_the_same() -> None:
    flat = {"pools": {"chat": {"capability": "ocr", "retry": {"max_attempts": 5, "backoff": "fixed"}}}}
    nested = {
        "pools": {
            "chat": {"capability": "ocr", "retry": {"backoff": "fixed"}, "config": {"retry": {"max_attempts": 5}}}
        }
    }
    assert MeshConfig(flat) == MeshConfig(nested)
    assert MeshConfig(nested).pools == MeshConfig(flat).pools


def test_nested_config_keeps_lines_and_clashes_are_reported() -> None:
    text = """\
pools:
  ocr:
    strategy: round-robin
    config:
      strategy: round-robin
      retry:
        backof: x
"""
    found = MeshConfig.from_text(text).validate()
    assert [(problem.line, problem.path) for problem in found] == [
        (5, "pools.ocr.strategy"),
        (7, "pools.ocr.retry.backof"),
    ]


def test_nothing_means_the_default() -> None:
    config = MeshConfig.from_text("pools:\n  ocr:\n    retry:\n    models:\ndaemon:\n")
    assert config.validate() == []
    assert config.pools["ocr"].retry.max_attempts == 2


def test_each_sink_gets_its_own_keys() -> None:
    raw = {
        "observability": {
            "logging": {"connector": ["modelmesh.console.v1", "modelmesh.file.v1"], "path": "x", "max_size": "1MB"},
            "routing": "modelmesh.null.v1",
        },
        "secrets": {"store": ["modelmesh.env.v1", {"connector": "modelmesh.dotenv.v1", "path": "a"}], "prefix": "P_"},
    }
    config = MeshConfig(raw)
    assert [entry.settings for entry in config.observability.logging.connector] == [
        {},
        {"path": "x", "max_size": 1_000_000, "rotate_every": 0.0, "keep": 5},
    ]
    assert [entry.connector for entry in config.observability.routing.connector] == ["modelmesh.null.v1"]
    assert [entry.settings for entry in config.secrets.store] == [{"prefix": "P_"}, {"path": "a", "override": False}]


def test_a_connectors_own_keys_are_typed() -> None:
    raw = {"providers": {"local-llm": {"idle_timeout": "2m", "threads": "${env:N}"}}, "storage": {"path": "a.db"}}
    config = MeshConfig(raw, environ={"N": "4"})
    settings = config.providers["local-llm"].settings
    assert (settings["idle_timeout"], settings["threads"], settings["model"]) == (120.0, 4, "smollm2-135m")
    assert config.storage.settings == {"path": "a.db"}


def test_a_problem_found_elsewhere_gets_its_line() -> None:
    text = "providers:\n  openai.llm.v1:\n    timeout: 5s\n    api_key: ${secrets:K}\n"
    config = MeshConfig.from_text(text, file="f")
    (path,) = config.secret_references()["K"]
    assert str(config.problem_at(path, "is missing")) == "f:4: providers.openai.llm.v1.api_key: is missing"
    assert config.secret_paths() == {"K": [("providers", "openai.llm.v1", "api_key")]}
    assert config.problem_at("providers.openai.llm.v1.headers.x", "m").line == 2
    assert config.problem_at("nowhere", "m").line is None


# -- merge --------------------------------------------------------------------------------------------


def test_merge_is_deep_replaces_lists_and_changes_neither() -> None:
    base, top = copy.deepcopy(RAW), {"pools": {"chat": {"models": [], "retry": {"max_attempts": 9}}}}
    first, second = MeshConfig(base), MeshConfig(top)
    merged = first.merge(second)
    assert merged.pools["chat"].models == ()
    assert merged.pools["chat"].retry.max_attempts == 9
    assert merged.pools["chat"].strategy == "modelmesh.round-robin.v1"
    assert first.raw == RAW == base
    assert second.raw == top
    merged.raw["pools"]["chat"]["strategy"] = "x"
    assert first.raw == RAW
    assert first.merge({"daemon": {"watch": False}}).daemon.watch is False


def test_merge_keeps_lines_but_not_those_of_replaced_values() -> None:
    config = MeshConfig.from_text("daemon:\n  watch: 5x\n  socket: [1]\n", file="f")
    merged = config.merge({"daemon": {"socket": [2]}})
    assert [(problem.path, problem.line) for problem in merged.validate()] == [
        ("daemon.socket", 1),
        ("daemon.watch", 2),
    ]


# -- secrets ------------------------------------------------------------------------------------------


def test_secret_references() -> None:
    raw = {
        "providers": {
            "a": {"connector": "openai-compatible.v1", "api_key": "${secrets:A}", "headers": {"x": "y ${secrets:B}"}},
            "b": {"connector": "openai-compatible.v1", "api_key": "${secrets:A}"},
            "off": {"connector": "openai-compatible.v1", "enabled": False, "api_key": "${secrets:C}"},
        }
    }
    assert MeshConfig(raw).secret_references() == {
        "A": ["providers.a.api_key", "providers.b.api_key"],
        "B": ["providers.a.headers.x"],
    }


def test_a_connectors_own_variable_is_implied() -> None:
    config = MeshConfig(
        {"providers": {"openai.llm.v1": None, "none": {"connector": "openai.llm.v1", "auth": {"method": "none"}}}}
    )
    assert config.secret_references() == {"OPENAI_API_KEY": ["providers.openai.llm.v1.api_key"]}
    assert config.providers["openai.llm.v1"].api_key == "${secrets:OPENAI_API_KEY}"
    assert config.with_secrets({"OPENAI_API_KEY": "sk"}).providers["openai.llm.v1"].api_key == "sk"
    assert config.providers["none"].api_key is None


def test_with_secrets_substitutes_in_views_and_never_shows() -> None:
    config = MeshConfig(RAW)
    resolved = config.with_secrets({"KEY": "sk-resolved"})
    assert resolved.providers["reference"].api_key == "sk-resolved"
    assert config.providers["reference"].api_key == "${secrets:KEY}"
    shown = (
        str(resolved.redacted()) + repr(resolved) + repr(resolved.providers) + resolved.dump() + str(resolved.secrets)
    )
    assert "sk-resolved" not in shown
    assert "${secrets:KEY}" in resolved.dump()


def test_redaction() -> None:
    config = MeshConfig(RAW)
    shown = config.redacted()
    assert "sk-" not in str(shown)
    assert "sk-" not in repr(config) + repr(config.providers) + str(config.providers["house"]) + repr(config.secrets)
    assert shown["providers"]["house"]["api_key"] == "•••"
    assert shown["providers"]["house"]["headers"] == {"Authorization": "•••", "x-api-key": "•••", "x-team": "blue"}
    assert shown["providers"]["reference"]["api_key"] == "${secrets:KEY}"
    assert shown["secrets"]["values"] == {"A": "•••"}
    assert shown["secrets"]["store"] == "modelmesh.memory-secrets.v1"
    assert config.raw == RAW


def test_a_literal_beside_a_reference_is_masked_too() -> None:
    def shown(value: str) -> str:
        return MeshConfig({"providers": {"a": {"api_key": value}}}).redacted()["providers"]["a"]["api_key"]

    assert shown("${env:KEY:-sk-default}") == "${env:KEY:-•••}"
    assert shown("sk-1${secrets:X}") == "•••"
    assert shown("Bearer ${secrets:X}") == "Bearer ${secrets:X}"
    assert shown("${secrets:X}sk-2") == "•••"


def test_redaction_of_names_that_sound_secret() -> None:
    raw = {
        "providers": {"my-token": {"connector": "x", "quota": {"tokens": 5}}},
        "proxy": {"auth": {"tokens": [{"app": "a", "token": "t0"}]}},
    }
    shown = MeshConfig(raw).redacted()
    assert shown["providers"] == raw["providers"]
    assert shown["proxy"]["auth"]["tokens"] == [{"app": "a", "token": "•••"}]


# -- difference ---------------------------------------------------------------------------------------


def test_difference() -> None:
    old = MeshConfig(RAW)
    new = old.merge(
        {
            "providers": {"groq": {"connector": "openai-compatible.v1"}, "house": {"api_key": "sk-other"}},
            "pools": {"chat": {"strategy": "priority-selection", "retry": {"max_attempts": 3}, "models": []}},
            "daemon": {"watch": False},
        }
    )
    lines = old.difference(new)
    assert sorted(lines) == [
        "daemon.watch added",
        "pools.chat.models: [house.small] → []",
        "pools.chat.retry added",
        "pools.chat.strategy: round-robin → priority-selection",
        "providers.groq added",
        "providers.house.api_key changed",
    ]
    assert "providers.groq removed" in new.difference(old)
    assert old.difference(MeshConfig(RAW)) == []


def test_two_spellings_are_not_a_difference() -> None:
    short = MeshConfig({"pools": {"ocr": {"strategy": "round-robin"}}})
    full = MeshConfig({"pools": {"ocr": {"config": {"strategy": "modelmesh.round-robin.v1"}}}})
    assert short.difference(full) == []
    assert short == full


def test_a_changed_secret_or_variable_is_told_without_its_value() -> None:
    raw = {
        "daemon": {"socket": "${env:S}"},
        "providers": {"a": {"connector": "openai-compatible.v1", "api_key": "${secrets:K}"}},
    }
    old = MeshConfig(raw, environ={"S": "/one"}).with_secrets({"K": "sk-1"})
    new = MeshConfig(raw, environ={"S": "/two"}).with_secrets({"K": "sk-2"})
    assert old.difference(new) == ["daemon.socket changed (by the environment)", "secret K changed"]
    assert old != new


# -- dump ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["yaml", "toml", "json"])
def test_dump_reads_back(format: str) -> None:
    raw = {**RAW, "pools": {**RAW["pools"], "ocr": None}}
    config = MeshConfig(raw)
    again = MeshConfig(load_text(config.dump(format), format).raw)
    assert again == config
    assert again.validate() == config.validate()


def test_dump_masks_on_request_and_refuses_an_unknown_format() -> None:
    assert "sk-" not in MeshConfig(RAW).dump("yaml", redacted=True)
    with pytest.raises(ValueError, match="ini"):
        MeshConfig(RAW).dump("ini")


def test_views_are_immutable() -> None:
    from pydantic import ValidationError

    with pytest.raises(ValidationError):
        MeshConfig(RAW).daemon.watch = False


def test_raw_is_not_the_callers() -> None:
    raw = copy.deepcopy(RAW)
    config = MeshConfig(raw)
    raw["pools"].clear()
    assert "chat" in config.pools


@pytest.mark.parametrize("signs", [1, 20, 40, 60, 90])
def test_a_file_that_is_shown_fits_a_terminal(signs):
    """But for a value that is wider itself, which stands alone on its line."""
    from meshd.config.write.dumping import dump_yaml

    provider = {"connector": "openai-compatible.v1", "base_url": "http://x/" + "y" * signs, "api_key": "•••"}
    raw = {"providers": {"workstation": provider}, "pools": {"p": {"models": ["m" * signs, "n" * 20, "o" * 10]}}}
    wide = [line for line in dump_yaml(raw).splitlines() if len(line) > 80]
    assert all(line.count(":") <= 2 and "{" not in line and "[" not in line for line in wide)
    assert not wide or signs >= 60
