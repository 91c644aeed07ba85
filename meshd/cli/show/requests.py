"""`meshctl requests`: the last requests, and what was tried for each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from meshd.cli import daemon, helping
from meshd.cli.screen import output as out
from meshd.core.seconds import from_nanos

app = helping.Commands()


@app.command(rich_help_panel=out.LOOK)
def requests(
    failed: Annotated[bool, typer.Option("--failed", help="Only those that failed.")] = False,
    of_app: Annotated[str | None, typer.Option("--app", metavar="NAME", help="Only those of this app.")] = None,
    model: Annotated[str | None, typer.Option(metavar="ID", help="Only those that this model answered.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="At most N of them.")] = 20,
    as_json: out.JsonOption = False,
) -> None:
    """Show the last requests, the newest last, with every attempt of those that took several or failed.

    The daemon keeps the last 500, and never a prompt or an answer.

    $ meshctl requests --failed --app editor
    """
    answer = daemon.ask("requests", limit=limit, app=of_app, model=model, failed="true" if failed else None)
    if as_json:
        out.print_json(answer)
        return
    found = answer.get("data") or []
    out.print_table(
        ["time", "app", "asked", "model", "status", "tokens", "first", "took", "cost"],
        [row for each in found for row in _rows(each)],
        numbers=["tokens", "first", "took", "cost"],
        empty="no request has ended yet" if not (failed or of_app or model) else "no such request",
    )


def _rows(request: Mapping[str, Any]) -> list[list[Any]]:
    """The request's line, and a line for each of its attempts if they tell more."""
    status = int(request.get("status") or 0)
    error = str(request.get("error") or "")
    first = [
        datetime.fromtimestamp(from_nanos(request.get("at_ns") or 0)).strftime("%H:%M:%S"),
        request.get("app"),
        request.get("asked"),
        request.get("model") or "",
        (f"{status} {error}".strip(), out.BAD if status >= 400 else out.GOOD),
        f"{out.count(request.get('tokens_in') or 0)}+{out.count(request.get('tokens_out') or 0)}",
        out.seconds(request.get("first_token_time")),
        out.seconds(request.get("total_time")),
        out.usd(request.get("cost") or 0),
    ]
    attempts = request.get("attempts") or []
    return [first, *map(_attempt, attempts)] if len(attempts) > 1 else [first]


def _attempt(attempt: Mapping[str, Any]) -> list[Any]:
    said = " ".join(str(attempt.get(key) or "") for key in ("reason", "message")).strip()
    result = ("answered", out.GOOD) if attempt.get("ok") else (said, out.BAD)
    return ["", "", "", f"  {attempt.get('model')}", result, "", "", out.seconds(attempt.get("duration")), ""]
