"""From a configuration to the providers and operations of the table that requests are routed by."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from meshd.catalogue.known import load_provider_rows
from meshd.compilation.compile import Directories, compile_config
from meshd.config import MeshConfig
from meshd.connectors.registry import ConnectorRegistry, default_registry
from meshd.routing.table.specs import UnknownModel
from tests.support.config.compiling import HOUSE, chat, compiled, pools


def test_a_provider_is_what_its_section_says() -> None:
    section = {
        **HOUSE,
        "api_key": "sk-1",
        "timeout": "5s",
        "error": {"retryable_codes": [503], "non_retryable_codes": [500]},
    }
    made = compiled({"providers": {"house": section}})
    spec = made.table.providers["house"]
    assert (spec.name, spec.connector, spec.timeout, spec.disabled) == ("house", "openai-compatible.v1", 5.0, "")
    assert (spec.retryable_codes, spec.non_retryable_codes) == ({503}, {500})
    settings = made.providers["house"]
    assert (settings.base_url, settings.api_key, settings.timeout) == ("http://house/v1", "sk-1", 5.0)
    assert (settings.runtime_dir, settings.data_dir) == ("/run/x", "/data/x")
    assert settings.auth_method is None, "the connector's own"


def test_without_a_key_there_is_no_authentication() -> None:
    assert compiled({}).providers["house"].auth_method == "none"


def test_a_provider_that_is_switched_off_is_not_there_nor_are_its_models() -> None:
    made = compiled({"providers": {"house": {**HOUSE, "enabled": False}}, "models": chat("house.a")})
    assert (made.table.providers, made.table.models, made.table.pools) == ({}, {}, {})


def test_a_provider_without_its_secret_is_there_and_disabled() -> None:
    made = compiled({"models": chat("house.a")}, missing={"house": "no secret KEY"})
    assert made.table.providers["house"].disabled == "no secret KEY"
    assert list(made.table.models) == ["house.a"]
    assert made.notes == ["provider house is left out: no secret KEY"]


def test_a_provider_whose_address_lacks_a_variable_is_disabled_and_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    section = {"house": {**HOUSE, "base_url": "http://${env:ACCOUNT}/v1"}}
    config = MeshConfig.from_dict({"providers": section}, environ={"ACCOUNT": "us"})
    settings = compile_config(config, default_registry(), {}, {}, Directories()).providers["house"]
    assert settings.base_url == "http://us/v1"
    monkeypatch.delenv("CLOUDFLARE_ACCOUNT_ID", raising=False)
    made = compiled({"providers": {"cloudflare": {"connector": "cloudflare.workers-ai.v1", "api_key": "k"}}})
    assert "CLOUDFLARE_ACCOUNT_ID" in made.table.providers["cloudflare"].disabled
    monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", "us")
    made = compiled({"providers": {"cloudflare": {"connector": "cloudflare.workers-ai.v1", "api_key": "k"}}})
    assert made.table.providers["cloudflare"].disabled == ""


PARTS = {
    row.id: [part.removeprefix("env:").replace("aws:region", "AWS_REGION") for part in parts]
    for row in load_provider_rows()
    if (parts := re.findall(r"\$\{(\S+?)\}", row.base_url or ""))
}


@pytest.mark.parametrize("connector", PARTS)
def test_each_part_of_an_address_that_is_not_set_is_told(
    connector: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    for name in ("AWS_DEFAULT_REGION", *PARTS[connector]):
        monkeypatch.delenv(name, raising=False)
    section = {"providers": {"it": {"connector": connector, "api_key": "k"}}}
    disabled = compiled(section).table.providers["it"].disabled
    assert all(name in disabled for name in PARTS[connector])
    assert "base_url" in disabled
    for name in PARTS[connector]:
        monkeypatch.setenv(name, "here")
    assert compiled(section).table.providers["it"].disabled == ""


def test_the_formats_of_a_provider_are_its_rows_or_its_own() -> None:
    section = {
        "anthropic": {"api_key": "k"},
        "openai": {"api_key": "k"},
        "cohere": {"api_key": "k"},
        "deepl": {"api_key": "k"},
        "house": {**HOUSE, "quirks": {"speaks": ["responses"]}},
    }
    made = compiled({"providers": section}).table.providers
    assert {name: spec.formats for name, spec in made.items()} == {
        "anthropic": ("anthropic",),
        "openai": ("openai", "responses"),
        "cohere": ("cohere",),
        "deepl": ("openai",),
        "house": ("responses",),
    }


def test_a_connector_that_is_nowhere_to_be_found_is_kept_by_its_id() -> None:
    empty = ConnectorRegistry(builtin=False, outside=False)
    settings = compiled({}, registry=empty).providers["house"]
    assert (settings.connector, settings.quirks) == ("openai-compatible.v1", {})


def test_without_configured_pools_each_leaf_that_has_a_model_is_a_name_to_ask_for() -> None:
    models = chat("house.a") | {"house.e": {"provider": "house", "capabilities": ["text-embeddings"]}}
    made = compiled({"models": models})
    assert pools(made) == {
        "text-generation": ("house.a",),
        "embeddings": ("house.e",),
        "chat-completion": ("house.a",),
        "text-embeddings": ("house.e",),
    }
    assert made.table.resolve("chat-completion").kind == "pool"


def test_with_configured_pools_a_leaf_goes_to_the_pool_above_it() -> None:
    made = compiled({"models": chat("house.a"), "pools": {"mine": {"capability": "text-generation"}}})
    target = made.table.resolve("chat-completion")
    assert (target.kind, target.pool.name) == ("capability", "mine")
    with pytest.raises(UnknownModel):
        made.table.resolve("text-embeddings")


def test_custom_capabilities_follow_the_same_rules() -> None:
    raw = {
        "capabilities": {"compliance": ["pii-detection", "regulatory-review"]},
        "models": {"house.p": {"provider": "house", "capabilities": ["pii-detection"]}},
    }
    made = compiled(raw)
    assert made.table.models["house.p"].capabilities == ("compliance.pii-detection",)
    assert pools(made) == {"pii-detection": ("house.p",)}
    assert pools(compiled({**raw, "pools": {"compliance": {}}}))["compliance"] == ("house.p",)


def test_every_member_of_every_pool_is_a_model_of_the_table() -> None:
    models = {f"house.m{number}": {"provider": "house"} for number in range(300)}
    sections = {f"pool-{number}": {"capability": "chat-completion"} for number in range(30)}
    made = compiled({"models": models, "pools": sections})
    for members in pools(made).values():
        assert members == tuple(models)
    assert set(made.table.models) == set(models)


@pytest.mark.parametrize(
    "capability", ["text-to-video", "music-generation", "noise-reduction", "graph-query", "audio-separation"]
)
def test_what_no_operation_asks_for_makes_no_pool(capability: str) -> None:
    models = {
        **chat("house.talker"),
        "house.other": {"provider": "house", "capabilities": [capability]},
        "house.both": {"provider": "house", "capabilities": ["chat-completion", capability]},
    }
    both = ("house.talker", "house.both")
    assert pools(compiled({"models": models})) == {"text-generation": both, "chat-completion": both}
    named = {"mine": {"capability": capability}}
    assert pools(compiled({"models": models, "pools": named}))["mine"] == ("house.other", "house.both")


def test_aliases_that_are_not_used_are_noted() -> None:
    aliases = {"gpt": "chat", "claude-*": "openai.gone", "a": "house.a", "text-embeddings": "chat"}
    made = compiled(
        {
            "providers": {"house": HOUSE, "openai": {"connector": "openai-compatible.v1", "base_url": "http://x/v1"}},
            "models": chat("house.a"),
            "pools": {"chat": {"models": ["house.a"]}},
            "aliases": aliases,
        }
    )
    assert [note for note in made.notes if note.startswith("alias")] == [
        "alias claude-* stands for openai.gone, which does not exist",
        "alias a is not used: a model has that name",
    ]
    assert made.table.resolve("gpt").alias == "gpt"
