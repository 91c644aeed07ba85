"""The single lines of `meshctl top`: the header, sparklines, spend, tabs, an event.

Owns: the colour of each tone, and how a line is fitted to a width.
Must never: ask the daemon, or hold a widget.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.text import Text

from meshd.cli.screen import output as out
from meshd.cli.show.usage import budget
from meshd.cli.top import model
from meshd.cli.top.model import Cell, Column, History, Row, Snapshot

STYLES = {model.GOOD: "green", model.BAD: "red", model.WARN: "yellow", model.FAINT: "dim", "": ""}
_VALUE, _GAP = 9, 2  # columns for the value before a sparkline, and between two of them


def head(snapshot: Snapshot | None, history: History, lost: str, width: int) -> Text:
    """lost: why the daemon does not answer."""
    right = Text("● no daemon", "bold red") if lost else Text("● live", "green")
    if lost:
        said = re.split(r"[;\n]|: ", lost)[0]
        left = Text(f"{said}; retrying…", "red")
    elif snapshot is None:
        left, right = Text("asking the daemon"), Text()
    else:
        status = snapshot.status
        left = Text.assemble(
            ("meshd ", "bold"), f"{status.get('version', '?')}, up {out.seconds(status.get('uptime'))}"
        )
        left.append(f"   {snapshot.in_flight} in flight")
        if waiting := status.get("waiting"):
            left.append(f"   {out.count(waiting)} waiting", "yellow")
        if status.get("draining"):
            left.append("   draining", "yellow")
    left.truncate(max(0, width - len(right) - 1), overflow="ellipsis")
    left.append(" " * max(1, width - len(left) - len(right)))
    return left.append_text(right)


def gauges(snapshot: Snapshot | None, history: History, width: int) -> Text:
    """Three sparklines side by side: the request rate at each update; first token and total time of each minute."""
    if snapshot is None:
        return Text()
    line, each = Text(), width // 3
    shown: list[tuple[str, list[float | None], str]] = [("req/s", list(history.rates), model.rate(history.rate) or "0")]
    for name, key in (("first", "ttft_p50"), ("total", "latency_p50")):
        series = model.minute_series(snapshot, key)
        shown.append((name, series, out.seconds(model.newest(series)) or "–"))
    for name, values, now in shown:
        line.append(f"{name} ", "dim")
        line.append(f"{now} ".ljust(_VALUE))
        line.append(model.sparkline(values, each - len(name) - 1 - _VALUE - _GAP), "cyan")
        line.append(" " * _GAP)
    return line


def spend(snapshot: Snapshot | None, width: int) -> Text:
    """Today's spend, and the budget with the least left."""
    if snapshot is None:
        return Text()
    line = Text.assemble(("today ", "dim"), out.usd(snapshot.status.get("spend_today") or 0))
    row = model.tightest(snapshot.budgets)
    if row is not None:
        line.append(f"    {budget.whose(row)} ", "dim")
        line.append(f"{budget.amount(row, 'spent')} of {budget.limit(row)} ")
        line.append(*budget.bar(row))
        line.append(" left")
        resets = budget.resets(row.get("resets_at"))
        if resets and len(line) + len(", resets ") + len(resets) <= width:
            line.append(f", resets {resets}", "dim")
    return line


def tabs(names: Sequence[str], chosen: str, pool: str | None) -> Text:
    line = Text()
    for place, name in enumerate(names):
        line.append(f" {place + 1} {name} ", "reverse" if name == chosen else "")
        line.append(" ")
    if pool is not None and chosen == "models":
        line.append(f" of {pool} (Esc: all)", "dim")
    return line


def keys(tab: str) -> Text:
    own = {"pools": "r rotate  Enter models  ", "models": "d deactivate  a activate  "}.get(tab, "")
    return Text(f"? help  q quit  {own}s sort  R reload  1-5 tabs", "dim")


def events(rows: Sequence[Row]) -> list[Text]:
    parts = [model.event_parts(row) for row in rows]
    widest = max((len(type) for _, type, _, _ in parts), default=0)
    return [
        Text.assemble((f"{at}  ", "dim"), (type.ljust(widest), STYLES[tone]), f"  {concerned}")
        for at, type, concerned, tone in parts
    ]


def cell(shown: Cell, column: Column, width: int) -> Text:
    justify = "right" if column.right else "left"
    return Text(model.cut(shown.text, width), STYLES[shown.tone], justify=justify, no_wrap=True)  # type: ignore[arg-type]
