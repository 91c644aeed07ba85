"""The man pages: meshd(1), meshctl(1) with a page for each command, mesh.yaml(5).

Owns: which pages there are, and their sections. What they say comes from the parsers and the schema.
Must never: write a file.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from typing import Any, Final

import typer

from meshd.app.parser import parser_of_arguments
from meshd.cli import entry, helping
from meshd.config.write import docs
from meshd.manual import roff
from modelmesh.version import VERSION

_FILES: Final = (
    ("/etc/meshd/mesh.yaml", "The configuration of the machine's service; see mesh.yaml(5)."),
    ("~/.config/meshd/mesh.yaml", "That of a user's daemon."),
    ("/run/meshd/mesh.sock", "The socket of the machine's service."),
    ("$XDG_RUNTIME_DIR/meshd/mesh.sock", "That of a user's daemon."),
    ("/var/lib/meshd", "State and weights of the machine's service."),
    ("~/.local/state/meshd", "State of a user's daemon; its weights are in ~/.local/share/meshd."),
)
_STATUS: Final = (
    ("0", "It ended normally."),
    ("64", "Wrong usage."),
    ("69", "The socket is in use or cannot be created, or a package is missing."),
    ("70", "A defect, or a part could not be started."),
    ("71", "The machine lacks something, such as memory or open files."),
    ("78", "The configuration is wrong, or other users can change it."),
)
_MESHCTL_STATUS: Final = (
    ("0", "Done."),
    ("1", "The daemon refused the request."),
    ("2", "Wrong usage."),
    ("69", "No daemon answers."),
    ("70", "A defect."),
    ("130, 141", "Ctrl-C; the program that reads the output has ended."),
)
_ENVIRONMENT: Final = (
    ("MESHD_CONFIG", "The configuration file, if `--config` does not name one."),
    ("MESH_SOCKET", "The daemon's socket."),
    ("NO_COLOR", "Anything here turns colours off."),
)


def pages() -> Iterator[tuple[str, str]]:
    """(file name, text) of each page."""
    yield "meshd.1", roff.page(_daemon())
    root: Any = typer.main.get_command(entry.app)
    with root.make_context("meshctl", [], resilient_parsing=True) as ctx:
        names = root.list_commands(ctx)
        yield "meshctl.1", roff.page(_meshctl(root, ctx, names))
        for name in names:
            command = root.get_command(ctx, name)
            yield f"meshctl-{name}.1", roff.page(_command(name, command, ctx))
    yield "mesh.yaml.5", roff.page(_configuration())


def _head(name: str, number: str, what: str) -> Iterator[str]:
    moment = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH") or time.time()))
    yield roff.heading(name.upper(), number, time.strftime("%Y-%m-%d", moment), f"meshd {VERSION}", "meshd")
    yield roff.section("NAME")
    yield roff.escaped(name) + " \\- " + roff.inline(what.rstrip("."))


def _entries(title: str, rows: Any) -> Iterator[str]:
    yield roff.section(title.upper())
    for name, meaning in rows:
        yield from roff.entry(name, meaning)


def _also(*pages: str) -> Iterator[str]:
    yield roff.section("SEE ALSO")
    yield ", ".join(f"\\fB{roff.escaped(page[:-3])}\\fR{page[-3:]}" for page in pages)


def _daemon() -> Iterator[str]:
    parser = parser_of_arguments()
    first, _, rest = (parser.description or "").partition(". ")
    yield from _head("meshd", "1", f"{first[:1].lower()}{first[1:]}")
    yield roff.section("SYNOPSIS")
    yield roff.line(f"\\fBmeshd\\fR {roff.escaped(parser.format_usage().partition('meshd ')[2])}".strip())
    yield from (roff.section("DESCRIPTION"), roff.inline(f"{first}. {rest}"), ".PP", roff.inline(parser.epilog or ""))
    yield from _entries("Options", [option(action) for action in parser_options(parser)])
    yield from _entries("Files", _FILES)
    yield from _entries("Environment", _ENVIRONMENT[:2])
    yield from _entries("Exit status", _STATUS)
    yield from _also("meshctl(1)", "mesh.yaml(5)")


def parser_options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """argparse has no public list of them, but prints each in the usage of the parser."""
    return [action for group in parser._action_groups for action in group._group_actions]  # noqa: SLF001


def option(action: argparse.Action) -> tuple[str, str]:
    """(names and value, meaning)"""
    value = "|".join(choices_of(action)) or str(action.metavar or "")
    meaning = (action.help or "").replace("program's version number", "the version")
    return f"{', '.join(action.option_strings)} {value}".strip(), f"{meaning[:1].upper()}{meaning[1:]}."


def choices_of(action: argparse.Action) -> list[str]:
    return [str(choice) for choice in action.choices or ()]


def _meshctl(root: Any, ctx: Any, names: list[str]) -> Iterator[str]:
    found = helping.help_of(root, ctx)
    yield from _head("meshctl", "1", "use and control meshd")
    yield from (roff.section("SYNOPSIS"), roff.line(f"\\fB{roff.escaped(found.usage)}\\fR"))
    yield roff.section("DESCRIPTION")
    yield from _text(found.text)
    for title, rows in found.sections.items():
        if rows:
            yield from _entries(title, rows)
    yield roff.section("EXAMPLES")
    yield from _text(found.epilog)
    yield from _entries("Environment", _ENVIRONMENT[1:])
    yield from _entries("Exit status", _MESHCTL_STATUS)
    yield from _also("meshd(1)", "mesh.yaml(5)", *(f"meshctl-{name}(1)" for name in names))


def _command(name: str, command: Any, above: Any) -> Iterator[str]:
    what = helping.first_sentence(command)
    yield from _head(f"meshctl-{name}", "1", f"{what[:1].lower()}{what[1:]}")
    with command.make_context(name, [], parent=above, resilient_parsing=True) as ctx:
        below = command.list_commands(ctx) if hasattr(command, "list_commands") else []
        leaves = [(command.get_command(ctx, each), each) for each in below]
        yield roff.section("SYNOPSIS")
        for leaf, each in leaves or [(command, "")]:
            words = " ".join(leaf.collect_usage_pieces(ctx))
            yield from (".br", f"\\fB{roff.escaped(f'meshctl {name} {each}'.strip())}\\fR {roff.escaped(words)}")
        yield roff.section("DESCRIPTION")
        yield from _body(helping.help_of(command, ctx), leaves)
        for leaf, each in leaves:
            yield roff.section(f"meshctl {name} {each}")
            yield from _body(helping.help_of(leaf, ctx), [])
    yield from _also("meshctl(1)")


def _body(found: helping.Help, leaves: list[Any]) -> Iterator[str]:
    yield from _text(found.text)
    for title, rows in found.sections.items():
        if rows and not (leaves and title == "Options"):
            yield roff.subsection(title)
            for each, meaning in rows:
                yield from roff.entry(each, meaning)
    yield from _text(found.epilog)


def _text(text: str) -> Iterator[str]:
    for paragraph in filter(None, text.split("\n\n")):
        if paragraph.startswith(helping.EXAMPLE):
            yield from roff.example(each.removeprefix(helping.EXAMPLE) for each in paragraph.split("\n"))
        else:
            yield from (".PP", roff.line(roff.inline(paragraph)))


def _configuration() -> Iterator[str]:
    yield from _head("mesh.yaml", "5", "the configuration of meshd")
    yield roff.section("DESCRIPTION")
    yield from roff.from_markdown(docs.page())
    yield from _also("meshd(1)", "meshctl-config(1)")
