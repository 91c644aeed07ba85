"""`meshctl image`: images from a description, or from an image and a description."""

from __future__ import annotations

import base64
import binascii
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Annotated, Any, BinaryIO

import typer

from meshd.cli import daemon, helping, names
from meshd.cli.ask import answering, files
from meshd.cli.screen import output as out

app = helping.Commands()

DEFAULT_MODEL = "image-generation"
_BY_ENDING = {"jpg": "jpeg", "jpeg": "jpeg", "webp": "webp"}
_MOST = 10  # images in one request, as OpenAI's API


@app.command(rich_help_panel=out.ASK)
def image(
    prompt: Annotated[str, typer.Argument(help="What to show; - reads it from a pipe.")],
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The file to write; - is standard output. Several are numbered."
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Such as 1024x1024; the sizes depend on the model.")
    ] = None,
    quality: Annotated[str | None, typer.Option(help="Such as low, medium or high.")] = None,
    n: Annotated[int, typer.Option(min=1, max=_MOST, metavar="N", help="How many images.")] = 1,
    edit: Annotated[list[str] | None, typer.Option(metavar="FILE", help="Change this image; may be repeated.")] = None,
    model: Annotated[
        str, typer.Option(help="A pool, capability or model.", autocompletion=names.pools_and_models)
    ] = DEFAULT_MODEL,
    as_json: out.JsonOption = False,
) -> None:
    """Make an image from a description.

    $ meshctl image "A lighthouse in fog, woodcut" -o lighthouse.png
    $ meshctl image "An app icon" --size 1024x1024 --quality low --n 3 -o icon.png   # icon-1.png, …
    $ meshctl image "Make it night" --edit street.jpg -o night.webp
    """
    paths = [] if as_json and output is None else _paths(files.target(output, "an image", "image.png"), n)
    if as_json and files.STDOUT in paths:
        raise typer.BadParameter("with --json, standard output is JSON; give a FILE", param_hint="--output")
    content = out.text_given(prompt)
    if not content.strip():
        raise typer.BadParameter("no prompt: give one as an argument, or on standard input", param_hint="PROMPT")
    chosen = {
        "size": size,
        "quality": quality,
        "n": n if n > 1 else None,
        "output_format": _BY_ENDING.get(files.ending(paths[0])) if paths else None,
        "image": _images_of(edit) if edit else None,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    began = time.monotonic()
    with ExitStack() as opened:
        targets = [opened.enter_context(files.writing(path)) for path in paths]
        with daemon.client() as client, daemon.waiting(), answering.spinner("waiting for the image…"):
            ask = client.images.edit if edit else client.images.generate
            answer: Any = ask(model=model, prompt=content, **given)
        total = time.monotonic() - began
        mesh = answer.mesh.to_dict() if answer.mesh else {}
        if as_json:
            out.print_json({**answer.to_dict(), "mesh": mesh, "total_time": round(total, 6)})
        written = _write(answer, targets)
    if not as_json:
        wrote = ", ".join(path for path in paths if path != files.STDOUT)
        answering.footer(mesh, None, [wrote, out.size(written)], total)


def _images_of(paths: list[str]) -> Any:
    """As the client takes them: a single image is not put into a list, since some servers do not accept lists."""
    images = [files.contents(path, "--edit") for path in paths]
    return images if len(images) > 1 else images[0]


def _paths(path: str, count: int) -> list[str]:
    """One for each image: `cat.png`, or `cat-1.png`, `cat-2.png`, …"""
    if count == 1:
        return [path]
    if path == files.STDOUT:
        raise typer.BadParameter("several images need a FILE: give -o FILE", param_hint="--output")
    stem, dot_ending = os.path.splitext(path)
    return [f"{stem}-{number}{dot_ending}" for number in range(1, count + 1)]


def _write(answer: Any, targets: list[BinaryIO]) -> int:
    """Returns how many bytes were written. Raises Refused unless there is an image for each target."""
    if not targets:
        return 0
    images = list(_images(answer))
    if len(images) != len(targets):
        raise daemon.Refused(f"the model gave {len(images)} of {len(targets)} images; nothing was written")
    for target, content in zip(targets, images, strict=True):
        target.write(content)
    return sum(map(len, images))


def _images(answer: Any) -> Iterator[bytes]:
    for row in answer.data or ():
        content, url = getattr(row, "b64_json", None), getattr(row, "url", None)
        if not content and url:
            raise daemon.Refused(f"the provider offers the image only at a URL; download it from there: {url}")
        try:
            yield base64.b64decode(content or "", validate=True)
        except (binascii.Error, ValueError, TypeError):
            raise daemon.Refused("the provider's image cannot be read: it is not base64") from None
