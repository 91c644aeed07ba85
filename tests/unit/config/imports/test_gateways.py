"""Other gateways' configurations: what each key is converted to, and what is told of those without a counterpart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from meshd.config import MeshConfig
from meshd.config.imports.gateways import GATEWAYS, Imported, import_file
from meshd.config.write.dumping import dump_yaml
from modelmesh.errors import ConfigurationError

EXAMPLES = Path(__file__).parents[3] / "support" / "data" / "gateways"
KEYS = (
    "sk-proj-1234567890abcdef",
    "sk-master-987",
    "sk-proj-abcdef1234567890",
    "sk-bf-0123456789",
    "sk-ant-api03-abcdef",
)


VARIABLES = {"HOUSE_URL": "http://a/v1", "HOUSE_ROOT": "http://a", "OPENAI_ORG": "org-1", "TEAM": "mesh",
             "AZURE_ENDPOINT": "https://acme.openai.azure.com"}  # fmt: skip


def example(gateway: str) -> Imported:
    (path,) = EXAMPLES.glob(f"{gateway}.*")
    return import_file(gateway, str(path))


def told(imported: Imported) -> dict[str, str]:
    return {remark.path: remark.message for remark in imported.remarks}


def written(tmp_path: Path, gateway: str, content: Any) -> Imported:
    path = tmp_path / "given.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return import_file(gateway, str(path))


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_the_result_is_valid_and_has_no_key(gateway: str) -> None:
    imported = example(gateway)
    text = dump_yaml(imported.config)
    assert MeshConfig.from_text(text, environ=VARIABLES).validate() == []
    shown = text + str(imported.remarks)
    assert not [key for key in KEYS if key in shown]


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_every_remark_names_a_key_and_its_line(gateway: str) -> None:
    for remark in example(gateway).remarks:
        assert remark.line, remark
        assert remark.message, remark


def test_litellm_deployments_and_groups() -> None:
    config = example("litellm").config
    assert config["providers"]["openai"] == {
        "connector": "openai.llm.v1",
        "api_key": "${secrets:OPENAI_API_KEY}",
        "headers": {"OpenAI-Organization": "${env:OPENAI_ORG}"},
    }
    house = config["models"]["openai-compatible.qwen3-32b"]
    assert config["providers"][house["provider"]] == {
        "connector": "openai-compatible.v1",
        "base_url": "${env:HOUSE_URL}",
        "api_key": "${secrets:HOUSE_KEY}",
        "timeout": "5m",
        "rate_limit": {"rpm": 60, "tpm": 100000},
    }
    assert house["pricing"] == {"input_per_1m": 0.15, "output_per_1m": 0.6}
    assert house["constraints"] == {"context_window": 32768}
    assert house["features"] == {"tool_calling": True}
    assert (house["weight"], house["defaults"]) == (3.0, {"temperature": 0.2})
    azure = config["providers"]["azure-openai"]
    assert azure["base_url"] == "https://acme-eu.openai.azure.com/openai/v1"
    assert azure["api_version"] == "2024-10-21"
    assert config["providers"]["bedrock"]["base_url"] == "https://bedrock-runtime.eu-central-1.amazonaws.com"
    assert config["providers"]["ollama"]["base_url"] == "http://127.0.0.1:11434/v1"
    gpt = config["pools"]["gpt"]
    assert gpt["models"] == ["openai.gpt-5-mini", "azure-openai.gpt-5-mini-eu"]
    assert gpt["fallback_pools"] == ["claude", "house"]
    assert (gpt["strategy"], gpt["retry"]) == ("latency-first", {"max_attempts": 3, "deadline": "30s"})
    assert gpt["deactivation"] == {"retry_limit": 4}
    assert gpt["recovery"] == {"cooldown": "45s"}
    assert gpt["cache"] == {"ttl": "10m"}
    assert config["pools"]["house"]["fallback_pools"] == ["gpt"]
    assert config["aliases"] == {"gpt-4o": "gpt", "gpt-4o-mini": "house"}
    assert config["daemon"] == {"max_inflight": 200}


def test_litellm_says_what_it_could_not_take_over() -> None:
    remarks = told(example("litellm"))
    assert "no connector for 'watsonx'" in remarks["model_list[7].litellm_params.model"]
    assert "meshctl secrets set OPENAI_API_KEY`" in remarks["model_list[2].litellm_params.api_key"]
    assert "as `groq.MODEL`" in remarks["model_list[6].model_name"]
    assert "a pool for each tag" in remarks["model_list[2].litellm_params.tags"]
    assert "meshctl token create" in remarks["general_settings.master_key"]
    assert "no group 'nothing'" in remarks["router_settings.model_group_alias.gone"]
    assert "litellm_settings.success_callback" in remarks
    assert "router_settings.num_retries" not in remarks


def test_bifrost_keys_models_and_networks() -> None:
    config = example("bifrost").config
    openai, other = config["providers"]["openai"], config["providers"]["openai-2"]
    assert (openai["api_key"], other["api_key"]) == ("${secrets:OPENAI_API_KEY}", "${secrets:OPENAI_API_KEY_2}")
    assert config["models"]["openai/gpt-5"] == {"provider": "openai", "model": "gpt-5"}
    shared = config["pools"]["openai/gpt-5-mini"]
    assert shared == {"models": ["openai.gpt-5-mini", "openai-2.gpt-5-mini"], "strategy": "round-robin"}
    assert [config["models"][id]["weight"] for id in shared["models"]] == [0.7, 0.3]
    assert (openai["timeout"], openai["max_retries"]) == ("40s", 1)
    assert openai["headers"] == {"X-Team": "${env:TEAM}"}
    assert openai["rate_limit"] == {"concurrency": 20}
    assert {"openai/gpt-5", "house/fast", "azure/gpt-5"} <= config["models"].keys()
    assert config["models"]["house/fast"]["model"] == "qwen3-4b"
    assert config["providers"]["house"]["base_url"] == "${env:HOUSE_ROOT}/v1"
    assert config["providers"]["house"]["auth"] == {"method": "none"}
    assert config["providers"]["azure"]["deployments"] == {"gpt-5": "gpt-5-eu"}
    remarks = told(example("bifrost"))
    assert "no connector for 'elsewhere'" in remarks["providers.elsewhere"]
    assert "every model that anthropic lists" in remarks["providers.anthropic"]
    assert "apps" in remarks["governance.virtual_keys"]
    assert "each of openai, openai-2 has some" in remarks["providers.openai"]


def of_keys(folder: Path, *keys: dict[str, Any], **content: Any) -> Imported:
    given = [{"value": f"env.KEY_{number}", "models": ["*"], **key} for number, key in enumerate(keys)]
    return written(folder, "bifrost", {"providers": {"openai": {"keys": given}}, **content})


def keys_of(imported: Imported, provider: str = "openai") -> list[str]:
    found = imported.config["providers"][provider]
    keys = [each["key"] for each in found.get("api_keys", ())] or [found["api_key"]]
    return [key.removeprefix("${secrets:").removesuffix("}") for key in keys]


def test_bifrost_keys_for_the_same_models_are_one_provider_s(tmp_path: Path) -> None:
    imported = of_keys(tmp_path, {"weight": 0.7}, {"weight": 0}, {"weight": -1})
    assert [key["weight"] for key in imported.config["providers"]["openai"]["api_keys"]] == [0.7, 0, 1]
    assert "a number of at least 0" in told(imported)["providers.openai.keys[2].weight"]
    assert list(imported.config) == ["providers"]


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ({"enabled": False}, "is not imported: it is not enabled"),
        ({"models": []}, "is not imported: it is for no model"),
        ({"models": ["a"], "blacklisted_models": ["a"]}, "is not imported: it is for no model"),
        ({"blacklisted_models": ["*"]}, "is not imported: it is for no model"),
    ],
)
def test_bifrost_keys_that_are_not_in_use_are_not_imported(tmp_path: Path, key: dict[str, Any], why: str) -> None:
    imported = of_keys(tmp_path, {}, key)
    assert keys_of(imported) == ["KEY_0"]
    assert told(imported)["providers.openai.keys[1]"].startswith(why)
    with pytest.raises(ConfigurationError, match="none of its keys is in use"):
        of_keys(tmp_path, key)


def test_an_empty_list_of_models_is_all_of_them_in_bifrost_s_first_version(tmp_path: Path) -> None:
    assert keys_of(of_keys(tmp_path, {"models": []}, {}, version=1)) == ["KEY_0", "KEY_1"]


def test_no_bifrost_key_is_used_for_a_model_that_it_is_not_for(tmp_path: Path) -> None:
    imported = of_keys(tmp_path, {}, {"models": ["a", "b"]}, {"models": ["a"]}, {"blacklisted_models": ["b"]})
    config = imported.config
    assert [keys_of(imported, name) for name in config["providers"]] == [["KEY_0"], ["KEY_1"], ["KEY_2"], ["KEY_3"]]
    of_all, of_two, _, of_most = config["providers"]
    assert {config["models"][id]["provider"] for id in config["pools"]["openai/b"]["models"]} == {of_all, of_two}
    assert {config["models"][id]["provider"] for id in config["pools"]["openai/a"]["models"]} == {*config["providers"]}
    assert [name for name, each in config["providers"].items() if "catalogue" in each] == [of_all, of_most]
    assert "without `catalogue.auto_discover`" in told(imported)["providers.openai.keys[3].blacklisted_models"]


def test_bifrost_keys_of_several_places_are_several_providers(tmp_path: Path) -> None:
    def key(place: str) -> dict[str, Any]:
        endpoint = {"endpoint": f"https://{place}.openai.azure.com"}
        return {
            "value": f"env.{place.upper()}",
            "models": ["a"],
            "aliases": {"a": f"a-{place}"},
            "azure_key_config": endpoint,
        }

    config = written(tmp_path, "bifrost", {"providers": {"azure": {"keys": [key("east"), key("west")]}}}).config
    models = [config["models"][id] for id in config["pools"]["azure/a"]["models"]]
    assert [model["model"] for model in models] == ["a-east", "a-west"]
    given = [config["providers"][model["provider"]] for model in models]
    assert [(each["api_key"], each["base_url"]) for each in given] == [
        ("${secrets:EAST}", "https://east.openai.azure.com/openai/v1"),
        ("${secrets:WEST}", "https://west.openai.azure.com/openai/v1"),
    ]


def test_llama_swap_servers_aliases_and_peers() -> None:
    config = example("llama-swap").config
    qwen = config["providers"]["qwen3-32b"]
    assert qwen == {
        "connector": "openai-compatible.v1",
        "base_url": "${env:HOUSE_ROOT}/v1",
        "auth": {"method": "none"},
        "rate_limit": {"concurrency": 4},
        "quirks": {"drop": ["logit_bias", "top_k"]},
    }
    assert config["models"]["qwen3-32b"] == {
        "provider": "qwen3-32b",
        "model": "Qwen/Qwen3-32B",
        "capabilities": ["chat-completion"],
        "features": {"tool_calling": True},
        "constraints": {"context_window": 32768},
        "overrides": {"temperature": 0.6},
    }
    # In order of names, over those whose command or address has a port.
    assert config["providers"]["reranker"]["base_url"] == "http://127.0.0.1:9101/v1"
    assert config["providers"]["small"]["base_url"] == "http://localhost:9102/v1"
    assert config["models"]["reranker"]["capabilities"] == ["reranking"]
    assert config["aliases"] == {"gpt-4o-mini": "qwen3-32b", "my-model": "qwen3-32b"}
    assert config["pools"]["coding"]["models"] == ["qwen3-32b", "small"]
    assert config["providers"]["openrouter"]["base_url"] == "https://openrouter.ai/api/v1"
    assert config["models"]["z-ai/glm-4.7"]["provider"] == "openrouter"
    remarks = told(example("llama-swap"))
    assert "cannot start it" in remarks["models.qwen3-32b.cmd"]
    assert "idle_timeout" in remarks["models"]
    assert config["providers"]["reranker"]["managed"] == {
        "command": "/usr/bin/llama-server",
        "args": ["--port", "9101", "--reranking"],
        "env": {"CUDA_VISIBLE_DEVICES": "0"},
        "ready": "/health",
    }
    assert "is now my-model" in remarks["models.qwen3-32b.aliases"]


def test_portkey_targets_in_targets() -> None:
    config = example("portkey").config
    assert config["pools"]["portkey"] == {
        "strategy": "priority-selection",
        "fallback_pools": ["portkey-2"],
        "models": ["openai-compatible.qwen3-32b"],
        "retry": {"max_attempts": 3, "retryable_codes": [429, 503], "honor_retry_after": True},
        "cache": {"ttl": "15m"},
    }
    assert config["pools"]["portkey-2"] == {
        "strategy": "round-robin",
        "models": ["anthropic.claude-sonnet-4-5", "mistral.mistral-large-latest"],
    }
    assert config["models"]["anthropic.claude-sonnet-4-5"]["weight"] == 0.8
    assert config["providers"]["openai-compatible"]["timeout"] == "20s"
    remarks = told(example("portkey"))
    assert "kept by Portkey" in remarks["targets[1].targets[1].virtual_key"]
    assert "only Portkey knows" in remarks["targets[1].targets[2].provider"]
    assert "hook" in remarks["input_guardrails"]


@pytest.mark.parametrize(
    ("config", "pool"),
    [
        ({"provider": "openai"}, {"capability": "chat-completion", "providers": ["openai"]}),
        ({"data": {"config": {"provider": "groq"}}}, {"capability": "chat-completion", "providers": ["groq"]}),
        (
            {"strategy": {"mode": "fallback"}, "targets": [{"provider": "openai"}, {"provider": "google"}]},
            {"providers": ["openai", "gemini"], "provider_priority": ["openai", "gemini"]},
        ),
        ({"targets": [{"targets": [{"provider": "openai"}]}]}, {"providers": ["openai"]}),
        ({"targets": [{"targets": []}, {"provider": "openai"}]}, {"providers": ["openai"]}),
    ],
)
def test_portkey_configs_of_other_shapes(tmp_path: Path, config: Any, pool: dict[str, Any]) -> None:
    found = written(tmp_path, "portkey", config).config["pools"]["portkey"]
    assert found | pool == found


def test_values_that_are_not_accepted_are_left_out_and_told_of(tmp_path: Path) -> None:
    params = {"model": "openai/gpt-5", "extra_headers": {"a b": "c"}}
    imported = written(tmp_path, "litellm", {"model_list": [{"model_name": "a b", "litellm_params": params}]})
    assert list(imported.config["pools"]) == ["a-b"]
    assert MeshConfig.from_dict(imported.config, environ={}).validate() == []
    assert any(
        (remark.path, remark.line) == ("model_list[0]", 1)
        and "`providers.openai.headers.a b` is left out" in remark.message
        for remark in imported.remarks
    )


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "[]",
        "a: [",
        {"model_list": 5, "providers": [], "models": "a", "targets": {"a": 1}},
        {"model_list": [None, 5, {}], "providers": {"openai": 5}, "models": {"a": None}, "targets": [[], None]},
    ],
)
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, gateway: str, content: Any) -> None:
    with pytest.raises(ConfigurationError):
        written(tmp_path, gateway, content)
