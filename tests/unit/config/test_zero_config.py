"""The configuration built from what the machine offers, and the file that is written of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshd.config import MeshConfig
from meshd.config.schema import LOCAL_SERVERS
from meshd.config.zero_config import commented_yaml, zero_config
from meshd.connectors.registry import ConnectorRegistry, default_registry
from meshd.sdk.connector import ConnectorSpec


@pytest.fixture
def registry() -> ConnectorRegistry:
    """A catalogue of our own, so that the real one may grow."""
    registry = ConnectorRegistry(outside=False)
    rows = [
        {"id": "zeta.llm.v1", "key_env": ["ZETA_KEY"], "capabilities": ["chat-completion", "text-to-speech"]},
        {"id": "alpha.llm.v1", "key_env": ["ALPHA_KEY", "ALPHA_OLD_KEY"], "capabilities": ["text-embeddings"]},
        {"id": "hidden.llm.v1", "key_env": ["HIDDEN_KEY"], "capabilities": ["ocr"], "zero_config": False},
        {"id": "box.local.v1", "key_env": [], "local": True},
    ]
    for row in rows:
        registry.register(ConnectorSpec(row["id"], "provider", row=row))
    return registry


def nothing(_: str) -> bool:
    return False


def everything(_: str) -> bool:
    return True


def test_an_empty_machine(registry: ConnectorRegistry) -> None:
    config = zero_config({}, installed=nothing, registry=registry)
    assert config.validate(registry) == []
    assert config.providers == {}
    assert config.pools["text-generation"].provider_priority == LOCAL_SERVERS
    assert config.discovery.local.enabled


def test_keys_in_the_environment(registry: ConnectorRegistry) -> None:
    environ = {"ALPHA_OLD_KEY": "sk-a", "ZETA_KEY": "sk-z", "HIDDEN_KEY": "sk-h"}
    config = zero_config(environ, installed=everything, registry=registry)
    assert config.validate(registry) == []
    local = ["local-llm", "local-embeddings", "local-speech", "local-transcription"]
    assert list(config.raw["providers"]) == ["zeta", "alpha", *local]
    assert config.raw["providers"]["alpha"] == {"connector": "alpha.llm.v1", "api_key": "${secrets:ALPHA_OLD_KEY}"}
    assert "sk-" not in str(config.raw)
    assert config.pools["text-generation"].provider_priority == ("zeta", *LOCAL_SERVERS, "local-llm")
    assert config.pools["embeddings"].provider_priority == ("alpha", *LOCAL_SERVERS, "local-embeddings")
    assert config.pools["text-to-speech"].provider_priority == ("zeta", *LOCAL_SERVERS, "local-speech")
    assert config.pools["speech-to-text"].provider_priority == (*LOCAL_SERVERS, "local-transcription")
    assert "ocr" not in config.pools
    assert config.pools["text-generation"].strategy == "modelmesh.priority-selection.v1"


@pytest.mark.parametrize("word", ["EMPTY", "none", "lm-studio", "sk-xxx", "YOUR_API_KEY", "<key>", "changeme"])
def test_a_placeholder_takes_up_no_hosted_provider(registry: ConnectorRegistry, word: str) -> None:
    config = zero_config({"ZETA_KEY": word, "ALPHA_KEY": "sk-a"}, installed=nothing, registry=registry)
    assert list(config.raw["providers"]) == ["alpha"]


def test_an_empty_variable_is_none(registry: ConnectorRegistry) -> None:
    assert zero_config({"ZETA_KEY": ""}, installed=nothing, registry=registry).providers == {}


def test_a_provider_that_needs_more_than_a_key(registry: ConnectorRegistry) -> None:
    row = {"id": "edge.llm.v1", "key_env": ["EDGE_KEY"], "needs_env": ["EDGE_ACCOUNT"], "capabilities": ["ocr"]}
    registry.register(ConnectorSpec(row["id"], "provider", row=row))
    assert zero_config({"EDGE_KEY": "k"}, installed=nothing, registry=registry).providers == {}
    both = {"EDGE_KEY": "k", "EDGE_ACCOUNT": "a"}
    assert list(zero_config(both, installed=nothing, registry=registry).providers) == ["edge"]


HOSTED = [
    spec
    for spec in default_registry().list_connectors("provider", outside=False)
    if spec.key_env and spec.row.get("zero_config") is not False
]


@pytest.mark.parametrize("spec", HOSTED, ids=lambda spec: spec.id)
def test_every_key_of_the_catalogue_is_found(spec: ConnectorSpec, tmp_path: Path) -> None:
    more = dict.fromkeys(spec.row.get("needs_env", ()), "x")
    for name in spec.key_env:
        for config in (zero_config({name: "k-1", **more}), _with_a_credential(tmp_path, name, more)):
            assert config.raw["providers"][spec.short_name]["api_key"] == f"${{secrets:{name}}}"


def _with_a_credential(directory: Path, name: str, environ: dict[str, str]) -> MeshConfig:
    place = directory / name
    place.mkdir()
    (place / name).write_text("k-1")
    return zero_config({"CREDENTIALS_DIRECTORY": str(place), **environ})


def test_keys_among_systemds_credentials(registry: ConnectorRegistry, tmp_path: Path) -> None:
    (tmp_path / "ZETA_KEY").write_text("sk-z")
    (tmp_path / "ALPHA_KEY").write_text("")
    for config in (
        zero_config({}, tmp_path, nothing, registry=registry),
        zero_config({"CREDENTIALS_DIRECTORY": str(tmp_path)}, installed=nothing, registry=registry),
    ):
        assert list(config.providers) == ["zeta"]
        assert [entry.connector for entry in config.secrets.store] == ["modelmesh.env.v1", "systemd.credentials.v1"]
    assert zero_config({}, tmp_path / "absent", nothing, registry=registry).providers == {}


@pytest.mark.parametrize("installed", [nothing, everything])
def test_the_commented_file_says_the_same(registry: ConnectorRegistry, installed) -> None:
    config = zero_config({"ZETA_KEY": "x"}, installed=installed, registry=registry)
    text = commented_yaml(config)
    again = MeshConfig.from_text(text)
    assert again.validate(registry) == []
    assert again == config
    assert "# " in text


def test_the_commented_file_stays_valid_with_its_examples() -> None:
    text = commented_yaml(zero_config({}, installed=nothing))
    lines = text.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("# # ") or line == "# models:")
    opened = [
        line[2:]
        if index >= start and line.startswith("# ")
        else line.replace("#", "", 1)
        if line.startswith("#  ")
        else line
        for index, line in enumerate(lines)
    ]
    opened = [line[2:] if line == "# providers:" else line for line in opened]
    config = MeshConfig.from_text("\n".join(opened))
    assert [str(problem) for problem in config.validate()] == []
    assert config.models["my-server.my-model"].provider == "my-server"
    assert config.pools["fast"].retry.deadline == 30.0


def test_this_very_machine() -> None:
    assert zero_config({"OPENAI_API_KEY": "sk"}).validate() == []
