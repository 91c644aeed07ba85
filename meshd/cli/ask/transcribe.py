"""`meshctl transcribe`: the words of a recording."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from meshd.cli import daemon, helping, names
from meshd.cli.ask import answering, files
from meshd.cli.screen import output as out

app = helping.Commands()

DEFAULT_MODEL = "speech-to-text"


@app.command(rich_help_panel=out.ASK)
def transcribe(
    file: Annotated[str, typer.Argument(help="The recording; - reads it from a pipe.", metavar="FILE")],
    model: Annotated[
        str, typer.Option(help="A pool, capability or model.", autocompletion=names.pools_and_models)
    ] = DEFAULT_MODEL,
    language: Annotated[
        str | None, typer.Option(metavar="CODE", help="The language of the recording, such as en or de.")
    ] = None,
    prompt: Annotated[str | None, typer.Option(metavar="TEXT", help="Names and words that may occur in it.")] = None,
    translate: Annotated[bool, typer.Option("--translate", help="Translate into English.")] = False,
    srt: Annotated[bool, typer.Option("--srt", help="Print subtitles, as SubRip.")] = False,
    vtt: Annotated[bool, typer.Option("--vtt", help="Print subtitles, as WebVTT.")] = False,
    as_json: out.JsonOption = False,
) -> None:
    """Transcribe a recording.

    $ meshctl transcribe a.mp3 > a.txt
    $ meshctl transcribe a.m4a --srt > a.srt
    $ meshctl transcribe a.ogg --translate --json | jq -r .text
    """
    if srt + vtt + as_json > 1:
        raise typer.BadParameter("--srt, --vtt and --json exclude each other; give one")
    if translate and language:
        raise typer.BadParameter("--translate detects the language; leave out --language")
    chosen = {
        "response_format": "srt" if srt else "vtt" if vtt else None,
        "language": language,
        "prompt": out.as_text(prompt) if prompt else None,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    recording = files.contents(file, "FILE")
    began = time.monotonic()
    with daemon.client() as client, daemon.waiting(), answering.spinner("waiting for the transcript…"):
        ask = client.audio.translations.create if translate else client.audio.transcriptions.create
        answer: Any = ask(model=model, file=recording, **given)
    total = time.monotonic() - began
    text = answer if isinstance(answer, str) else str(answer.text or "")
    mesh = answer.mesh.to_dict() if getattr(answer, "mesh", None) else {}  # plain text has no place for it
    if as_json:
        out.print_json({**answer.to_dict(), "mesh": mesh, "total_time": round(total, 6)})
    elif text.strip():
        out.write(text if text.endswith("\n") else text + "\n")
        answering.footer(mesh, None, [], total)
    if not text.strip():
        raise daemon.Refused("the model recognised no words")
