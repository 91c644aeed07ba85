"""`meshctl providers`: a table of all, or one in detail.

Must never: change anything in the daemon.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from meshd.cli import daemon, helping, names
from meshd.cli.screen import output as out
from meshd.cli.show.standings import availability, show_limits, the_one
from meshd.cli.show.usage import budget as budgets

app = helping.Commands()

ProviderName = Annotated[
    str | None, typer.Argument(help="One provider, in detail.", autocompletion=names.providers, callback=names.given)
]


@app.command(rich_help_panel=out.LOOK)
def providers(name: ProviderName = None, as_json: out.JsonOption = False) -> None:
    """Show every provider: whether it answers, its key, its score, its cost.

    $ meshctl providers openai
    """
    answer = daemon.ask("providers", name=name)
    found = answer.get("data") or []
    if as_json:
        out.print_json(the_one(found, name) if name is not None else answer)
        return
    if name is not None:
        _provider(the_one(found, name))
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
    """Why there are no providers: the daemon does not list those that are switched off."""
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
            ("keys set aside", [_resting(key) for key in provider.get("resting_keys") or ()]),
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
    show_limits(provider)


_KEYS = {
    "accepted": ("accepted", out.GOOD),
    "refused": ("key refused", out.BAD),
    "wanted": ("none, and it needs one", out.BAD),
    "missing": ("missing", out.BAD),
}


def _key(said: Any) -> Any:
    return _KEYS.get(str(said), said)


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


def _number_of(models: Any) -> Any:
    return len(models) if isinstance(models, list | dict) else models


def _score(provider: Mapping[str, Any]) -> str:
    value = provider.get("score")
    return f"{value:.2f}" if isinstance(value, int | float) else ""
