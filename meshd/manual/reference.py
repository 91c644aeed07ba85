"""Writes docs/reference/*.md: `python -m meshd.manual.reference`.

Owns: the form of these pages. What they say comes from the parsers, the events and the errors.
Must never: state a fact that the code does not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import typer

from meshd.cli import entry, helping
from meshd.core.events.event_type import MEANINGS
from modelmesh.errors import MeshError

FOLDER: Final = Path("docs") / "reference"
_WRITTEN: Final = "<!-- Written by `python -m meshd.manual.reference`. Change the code, not this page. -->"


def pages() -> dict[str, str]:
    """File name → text."""
    found = {"cli.md": _commands(), "events.md": _events(), "errors.md": _errors()}
    return {name: "\n".join(lines).rstrip() + "\n" for name, lines in found.items()}


# -- meshctl ------------------------------------------------------------------------------------------


def _commands() -> Iterator[str]:
    root: Any = typer.main.get_command(entry.app)
    yield from ("# meshctl", "", _WRITTEN, "")
    with root.make_context("meshctl", [], resilient_parsing=True) as ctx:
        found = helping.help_of(root, ctx)
        yield from _text(found.text)
        for title, rows in found.sections.items():
            if rows:
                linked = [(name if title == "Options" else f"[{name}](#meshctl-{name})", what) for name, what in rows]
                yield from _table(title, linked)
        for name in root.list_commands(ctx):
            yield from _command(name, root.get_command(ctx, name), ctx, 2)


def _command(name: str, command: Any, above: Any, level: int) -> Iterator[str]:
    with command.make_context(name, [], parent=above, resilient_parsing=True) as ctx:
        found = helping.help_of(command, ctx)
        yield from (f"{'#' * level} {ctx.command_path}", "")
        yield from ("```text", found.usage, "```", "")
        yield from _text(found.text)
        for title, rows in found.sections.items():
            if rows:
                yield from _table(title, rows)
        yield from _text(found.epilog)
        for below in command.list_commands(ctx) if hasattr(command, "list_commands") else ():
            yield from _command(below, command.get_command(ctx, below), ctx, level + 1)


def _text(text: str) -> Iterator[str]:
    for paragraph in filter(None, text.split("\n\n")):
        if paragraph.startswith(helping.EXAMPLE):
            yield from ("```sh", *(line.removeprefix(helping.EXAMPLE) for line in paragraph.split("\n")), "```", "")
        else:
            yield from (_escaped(" ".join(paragraph.split())), "")


def _table(title: str, rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield from (f"| {title.lower()} | |", "| --- | --- |")
    for name, meaning in rows:
        yield f"| {name if name.startswith('[') else f'`{_cell(name)}`'} | {_escaped(_cell(meaning))} |"
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", "\\*")


# -- events and errors --------------------------------------------------------------------------------


def _events() -> Iterator[str]:
    yield from ("# Events", "", _WRITTEN, "")
    yield from (
        "`meshctl events` shows past events, and with `--follow` new ones as they occur. Sinks get the same events",
        "([configuration](../configuration.md#observability)).",
        "[protocol.md](../protocol.md#events-and-causes) describes their fields.",
        "",
        "| type | when |",
        "| --- | --- |",
    )
    yield from (f"| `{name}` | {meaning} |" for name, meaning in sorted(MEANINGS.items()))


def _errors() -> Iterator[str]:
    yield from ("# Errors", "", _WRITTEN, "")
    yield from (
        "The client raises these exceptions, which you import from `modelmesh`. Over HTTP, an error has the same",
        "status and `code`, in the format of the API that was called. An error is retryable if the same request may",
        "succeed later.",
        "",
        "An `except` for a class also catches the classes below it. The OpenAI SDK's class names are part of this",
        "tree.",
        "",
        "| class | status | code | retryable | meaning |",
        "| --- | --- | --- | --- | --- |",
    )
    yield from _errors_below(MeshError, 0)


def _errors_below(error: type[MeshError], depth: int) -> Iterator[str]:
    meaning = " ".join((error.__doc__ or "").split("\n\n")[0].split())
    retryable = "yes" if error.retryable_by_default else ""
    name = f"{'&emsp;' * depth}`{error.__name__}`"
    yield f"| {name} | {error.status_code} | `{error.code}` | {retryable} | {_escaped(_cell(meaning))} |"
    for below in sorted(error.__subclasses__(), key=lambda each: each.__name__):
        if not below.__name__.startswith("_") and below.__module__ == error.__module__ and below.__bases__[0] is error:
            yield from _errors_below(below, depth + 1)


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
