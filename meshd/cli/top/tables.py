"""The tables of `meshctl top`: which values of a snapshot are in which column.

Must never: ask the daemon, or know of textual.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshd.cli.screen import output as out
from meshd.cli.show.usage import budget
from meshd.cli.top.model import (
    BAD,
    FAINT,
    GOOD,
    WARN,
    Cell,
    Column,
    History,
    Line,
    Row,
    Snapshot,
    Table,
    event_parts,
    number,
    rate,
    text,
)

TONE_OF = {out.GOOD: GOOD, out.BAD: BAD, "yellow": WARN, out.FAINT: FAINT}
STATES = {"active": GOOD, "standby": BAD, "probation": WARN}


def pools_table(snapshot: Snapshot, history: History) -> Table:
    in_flight = {str(model.get("id")): int(model.get("in_flight") or 0) for model in snapshot.models}
    lines = []
    for pool in snapshot.pools:
        name = str(pool.get("name"))
        active, standby = int(pool.get("active") or 0), int(pool.get("standby") or 0)
        members = [str(model.get("id")) for model in pool.get("models") or ()]
        recent = snapshot.recent.get(("pool", name), {})
        busy = sum(in_flight.get(member, 0) for member in members)
        lines.append(
            Line(
                name,
                (
                    text(name),
                    Cell(
                        f"{active}/{active + standby}",
                        GOOD if active and not standby else WARN if active else BAD,
                        active,
                    ),
                    text(pool.get("current")),
                    number(busy, out.count),
                    number(history.by_name.get(("pool", name)), rate),
                    number(recent.get("latency_p50"), out.seconds),
                    number(recent.get("latency_p95"), out.seconds),
                    number(recent.get("ttft_p50"), out.seconds),
                    number(recent.get("requests_failed"), out.count, BAD),
                    text(str(pool.get("strategy") or "").removeprefix("modelmesh.").removesuffix(".v1"), FAINT),
                ),
            )
        )
    columns = (
        Column("pool", least=12),
        Column("active", right=True),
        Column("now", least=10, rank=2),
        Column("busy", right=True, rank=1),
        Column("req/s", right=True),
        Column("p50", right=True, rank=1),
        Column("p95", right=True, rank=4),
        Column("first", right=True, rank=3),
        Column("failed", right=True, rank=2),
        Column("strategy", rank=9),
    )
    return Table(
        columns, tuple(lines), "no pools: no model was found (meshctl pull smollm2-135m, or set a provider's key)"
    )


def models_table(snapshot: Snapshot, pool: str | None = None) -> Table:
    lines = []
    for model in snapshot.models:
        if pool is not None and pool not in (model.get("pools") or ()):
            continue
        status = str(model.get("status") or "")
        lines.append(
            Line(
                str(model.get("id")),
                (
                    text(model.get("id")),
                    text(status, STATES.get(status, "")),
                    number(model.get("in_flight"), out.count),
                    number(model.get("requests"), out.count),
                    number(model.get("failures"), out.count, BAD),
                    number(out.get(model, "latency", "p50"), out.seconds),
                    number(out.get(model, "first_token", "p50"), out.seconds),
                    number(model.get("cost"), out.usd),
                    text(model.get("reason"), FAINT),
                ),
            )
        )
    columns = (
        Column("model", least=16),
        Column("state"),
        Column("busy", right=True, rank=2),
        Column("requests", right=True, rank=1),
        Column("failed", right=True, rank=1),
        Column("p50", right=True, rank=3),
        Column("first", right=True, rank=5),
        Column("cost", right=True, rank=4),
        Column("reason", least=14, rank=2),
    )
    empty = "no models: meshctl pull smollm2-135m, or set a provider's key"
    return Table(columns, tuple(lines), empty if pool is None else f"{pool} has no models")


def apps_table(snapshot: Snapshot, history: History) -> Table:
    """Made from `/mesh/v1/apps`, or from the statistics alone if the daemon lacks that operation."""
    rows: dict[str, Row] = {name: {} for scope, name in snapshot.totals if scope == "app"}
    for row in snapshot.apps or ():
        rows[str(row.get("name"))] = row
    lines = []
    for name, row in rows.items():
        recent = snapshot.recent.get(("app", name), {})
        key = ("app", name)
        lines.append(
            Line(
                name,
                (
                    text("default (sum)" if name == "default" and not row.get("match") else name),
                    number(row.get("in_flight"), out.count),
                    number(row.get("waiting"), out.count, WARN),
                    number(history.by_name.get(key), rate),
                    number(snapshot.totals.get(key, row.get("requests")), out.count),
                    number(recent.get("requests_failed"), out.count, BAD),
                    number(recent.get("latency_p50"), out.seconds),
                    number(recent.get("ttft_p50"), out.seconds),
                    number(row.get("cost_today"), out.usd),
                ),
            )
        )
    columns = (
        Column("app", least=16),
        Column("busy", right=True),
        Column("waiting", right=True),
        Column("req/s", right=True),
        Column("requests", right=True),
        Column("failed", right=True, rank=1),
        Column("p50", right=True, rank=2),
        Column("first", right=True, rank=3),
        Column("today", right=True),
    )
    return Table(columns, tuple(lines), "no app has sent a request yet")


def budget_table(snapshot: Snapshot) -> Table:
    lines = []
    for index, row in enumerate(snapshot.budgets or ()):
        left, style = budget.bar(row)
        shown = [budget.amount(row, key) if row.get(key) else "" for key in ("spent", "reserved")]
        lines.append(
            Line(
                f"{index} {budget.whose(row)}",
                (
                    text(budget.whose(row)),
                    Cell(shown[0], order=row.get("spent")),
                    Cell(shown[1], order=row.get("reserved")),
                    Cell(budget.limit(row), order=row.get("limit")),
                    Cell(left, TONE_OF.get(style, ""), budget.left(row)),
                    Cell(budget.resets(row.get("resets_at")), FAINT, row.get("resets_at")),
                ),
            )
        )
    columns = (
        Column("budget", least=12),
        Column("spent", right=True),
        Column("reserved", right=True, rank=2),
        Column("limit", right=True),
        Column("left"),
        Column("resets", rank=1),
    )
    nothing = "no limits (see `budget` in the configuration)"
    unknown = "this daemon does not report budgets"
    return Table(columns, tuple(lines), unknown if snapshot.budgets is None else nothing)


def events_table(events: Iterable[Row]) -> Table:
    """Events, the newest first."""
    lines = []
    for event in events:
        at, type, concerned, tone = event_parts(event)
        when = event.get("at_ns") or 0
        lines.append(Line(f"{when} {type} {concerned}", (Cell(at, FAINT, when), text(type, tone), text(concerned))))
    columns = (Column("time"), Column("event"), Column("what", least=20))
    unique = {line.key: line for line in reversed(lines)}
    return Table(columns, tuple(unique.values()), "no events yet")
