"""`meshctl embed`: a text as a vector."""

from __future__ import annotations

from typing import Annotated

import typer

from meshd.cli import daemon, helping, names
from meshd.cli.screen import output as out
from modelmesh.wording import counted

app = helping.Commands()

DEFAULT_MODEL = "text-embeddings"
_SHOWN = 6


@app.command(rich_help_panel=out.ASK)
def embed(
    text: Annotated[str, typer.Argument(help="The text; - reads it from a pipe.")],
    model: Annotated[
        str, typer.Option(help="A pool, capability or model.", autocompletion=names.pools_and_models)
    ] = DEFAULT_MODEL,
    as_json: out.JsonOption = False,
) -> None:
    """Embed a text: show the beginning of its vector, or all of it with --json.

    $ meshctl embed "the cat sat on the mat"
    $ meshctl embed - --json < page.txt | jq '.data[0].embedding'
    """
    content = out.text_given(text)
    if not content.strip():
        raise typer.BadParameter("no text: give it as an argument, or on standard input", param_hint="TEXT")
    with daemon.client() as client, daemon.waiting():
        reply = client.embeddings.create(model=model, input=content)
    mesh = reply.mesh.to_dict() if reply.mesh else {}
    vector = reply.data[0].embedding if reply.data else []
    if as_json:
        out.print_json({**reply.to_dict(), "mesh": mesh})
    elif vector:
        head = ", ".join(f"{value:.5f}" for value in vector[:_SHOWN])
        more = ", …" if len(vector) > _SHOWN else ""
        out.say(f"{counted(len(vector), 'dimension')}: [{head}{more}]")
        who = " · ".join(str(part) for part in (mesh.get("model") or reply.model, mesh.get("provider")) if part)
        out.remark(who)
    if not vector:
        raise daemon.Refused("the model gave an empty answer")
