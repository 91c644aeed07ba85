"""`meshctl import`: another gateway's configuration as a mesh.yaml.

Must never: copy a key, or overwrite a file unless told to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meshd.cli import daemon, helping
from meshd.cli.screen import output as out
from meshd.host.plain_text import one_line

app = helping.Commands()

_GATEWAYS = ("litellm", "bifrost", "llama-swap", "portkey")


@app.command("import", rich_help_panel=out.SET_UP)
def import_(
    gateway: Annotated[str, typer.Argument(metavar="GATEWAY", help="litellm, bifrost, llama-swap or portkey.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Its configuration file: YAML or JSON.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="PATH", help="The new file. Default: print it.")
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
    if output is not None and output.exists() and not force:
        raise daemon.Refused(f"{output} already exists; --force overwrites it")
    imported = import_file(gateway, str(file))
    text = f"# From {one_line(str(file))}, by `meshctl import {gateway}`.\n{dump_yaml(imported.config)}"
    if output is not None:
        from meshd.config.write.private_file import write_private

        write_private(output, text)
    if as_json:
        remarks = [{"path": each.path, "line": each.line, "message": each.message} for each in imported.remarks]
        written = str(output) if output is not None else None
        out.print_json({"config": imported.config, "remarks": remarks, "file": written})
        return
    if output is None:
        out.write(text)
    for remark in imported.remarks:
        where = f"{file}:{remark.line}" if remark.line is not None else str(file)
        out.complain(one_line(f"{where}: {remark.path}: {remark.message}"))
    if output is not None:
        out.say(f"wrote {output}", out.GOOD)
