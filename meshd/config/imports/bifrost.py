"""Bifrost's config.json: providers with weighted keys, each of which may be for certain models only.

Must never: mark a key as known without translating it, or let a key be used for a model that it is not for.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NamedTuple

from meshd.config.check.error_messages import shown
from meshd.config.imports.addresses import address, extended
from meshd.config.imports.draft import COMPATIBLE, Draft, without_empty
from meshd.config.imports.given import Given
from meshd.config.units import write_duration
from meshd.sdk.connector import ConnectorSpec

VARIABLE = r"^env\.([A-Za-z_][A-Za-z0-9_]*)$"
_ALL = "*"


class _Allowed(NamedTuple):
    """What a key is for. models: the name that apps use → the provider's. others: all others too, except those that are
    blocked."""

    models: dict[str, str]
    others: bool
    blocked: frozenset[str] = frozenset()


class _Lot(NamedTuple):
    """Keys that may be used in place of each other. place: settings of their provider."""

    keys: list[Given]
    allowed: _Allowed
    place: dict[str, Any]


def read(given: Given, draft: Draft) -> None:
    version = given.whole("version")
    given.take("$schema")
    for provider in given.each("providers"):
        _provider(provider, draft, empty_is_all=version == 1)
    client = given.below("client")
    key = "max_request_body_size_mb"
    largest = client.whole(key)
    draft.limit("max_message_size", f"{largest}MiB" if largest else None, client.at(key))


def _provider(given: Given, draft: Draft, empty_is_all: bool) -> None:
    network, custom = given.below("network_config"), given.below("custom_provider_config")
    base = network.text("base_url")
    spec = draft.spec(custom.text("base_provider_type") or given.name)
    custom.take("is_key_less")
    if spec is not None and spec.short_name == "openai" and base and "openai.com" not in base:
        spec = draft.spec(COMPATIBLE)
    if spec is None or (spec.short_name == COMPATIBLE and base is None):
        draft.refuse(given, given.path, f"there is no connector for {shown(given.name)}, and no `base_url`")
        return
    keys = given.each("keys")
    lots = _lots(keys, spec, draft, empty_is_all) if keys else [_Lot([], _Allowed({}, others=True), {})]
    if not lots:
        draft.refuse(given, given.path, "none of its keys is in use")
        return
    settings: dict[str, Any] = {"connector": spec.id}
    if base:
        settings["base_url"] = address(spec, draft.value(base), "/v1")
    settings |= _network(network, given, draft)
    _models(given, [(name, lot) for lot in lots if (name := _of_lot(lot, settings, given, spec, draft))], spec, draft)


# -- keys ---------------------------------------------------------------------------------------------


def _lots(keys: list[Given], spec: ConnectorSpec, draft: Draft, empty_is_all: bool) -> list[_Lot]:
    """The keys that are in use, sorted by what they are for."""
    lots: dict[str, _Lot] = {}
    for key in keys:
        key.take("name", "id")
        if key.flag("enabled") is False:
            draft.refuse(key, key.path, "it is not enabled")
            continue
        allowed = _allowed(key, empty_is_all)
        if not allowed.models and not allowed.others:
            draft.refuse(key, key.path, 'it is for no model; `"models": ["*"]` makes it one for all')
            continue
        place = _place(key, spec, draft)
        kind = json.dumps([allowed.models, allowed.others, sorted(allowed.blocked), place], sort_keys=True)
        lots.setdefault(kind, _Lot([], allowed, place)).keys.append(key)
    return _with_named_models(list(lots.values()))


def _with_named_models(lots: list[_Lot]) -> list[_Lot]:
    """The same, where keys for all models also have those that other keys name."""
    named = {name: name for lot in lots for name in lot.allowed.models}
    for lot in lots:
        if lot.allowed.others and len(lots) > 1:
            more = {name: name for name in named if name not in lot.allowed.blocked}
            lot.allowed.models.update(more | lot.allowed.models)
    return lots


def _allowed(key: Given, empty_is_all: bool) -> _Allowed:
    names = key.texts("models")
    others = _ALL in names or (empty_is_all and not key.peek("models"))
    aliases = key.below("aliases")
    models = {name: name for name in names if name != _ALL}
    models |= {alias: target for alias in aliases if (target := _target(aliases, alias))}
    given = key.peek("blacklisted_models")
    blocked = frozenset(each for each in given if isinstance(each, str)) if isinstance(given, list) else frozenset()
    if _ALL in blocked:
        return _Allowed({}, others=False)
    if not others:  # else it stays for a remark, since the mesh cannot offer all but some
        key.texts("blacklisted_models")
    return _Allowed({name: model for name, model in models.items() if name not in blocked}, others, blocked)


def _target(aliases: Given, alias: str) -> str | None:
    detailed = aliases.below(alias)
    return detailed.text("model_id") if detailed else aliases.text(alias)


def _place(key: Given, spec: ConnectorSpec, draft: Draft) -> dict[str, Any]:
    """What Bifrost stores with each key and the mesh with the provider."""
    azure, bedrock, vertex = (key.below(f"{name}_key_config") for name in ("azure", "bedrock", "vertex"))
    if spec.short_name == "azure-openai" and (endpoint := azure.text("endpoint")):
        dated = azure.peek_text("api_version")[:4].isdigit()
        deployments = azure.below("deployments")
        return without_empty(
            {
                "base_url": extended(draft.value(endpoint), "/openai/v1"),
                "api_version": azure.text("api_version") if dated else None,
                "deployments": {name: model for name in deployments if (model := deployments.text(name))},
            }
        )
    if spec.short_name == "bedrock" and (region := bedrock.text("region")):
        return {"base_url": f"https://bedrock-runtime.{draft.value(region)}.amazonaws.com"}
    if spec.short_name == "vertex" and (project := vertex.text("project_id")):
        where = draft.value(vertex.text("region") or "global")
        host = "aiplatform.googleapis.com" if where == "global" else f"{where}-aiplatform.googleapis.com"
        return {"base_url": f"https://{host}/v1/projects/{draft.value(project)}/locations/{where}/publishers/google"}
    return {}


def _of_lot(lot: _Lot, settings: dict[str, Any], given: Given, spec: ConnectorSpec, draft: Draft) -> str | None:
    """The name of the provider with these keys."""
    own = settings | lot.place | _credentials(given.name, lot.keys, spec, draft)
    if lot.allowed.models and lot.allowed.others:
        own["catalogue"] = {"auto_discover": True}
    return draft.provider(given.name, without_empty(own), given)


def _credentials(owner: str, keys: list[Given], spec: ConnectorSpec, draft: Draft) -> dict[str, Any]:
    found = []
    for key in keys:
        credentials = draft.credentials(key.text("value"), key.at("value"), owner, spec)
        weight = _weight(key)
        if "api_key" in credentials:
            found.append({"key": credentials["api_key"], "weight": weight})
    if not found:
        return draft.credentials(None, (), owner, spec)
    return {"api_key": found[0]["key"]} if len(found) == 1 else {"api_keys": found}


def _weight(key: Given) -> float:
    weight = key.number("weight")
    return weight if weight is not None else 1.0


# -- models -------------------------------------------------------------------------------------------


def _models(given: Given, found: list[tuple[str, _Lot]], spec: ConnectorSpec, draft: Draft) -> None:
    """A model for each name that apps use, and a pool if several providers have it."""
    of_names: dict[str, list[str]] = {}
    count = Counter(name for _, lot in found for name in lot.allowed.models)
    shared = [name for name, providers in count.items() if providers > 1]
    for provider, lot in found:
        for name, model in lot.allowed.models.items():
            entry = {
                "provider": provider,
                "model": model,
                "capabilities": ["chat-completion"] if spec.short_name == COMPATIBLE else None,
                "weight": sum(map(_weight, lot.keys)) if count[name] > 1 else None,
            }
            wanted = f"{provider}.{model}" if count[name] > 1 else f"{given.name}/{name}"
            of_names.setdefault(name, []).append(draft.model(wanted, without_empty(entry), given.path))
        if lot.allowed.others:
            draft.remark(given.path, f"every model that {provider} lists is offered, as `{provider}.MODEL`")
    for name in shared:
        pool = draft.pool(f"{given.name}/{name}", given.path)
        pool |= {"models": of_names[name], "strategy": "round-robin"}
    if len(found) > 1:
        names = ", ".join(provider for provider, _ in found)
        draft.remark(given.path, f"its keys are not for the same models: each of {names} has some, and all its limits")


# -- network ------------------------------------------------------------------------------------------


def _network(network: Given, given: Given, draft: Draft) -> dict[str, Any]:
    timeout = network.positive("default_request_timeout_in_seconds")
    at_once = given.below("concurrency_and_buffer_size").whole("concurrency")
    return {
        "timeout": write_duration(timeout) if timeout else None,
        "max_retries": network.whole("max_retries", least=0),
        "connection_pool": without_empty({"max_connections": network.whole("max_conns_per_host")}),
        "headers": draft.headers(network.below("extra_headers")),
        "proxy": _proxy(given.below("proxy_config"), draft),
        "rate_limit": without_empty({"concurrency": at_once}),
    }


def _proxy(proxy: Given, draft: Draft) -> str | None:
    """Its user and password are for a remark: they may be in the address."""
    kind = proxy.one_of("type", ("none", "http", "socks5"))
    url = proxy.text("url") if kind in ("http", "socks5") else None
    return draft.value(url) if url else None
