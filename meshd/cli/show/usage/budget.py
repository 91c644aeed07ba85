"""`meshctl budget`: limits, how much of each is spent and reserved, and when it resets.

Owns: how every command shows a limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from math import floor
from typing import Annotated, Any

import typer

from meshd.cli import daemon, helping, names
from meshd.cli.screen import output as out
from modelmesh.wording import no_such

app = helping.Commands()

SCOPES = ("provider", "model", "pool", "app", "member")
_BAR = 8  # characters
NOTHING = (
    "no limits; in the configuration, `budget: {daily_limit: 5.00}` under\n"
    "a provider, a model, a pool or an app sets one"
)


@app.command(rich_help_panel=out.LOOK)
def budget(
    name: Annotated[
        str | None, typer.Argument(help="Only limits of this provider, model, pool or app.", metavar="NAME")
    ] = None,
    as_json: out.JsonOption = False,
) -> None:
    """Show budgets, quotas and count limits: spent, reserved, left, and when they reset.

    The most that a request can cost is reserved before it is sent, and replaced by its actual cost when it ends, so
    spent and reserved together never exceed a limit. Times are in this machine's time zone.

    $ meshctl budget
    $ meshctl budget openai --json | jq '.data[0].remaining'
    """
    answer = daemon.ask("budget")
    rows = [row for row in answer.get("data") or () if name in (None, row.get("name"), row.get("pool"))]
    if name is not None and not rows:
        known = names.everything()
        if name not in known:
            raise daemon.Refused(no_such("provider, model, pool or app", name, known))
    if as_json:
        out.print_json(answer | {"data": rows})
    elif name is not None and not rows:
        out.say(f"no limits for {name}", out.FAINT)
    else:
        show(rows, empty=NOTHING)


def show(rows: Iterable[Mapping[str, Any]], *, empty: str = "") -> None:
    """Print a table of limits. Within each scope, the limit with the least left comes first."""
    ordered = sorted(rows, key=lambda row: (_place(row), str(row.get("name")), -taken(row)))
    out.print_table(
        ["of", "spent", "reserved", "limit", "left", "resets"],
        [
            [
                whose(row),
                amount(row, "spent"),
                amount(row, "reserved") if row.get("reserved") else "",
                limit(row),
                bar(row) if out.on_terminal() else f"{left(row)}%",
                resets(row.get("resets_at")) if row.get("window") != "rolling" else "hour by hour",
            ]
            for row in ordered
        ],
        numbers=["spent", "reserved", "limit"],
        empty=empty,
    )
    if any(row.get("enforce") is False for row in ordered):
        out.say("* alerts only: nothing is refused", out.FAINT)


_WINDOWS = {"day": "/day", "month": "/month", "rolling": "/24h", "stint": ""}


def whose(row: Mapping[str, Any]) -> str:
    """`app mail`, `quota of openai`, `chat: openai.gpt`."""
    scope, name = str(row.get("scope") or ""), str(row.get("name") or "")
    text = f"{row.get('pool')}: {name}" if scope == "member" else f"{scope} {name}"
    if row.get("source") == "quota":
        text = f"quota of {name}"
    return text + ("*" if row.get("enforce") is False else "")


def amount(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if value is None:
        return ""
    return out.usd(value) if row.get("measure") == "cost" else out.compact(value)


def limit(row: Mapping[str, Any]) -> str:
    """`$5.00/day`, `20k req/month`."""
    unit = {"requests": " req", "tokens": " tok"}.get(str(row.get("measure")), "")
    return f"{amount(row, 'limit')}{unit}{_WINDOWS.get(str(row.get('window')), '')}"


def taken(row: Mapping[str, Any]) -> float:
    """The fraction of the limit that is spent or reserved."""
    limit = float(row.get("limit") or 0)
    used = float(row.get("spent") or 0) + float(row.get("reserved") or 0)
    return used / limit if limit > 0 else 1.0


def left(row: Mapping[str, Any]) -> int:
    """What is left, in percent, rounded down so that it is never shown as more than it is."""
    return max(0, floor(100 * (1.0 - taken(row)) + 1e-6))


def tone(row: Mapping[str, Any]) -> str:
    if taken(row) >= 1.0:
        return out.BAD
    return "yellow" if taken(row) >= float(row.get("alert_threshold") or 1.0) else out.GOOD


def bar(row: Mapping[str, Any]) -> tuple[str, str]:
    """What is left, as a bar and in percent."""
    full = round(left(row) * _BAR / 100)
    return f"{'█' * full}{'░' * (_BAR - full)} {left(row)}%", tone(row)


def resets(at: Any) -> str:
    """The time of a reset in this machine's time zone, without its date if it is within a day."""
    if not isinstance(at, int | float):
        return ""
    moment, now = datetime.fromtimestamp(at), datetime.now()
    return moment.strftime("%H:%M" if 0 <= (moment - now).total_seconds() < 86400 else "%-d %b %H:%M")


def _place(row: Mapping[str, Any]) -> int:
    scope = row.get("scope")
    return SCOPES.index(str(scope)) if scope in SCOPES else len(SCOPES)
