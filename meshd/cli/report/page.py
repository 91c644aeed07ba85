"""The page of a report: one HTML file that needs nothing from outside.

Owns: its parts and their words. Must never: hold a script, load anything, or let a name be read as markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Any

from meshd.cli.report import charts
from meshd.cli.report.charts import Series
from meshd.cli.report.month import Figures, Row, money, outside
from meshd.cli.screen import output as out
from meshd.cli.show.usage import budget
from meshd.host.plain_text import one_line

_MOST_ROWS = 20
_HEADINGS = {"project": "Projects", "app": "Apps", "user": "Users", "agent": "Agents", "model": "Models"}
_FURTHER = {"pool": "Pools", "session": "Sessions", "label": "Labels"}
_NONE = {"project": "no repository", "agent": "no known agent", "session": "no session", "label": "no label"}


def page(found: Figures) -> str:
    """The whole document."""
    style = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    is_partial = found.until < found.month.end
    until = f", until {found.until:%Y-%m-%d %H:%M} UTC" if is_partial else ""
    parts = [_tiles(found.total)]
    if found.days:
        parts += [_by_day(found), *(_breakdown(found, name, title) for name, title in _HEADINGS.items())]
        further = [_breakdown(found, name, title) for name, title in _FURTHER.items()]
        parts += [f"<details><summary>Pools, sessions and labels</summary>{''.join(further)}</details>"]
    else:
        parts.append("<p>No requests in this month.</p>")
    parts.append(_budgets(found.budgets))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>Spend in {found.month.title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<header><h1>Spend in {found.month.title}</h1>\n"
        f'<p class="faint">From the model mesh on this machine{until}. Days are UTC.</p></header>\n<main>\n'
        + "\n".join(parts)
        + f"\n</main>\n<footer><p>{_FOOTER}</p></footer>\n</body>\n</html>\n"
    )


_FOOTER = (
    "Requests are counted once; by model, attempts are. Spend is what the mesh has paid for, by its prices. Outside "
    "the mesh: what agents report for their own subscriptions and keys, by their estimate or the catalogue's prices; "
    "no budget counts it. Saved requests were answered although an attempt had failed."
)


# -- the parts ----------------------------------------------------------------------------------------


def _tiles(total: Row) -> str:
    read = (total.get("tokens_in") or 0) or 1
    tiles = [
        ("Spend", out.usd(money(total))),
        ("Requests", out.count(total.get("requests_total") or 0)),
        ("Tokens in", out.compact(total.get("tokens_in"))),
        ("Tokens out", out.compact(total.get("tokens_out"))),
        ("Input from caches", f"{100 * (total.get('tokens_cached') or 0) / read:.0f} %"),
        ("Failed", out.count(total.get("requests_failed") or 0)),
        ("Saved by another attempt", out.count(total.get("requests_saved") or 0)),
        ("Answered from the mesh's cache", out.count(total.get("cache_hits") or 0)),
    ]
    if total.get("outside_requests") or outside(total):
        tiles.append(("Outside the mesh", out.usd(outside(total))))
    return f'<dl class="tiles">{"".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in tiles)}</dl>'


def _by_day(found: Figures) -> str:
    days = found.month.days()
    rows = [found.days.get(day, {}) for day in days]
    labels = [day[-2:].lstrip("0") for day in days]
    spend = [Series("spend", "spend", [money(row) for row in rows])]
    if any(map(outside, rows)):
        spend.append(Series("outside the mesh", "outside", [outside(row) for row in rows]))
    read = [row.get("tokens_in") or 0 for row in rows]
    cached = [min(row.get("tokens_cached") or 0, whole) for row, whole in zip(rows, read, strict=True)]
    tokens = [
        Series("input", "input", [whole - part for whole, part in zip(read, cached, strict=True)]),
        Series("input from caches", "cached", cached),
        Series("output", "output", [row.get("tokens_out") or 0 for row in rows]),
    ]
    failed = [row.get("requests_failed") or 0 for row in rows]
    answered = [(row.get("requests_total") or 0) - bad for row, bad in zip(rows, failed, strict=True)]
    requests = [Series("other requests", "spend", answered), Series("failed", "bad", failed)]
    drawn = "".join(
        f"<section><h2>{title}</h2>{charts.bars(f'{title}; the figures are below', labels, each, shown)}"
        f"{charts.legend(each)}</section>"
        for title, each, shown in (
            ("Spend by day", spend, out.usd),
            ("Tokens by day", tokens, out.compact),
            ("Requests by day", requests, out.compact),
        )
    )
    table = _table("Figures by day", "day", [(day, found.days[day]) for day in days if day in found.days], found.total)
    return f'<div class="charts">{drawn}</div><details><summary>Figures by day</summary>{table}</details>'


def _breakdown(found: Figures, name: str, title: str) -> str:
    rows = found.by.get(name) or []
    if not any(row.get("name") for row in rows):
        return ""
    shown = [(str(row.get("name") or _NONE.get(name, "none")), row) for row in rows[:_MOST_ROWS]]
    more = f'<p class="faint">{len(rows) - _MOST_ROWS} more are left out.</p>' if len(rows) > _MOST_ROWS else ""
    whole = {"cost_total": sum(map(money, rows)), "outside_cost": sum(map(outside, rows))}
    return f"<section><h2>{title}</h2>{_table(f'Spend by {name}', name, shown, whole)}{more}</section>"


def _table(caption: str, first: str, rows: Sequence[tuple[str, Row]], whole: Row) -> str:
    has_outside = any(outside(row) or row.get("outside_requests") for _, row in rows)
    columns = [first, "spend", "share", *_COLUMNS, *(_OUTSIDE if has_outside else [])]
    lines = []
    for name, row in rows:
        cells = [out.usd(money(row)), charts.share(money(row), money(whole)) + _percent(money(row), money(whole))]
        cells += [out.compact(row.get(name)) for name in _COLUMNS.values()]
        if has_outside:
            tokens = sum(row.get(name) or 0 for name in ("outside_tokens_in", "outside_tokens_out"))
            cells += [out.usd(outside(row)), out.compact(row.get("outside_requests")), out.compact(tokens)]
        lines.append([_name(name), *cells])
    return _framed(caption, columns, lines)


_COLUMNS = {
    "requests": "requests_total",
    "failed": "requests_failed",
    "saved": "requests_saved",
    "tokens in": "tokens_in",
    "from caches": "tokens_cached",
    "tokens out": "tokens_out",
}
_OUTSIDE = ("outside", "outside requests", "outside tokens")


def _percent(part: float, whole: float) -> str:
    return f" {100 * part / whole:.0f} %" if whole > 0 else ""


def _budgets(rows: list[Row] | None) -> str:
    if not rows:
        return ""
    lines = [
        [_name(budget.whose(row)), budget.amount(row, "spent"), budget.limit(row), f"{budget.left(row)} %"]
        for row in rows
    ]
    table = _framed("Limits and what is left", ["of", "spent", "limit", "left"], lines)
    return f"<section><h2>Budgets now</h2>{table}</section>"


def _framed(caption: str, columns: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    """The first cell of each line is its header; cells are markup."""
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    body = "".join(
        f'<tr><th scope="row">{line[0]}</th>{"".join(f"<td>{cell}</td>" for cell in line[1:])}</tr>' for line in lines
    )
    return (
        f'<div class="wide" role="region" aria-label="{caption}" tabindex="0"><table><caption>{caption}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _name(text: str) -> str:
    return escape(one_line(text))
