"""`meshctl apps`: which apps use the mesh, under which rules, and how much."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from meshd.cli import daemon, helping, names
from meshd.cli.screen import output as out
from meshd.cli.show.usage import budget as budgets

app = helping.Commands()


@app.command(rich_help_panel=out.LOOK)
def apps(
    name: Annotated[
        str | None, typer.Argument(help="One app, in detail.", autocompletion=names.apps, callback=names.given)
    ] = None,
    as_json: out.JsonOption = False,
) -> None:
    """Show the apps that use the mesh: their rules, requests and cost.

    An app is an entry of `apps` in the configuration, matched by what the kernel says about a process. A program that
    matches none is shown by its own name and shares the limits of `default`. An app that has a token but no entry gets
    the limits of `default` for itself alone.

    $ meshctl apps mail.service
    """
    answer = daemon.ask("apps", name=name)
    found = answer.get("data") or []
    if as_json:
        out.print_json(found[0] if name is not None and found else answer)
        return
    if name is not None:
        if not found:
            raise daemon.Refused(f"There is no app {name!r}; see `meshctl apps`.")
        _app(found[0])
        return
    out.print_table(
        ["app", "kind", "in flight", "waiting", "requests", "failed", "today", "left", "seen"],
        [
            [
                entry.get("name"),
                _kind(entry),
                entry.get("in_flight") or "",
                entry.get("waiting") or "",
                out.count(entry.get("requests") or 0),
                (out.count(entry["failed"]), out.BAD) if entry.get("failed") else "",
                out.usd(entry.get("cost_today")),
                _least_left(entry),
                out.ago(entry.get("last_seen")).removesuffix(" ago"),
            ]
            for entry in found
        ],
        numbers=["in flight", "waiting", "requests", "failed", "today", "left"],
        empty="no app has sent a request yet",
    )


def _kind(entry: Mapping[str, Any]) -> tuple[str, str]:
    """`admin`, or `default` for an app that has no entry, so that the rules of `default` apply."""
    if entry.get("admin"):
        return "admin", "yellow"
    return ("", "") if entry.get("configured") or entry.get("name") == "default" else ("default", out.FAINT)


def _rules(entry: Mapping[str, Any]) -> str | None:
    """Whose rules apply to it, if not its own."""
    if entry.get("account") not in (None, entry.get("name")):
        return f"{entry.get('account')}, shared by all programs without an entry"
    return None if _kind(entry)[0] != "default" else "default, for itself"


def _least_left(entry: Mapping[str, Any]) -> Any:
    """What is left of its tightest limit. The limits of `default` are shown only in its own row."""
    rows = entry.get("budget") or ()
    if not rows or entry.get("account") != entry.get("name"):
        return ""
    tightest = max(rows, key=budgets.taken)
    return f"{budgets.left(tightest)}%", budgets.tone(tightest)


def _app(entry: Mapping[str, Any]) -> None:
    out.say(str(entry.get("name")), out.HEAD)
    match = entry.get("match") or {}
    rate = entry.get("rate_limit") or {}
    out.print_fields(
        [
            ("matches", ", ".join(f"{key} {value}" for key, value in match.items())),
            ("rules of", _rules(entry)),
            ("administrator", "yes" if entry.get("admin") else None),
            ("pools", _allowed(entry.get("pools"))),
            ("models", _allowed(entry.get("models"))),
            ("rate limit", ", ".join(f"{value:,} {key}" for key, value in rate.items() if value is not None)),
            ("priority", entry.get("priority") or None),
            ("weight", f"{entry['weight']:g}" if entry.get("weight") not in (None, 1.0) else None),
            ("connected", entry.get("connected")),
            ("in flight", entry.get("in_flight")),
            ("waiting", entry.get("waiting")),
            ("requests", f"{out.count(entry.get('requests') or 0)}, {out.count(entry.get('failed') or 0)} failed"),
            ("tokens", f"{out.count(entry.get('tokens_in') or 0)} in, {out.count(entry.get('tokens_out') or 0)} out"),
            ("cost", f"{out.usd(entry.get('cost') or 0)}, {out.usd(entry.get('cost_today') or 0)} today"),
            ("last seen", out.ago(entry.get("last_seen"))),
        ]
    )
    if entry.get("budget"):
        out.say()
        budgets.show(entry["budget"])


def _allowed(names: Any) -> str:
    return "all" if names is None else ", ".join(map(str, names)) or "none"
