"""`--help`: plain text as wide as the terminal, the same in a pipe.

Owns: the help of a command, made of its docstring, its options and its subcommands. In a docstring, a line that begins
with "$ " is an example and is printed unchanged; the lines of other paragraphs are joined and wrapped.
Must never: print anything but help.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from meshd.cli.screen import cells
from meshd.cli.screen import output as out
from meshd.host.plain_text import one_line

_PIPED_WIDTH: Final = 80
_WIDEST: Final = 100  # longer lines of text are hard to read
_NAMES: Final = 26  # width of the column of names; a longer name has a line of its own
_NARROW: Final = 60  # on a narrower terminal, every explanation is below its name
EXAMPLE: Final = "$ "

F = TypeVar("F", bound=Callable[..., Any])


class _Helped:
    """What commands and groups of typer share: their help, and errors in words of ours."""

    def parse_args(self: Any, ctx: Any, args: list[str]) -> list[str]:
        try:
            rest: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
            return rest
        except Exception as error:
            say_plainly(error)
            raise

    def collect_usage_pieces(self: Any, ctx: Any) -> list[str]:
        arguments = [param for param in self.params if param.param_type_name == "argument"]
        words = [_value(param) if param.required else f"[{_value(param)}]" for param in arguments]
        return ["[OPTIONS]", *words, *(["COMMAND [ARGS]..."] if isinstance(self, TyperGroup) else [])]

    def format_help(self: Any, ctx: Any, formatter: Any) -> None:
        formatter.write("\n".join(_lines(self, ctx)) + "\n")


def say_plainly(error: Any) -> None:
    """Put a usage error of typer, which repeats arguments and quotes pydantic, in words of ours."""
    if (faults := getattr(error.__cause__, "errors", None)) is not None:
        error.message = _expected(faults()[0])
    elif isinstance(getattr(error, "message", None), str):
        error.message = one_line(error.message)


def _expected(fault: dict[str, Any]) -> str:
    from meshd.config.check.error_messages import sentence, shown

    return sentence(fault["type"], fault.get("ctx", {}), fault["msg"], f", got {shown(fault['input'])}")


class Command(_Helped, TyperCommand):
    def __init__(self, *words: Any, **given: Any) -> None:
        super().__init__(*words, **given)
        for param in self.params:
            param.metavar = _value(param)  # also used in errors


class Group(_Helped, TyperGroup):
    pass


class Few(Group):
    """A group of few commands: its error for an unknown name lists them."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except Exception as error:
            said = str(getattr(error, "message", ""))
            if said.startswith("No such command") and "Did you mean" not in said:
                error.message = f"{said} There are {', '.join(self.list_commands(ctx))}."  # type: ignore[attr-defined]
            raise


class Commands(typer.Typer):
    """A module's commands."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**{"cls": Group, **given})

    def command(self, name: str | None = None, **given: Any) -> Callable[[F], F]:
        return super().command(name, **{"cls": Command, **given})


class Help(NamedTuple):
    """sections: title → (name, meaning) of arguments, options and subcommands."""

    usage: str
    text: str
    sections: dict[str, list[tuple[str, str]]]
    epilog: str


def help_of(command: Any, ctx: Any) -> Help:
    params = [param for param in command.get_params(ctx) if not getattr(param, "hidden", False)]
    sections = {
        "Arguments": [(_value(param), param.help or "") for param in params if param.param_type_name == "argument"],
        "Options": [_option(param) for param in params if param.param_type_name == "option"],
    }
    if isinstance(command, TyperGroup):
        for name in command.list_commands(ctx):
            found: Any = command.get_command(ctx, name)
            section = getattr(found, "rich_help_panel", None)
            title = section if isinstance(section, str) else "Commands"
            sections.setdefault(title, []).append((name, first_sentence(found)))
    usage = f"{ctx.command_path} {' '.join(command.collect_usage_pieces(ctx))}"
    return Help(usage, inspect.cleandoc(command.help or ""), sections, inspect.cleandoc(command.epilog or ""))


def _lines(command: Any, ctx: Any) -> Iterator[str]:
    width, found = _width(), help_of(command, ctx)
    yield from cells.wrapped(f"Usage: {found.usage}", width, "    ")
    yield from _paragraphs(found.text, width)
    for title, rows in found.sections.items():
        if rows:
            yield from ("", f"{title}:")
            yield from _rows(rows, width)
    yield from _paragraphs(found.epilog, width)


def _width() -> int:
    if not out.on_terminal() and not os.environ.get("COLUMNS"):
        return _PIPED_WIDTH
    return min(out.console().width, _WIDEST)


def _paragraphs(text: str, width: int) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        if not paragraph:
            continue
        yield ""
        if paragraph.startswith(EXAMPLE):
            for line in paragraph.split("\n"):
                yield from cells.wrapped("  " + line.removeprefix(EXAMPLE), width, "      ")
        else:
            yield from cells.wrapped(" ".join(paragraph.split()), width)


def first_sentence(command: Any) -> str:
    """The first sentence of a help text."""
    sentence, end, _ = " ".join((command.help or "").partition("\n\n")[0].split()).partition(". ")
    return sentence + end.strip()


def _rows(rows: list[tuple[str, str]], width: int) -> Iterator[str]:
    """Names, each with its explanation next to it or below it."""
    column = 6 if width < _NARROW else min(max(len(name) for name, _ in rows) + 4, _NAMES)
    for name, meaning in rows:
        lines = [" " * column + line for line in cells.wrapped(meaning, width - column)]
        if len(name) + 4 <= column:
            lines[0] = f"  {name}".ljust(column) + lines[0][column:]
        else:
            lines.insert(0, f"  {name}")
        yield from lines


def _value(param: Any) -> str:
    """The placeholder for an option's value."""
    if param.metavar:
        return str(param.metavar)
    name = param.name if param.param_type_name == "argument" else max(param.opts, key=len).lstrip("-")
    return str(name).replace("_", "-").upper()


def _option(param: Any) -> tuple[str, str]:
    names, meaning = ", ".join(sorted(param.opts, key=len)), str(param.help or "")
    if param.secondary_opts:
        names += " / " + ", ".join(param.secondary_opts)
    if param.is_flag:
        return names, meaning
    default = f"{param.default:g}" if isinstance(param.default, int | float) else param.default
    if isinstance(default, str) and default:
        meaning += f" Default: {default}."
    return f"{names} {_value(param)}", meaning
