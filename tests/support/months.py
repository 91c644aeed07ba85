"""A month of use, as a report has it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from meshd.cli.report.month import Figures, Month

HOSTILE = '<img src=x onerror=alert(1)> "quoted" \u202eoff \x1b[31mred'


def row(name: str, cost: float, **given: Any) -> dict[str, Any]:
    counted = {"requests_total": int(cost * 40) + 3, "requests_failed": int(cost) % 3, "requests_saved": int(cost) % 5}
    counted |= {"tokens_in": int(cost * 90_000), "tokens_cached": int(cost * 60_000), "tokens_out": int(cost * 9_000)}
    return {"name": name, "cost_total": cost, "outside_cost": 0.0, "outside_requests": 0, **counted, **given}


def november(until: datetime) -> Figures:
    """2026-11, with names of all kinds."""
    month = Month.named("2026-11", datetime(2026, 12, 1, tzinfo=UTC))
    days = {
        day: row(day, 1.5 + at * 7 % 11, outside_cost=at % 4 * 1.25, outside_requests=at % 4)
        for at, day in enumerate(month.days())
        if day <= f"{until:%Y-%m-%d}" and at % 7 < 6
    }
    total = {name: sum(each[name] for each in days.values()) for name in row("", 1.0) if name != "name"}
    by = {
        "project": [row("~/work/api", 80.5, outside_cost=12.0, outside_requests=9), row("~/web", 21), row("", 4)],
        "app": [row("claude", 90.0), row(HOSTILE, 3.0), *(row(f"app-{number}", 0.5) for number in range(25))],
        "user": [row("ann", 80.0), row("bob", 25.5)],
        "agent": [row("claude-code", 70.0), row("codex", 20.0), row("", 15.5)],
        "model": [row("anthropic.claude-opus-4-5-20251101", 70.0), row("openai.gpt-5", 30.0)],
        "pool": [row("chat-completion", 105.0)],
        "session": [row("5f0d3a52-9a8e-4f43-8c25-0f5b8d3b1c11", 12.5)],
        "label": [row("", 105.5)],
    }
    budget = {"scope": "app", "name": "claude", "pool": "", "measure": "cost", "window": "month", "source": "budget"}
    budget |= {"limit": 200.0, "spent": 90.0, "reserved": 0.0, "resets_at": 0.0, "enforce": True}
    return Figures(month, until, total | {"cache_hits": 12}, days, by, [budget])
