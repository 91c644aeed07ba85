"""`meshctl stats`: counts, tokens, cost and latencies, by any dimensions and over any period.

Must never: add up anything itself, since only the daemon can tell requests from attempts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer

from meshd.cli import daemon, helping, names
from meshd.cli.screen import output as out
from meshd.cli.show.usage.csv_export import as_csv
from meshd.core.prices import UNITS
from meshd.telemetry.statistics.dimensions import ALL, TIMES, parse_by
from meshd.telemetry.statistics.measures import MEASURES
from modelmesh.wording import no_such

app = helping.Commands()

_FIRST = ("requests", "failed", "tokens", "cost", "p50", "p95", "first")
_FURTHER = sorted(
    (measure for measure in MEASURES if measure.heading and measure.heading not in _FIRST),
    key=lambda measure: measure.unit == "us",
)
"""Columns that are empty in most rows."""
_UNITS: dict[str, Callable[[Any], str]] = {
    "count": out.count,
    "tokens": out.compact,
    "nano_usd": out.usd,
    "us": out.seconds,
}


class Format(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"


_WHEN = "15m, 24h, 7d, today, yesterday, 2026-11-01, 2026-11-01T14:00"


@app.command(rich_help_panel=out.LOOK)
def stats(
    by: Annotated[
        str, typer.Option(metavar="WHAT", help=f"{', '.join((*ALL, *TIMES))}; or several: app,model.")
    ] = "model",
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help=f"From this time on: {_WHEN}. Default: everything.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="Up to this time. Default: now.")] = None,
    name: Annotated[str | None, typer.Option(help="Only this value of the first WHAT.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT=NAME", help="Only rows with this value, such as app=mail. May be repeated."),
    ] = None,
    format: Annotated[Format, typer.Option(help="How the answer is printed.")] = Format.table,
    as_json: out.JsonOption = False,
) -> None:
    """Show requests, tokens (in+out), cost, latencies (`first`: to the first token) and downtime. By model or
    provider, attempts are counted; otherwise requests. Times in group names are UTC. `outside` is what agents report
    that they used elsewhere, such as through a subscription; no budget counts it.

    $ meshctl stats --by app,model --since today --where pool=chat-completion
    $ meshctl stats --by project,agent --since 7d --format csv
    """
    if as_json and format is Format.csv:
        raise daemon.Misused("--json and --format csv exclude each other; give one of them.")
    groups, now = _groups(by, where or []), time.time()
    as_json = as_json or format is Format.json
    back = {"since": seconds_back(since, "--since", now), "until": seconds_back(until, "--until", now)}
    answer = daemon.ask("stats", by=",".join(groups), **back, name=name, **_filters(where or []))
    rows = answer.get("data") or []
    if as_json and rows:
        out.print_json(answer)
        return
    if not rows:
        _check_names({**({groups[0]: name} if name is not None else {}), **_filters(where or [])})
    if as_json:
        out.print_json(answer)
        return
    if format is Format.csv:
        out.write(as_csv(groups, rows))
        return
    empty = "no requests match" if name is not None or where or since or until else "no requests yet"
    numbers = [*_FIRST, *(measure.heading for measure in _FURTHER), *(unit.heading for unit in UNITS)]
    out.print_table([*groups, *numbers], [_row(groups, row) for row in rows], numbers=numbers, empty=empty)


def _check_names(wanted: dict[str, str]) -> None:
    """Check names for which nothing was counted: such a name may be unused, or misspelt."""
    for what, name in wanted.items():
        counted = [str(row.get("name")) for row in daemon.ask("stats", by=what).get("data") or ()]
        listed = names.everything() if what in ("pool", "model", "provider", "app") else ()
        if name not in counted and name not in listed:
            raise daemon.Refused(no_such(what, name, counted))


def _row(groups: tuple[str, ...], row: dict[str, Any]) -> list[Any]:
    failed = row.get("requests_failed") or 0
    group = row.get("group") or {groups[0]: row.get("name")}
    units = row.get("units") or {}
    return [
        *(group.get(each) or "–" for each in groups),
        out.count(row.get("requests_total") or 0),
        (out.count(failed), out.BAD) if failed else "",
        f"{out.compact(row.get('tokens_in'))}+{out.compact(row.get('tokens_out'))}",
        out.usd(row.get("cost_total")),
        out.seconds(row.get("latency_p50")),
        out.seconds(row.get("latency_p95")),
        out.seconds(row.get("ttft_p50")),
        *(_UNITS[measure.unit](row[measure.name]) if row.get(measure.name) else "" for measure in _FURTHER),
        *(out.compact(units[unit.name]) if units.get(unit.name) else "" for unit in UNITS),
    ]


def _groups(by: str, where: list[str]) -> tuple[str, ...]:
    try:
        return parse_by(by, _filters(where))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--by") from None


def _filters(where: list[str]) -> dict[str, str]:
    found = {}
    for each in where:
        name, equals, value = each.partition("=")
        if name not in ALL or not equals:
            raise typer.BadParameter(f"{each!r} is not WHAT=NAME, with one of {', '.join(ALL)}", param_hint="--where")
        found[name] = value
    return found


def seconds_back(text: str | None, option: str, now: float) -> float | None:
    """A length of time before now, or a moment in this machine's time zone, as seconds before `now`."""
    if text is None:
        return None
    from meshd.config.units import parse_duration

    if text in ("today", "yesterday"):
        at = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)
        return now - (at - timedelta(days=text == "yesterday")).timestamp()
    try:
        return parse_duration(text)
    except ValueError:
        pass
    try:
        back = now - datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time; write {_WHEN}", param_hint=option) from None
    if back < 0:
        raise typer.BadParameter("that is in the future", param_hint=option)
    return back
