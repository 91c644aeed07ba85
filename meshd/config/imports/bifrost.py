"""Bifrost's config.json: providers with weighted keys.

Must never: mark a key as known without translating it.
"""

from __future__ import annotations

from typing import Any

from meshd.config.imports.draft import COMPATIBLE, Draft, address, seconds, whole, without_empty
from meshd.config.imports.given import Given
from meshd.sdk.connector import ConnectorSpec

VARIABLE = r"^env\.([A-Za-z_][A-Za-z0-9_]*)$"


def read(given: Given, draft: Draft) -> None:
    given.take("$schema", "version")
    for provider in given.each("providers"):
        _provider(provider, draft)
    origins = given.below("client").number("max_request_body_size_mb")
    if origins:
        draft.daemon["max_message_size"] = f"{int(origins)}MiB"


def _provider(given: Given, draft: Draft) -> None:
    network, custom = given.below("network_config"), given.below("custom_provider_config")
    base = network.text("base_url")
    of_type = custom.text("base_provider_type") or given.name
    spec = draft.spec(of_type)
    custom.take("is_key_less")
    if spec is not None and spec.short_name == "openai" and base and "openai.com" not in base:
        spec = draft.spec(COMPATIBLE)
    if spec is None or (spec.short_name == COMPATIBLE and base is None):
        draft.refuse(given, given.path, f"there is no connector for {given.name}, and no `base_url`")
        return
    settings: dict[str, Any] = {"connector": spec.id}
    if base:
        settings["base_url"] = address(spec, draft.value(base), "/v1")
    keys = given.each("keys")
    settings |= _keys(given.name, keys, spec, draft) | _of_clouds(keys, spec, draft) | _network(network, given, draft)
    provider = draft.provider(given.name, without_empty(settings))
    for model, name in _models(keys).items():
        capability = ["chat-completion"] if spec.short_name == COMPATIBLE else None
        entry = {"provider": provider, "model": name, "capabilities": capability}
        draft.model(f"{provider}/{model}", without_empty(entry))
    if not _models(keys):
        draft.remark(given.path, f"every model that {provider} lists is offered, as `{provider}.MODEL`")


def _keys(owner: str, keys: list[Given], spec: ConnectorSpec, draft: Draft) -> dict[str, Any]:
    found = []
    for key in keys:
        key.take("name", "id", "enabled")
        credentials = draft.credentials(key.text("value"), key.at("value"), owner, spec)
        weight = key.number("weight")
        if "api_key" in credentials:
            found.append({"key": credentials["api_key"], "weight": weight if weight is not None else 1.0})
    if not found:
        return draft.credentials(None, (), owner, spec)
    return {"api_key": found[0]["key"]} if len(found) == 1 else {"api_keys": found}


def _models(keys: list[Given]) -> dict[str, str]:
    """The name that apps use → the provider's. Empty: all."""
    found: dict[str, str] = {}
    every = not keys
    for key in keys:
        names = key.texts("models")
        every = every or not names or "*" in names
        found |= {name: name for name in names if name != "*"}
        aliases = key.below("aliases")
        found |= {alias: str(target) for alias in aliases if (target := aliases.text(alias))}
    return {} if every and all(name == model for name, model in found.items()) else found


def _of_clouds(keys: list[Given], spec: ConnectorSpec, draft: Draft) -> dict[str, Any]:
    """What Bifrost stores with each key and the mesh with the provider; the first key's values are used."""
    found: dict[str, Any] = {}
    for key in keys:
        azure, bedrock, vertex = (key.below(f"{name}_key_config") for name in ("azure", "bedrock", "vertex"))
        if spec.short_name == "azure-openai" and (endpoint := azure.text("endpoint")):
            found.setdefault("base_url", draft.value(endpoint).rstrip("/") + "/openai/v1")
            if str(azure.peek("api_version") or "")[:4].isdigit():
                found.setdefault("api_version", azure.text("api_version"))
            deployments = azure.below("deployments")
            found.setdefault("deployments", {name: deployments.text(name) for name in deployments})
        elif spec.short_name == "bedrock" and (region := bedrock.text("region")):
            found.setdefault("base_url", f"https://bedrock-runtime.{draft.value(region)}.amazonaws.com")
        elif spec.short_name == "vertex" and (project := vertex.text("project_id")):
            where = draft.value(vertex.text("region") or "global")
            host = "aiplatform.googleapis.com" if where == "global" else f"{where}-aiplatform.googleapis.com"
            path = f"projects/{draft.value(project)}/locations/{where}/publishers/google"
            found.setdefault("base_url", f"https://{host}/v1/{path}")
    return found


def _network(network: Given, given: Given, draft: Draft) -> dict[str, Any]:
    timeout = network.number("default_request_timeout_in_seconds")
    retries = network.number("max_retries")
    headers = network.below("extra_headers")
    proxy = given.below("proxy_config")
    at_once = given.below("concurrency_and_buffer_size").number("concurrency")
    kind, url = proxy.peek("type"), proxy.peek("url")
    if kind in ("http", "socks5") and isinstance(url, str):
        proxy.take("type", "url")
    elif kind == "none":
        proxy.take("type")
    return {
        "timeout": seconds(timeout) if timeout else None,
        "max_retries": int(retries) if retries else None,
        "connection_pool": without_empty({"max_connections": whole(network.number("max_conns_per_host"))}),
        "headers": {name: draft.value(value) for name in headers if (value := headers.text(name))},
        "proxy": draft.value(url) if kind in ("http", "socks5") and isinstance(url, str) else None,
        "rate_limit": {"concurrency": whole(at_once)} if whole(at_once) else None,
    }
