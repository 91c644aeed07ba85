"""`meshctl report`: writes the report of a month."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from meshd.cli import daemon, helping
from meshd.cli.report.month import Month, figures
from meshd.cli.report.page import page
from meshd.cli.screen import output as out
from meshd.host.replaced_file import write_output

app = helping.Commands()


@app.command(rich_help_panel=out.LOOK)
def report(
    month: Annotated[str, typer.Option(metavar="MONTH", help="`2026-11`, `this` or `last`.")] = "this",
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to write it; `-`: standard output.", show_default=False
        ),
    ] = None,
    as_json: out.JsonOption = False,
) -> None:
    """Write the spend and usage of a month as one HTML page with charts: by day, project, app, user, agent and
    model, with tokens, failures and budgets. The page loads nothing, so it can be sent by mail. By default, the file
    is `meshd-report-MONTH.html` in the current directory.

    $ meshctl report --month last
    $ meshctl report --month 2026-11 --output november.html
    """
    try:
        wanted = Month.named(month, datetime.now(UTC))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--month") from None
    found = figures(wanted)
    if as_json:
        told = {"month": wanted.name, "until": found.until.timestamp()}
        out.print_json(told | {key: value for key, value in asdict(found).items() if key not in ("month", "until")})
        return
    document = page(found)
    if output == "-":
        sys.stdout.write(document)
        return
    path = Path(output or f"meshd-report-{wanted.name}.html")
    try:
        write_output(path, document.encode())
    except OSError as error:
        raise daemon.Refused(f"{path} cannot be written: {error.strerror}") from None
    out.say(str(path))
