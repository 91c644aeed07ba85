"""`meshctl import`: another gateway's configuration as a mesh.yaml.

Must never: copy a key, or overwrite a file unless told to.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshd.cli import daemon, helping
from meshd.cli.screen import output as out
from meshd.host.plain_text import one_line
from meshd.host.replaced_file import write_output

if TYPE_CHECKING:
    from meshd.config.imports.draft import Remark

app = helping.Commands()

_GATEWAYS = ("litellm", "bifrost", "llama-swap", "portkey")
_STREAM = Path("-")
_NAMED = 3
"""Keys named with a message that is about several."""


@app.command("import", rich_help_panel=out.SET_UP)
def import_(
    gateway: Annotated[str, typer.Argument(metavar="GATEWAY", help="litellm, bifrost, llama-swap or portkey.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Its configuration file: YAML or JSON.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="PATH", help="The new file. Default, and `-`: print it.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    as_json: out.JsonOption = False,
) -> None:
    """Make a mesh.yaml from another gateway's configuration, and list what could not be converted.

    $ meshctl import litellm config.yaml --output mesh.yaml
    """
    from meshd.config.imports.gateways import import_file
    from meshd.config.write.dumping import dump_yaml
    from modelmesh.wording import likeliest, meant

    if gateway not in _GATEWAYS:
        near = meant(likeliest(gateway, _GATEWAYS))
        raise typer.BadParameter(f"{gateway!r} is not one of {', '.join(_GATEWAYS)}{near}", param_hint="GATEWAY")
    target = output if output != _STREAM else None
    if target is not None and not force and os.path.isfile(target):
        raise daemon.Refused(f"{target} already exists; --force overwrites it")
    imported = import_file(gateway, str(file))
    text = f"# From {one_line(str(file))}, by `meshctl import {gateway}`.\n{dump_yaml(imported.config)}"
    if target is not None:
        _write(target, text)
    if as_json:
        remarks = [{"path": each.path, "line": each.line, "message": each.message} for each in imported.remarks]
        written = str(target) if target is not None else None
        out.print_json({"config": imported.config, "remarks": remarks, "file": written})
        return
    if target is None:
        out.write(text)
    for line in _lines(file, imported.remarks):
        out.complain(one_line(line))
    if target is not None:
        out.say(one_line(f"wrote {target}"), out.GOOD)


def _write(target: Path, text: str) -> None:
    try:
        write_output(target, text.encode())
    except OSError as error:
        raise daemon.Refused(f"{target} cannot be written: {error.strerror}") from None


def _lines(file: Path, remarks: Iterable[Remark]) -> Iterator[str]:
    """A line for each message, with the other keys that it is about."""
    alike: dict[str, list[Remark]] = {}
    for remark in remarks:
        alike.setdefault(remark.message, []).append(remark)
    for message, (first, *others) in alike.items():
        where = f"{file}:{first.line}" if first.line is not None else str(file)
        about = f"{where}: {first.path}: {message}" if first.path else f"{where}: {message}"
        yield f"{about} ({_listed(others)})" if others else about


def _listed(others: list[Remark]) -> str:
    named = ", ".join(f"{remark.path} on line {remark.line}" for remark in others[:_NAMED])
    more = len(others) - _NAMED
    return f"also {named}" + (f" and {more} more" if more > 0 else "")
