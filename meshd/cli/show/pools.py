"""`meshctl pools`, `models` and `providers`: tables of all, or one in detail.

Must never: change anything in the daemon.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from meshd.cli import daemon, helping, names
from meshd.cli.screen import output as out
from meshd.cli.show import budget as budgets

app = helping.Commands()

STYLES = {"active": out.GOOD, "standby": out.BAD, "probation": "yellow"}

PoolName = Annotated[
    str | None, typer.Argument(help="One pool, in detail.", autocompletion=names.pools, callback=names.given)
]
ModelId = Annotated[
    str | None, typer.Argument(help="One model, in detail.", autocompletion=names.models, callback=names.given)
]
ProviderName = Annotated[
    str | None, typer.Argument(help="One provider, in detail.", autocompletion=names.providers, callback=names.given)
]


@app.command(rich_help_panel=out.LOOK)
def pools(name: PoolName = None, as_json: out.JsonOption = False) -> None:
    """What apps may ask for: each pool, its strategy, and which model answers now.

    $ meshctl pools chat-completion
    """
    if name is not None:
        found = daemon.ask(f"pools/{quote(name, safe='')}")
        out.print_json(found) if as_json else _pool(found)
        return
    answer = daemon.ask("pools")
    if as_json:
        out.print_json(answer)
        return
    out.print_table(
        ["pool", "active", "standby", "now", "strategy"],
        [
            [
                pool.get("name"),
                (pool.get("active", 0), out.GOOD if pool.get("active") else out.BAD),
                pool.get("standby", 0),
                pool.get("current"),
                _short(pool.get("strategy")),
            ]
            for pool in answer.get("data") or ()
        ],
        numbers=["active", "standby"],
        empty="no pools: no model was found (meshctl pull smollm2-135m, or set a provider's key)",
    )


def _pool(found: Mapping[str, Any]) -> None:
    out.say(str(found.get("name")), out.HEAD)
    out.print_fields(
        [
            ("capability", found.get("capability")),
            ("strategy", found.get("strategy")),
            ("now", found.get("current")),
            ("models", f"{found.get('active', 0)} active, {found.get('standby', 0)} standby"),
            ("falls back on", found.get("fallback_pools")),
        ]
    )
    out.say()
    out.print_table(
        ["model", "provider", "state", "in flight", "room", "failures", "errors", "back in", "reason"],
        [
            [
                model.get("id"),
                model.get("provider"),
                status(model),
                model.get("in_flight") or "",
                _room(model.get("headroom")),
                model.get("failures") or "",
                _percent(model.get("error_rate")) if model.get("error_rate") else "",
                out.seconds(model.get("recovers_in")),
                model.get("reason"),
            ]
            for model in found.get("models") or ()
        ],
        numbers=["in flight", "room", "failures", "errors"],
        empty="no models",
    )


@app.command(rich_help_panel=out.LOOK)
def models(model_id: ModelId = None, as_json: out.JsonOption = False) -> None:
    """Every model: where it runs, its state, what it did so far.

    $ meshctl models openai.gpt-4o
    """
    answer = daemon.ask("models", id=model_id)
    found = answer.get("data") or []
    if as_json:
        out.print_json(_one(found, model_id) if model_id is not None else answer)
        return
    if model_id is not None:
        _model(_one(found, model_id))
        return
    out.print_table(
        ["model", "provider", "state", "requests", "failures", "p50", "cost", "reason"],
        [
            [
                model.get("id"),
                model.get("provider"),
                status(model),
                out.count(model.get("requests")),
                out.count(model.get("failures")),
                out.seconds(out.get(model, "latency", "p50")),
                out.usd(model.get("cost")),
                model.get("reason") or failing(model),
            ]
            for model in found
        ],
        numbers=["requests", "failures", "p50", "cost"],
        empty="no models: meshctl pull smollm2-135m, or set a provider's key",
    )


def _model(model: Mapping[str, Any]) -> None:
    out.say(str(model.get("id")), out.HEAD)
    features = model.get("features") or {}
    if isinstance(features, Mapping):
        features = [name for name, has in features.items() if has]
    out.print_fields(
        [
            ("provider", model.get("provider")),
            ("provider's name", model.get("model")),
            ("state", status(model)),
            ("reason", model.get("reason") or failing(model)),
            ("capabilities", model.get("capabilities")),
            ("features", features),
            ("pools", model.get("pools")),
            ("context window", out.count(model.get("context_window"))),
            ("max output", out.count(model.get("max_output_tokens"))),
            ("in flight", model.get("in_flight")),
            ("requests", f"{out.count(model.get('requests') or 0)}, {out.count(model.get('failures') or 0)} failed"),
            ("failing lately", _percent(model.get("error_rate"))),
            ("tokens", f"{out.count(model.get('tokens_in') or 0)} in, {out.count(model.get('tokens_out') or 0)} out"),
            ("cost", out.usd(model.get("cost"))),
            ("room", _headroom(model.get("headroom"))),
            ("latency", _spread(model.get("latency"))),
            ("first token", _spread(model.get("first_token"))),
            ("last request", out.ago(model.get("last_request"))),
            ("last failure", out.ago(model.get("last_failure"))),
        ]
    )
    _limits(model)


@app.command(rich_help_panel=out.LOOK)
def providers(name: ProviderName = None, as_json: out.JsonOption = False) -> None:
    """Every provider: whether it answers, its key, its score, its cost.

    $ meshctl providers openai
    """
    answer = daemon.ask("providers", name=name)
    found = answer.get("data") or []
    if as_json:
        out.print_json(_one(found, name) if name is not None else answer)
        return
    if name is not None:
        _provider(_one(found, name))
        return
    out.print_table(
        ["provider", "connector", "state", "score", "models", "requests", "cost", "reason"],
        [
            [
                provider.get("name"),
                provider.get("connector"),
                availability(provider),
                _score(provider),
                _number_of(provider.get("models")),
                out.count(provider.get("requests")),
                out.usd(provider.get("cost")),
                provider.get("reason"),
            ]
            for provider in found
        ],
        numbers=["score", "models", "requests", "cost"],
        empty=_NO_PROVIDERS if found else _no_providers(),
    )


_NO_PROVIDERS = "no providers: set a key (OPENAI_API_KEY, …), start a local server, or meshctl pull smollm2-135m"


def _no_providers() -> str:
    """Why there are none: the daemon does not show those that are switched off."""
    written = (daemon.ask("config").get("config") or {}).get("providers")
    entries = written if isinstance(written, dict) else {}
    off = [name for name, entry in entries.items() if isinstance(entry, dict) and entry.get("enabled") is False]
    if not off:
        return _NO_PROVIDERS
    return f"no providers in use; switched off by `enabled: false`: {', '.join(off)}"


def _provider(provider: Mapping[str, Any]) -> None:
    out.say(str(provider.get("name")), out.HEAD)
    out.print_fields(
        [
            ("connector", provider.get("connector")),
            ("address", provider.get("base_url")),
            ("state", availability(provider)),
            ("reason", provider.get("reason")),
            ("key", _key(provider.get("key"))),
            ("keys", provider["keys"] if (provider.get("keys") or 1) > 1 else None),
            ("resting keys", [_resting(key) for key in provider.get("resting_keys") or ()]),
            ("reported quota", _quota(provider.get("quota"))),
            ("score", _score(provider)),
            ("last probe", out.ago(provider.get("last_probe"))),
            ("probe latency", out.seconds(provider.get("latency"))),
            ("models", provider.get("models")),
            ("in flight", provider.get("in_flight")),
            ("requests", out.count(provider.get("requests"))),
            ("cost", out.usd(provider.get("cost"))),
            *((str(key).replace("_", " "), value) for key, value in (provider.get("details") or {}).items()),
        ]
    )
    _limits(provider)


_KEYS = {
    "accepted": ("accepted", out.GOOD),
    "refused": ("key refused", out.BAD),
    "wanted": ("none, and it needs one", out.BAD),
    "missing": ("missing", out.BAD),
}


def _key(said: Any) -> Any:
    return _KEYS.get(str(said), said)


def _limits(of: Mapping[str, Any]) -> None:
    if of.get("limits"):
        out.say()
        budgets.show(of["limits"])


def _percent(fraction: Any) -> str:
    return f"{fraction:.0%}" if isinstance(fraction, int | float) else ""


def _room(fraction: Any) -> Any:
    """Of its rate limits; nothing where they are far off."""
    if not isinstance(fraction, int | float) or fraction >= 1.0:
        return ""
    return _percent(fraction), out.BAD if fraction <= 0 else ""


def _headroom(headroom: Any) -> str:
    """`42 %, 12 requests, 3.4k tokens`; empty where nothing limits it."""
    if not isinstance(headroom, Mapping) or headroom.get("fraction") in (None, 1.0):
        return ""
    parts = [f"{_percent(headroom['fraction'])} of its rate limits"]
    parts += [f"{out.compact(headroom[key])} {key}" for key in ("requests", "tokens") if headroom.get(key) is not None]
    return ", ".join(parts)


def _resting(key: Mapping[str, Any]) -> str:
    until = budgets.resets(key.get("until"))
    return f"{key.get('id')} ({key.get('reason')}{f', until {until}' if until else ''})"


def _quota(quota: Any) -> str:
    if not isinstance(quota, Mapping):
        return ""
    unit = str(quota.get("unit") or "")
    return ", ".join(
        f"{quota[key]:,g} {unit} {key}" for key in ("used", "remaining", "limit") if quota.get(key) is not None
    )


def status(model: Mapping[str, Any]) -> tuple[str, str]:
    text = str(model.get("status") or "")
    return text, STYLES.get(text, "")


def availability(provider: Mapping[str, Any]) -> tuple[str, str]:
    if provider.get("enabled") is False:
        return ("left out", "yellow") if provider.get("key") == "missing" else ("disabled", out.FAINT)
    if provider.get("key") in ("refused", "wanted"):
        return f"key {provider['key']}", out.BAD
    if provider.get("answering") == "nothing":  # every request gets a 404
        return "wrong base_url", out.BAD
    return out.good(provider.get("available"), "available", "away")


def of_its_key(provider: Mapping[str, Any]) -> tuple[str, str]:
    """What is wrong with its key, "" for nothing; and what the provider said to that."""
    what = _WRONG_KEYS.get(str(provider.get("key")), "")
    return what, str(provider.get("said") or "") if what else str(provider.get("reason") or "")


_WRONG_KEYS = {"refused": "its key is refused", "wanted": "it needs a key and has none"}


def failing(model: Mapping[str, Any]) -> str:
    """Since when every request of it has failed, and why; "" where its last was answered."""
    since, last = model.get("failing_since"), model.get("last_failure")
    if not since or not last:
        return ""
    why = model.get("last_failure_said") or model.get("last_failure_kind")
    what = f"its last request failed {out.ago(last)}"
    if last - since >= 1:
        what = f"every request failed in the last {out.seconds(time.time() - since)}, the last {out.ago(last)}"
    return f"{what}: {why}" if why else what


def _one(found: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The only entry, or the one of that very name."""
    for entry_ in found:
        if name in (entry_.get("id"), entry_.get("name")):
            return entry_
    if len(found) == 1:
        return found[0]
    raise daemon.Refused(f"Nothing here is called {name!r}; see the list without a name.")


def _number_of(models: Any) -> Any:
    return len(models) if isinstance(models, list | dict) else models


def _score(provider: Mapping[str, Any]) -> str:
    value = provider.get("score")
    return f"{value:.2f}" if isinstance(value, int | float) else ""


def _short(strategy: Any) -> str:
    """`modelmesh.stick-until-failure.v1` as people write it."""
    return str(strategy or "").removeprefix("rotation.").removeprefix("modelmesh.").removesuffix(".v1")


def _spread(figures: Any) -> str:
    if not isinstance(figures, Mapping):
        return ""
    named = [
        (name, out.seconds(figures.get(key))) for name, key in (("p50", "p50"), ("p95", "p95"), ("average", "average"))
    ]
    return ", ".join(f"{name} {value}" for name, value in named if value)
