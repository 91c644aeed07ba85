"""`meshctl connect`: writes another program's settings for this mesh, and can undo that.

Must never: write anything that was not shown first, or that the user has not agreed to.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import Annotated, Any

import typer

from meshd.cli import daemon, helping
from meshd.cli.connect import backups, mesh, plan
from meshd.cli.connect.plan import Change
from meshd.cli.connect.tools import TOOLS, Tool
from meshd.cli.screen import output as out
from modelmesh.wording import no_such

app = helping.Commands()

_TOKEN = "MESH_TOKEN"  # the name of a variable


@app.command(rich_help_panel=out.SET_UP)
def connect(
    tool: Annotated[
        str | None, typer.Argument(help=f"One of {', '.join(TOOLS)}.", autocompletion=lambda: list(TOOLS))
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The pool to use. Default: the first whose models support tools.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="The listener's address. Default: the one that the daemon reports.")
    ] = None,
    usage: Annotated[
        bool, typer.Option("--usage", help="Only make it report its usage, such as that of its own subscription.")
    ] = False,
    restore: Annotated[bool, typer.Option("--restore", help="Put the settings back as they were.")] = False,
    only_print: Annotated[bool, typer.Option("--print", help="Only show the change.")] = False,
    show_list: Annotated[
        bool, typer.Option("--list", help="List these programs: which are installed, which are connected.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: out.JsonOption = False,
) -> None:
    """Write a coding tool's settings for this mesh: its address, pools and limits.

    The change is shown first, and --restore undoes it exactly. Where the listener needs a token, it is taken from
    $MESH_TOKEN, or asked for.

    $ meshctl connect claude
    $ meshctl connect claude --restore
    $ meshctl connect codex --usage
    """
    if show_list or tool is None:
        _list(as_json)
        return
    found = TOOLS.get(tool)
    if found is None:
        raise daemon.Misused(no_such("tool", tool, TOOLS))
    if usage and not found.reports:
        can = ", ".join(name for name, each in TOOLS.items() if each.reports)
        raise daemon.Misused(f"{found.title} cannot report its usage to a mesh; these can: {can}")
    found = found.reporting if usage else found
    home = backups.home()
    if restore:
        changes = plan.to_restore(found, os.environ, home)
        if not changes:
            raise daemon.Refused(f"{found.title} is not connected: there is no backup of its settings")
    else:
        changes = plan.to_connect(found, _mesh(url, model), os.environ, home)
    done = _agreed(changes, only_print=only_print, yes=yes, as_json=as_json)
    kept: list[Any] = []
    if done and restore:
        kept = plan.restore(found, changes, os.environ, home)
    elif done:
        plan.connect(found, changes, os.environ, home)
    _tell(found, changes, kept, done=done, restore=restore, usage=usage, as_json=as_json)


def _mesh(url: str | None, model: str | None) -> mesh.Mesh:
    address = mesh.reachable(url) if url else mesh.address_of(daemon.ask("status").get("http"))
    token = os.environ.get(_TOKEN, "").strip()
    try:
        return mesh.read(address, token, model)
    except mesh.NeedsToken as error:
        said = f": {error}" if str(error) else ""
        if token or daemon.settings.json or not sys.stdin.isatty():
            raise daemon.Refused(f"{address} refuses this caller{said} (the token is read from ${_TOKEN})") from None
    token = typer.prompt("Token", hide_input=True, err=True).strip()
    try:
        return mesh.read(address, token, model)
    except mesh.NeedsToken:
        raise daemon.Refused(f"{address} does not know this token") from None


def _agreed(changes: list[Change], *, only_print: bool, yes: bool, as_json: bool) -> bool:
    """Show the changes, and ask."""
    if not as_json:
        for change in changes:
            if change.edited_since:
                out.remark(f"{change.path} has changed since; it is restored to what it was before. A copy is kept.")
            if not change.is_none:
                out.write(f"{change.diff()}\n")
    if only_print:
        return False
    if yes or all(change.is_none for change in changes):
        return True
    if as_json or not sys.stdin.isatty():
        raise daemon.Refused("nothing was written: give --yes, or --print to see the change")
    return typer.confirm("Write this?", err=True)


def _tell(
    tool: Tool, changes: list[Change], kept: list[Any], *, done: bool, restore: bool, usage: bool, as_json: bool
) -> None:
    paths = [str(change.path) for change in changes if not change.is_none]
    if as_json:
        found = {"tool": tool.name, "written": done, "files": paths, "kept": [str(path) for path in kept]}
        found["diff"] = "\n".join(change.diff() for change in changes if not change.is_none)
        out.print_json(found)
        return
    for path in kept:
        out.say(f"The changed file is kept as {path}.")
    if not done:
        return
    if restore:
        out.say(f"{tool.title}'s settings are restored.", out.GOOD)
    elif not paths:
        out.say(f"{tool.title} is already connected.", out.GOOD)
    else:
        does = "reports its usage to" if usage else "uses"
        out.say(f"{tool.title} {does} this mesh. `meshctl connect {tool.name} --restore` undoes it.", out.GOOD)
    if tool.note and not restore and not usage:
        out.say(tool.note)


def _list(as_json: bool) -> None:
    home, rows = backups.home(), []
    place = backups.folder(os.environ, home)
    for tool in TOOLS.values():
        folder = tool.folder(os.environ, home)
        paths = [plan.path_of(file, folder) for file in tool.files]
        rows.append(
            {
                "tool": tool.name,
                "title": tool.title,
                "installed": any(shutil.which(program) is not None for program in tool.programs),
                "settings": str(paths[0]) if paths[0].exists() else None,
                "connected": (place / f"{tool.name}.json").exists(),
            }
        )
    if as_json:
        out.print_json({"data": rows})
        return
    cells = []
    for row in rows:
        answers = _yes(row["installed"]), row["settings"] or "", _yes(row["connected"])
        cells.append([row["tool"], row["title"], *answers])
    out.print_table(["tool", "name", "installed", "settings", "connected"], cells)


def _yes(value: object) -> str:
    return "yes" if value else "no"
