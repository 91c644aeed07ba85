"""Secrets in other gateways' files: none is copied, wherever it is, and what is written instead can be filled in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from meshd.config import MeshConfig
from meshd.config.imports.gateways import Imported, import_file
from meshd.config.write.dumping import dump_yaml
from modelmesh.errors import ConfigurationError

KEY = "Zx9Qw8Er7Ty6Ui5Op4"
NAMED_IN = re.compile(r"`meshctl secrets set ([A-Z][A-Z0-9_]*)`")


def litellm(**params: Any) -> Any:
    return {"model_list": [{"model_name": "a", "litellm_params": {"model": "openai/a", **params}}]}


def bifrost(**provider: Any) -> Any:
    keys = [] if "@" in str(provider) else [{"value": "env.A", "models": ["a"]}]  # the mesh has one credential, not two
    return {"providers": {"openai": {"keys": keys, **provider}}}


def swap(**model: Any) -> Any:
    return {"models": {"a": {"cmd": "server --port ${PORT}", **model}}}


def peer(**given: Any) -> Any:
    return {"peers": {"far": {"proxy": "https://far.example", "models": ["a"], **given}}}


def portkey(**target: Any) -> Any:
    return {"targets": [{"provider": "openai", "override_params": {"model": "a"}, **target}]}


HEADERS = (
    "Authorization",
    "authorization",
    "x-api-key",
    "api-key",
    "X-Goog-Api-Key",
    "X-Auth-Token",
    "Cookie",
    "X-Team",
)
VARIABLES = ("HF_TOKEN", "OPENAI_API_KEY", "A_SECRET", "DB_PASSWORD")
ADDRESSES = (
    f"http://user:{KEY}@host:81/v1",
    f"http://{KEY}@host/v1",
    f"https://host/v1?key={KEY}",
    f"https://host/v1?a=b&api_key={KEY}",
    f"https://user:p@host/v1?access_token={KEY}&a=b",
)
ARGUMENTS = (
    f"--api-key {KEY}",
    f"--api-key={KEY}",
    f"--api-key '{KEY}'",
    f"-hf-token {KEY}",
    f"--hf-token={KEY}",
    f"--password {KEY}",
    f"-e HF_TOKEN={KEY}",
    f"--env=HF_TOKEN={KEY}",
    f"-c 'other --api-key {KEY} --verbose'",
    f"--header 'Authorization: Bearer {KEY}'",
    f"-hft hf_{KEY}",
    f"--proxy http://user:{KEY}@proxy:3128",
    f"--max-tokens 4096 sk-{KEY}",
)
CASES: list[tuple[str, Any]] = [
    *(("litellm", litellm(extra_headers={name: KEY})) for name in HEADERS),
    *(("litellm", litellm(default_headers={name: f"Bearer {KEY}"})) for name in HEADERS),
    *(("litellm", litellm(api_base=url)) for url in ADDRESSES),
    ("litellm", litellm(api_key=KEY)),
    ("litellm", litellm(user=f"sk-{KEY}")),
    *(("bifrost", bifrost(network_config={"extra_headers": {name: KEY}})) for name in HEADERS),
    *(("bifrost", bifrost(network_config={"base_url": url})) for url in ADDRESSES),
    *(("bifrost", bifrost(proxy_config={"type": "http", "url": url})) for url in ADDRESSES),
    ("bifrost", bifrost(proxy_config={"type": "http", "url": "http://a:1", "username": "me", "password": KEY})),
    ("bifrost", {"providers": {"openai": {"keys": [{"value": KEY, "models": ["*"]}]}}}),
    *(("llama-swap", swap(cmd=f"server --port ${{PORT}} {words}")) for words in ARGUMENTS),
    *(("llama-swap", swap(cmd="server --port ${PORT} ${more}", macros={"more": words})) for words in ARGUMENTS),
    *(("llama-swap", swap(env=[f"{name}={KEY}"])) for name in VARIABLES),
    ("llama-swap", swap(env=[f"REDIS=redis://:{KEY}@host/0", f"PLAIN=hf_{KEY}"])),
    ("llama-swap", swap(filters={"setParams": {"api_key": KEY, "extra": {"headers": {"Authorization": KEY}}}})),
    *(("llama-swap", swap(proxy=url)) for url in ADDRESSES),
    *(("llama-swap", peer(proxy=url)) for url in ADDRESSES),
    ("llama-swap", peer(apiKey=KEY)),
    *(("portkey", portkey(custom_host=url)) for url in ADDRESSES),
    ("portkey", portkey(api_key=KEY)),
    ("portkey", portkey(virtual_key=KEY, custom_headers={"Authorization": KEY})),
    ("portkey", portkey(override_params={"model": "a", "api_key": KEY, "headers": {"x-api-key": KEY}})),
]  # fmt: skip


def imported(folder: Path, gateway: str, content: Any) -> Imported:
    path = folder / "given.json"
    path.write_text(json.dumps(content, indent=1))
    return import_file(gateway, str(path))


@pytest.mark.parametrize(("gateway", "content"), CASES, ids=[f"{gateway}-{n}" for n, (gateway, _) in enumerate(CASES)])
def test_no_secret_is_copied(tmp_path: Path, gateway: str, content: Any) -> None:
    found = imported(tmp_path, gateway, content)
    text = dump_yaml(found.config)
    assert KEY not in text + str(found.remarks)
    config = MeshConfig.from_dict(found.config, environ={})
    assert config.validate() == []
    wanted = set(config.secret_references()) - {"A", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"}
    told = {name: remark for remark in found.remarks for name in NAMED_IN.findall(remark.message)}
    assert wanted <= told.keys()
    assert all(remark.line and remark.path for remark in told.values())


@pytest.mark.parametrize(
    ("gateway", "content"),
    [
        ("litellm", litellm(api_base=f"http://user:{KEY}/#?@host/v1")),
        ("litellm", litellm(api_base=f"http://user:{KEY}@host:99999")),
        ("llama-swap", peer(proxy=f"user:{KEY}@host", apiKey=KEY)),
        ("llama-swap", peer(proxy=f"https://user:{KEY}@host", apiKey=f"{KEY}-2")),
    ],
)
def test_a_refusal_tells_no_secret(tmp_path: Path, gateway: str, content: Any) -> None:
    with pytest.raises(ConfigurationError) as refused:
        imported(tmp_path, gateway, content)
    assert KEY not in str(refused.value) + str(refused.value.extra)


def test_a_key_is_told_of_only_if_it_is_needed(tmp_path: Path) -> None:
    content = litellm(api_key=KEY)
    params = {"model": "anthropic/a", "api_base": "https://[::1", "api_key": f"{KEY}-2"}
    content["model_list"].append({"model_name": "b", "litellm_params": params})
    told = [remark.message for remark in imported(tmp_path, "litellm", content).remarks]
    assert [name for message in told for name in NAMED_IN.findall(message)] == ["OPENAI_API_KEY"]
    assert any("its address is not one of a server" in message for message in told)


def only(config: dict[str, Any]) -> dict[str, Any]:
    (provider,) = config["providers"].values()
    return provider


def test_what_is_no_secret_stays(tmp_path: Path) -> None:
    headers = {"X-Team": "blue", "X-Api-Version": "2024-10-21", "anthropic-beta": "prompt-caching-2024-07-31"}
    found = imported(
        tmp_path, "litellm", litellm(extra_headers=headers, api_base="https://host/v1?api-version=2024-10-21")
    )
    assert only(found.config)["headers"] == headers
    assert only(found.config)["base_url"] == "https://host/v1?api-version=2024-10-21"
    words = (
        "--port ${PORT} --max-tokens 4096 --api-key-file /a/key -m /models/fw-llama-3-8b-instruct.gguf --tokenizer t"
    )
    found = imported(
        tmp_path, "llama-swap", swap(cmd=f"server {words}", env=["CUDA_VISIBLE_DEVICES=0", "MAX_TOKENS=5"])
    )
    assert only(found.config)["managed"]["args"] == words.replace("${PORT}", "5800").split()
    assert only(found.config)["managed"]["env"] == {"CUDA_VISIBLE_DEVICES": "0", "MAX_TOKENS": "5"}


def test_references_stay_references(tmp_path: Path) -> None:
    headers = {"Authorization": "os.environ/TOKEN"}
    found = imported(tmp_path, "litellm", litellm(extra_headers=headers, api_key="os.environ/KEY"))
    assert only(found.config)["headers"] == {"Authorization": "${env:TOKEN}"}
    assert found.remarks == ()
    words = "--port ${PORT} --api-key ${env.LLAMA_KEY}"
    found = imported(tmp_path, "llama-swap", swap(cmd=f"server {words}", env=["HF_TOKEN=${env.HF_TOKEN}"]))
    assert only(found.config)["managed"]["args"][-1] == "${env:LLAMA_KEY}"
    assert only(found.config)["managed"]["env"] == {"HF_TOKEN": "${env:HF_TOKEN}"}


def test_the_scheme_of_a_header_and_the_rest_of_an_address_stay(tmp_path: Path) -> None:
    given = litellm(
        extra_headers={"Authorization": f"Bearer {KEY}"}, api_base=f"https://me:{KEY}-2@host/v1?key={KEY}-3"
    )
    config = only(imported(tmp_path, "litellm", given).config)
    assert config["headers"]["Authorization"] == "Bearer ${secrets:HOST_AUTHORIZATION}"
    assert config["base_url"] == "https://me:${secrets:HOST_PASSWORD}@host/v1?key=${secrets:HOST_KEY}"


def test_one_secret_has_one_name_and_two_secrets_have_two(tmp_path: Path) -> None:
    given = litellm(
        api_key=KEY, extra_headers={"x-api-key": KEY, "Authorization": f"{KEY}-2", "authorization": f"{KEY}-3"}
    )
    config = only(imported(tmp_path, "litellm", given).config)
    assert config["api_key"] == config["headers"]["x-api-key"] == "${secrets:OPENAI_API_KEY}"
    assert config["headers"]["Authorization"] == "${secrets:OPENAI_AUTHORIZATION}"
    assert config["headers"]["authorization"] == "${secrets:OPENAI_AUTHORIZATION_2}"


def test_a_server_that_is_started_with_a_key_is_asked_with_it(tmp_path: Path) -> None:
    found = imported(tmp_path, "llama-swap", swap(cmd=f"server --port ${{PORT}} --api-key {KEY}"))
    provider = only(found.config)
    assert provider["api_key"] == provider["managed"]["args"][-1] == "${secrets:A_API_KEY}"


def test_the_remark_is_at_the_place_of_the_secret(tmp_path: Path) -> None:
    given = swap(cmd="server --port ${PORT} ${more}") | {"macros": {"more": f"--hf-token {KEY}"}}
    remarks = {remark.path: remark.message for remark in imported(tmp_path, "llama-swap", given).remarks}
    assert "`meshctl secrets set A_HF_TOKEN`" in remarks["macros.more"]
