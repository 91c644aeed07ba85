"""`meshctl state export|import`: what survives a restart, as a file.

Must never: write a file that others can read.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from meshd.cli import daemon, helping
from meshd.cli.screen import output as out
from meshd.host.replaced_file import write_output

app = helping.Commands()
state_app = helping.Commands(
    no_args_is_help=True, help="Export and import what survives a restart: spend, health, statistics."
)
app.add_typer(state_app, name="state", rich_help_panel=out.SET_UP)

File = Annotated[Path, typer.Argument(help="The file; `-` for standard output or input.")]
_STREAM = Path("-")
_PATIENCE = 120.0  # s


@state_app.command("export")
def export(file: File = _STREAM) -> None:
    """Write the state of the running daemon to a file. It contains no prompts or answers.

    $ meshctl state export state.json
    """
    with daemon.Daemon(_PATIENCE) as running:
        text = json.dumps(running.get("state"))
    if file == _STREAM:
        print(text)
        return
    try:
        write_output(file, text.encode())
    except OSError as error:
        raise daemon.Refused(f"{file} cannot be written: {error.strerror}") from None
    out.say(f"written to {file}", out.GOOD)


@state_app.command("import")
def import_(file: File = _STREAM, as_json: out.JsonOption = False) -> None:
    """Replace the state of the running daemon with an exported one, without a restart.

    $ meshctl state import state.json
    """
    try:
        state = json.loads(sys.stdin.read() if file == _STREAM else file.read_text())
    except OSError as error:
        raise daemon.Refused(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        state = None
    if not isinstance(state, dict):
        raise daemon.Refused(f"{file} is not an exported state")
    answer = daemon.tell("state", state, _PATIENCE)
    if as_json:
        out.print_json(answer)
    else:
        out.say("imported", out.GOOD)
