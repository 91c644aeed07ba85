"""A Portkey config: a JSON object with nested targets, each of which becomes a pool or a model.

Must never: mark a key as known without translating it.
"""

from __future__ import annotations

from typing import Any

from meshd.config.imports.addresses import address
from meshd.config.imports.draft import COMPATIBLE, Draft, rest_of, without_empty
from meshd.config.imports.given import Given
from meshd.config.units import write_duration

VARIABLE = None
POOL = "portkey"
"""The pool of the whole config: Portkey's has no name."""
_DEEPEST = 16
_STRATEGIES = {"loadbalance": "round-robin", "fallback": "priority-selection", "single": "priority-selection"}
_CHAT = "chat-completion"


def read(given: Given, draft: Draft) -> None:
    for wrapper in ("data", "config"):  # as the API answers
        if wrapper in given and not given.peek("targets"):
            given = given.below(wrapper)
    if given.peek("targets"):
        _pool(given, POOL, draft)
    else:
        _fill(draft.pool(POOL, given.at("provider")), [_target(given, draft)], given, draft)


def _pool(given: Given, name: str, draft: Draft, depth: int = 0) -> None:
    """A list of targets. A target that has targets itself becomes a pool of its own, to fall back to."""
    strategy = given.below("strategy")
    mode = strategy.one_of("mode", _STRATEGIES)
    pool = draft.pool(name, given.at("targets"))
    pool["strategy"] = _STRATEGIES[mode or "single"]
    found: list[dict[str, Any]] = []
    for number, target in enumerate(given.each("targets"), start=1):
        if target.peek("targets") and depth < _DEEPEST:
            below = draft.free(f"{name}-{target.text('name') or number}", draft.pools)
            _pool(target, below, draft, depth + 1)
            if draft.pools.get(below, {}).keys() & {"models", "providers"}:
                pool.setdefault("fallback_pools", []).append(below)
                if mode == "loadbalance":
                    draft.remark(
                        target.path, f"is not part of the load balancing: the pool {below} is asked after the others"
                    )
        else:
            found.append(_target(target, draft))
    _fill(pool, found, given, draft)
    if not pool.keys() & {"models", "providers"}:
        _without_own(name, pool, draft)


def _without_own(name: str, pool: dict[str, Any], draft: Draft) -> None:
    """Give a pool whose targets are all pools the models of the first one."""
    others = pool.pop("fallback_pools", [])
    if not others:
        del draft.pools[name]
        return
    first = draft.pools[others[0]]
    pool |= {key: value for key, value in first.items() if key != "fallback_pools"}
    rest = [*first.get("fallback_pools", []), *others[1:]]
    if rest:
        pool["fallback_pools"] = rest


def _target(given: Given, draft: Draft) -> dict[str, Any]:
    """`{"provider", "model"}`; without a model, the app names one. Empty: it cannot be imported."""
    name = given.text("provider") or ""
    given.take("name", "index")
    slug = name.startswith("@")
    spec = draft.spec(name.lstrip("@").partition("/")[0])
    base = given.text("custom_host", "customHost")
    if spec is not None and spec.short_name == "openai" and base:
        spec = draft.spec(COMPATIBLE)
    if spec is None or (spec.short_name == COMPATIBLE and not base):
        known = (
            "an integration whose provider only Portkey knows"
            if slug or not name
            else "of a provider without a connector"
        )
        given.take("override_params", "overrideParams", "weight", "retry", "cache", "request_timeout")
        draft.remark(given.at("provider") if name else given.path, f"is not imported: it is {known}")
        return {}
    settings: dict[str, Any] = {"connector": spec.id}
    if base:
        settings["base_url"] = address(spec, base)
    at = given.at("api_key" if "api_key" in given else "apiKey")
    settings |= draft.credentials(given.text("api_key", "apiKey"), at, spec.short_name, spec)
    timeout = given.positive("request_timeout", "requestTimeout")
    if timeout:
        settings["timeout"] = write_duration(timeout / 1000)
    _resource(given, spec.short_name, settings)
    provider = draft.provider(spec.short_name, settings, given)
    if provider is None:
        return {}
    parameters = given.below("override_params" if "override_params" in given else "overrideParams")
    model = parameters.text("model")
    overrides = rest_of(parameters, (name for name in parameters if name != "model"))
    if model is None:
        return {"provider": provider}
    entry = {
        "provider": provider,
        "model": model,
        "capabilities": [_CHAT] if spec.short_name == COMPATIBLE else None,
        "overrides": overrides,
        "weight": given.number("weight"),
    }
    return {"provider": provider, "model": _model(f"{provider}.{model}", without_empty(entry), given, draft)}


def _model(wanted: str, entry: dict[str, Any], given: Given, draft: Draft) -> str:
    """Several targets that are the same model share one entry."""
    return wanted if draft.models.get(wanted) == entry else draft.model(wanted, entry, given.path)


def _resource(given: Given, connector: str, settings: dict[str, Any]) -> None:
    if connector == "azure-openai" and (resource := given.text("resource_name", "azure_resource_name")):
        settings["base_url"] = f"https://{resource}.openai.azure.com/openai/v1"
        if given.peek_text("api_version")[:4].isdigit():
            settings["api_version"] = given.text("api_version")
    elif connector == "bedrock" and (region := given.text("aws_region")):
        settings["base_url"] = f"https://bedrock-runtime.{region}.amazonaws.com"


def _fill(pool: dict[str, Any], targets: list[dict[str, Any]], given: Given, draft: Draft) -> None:
    """Put the targets into the pool, and what applies to all of them."""
    models = list(dict.fromkeys(target["model"] for target in targets if "model" in target))
    open_to_all = list(dict.fromkeys(target["provider"] for target in targets if target and "model" not in target))
    if models:
        pool["models"] = models
        if pool.get("strategy") == "priority-selection" and len(models) > 1:
            pool["model_priority"] = models
        if open_to_all:
            draft.remark(
                given.at("targets"), f"its targets without a model are not in the pool: {', '.join(open_to_all)}"
            )
    elif open_to_all:
        pool |= {"capability": _CHAT, "providers": open_to_all}
        if len(open_to_all) > 1 and pool.get("strategy") == "priority-selection":
            pool["provider_priority"] = open_to_all
    retry, cache = given.below("retry"), given.below("cache")
    attempts = retry.whole("attempts", least=0)
    own = {
        "max_attempts": attempts + 1 if attempts is not None else None,
        "retryable_codes": retry.statuses("on_status_codes") or retry.statuses("onStatusCodes"),
        "honor_retry_after": retry.flag("use_retry_after_headers"),
    }
    pool |= {"retry": without_empty(own)} if without_empty(own) else {}
    if cache.one_of("mode", ("simple",)):
        age = cache.whole("max_age", "maxAge")
        pool["cache"] = {"ttl": write_duration(age)} if age else {}
