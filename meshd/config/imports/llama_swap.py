"""llama-swap's config.yaml: servers on this machine, one for each model, and peers.

Must never: mark a key as known without translating it.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

from meshd.config.imports.addresses import address, extended
from meshd.config.imports.draft import COMPATIBLE, Draft, rest_of, valid, without_empty
from meshd.config.imports.given import Given
from meshd.config.units import write_duration

VARIABLE = r"\$\{env\.([A-Za-z_][A-Za-z0-9_]*)\}"

_PORT = "${PORT}"
_START_PORT = 5800
_MACRO = re.compile(r"\$\{([A-Za-z0-9_-]+)\}")
_HERE = re.compile(r"http://(localhost|127\.0\.0\.1)(:|/|$)")
_DEEPEST = 8
"""How deeply macros may be nested."""
_LONGEST = 10_000
"""Characters of a macro, and of a text with all of its macros in it."""
_KEY = re.compile(r"--api[-_]key(=|$)")
_STRATEGIES = ("pin", "warm", "spillover")


def read(given: Given, draft: Draft) -> None:
    models = given.each("models")
    macros = {model.name: _macros(given) | _macros(model) for model in models}
    first = given.whole("startPort") or _START_PORT
    # llama-swap numbers the models that ask for a port from its first port on, in order of their names.
    asking = sorted(model.name for model in models if _wants_port(model, macros[model.name]))
    ports = {name: first + number for number, name in enumerate(asking)}
    for model in models:
        _model(model, macros[model.name], ports.get(model.name), draft)
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
    found = macros.items() if isinstance(macros, dict) else ()
    return {name: value for name, value in found if not isinstance(value, dict | list) and len(str(value)) <= _LONGEST}


def _wants_port(model: Given, macros: dict[str, Any]) -> bool:
    return any(_PORT in _expanded(model.peek_text(key), macros) for key in ("cmd", "proxy"))


def _model(given: Given, macros: dict[str, Any], port: int | None, draft: Draft) -> None:
    given.use()
    own = {"MODEL_ID": given.name, "PORT": port or _PORT}
    base = _expanded(given.text("proxy") or f"http://localhost:{_PORT}", {**macros, **own})
    if _PORT in base:
        draft.refuse(given, given.path, "neither `cmd` nor `proxy` says where its server listens")
        return
    words = _words(given, {**macros, **own}) if _HERE.match(base) else []
    filters = given.below("filters")
    dropped = [name.strip() for name in (filters.text("stripParams", "strip_params") or "").split(",") if name.strip()]
    spec = draft.spec(COMPATIBLE)
    assert spec is not None
    settings = {
        "connector": spec.id,
        "base_url": address(None, draft.value(base), "/v1"),
        **draft.credentials(_key_in(words), given.at("cmd"), given.name, spec),
        "rate_limit": without_empty({"concurrency": given.whole("concurrencyLimit")}),
        "quirks": {"drop": dropped} if dropped else None,
        "managed": _managed(given, words, {**macros, **own}, draft) if words else None,
    }
    provider = draft.provider(given.name, without_empty(settings), given)
    if provider is None:
        return
    parameters = filters.below("setParams")
    kind = given.below("capabilities")
    reranks, tools, context = kind.flag("reranker"), kind.flag("tools"), kind.whole("context")
    given.take("name", "description", "metadata", "unlisted", "sendLoadingState")
    entry = {
        "provider": provider,
        "model": given.text("useModelName") or given.name,
        "capabilities": ["reranking" if reranks else "chat-completion"],
        "features": {"tool_calling": tools} if tools is not None else None,
        "constraints": without_empty({"context_window": context}),
        "overrides": rest_of(parameters, parameters),
    }
    id = draft.model(draft.named(given.name, given.path), without_empty(entry), given.path)
    for alias in given.texts("aliases"):
        draft.alias(alias, id, given.at("aliases"))


def _words(given: Given, macros: dict[str, Any]) -> list[str]:
    """The command of a server; empty if a shell could not read it, which is left for a remark."""
    lines = [line for line in given.peek_text("cmd").splitlines() if not line.lstrip().startswith("#")]
    try:
        words = shlex.split(_expanded(" ".join(line.rstrip(" \\") for line in lines), macros))
    except ValueError:
        given.expect("cmd", "a command that a shell can read")
        return []
    if words:
        given.take("cmd")
    return words


def _key_in(words: list[str]) -> str | None:
    """The key that the server asks for, if its command gives it one."""
    pairs = zip(words, [*words[1:], ""], strict=False)
    given = [word.partition("=")[2] if "=" in word else after for word, after in pairs if _KEY.match(word)]
    return next(filter(None, given), None)


def _managed(given: Given, words: list[str], macros: dict[str, Any], draft: Draft) -> dict[str, Any]:
    """The server that is started for a request."""
    unused, check = given.number("ttl"), given.text("checkEndpoint") or "/health"
    variables = (text.partition("=") for text in given.texts("env"))
    return without_empty(
        {
            "command": draft.value(words[0]),
            "args": [draft.value(word) for word in words[1:]],
            "env": {name: draft.value(_expanded(value, macros)) for name, _, value in variables},
            "ready": check if check.startswith("/") else None,
            "idle_timeout": write_duration(unused) if unused else None,  # 0: it is not stopped
        }
    )


def _expanded(text: str, macros: dict[str, Any]) -> str:
    for _ in range(_DEEPEST):
        new = _MACRO.sub(lambda found: str(macros.get(found[1], found[0])), text)
        if new == text or len(new) > _LONGEST:
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
    settings: dict[str, Any] = {"connector": spec.id, "base_url": extended(draft.value(base), "/v1")}
    settings |= draft.credentials(key, given.at("apiKey"), given.name, spec)
    provider = draft.provider(given.name, settings, given)
    for name in given.texts("models") if provider is not None else ():
        id = draft.named(name, given.at("models"))
        draft.model(id, {"provider": provider, "model": name, "capabilities": ["chat-completion"]}, given.at("models"))


def _selector(given: Given, draft: Draft) -> None:
    names = [valid(name) for name in given.texts("targets")]
    known = [draft.aliases.get(name, name) for name in names if name in draft.models or name in draft.aliases]
    given.take("name", "description", "metadata")
    if not known or valid(given.name) in draft.models:
        draft.refuse(given, given.path, "none of its targets is")
        return
    given.one_of("strategy", _STRATEGIES)
    pool = draft.pool(given.name, given.path)
    pool |= {"models": known, "strategy": "priority-selection", "model_priority": known}
