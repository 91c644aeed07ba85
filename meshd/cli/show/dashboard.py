"""`meshctl dashboard`: open the page that shows the mesh in a browser."""

from __future__ import annotations

import html
import os
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from meshd.cli import daemon, helping
from meshd.cli.screen import output as out
from meshd.host.replaced_file import replace_file

app = helping.Commands()

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>meshd</title>
<meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="0; url={url}">
<p><a href="{url}">Open the dashboard</a></p></html>
"""


@app.command(rich_help_panel=out.LOOK)
def dashboard(
    print_only: Annotated[bool, typer.Option("--print", help="Print the address instead of opening it.")] = False,
    as_json: out.JsonOption = False,
) -> None:
    """Open the dashboard in a browser: pools, models, apps, usage, events, requests and a playground.

    The address contains a key, without which no page can use the mesh. It is valid until the daemon stops.

    $ meshctl dashboard --print
    """
    answer = daemon.ask("dashboard")
    address = f"{answer['url']}/#key={answer['key']}"
    if as_json:
        out.print_json({**answer, "address": address})
    elif print_only or not _opened(address):
        out.say(address)
    else:
        out.say("the dashboard is open in the browser", out.FAINT)


def _opened(address: str) -> bool:
    """Open it through a file that only this user may read, since other users can see a browser's command line."""
    folder = os.environ.get("XDG_RUNTIME_DIR")
    if not folder or not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    page = Path(folder, "meshd-dashboard.html")
    replace_file(page, _PAGE.format(url=html.escape(address)).encode())
    return webbrowser.open(page.as_uri())
