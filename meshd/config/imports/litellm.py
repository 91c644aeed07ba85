"""LiteLLM's config.yaml: deployments become models, groups of one name become pools.

Must never: mark a key as known without translating it.
"""

from __future__ import annotations

from typing import Any

from meshd.config.check.error_messages import shown
from meshd.config.imports.addresses import address, extended, host_of
from meshd.config.imports.draft import COMPATIBLE, Draft, rest_of, valid, without_empty
from meshd.config.imports.given import Given
from meshd.config.units import write_duration
from meshd.sdk.connector import ConnectorSpec

VARIABLE = r"^os\.environ/([A-Za-z_][A-Za-z0-9_]*)$"

_DEFAULTS = (
    *("temperature", "top_p", "max_tokens", "max_completion_tokens", "presence_penalty", "frequency_penalty", "seed"),
    *("stop", "n", "user", "response_format", "reasoning_effort", "logit_bias", "dimensions", "voice"),
)
"""Parameters of requests that a deployment may set."""
_MODES = {
    "chat": "chat-completion",
    "completion": "text-completion",
    "embedding": "text-embeddings",
    "image_generation": "text-to-image",
    "audio_transcription": "speech-to-text",
    "audio_speech": "text-to-speech",
    "moderation": "moderation",
    "rerank": "reranking",
}
_FEATURES = {
    "supports_function_calling": "tool_calling",
    "supports_vision": "vision",
    "supports_response_schema": "structured_output",
    "supports_reasoning": "reasoning",
    "supports_system_messages": "system_prompt",
}
_STRATEGIES = {
    "simple-shuffle": "round-robin",
    "least-busy": "load-balanced",
    "usage-based-routing": "rate-limit-aware",
    "usage-based-routing-v2": "rate-limit-aware",
    "latency-based-routing": "latency-first",
    "cost-based-routing": "cost-first",
}
_FALLBACKS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")
_BY_NAME = {"gpt": "openai", "o1": "openai", "o3": "openai", "o4": "openai", "text-embedding": "openai",
            "claude": "anthropic", "gemini": "gemini", "command": "cohere", "deepseek": "deepseek"}  # fmt: skip
"""Providers of models that are named without one."""


def read(given: Given, draft: Draft) -> None:
    settings = [given.below("router_settings"), given.below("litellm_settings")]
    for deployment in given.each("model_list"):
        _deployment(deployment, draft)
    _pools(settings, draft)
    _fallbacks(settings, draft)
    _aliases(settings[0], draft)
    general = given.below("general_settings")
    key = "global_max_parallel_requests"
    draft.limit("max_inflight", general.whole(key), general.at(key))
    settings[0].take("enable_pre_call_checks")  # the mesh always does this


# -- deployments --------------------------------------------------------------------------------------


def _deployment(deployment: Given, draft: Draft) -> None:
    params, info = deployment.below("litellm_params"), deployment.below("model_info")
    group, full = deployment.text("model_name"), params.text("model")
    if not group or not full:
        draft.refuse(deployment, deployment.path, "it has no `model_name` or no `litellm_params.model`")
        return
    vendor, model = _vendor(params, full)
    spec = draft.spec(vendor)
    base = params.text("api_base", "base_url")
    if spec is None and base is None:
        draft.refuse(deployment, params.at("model"), f"there is no connector for {shown(vendor)}, and no `api_base`")
        return
    if spec is None or (spec.short_name == "openai" and base and "openai.com" not in base):
        vendor, spec = (COMPATIBLE if spec is not None else vendor), draft.spec(COMPATIBLE)
    assert spec is not None
    given = _provider(params, deployment, spec, base, draft)
    provider = draft.provider(_provider_name(vendor, spec, base, draft), given, deployment)
    if provider is None:
        return
    info.take("id", "base_model", "db_model")
    if "*" in model:
        _wildcard(group, provider, deployment, draft)
        return
    settings = {"provider": provider, "model": model, **_model(params, info, spec)}
    id = draft.model(f"{provider}.{model}", settings, deployment.path)
    draft.pool(group, deployment.at("model_name")).setdefault("models", []).append(id)


def _vendor(params: Given, full: str) -> tuple[str, str]:
    """(LiteLLM's name of the provider, its name of the model)."""
    named = params.text("custom_llm_provider")
    vendor, slash, model = full.partition("/")
    if named:
        return named, model if slash and vendor == named else full
    if slash:
        return vendor, model
    return next((known for start, known in _BY_NAME.items() if full.startswith(start)), "openai"), full


def _provider_name(vendor: str, spec: ConnectorSpec, base: str | None, draft: Draft) -> str:
    if spec.short_name == COMPATIBLE and vendor == COMPATIBLE and base:
        return (host_of(draft.value(base)) or vendor).replace(".", "-")
    return vendor if spec.short_name == COMPATIBLE else spec.short_name


def _provider(params: Given, deployment: Given, spec: ConnectorSpec, base: str | None, draft: Draft) -> dict[str, Any]:
    settings: dict[str, Any] = {"connector": spec.id}
    if base:
        settings["base_url"] = _base(base, spec, draft)
    settings |= draft.credentials(params.text("api_key"), params.at("api_key"), spec.short_name, spec)
    _of_clouds(params, spec, settings, draft)
    settings["timeout"] = _duration(params.positive("timeout", "request_timeout"))
    settings["max_retries"] = params.whole("max_retries", "num_retries", least=0)
    headers = draft.headers(params.below("default_headers")) | draft.headers(params.below("extra_headers"))
    organization = params.text("organization")
    if organization:
        headers["OpenAI-Organization"] = draft.value(organization)
    settings["headers"] = headers
    limits = {
        "rpm": params.whole("rpm") or deployment.whole("rpm"),
        "tpm": params.whole("tpm") or deployment.whole("tpm"),
        "concurrency": params.whole("max_parallel_requests"),
    }
    settings["rate_limit"] = without_empty(limits)
    return without_empty(settings)


def _duration(seconds: float | None) -> str | None:
    return write_duration(seconds) if seconds is not None else None


def _base(base: str, spec: ConnectorSpec, draft: Draft) -> str:
    plain = draft.value(base)
    if spec.short_name == "azure-openai" and "/openai" not in plain:
        return extended(plain, "/openai/v1")
    return address(spec, plain)


def _of_clouds(params: Given, spec: ConnectorSpec, settings: dict[str, Any], draft: Draft) -> None:
    if spec.short_name == "azure-openai":
        version = params.peek("api_version")
        if isinstance(version, str) and version[:4].isdigit():
            settings["api_version"] = params.text("api_version")
    elif spec.short_name == "bedrock":
        region = params.text("aws_region_name")
        if region:
            settings["base_url"] = f"https://bedrock-runtime.{draft.value(region)}.amazonaws.com"
    elif spec.short_name == "vertex":
        project, place = params.text("vertex_project"), params.text("vertex_location")
        if project:
            where = draft.value(place or "global")
            host = "aiplatform.googleapis.com" if where == "global" else f"{where}-aiplatform.googleapis.com"
            path = f"projects/{draft.value(project)}/locations/{where}/publishers/google"
            settings["base_url"] = f"https://{host}/v1/{path}"


def _model(params: Given, info: Given, spec: ConnectorSpec) -> dict[str, Any]:
    mode = info.one_of("mode", _MODES)
    chats = spec.short_name == COMPATIBLE and not info.peek("mode")
    capability = _MODES[mode] if mode else "chat-completion" if chats else None
    prices = {
        "input_per_1m": _per_million(params, info, "input_cost_per_token"),
        "output_per_1m": _per_million(params, info, "output_cost_per_token"),
        "cached_input_per_1m": _per_million(params, info, "cache_read_input_token_cost"),
    }
    return without_empty(
        {
            "capabilities": [capability] if capability else None,
            "weight": params.number("weight"),
            "pricing": without_empty(prices),
            "constraints": without_empty(
                {
                    "context_window": info.whole("max_input_tokens"),
                    "max_output_tokens": info.whole("max_output_tokens", "max_tokens"),
                }
            ),
            "features": {ours: value for theirs, ours in _FEATURES.items() if (value := info.flag(theirs)) is not None},
            "defaults": rest_of(params, _DEFAULTS),
        }
    )


def _per_million(params: Given, info: Given, key: str) -> float | None:
    cost = params.number(key)
    if cost is None:
        cost = info.number(key)
    return round(cost * 1_000_000, 9) if cost is not None else None


def _wildcard(group: str, provider: str, deployment: Given, draft: Draft) -> None:
    message = f"every model that {provider} lists is offered, as `{provider}.MODEL`"
    draft.remark(deployment.at("model_name"), f"{shown(group)} is a pattern: {message}")


# -- groups -------------------------------------------------------------------------------------------


def _pools(settings: list[Given], draft: Draft) -> None:
    common = _common(settings)
    for pool in draft.pools.values():
        pool.update(common)


def _common(settings: list[Given]) -> dict[str, Any]:
    """What applies to all groups. The router's settings win over the library's."""
    router, library = settings
    strategy = router.one_of("routing_strategy", _STRATEGIES)
    given = strategy is not None or bool(router.peek("routing_strategy"))
    retries, fails = _first_whole(settings, "num_retries"), _first_whole(settings, "allowed_fails")
    wait, cooldown = _first_duration(settings, "retry_after"), _first_duration(settings, "cooldown_time")
    limit, first = router.positive("timeout"), router.positive("stream_timeout")
    cache = library.below("cache_params")
    local = library.peek("cache") is True and cache.peek("type") in (None, "local")
    if local:
        library.take("cache")
        cache.take("type")
    return without_empty(
        {
            "strategy": _STRATEGIES[strategy or "simple-shuffle"] if strategy or not given else None,
            "retry": without_empty(
                {
                    "max_attempts": retries + 1 if retries is not None else None,
                    "initial_delay": wait,
                    "deadline": _duration(limit or library.positive("request_timeout")),
                }
            ),
            "deactivation": {"retry_limit": fails + 1} if fails is not None else None,
            "recovery": without_empty({"cooldown": cooldown}),
            "stream": without_empty({"first_token_timeout": _duration(first)}),
            "cache": {"ttl": _duration(cache.positive("ttl") or 3600)} if local else None,
        }
    )


def _first_whole(settings: list[Given], key: str) -> int | None:
    found = [given.whole(key, least=0) for given in settings]
    return next((number for number in found if number is not None), None)


def _first_duration(settings: list[Given], key: str) -> str | None:
    found = [given.positive(key) for given in settings]
    return next(map(_duration, filter(None, found)), None)


def _fallbacks(settings: list[Given], draft: Draft) -> None:
    for given in settings:
        for key in _FALLBACKS:
            for entry in given.each(key):
                for group in entry:
                    _add_fallbacks(draft, group, entry.texts(group), entry.at(group))
        for name in given.texts("default_fallbacks"):
            for group in draft.pools:
                _add_fallbacks(draft, group, [name], given.at("default_fallbacks"))


def _add_fallbacks(draft: Draft, group: str, names: list[str], at: Any) -> None:
    pool = draft.pools.get(valid(group))
    for name in map(valid, names):
        if pool is None or name not in draft.pools:
            draft.remark(at, f"there is no group {shown(name if pool is not None else group)}")
        elif name != valid(group) and name not in pool.setdefault("fallback_pools", []):
            pool["fallback_pools"].append(name)


def _aliases(router: Given, draft: Draft) -> None:
    aliases = router.below("model_group_alias")
    for name in aliases:
        detailed = aliases.below(name)
        target = detailed.text("model") if detailed else aliases.text(name)
        if target and valid(target) in draft.pools:
            draft.alias(name, valid(target), aliases.at(name))
        elif target:
            draft.remark(aliases.at(name), f"there is no group {shown(target)}")
