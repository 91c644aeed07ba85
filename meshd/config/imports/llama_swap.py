"""llama-swap's config.yaml: servers on this machine, one for each model, and peers.

Must never: mark a key as known without translating it.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

from meshd.config.imports.draft import COMPATIBLE, Draft, address, seconds, valid, without_empty
from meshd.config.imports.given import Given

VARIABLE = r"\$\{env\.([A-Za-z_][A-Za-z0-9_]*)\}"

_PORT = "${PORT}"
_START_PORT = 5800
_MACRO = re.compile(r"\$\{([A-Za-z0-9_-]+)\}")
_HERE = re.compile(r"http://(localhost|127\.0\.0\.1)(:|/|$)")
_DEEPEST = 8
"""How deeply macros may be nested."""
_STRATEGIES = {"pin": "priority-selection", "warm": "priority-selection", "spillover": "priority-selection"}


def read(given: Given, draft: Draft) -> None:
    models = given.each("models")
    macros = {model.name: _macros(given) | _macros(model) for model in models}
    first = int(given.number("startPort") or _START_PORT)
    # llama-swap numbers the models that ask for a port from its first port on, in order of their names.
    asking = sorted(model.name for model in models if _wants_port(model, macros[model.name]))
    for model in models:
        port = first + asking.index(model.name) if model.name in asking else None
        _model(model, macros[model.name], port, draft)
    if any("managed" in provider for provider in draft.providers.values()):
        both = "servers run side by side; `managed.idle_timeout` stops unused ones"
        draft.remark(("models",), f"no server is stopped because another is needed: {both}")
    for peer in given.each("peers"):
        _peer(peer, draft)
    for selector in given.each("selectors"):
        _selector(selector, draft)
    given.take("includeAliasesInList", "sendLoadingState")


def _macros(given: Given) -> dict[str, Any]:
    macros = given.peek("macros")
    return macros if isinstance(macros, dict) else {}


def _wants_port(model: Given, macros: dict[str, Any]) -> bool:
    return any(_PORT in _expanded(str(model.peek(key) or ""), macros) for key in ("cmd", "proxy"))


def _model(given: Given, macros: dict[str, Any], port: int | None, draft: Draft) -> None:
    given.use()
    own = {"MODEL_ID": given.name, "PORT": port or _PORT}
    base = _expanded(given.text("proxy") or f"http://localhost:{_PORT}", {**macros, **own})
    if _PORT in base:
        draft.refuse(given, given.path, "neither `cmd` nor `proxy` says where its server listens")
        return
    managed = _managed(given, {**macros, **own}, draft) if _HERE.match(base) else {}
    filters = given.below("filters")
    dropped = [name.strip() for name in (filters.text("stripParams", "strip_params") or "").split(",") if name.strip()]
    limit = given.number("concurrencyLimit")
    settings = {
        "connector": "openai-compatible.v1",
        "base_url": address(None, draft.value(base), "/v1"),
        "auth": {"method": "none"},
        "rate_limit": {"concurrency": int(limit)} if limit else None,
        "quirks": {"drop": dropped} if dropped else None,
        "managed": managed,
    }
    provider = draft.provider(given.name, without_empty(settings))
    parameters = filters.any("setParams")
    kind = given.below("capabilities")
    reranks = kind.peek("reranker") is True
    kind.take("reranker")
    given.take("name", "description", "metadata", "unlisted", "sendLoadingState")
    context = kind.number("context")
    entry = {
        "provider": provider,
        "model": given.text("useModelName") or given.name,
        "capabilities": ["reranking" if reranks else "chat-completion"],
        "features": {"tool_calling": kind.any("tools")} if isinstance(kind.peek("tools"), bool) else None,
        "constraints": {"context_window": int(context)} if context else None,
        "overrides": parameters if isinstance(parameters, dict) else None,
    }
    id = draft.model(draft.named(given.name, given.path), without_empty(entry))
    for alias in given.texts("aliases"):
        draft.alias(alias, id, given.at("aliases"))


def _managed(given: Given, macros: dict[str, Any], draft: Draft) -> dict[str, Any]:
    """The server that is started for a request. A command that a shell could not read is left."""
    lines = [line for line in str(given.peek("cmd") or "").splitlines() if not line.lstrip().startswith("#")]
    try:
        words = shlex.split(_expanded(" ".join(line.rstrip(" \\") for line in lines), macros))
    except ValueError:
        words = []
    if not words:
        return {}
    given.take("cmd")
    seconds_unused, check = given.number("ttl"), given.text("checkEndpoint") or "/health"
    variables = (text.partition("=") for text in given.texts("env"))
    return without_empty(
        {
            "command": draft.value(words[0]),
            "args": [draft.value(word) for word in words[1:]],
            "env": {name: draft.value(_expanded(value, macros)) for name, _, value in variables},
            "ready": check if check.startswith("/") else None,
            "idle_timeout": seconds(seconds_unused) if seconds_unused else None,
        }
    )


def _expanded(text: str, macros: dict[str, Any]) -> str:
    for _ in range(_DEEPEST):
        new = _MACRO.sub(lambda found: str(macros.get(found[1], found[0])), text)
        if new == text or len(new) > 10_000:
            break
        text = new
    return text


def _peer(given: Given, draft: Draft) -> None:
    base, key = given.text("proxy"), given.text("apiKey")
    if base is None:
        draft.refuse(given, given.path, "it has no `proxy`")
        return
    spec = draft.spec(COMPATIBLE)
    assert spec is not None
    settings: dict[str, Any] = {"connector": spec.id, "base_url": draft.value(base).rstrip("/") + "/v1"}
    settings |= draft.credentials(key, given.at("apiKey"), given.name, spec)
    provider = draft.provider(given.name, settings)
    for name in given.texts("models"):
        id = draft.named(name, given.at("models"))
        draft.model(id, {"provider": provider, "model": name, "capabilities": ["chat-completion"]})


def _selector(given: Given, draft: Draft) -> None:
    names = [valid(name) for name in given.texts("targets")]
    known = [draft.aliases.get(name, name) for name in names if name in draft.models or name in draft.aliases]
    given.take("name", "description", "metadata")
    if not known or valid(given.name) in draft.models:
        draft.refuse(given, given.path, "none of its targets is")
        return
    if given.peek("strategy") in _STRATEGIES:
        given.take("strategy")
    pool = draft.pool(given.name, given.path)
    pool |= {"models": known, "strategy": "priority-selection", "model_priority": known}
