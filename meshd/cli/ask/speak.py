"""`meshctl speak`: a text read aloud."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from meshd.cli import daemon, helping, names
from meshd.cli.ask import answering, files
from meshd.cli.screen import output as out

app = helping.Commands()

DEFAULT_MODEL = "text-to-speech"
_FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
_BY_ENDING = {each: each for each in _FORMATS} | {"ogg": "opus", "raw": "pcm"}


@app.command(rich_help_panel=out.ASK)
def speak(
    text: Annotated[str, typer.Argument(help="The text; - reads it from a pipe.")],
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="The file to write; - is standard output.")
    ] = None,
    voice: Annotated[str, typer.Option(help="One of the model's voices.")] = "alloy",
    model: Annotated[
        str, typer.Option(help="A pool, capability or model.", autocompletion=names.pools_and_models)
    ] = DEFAULT_MODEL,
    format: Annotated[
        str | None,
        typer.Option(help=f"Such as {', '.join(_FORMATS)}. Default: FILE's extension, else the model's."),
    ] = None,
    speed: Annotated[float | None, typer.Option(min=0.25, max=4, help="From 0.25 to 4; 1 is normal.")] = None,
    instructions: Annotated[str | None, typer.Option(metavar="TEXT", help="How to speak, for models that can.")] = None,
    as_json: out.JsonOption = False,
) -> None:
    """Read a text aloud, into a file or a pipe, as it comes.

    $ meshctl speak "The build is done" -o done.mp3
    $ cat letter.txt | meshctl speak - --voice nova | mpv -
    $ meshctl speak "Bonjour" --model openai.gpt-4o-mini-tts --format wav | aplay
    """
    if as_json and output in (None, files.STDOUT):
        raise typer.BadParameter("with --json, standard output is JSON; give a FILE", param_hint="--output")
    path = files.target(output, "speech", "speech.mp3")
    content = out.text_given(text)
    if not content.strip():
        raise typer.BadParameter("no text: give it as an argument, or on standard input", param_hint="TEXT")
    chosen = {
        "response_format": format or _BY_ENDING.get(files.ending(path)),
        "speed": speed,
        "instructions": out.as_text(instructions) if instructions else None,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    began, size = time.monotonic(), 0
    with files.writing(path) as file, daemon.client() as client:
        with daemon.waiting(), answering.spinner("waiting for speech…") as spinner:
            stream = client.audio.speech.pieces(model=model, input=content, voice=voice, **given)
            with stream:
                for piece in stream:
                    spinner.set()
                    file.write(piece)
                    size += len(piece)
        if not size:
            raise daemon.Refused("the model gave an empty answer")
    mesh = stream.mesh.to_dict() if stream.mesh else {}
    total = time.monotonic() - began
    if as_json:
        made = {"file": path, "bytes": size, "content_type": stream.content_type}
        out.print_json({**made, "mesh": mesh, "total_time": round(total, 6)})
    else:
        answering.footer(mesh, None, [stream.content_type, out.size(size)], total)
