"""`meshctl stats`: counts, tokens, cost and latencies by model, provider, pool or app."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from meshd.cli import daemon
from meshd.cli import output as out

app = typer.Typer()


class Scope(StrEnum):
    model = "model"
    provider = "provider"
    pool = "pool"
    app = "app"


@app.command(rich_help_panel=out.LOOK)
def stats(
    by: Annotated[Scope, typer.Option(help="What to count for.")] = Scope.model,
    since: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How far back: 15m, 24h, 7d. Default: all.")
    ] = None,
    as_json: out.JsonOption = False,
) -> None:
    """Requests, tokens (in+out), cost, latencies (`first`: to the first token), downtime.

    [dim]meshctl stats --by pool --since 24h[/dim]
    """
    answer = daemon.ask("stats", by=by.value, since=_seconds(since))
    if as_json:
        out.print_json(answer)
        return
    rows = answer.get("data") or []
    columns = [by.value, "requests", "failed", "tokens", "cost", "p50", "p95", "first", "retries", "down"]
    out.print_table(columns, [_row(row) for row in rows], numbers=columns[1:], empty="no requests yet")


def _row(row: dict[str, Any]) -> list[Any]:
    failed = row.get("requests_failed") or 0
    return [
        row.get("name"),
        out.count(row.get("requests_total") or 0),
        (out.count(failed), out.BAD) if failed else "",
        f"{out.compact(row.get('tokens_in'))}+{out.compact(row.get('tokens_out'))}",
        out.usd(row.get("cost_total")),
        out.seconds(row.get("latency_p50")),
        out.seconds(row.get("latency_p95")),
        out.seconds(row.get("ttft_p50")),
        out.count(row["retries"]) if row.get("retries") else "",
        out.seconds(row["downtime_total"]) if row.get("downtime_total") else "",
    ]


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    from meshd.config.units import parse_duration

    try:
        return parse_duration(text)
    except ValueError:
        raise typer.BadParameter("not a duration; write 15m, 24h or 7d", param_hint="--since") from None
