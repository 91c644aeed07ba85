"""`meshctl top`: a live view of the daemon on a terminal.

Must never: load textual, or the client, before the command runs.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from meshd.cli import daemon, helping
from meshd.cli.screen import output as out

app = helping.Commands()


@app.command(rich_help_panel=out.LOOK)
def top(
    interval: Annotated[
        float, typer.Option(min=0.2, max=60, metavar="SECONDS", help="Time between two updates.")
    ] = 1.0,
    as_json: out.JsonOption = False,
) -> None:
    """Watch pools, models, apps, budgets and events; keys rotate pools, switch models on and off, and reload. With
    --json: print one snapshot, taken over one interval.

    $ meshctl top
    """
    if as_json:
        out.print_json(_once(interval))
        return
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):  # textual draws on the last
        raise daemon.Misused("`meshctl top` needs a terminal; `meshctl top --json` prints one snapshot.")
    daemon.ask("describe")  # without a daemon, this fails with the same message as every command
    from meshd.cli.top.dashboard import Top
    from meshd.cli.top.source import Source

    Top(Source(daemon.settings.socket), interval).run()


def _once(interval: float) -> dict[str, object]:
    import asyncio

    from meshd.cli.top.model import History, as_json
    from meshd.cli.top.source import Source

    async def look() -> dict[str, object]:
        source, history = Source(daemon.settings.socket), History()
        try:
            history.add(await source.snapshot())
            await asyncio.sleep(interval)
            snapshot = await source.snapshot()
            history.add(snapshot)
            return as_json(snapshot, history)
        finally:
            await source.close()

    return asyncio.run(look())
