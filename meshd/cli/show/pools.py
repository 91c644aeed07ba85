"""`meshctl pools`: a table of all, or one in detail.

Must never: change anything in the daemon.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from meshd.cli import daemon, helping, names
from meshd.cli.screen import output as out
from meshd.cli.show.standings import percent, status

app = helping.Commands()

PoolName = Annotated[
    str | None, typer.Argument(help="One pool, in detail.", autocompletion=names.pools, callback=names.given)
]


@app.command(rich_help_panel=out.LOOK)
def pools(name: PoolName = None, as_json: out.JsonOption = False) -> None:
    """Show the pools that apps may ask for, their strategies, and which model answers now.

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
            ("fallback pools", found.get("fallback_pools")),
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
                percent(model.get("error_rate")) if model.get("error_rate") else "",
                out.seconds(model.get("recovers_in")),
                model.get("reason"),
            ]
            for model in found.get("models") or ()
        ],
        numbers=["in flight", "room", "failures", "errors"],
        empty="no models",
    )


def _room(fraction: Any) -> Any:
    """What is left of its rate limits; empty if that is plenty."""
    if not isinstance(fraction, int | float) or fraction >= 1.0:
        return ""
    return percent(fraction), out.BAD if fraction <= 0 else ""


def _short(strategy: Any) -> str:
    """`modelmesh.stick-until-failure.v1` as people write it."""
    return str(strategy or "").removeprefix("rotation.").removeprefix("modelmesh.").removesuffix(".v1")
