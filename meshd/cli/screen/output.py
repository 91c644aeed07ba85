"""How answers look: tables and lines for people, JSON for programs.

Owns: the consoles, number formats, and how all commands print. (`tables.py` lays out columns, `cells.py` knows how wide
a text is.)
Must never: ask the daemon anything, or print to stdout besides JSON. Rich is loaded at the first table, not at import:
`--json` and streamed answers never need it.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from meshd.cli.screen import cells
from meshd.host import plain_text

if TYPE_CHECKING:
    from rich.console import Console

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")]

# The sections of `meshctl --help`.
ASK: Final = "Ask models"
LOOK: Final = "Show"
STEER: Final = "Control"
SET_UP: Final = "Set up"

_PIPED_WIDTH: Final = 160
GOOD, BAD, FAINT, HEAD = "green", "red", "dim", "bold"


def console(*, stderr: bool = False) -> Console:
    """Uses colour only on a terminal and without NO_COLOR, and no markup in texts of the daemon."""
    import rich.console

    class Console(rich.console.Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich itself would exit with 1

    file = sys.stderr if stderr else sys.stdout
    width = None if file.isatty() or os.environ.get("COLUMNS") else _PIPED_WIDTH
    return Console(file=file, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


def on_terminal() -> bool:
    """Whether the output is a terminal; a pipe gets plain columns and no remarks."""
    return sys.stdout.isatty()


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(as_json(value, indent=2) + "\n")


def print_json_line(value: Any) -> None:
    """One JSON document on one line, at once: for streams."""
    sys.stdout.write(as_json(value, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def as_json(value: Any, **form: Any) -> str:
    return plain_text.in_json(json.dumps(value, ensure_ascii=False, default=str, **form))


def write(text: str) -> None:
    """Print a text that has its own lines, such as a file, unchanged except on a terminal."""
    sys.stdout.write(plain_text.harmless(text) if on_terminal() else text)
    sys.stdout.flush()


def remark(text: str) -> None:
    """Print one line beside the output, on stderr."""
    sys.stderr.write(plain_text.one_line(text) + "\n")
    sys.stderr.flush()


def say(text: str = "", style: str | None = None, *, hang: int = 0) -> None:
    """Print lines for people. On a terminal, a long line is wrapped between words, and its continuation indented; in a
    pipe it stays one line."""
    text = _indented(plain_text.harmless(text))
    if not on_terminal():
        sys.stdout.write(f"{text}\n")
        return
    width = console().width
    for each in text.split("\n"):
        indent = " " * (len(each) - len(each.lstrip(" ")) + hang)
        print_lines([[(line, style or "")] for line in cells.wrapped(each, width, indent)])


def complain(text: str) -> None:
    """Print a line about what went wrong, on stderr."""
    with suppress(OSError):  # a full disk, or a closed pipe: the last flush reports it
        sys.stdout.flush()
    sys.stderr.write(f"meshctl: {_indented(plain_text.harmless(text))}\n")


def _indented(text: str) -> str:
    """Continuation lines are indented, so that no value's line looks like one of the command's own."""
    return re.sub(r"\n(?=\S)", "\n  ", text)


Line = Sequence[tuple[str, str]]
"""Pieces of a line, each with its style."""


def print_lines(lines: Iterable[Line]) -> None:
    lines = [[(plain_text.harmless(text).replace("\n", " "), style) for text, style in line] for line in lines]
    if not on_terminal():
        sys.stdout.write("".join("".join(text for text, _ in line).rstrip() + "\n" for line in lines))
        return
    from rich.text import Text

    screen = console()
    for line in lines:
        text = Text.assemble(*line)
        text.rstrip()
        screen.print(text, no_wrap=True, crop=False, overflow="ignore")


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    title: str = "",
    numbers: Iterable[str] = (),
    empty: str = "",
) -> None:
    """Print a table without frames. A cell is a text, a number, or (text, style). numbers: the columns that are aligned
    right. empty: printed if there are no rows. An empty column is left out."""
    rows = [list(row) for row in rows]
    if not rows:
        if empty:
            say(empty, FAINT)
        return
    print_lines([*([[(title, HEAD)]] if title else []), *table_lines(columns, rows, numbers=numbers)])


def table_lines(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, numbers: Iterable[str] = ()) -> list[Line]:
    """The lines that `print_table` prints: the header, then one or more for each row."""
    from meshd.cli.screen import tables

    last = len(columns) - 1  # its words may have lines
    shown = [
        [
            ((plain_text.harmless if at == last else plain_text.one_line)(cell_text(cell)), _style(cell))
            for at, cell in enumerate(row)
        ]
        for row in rows
    ]
    width = console().width if on_terminal() else None
    return tables.lines(columns, shown, frozenset(numbers), width)


def print_fields(fields: Iterable[tuple[str, Any]]) -> None:
    """Print names and values, one on each line. A value of None or "" is left out."""
    print_lines(field_lines(fields))


def field_lines(fields: Iterable[tuple[str, Any]]) -> list[Line]:
    shown = [
        (name, plain_text.harmless(cell_text(value)), _style(value))
        for name, value in fields
        if value is not None and cell_text(value) != ""
    ]
    space = max((len(name) for name, _, _ in shown), default=0) + 2
    lines: list[Line] = []
    for name, text, style in shown:
        parts = cells.wrapped(text, console().width - space) if on_terminal() else [plain_text.one_line(text)]
        lines += [[(name.ljust(space), FAINT), (parts[0], style)]]
        lines += [[(" " * space, ""), (part, style)] for part in parts[1:]]
    return lines


def cell_text(cell: Any) -> str:
    value = cell[0] if isinstance(cell, tuple) else cell
    if value is None:
        return ""
    if isinstance(value, (list, set)):
        return ", ".join(str(entry) for entry in value)
    if isinstance(value, dict):  # flattened, however deep
        return ", ".join(
            f"{str(name).replace('_', ' ')} ({cell_text(entry)})"
            if isinstance(entry, dict)
            else f"{str(name).replace('_', ' ')} {cell_text(entry)}"
            for name, entry in value.items()
        )
    return str(value)


def _style(cell: Any) -> str:
    return cell[1] or "" if isinstance(cell, tuple) else ""


# -- numbers ------------------------------------------------------------------------------------------


def good(yes: Any, true: str = "yes", false: str = "no") -> tuple[str, str]:
    return (true, GOOD) if yes else (false, BAD)


def seconds(value: Any) -> str:
    """A length of time: 12 ms, 1.3 s, 4 m 10 s, 3 h 12 m, 2 d 4 h. Empty for None."""
    if value is None or value == "":
        return ""
    value = float(value)
    if value < 0.9995:
        return f"{value * 1000:.0f} ms" if value >= 0.01 or value < 0.00005 else f"{value * 1000:.1f} ms"
    if value < 60:
        return f"{value:.1f} s"
    whole = round(value)
    for size, unit, part, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit} {rest} {small}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def ago(at: Any, now: float | None = None) -> str:
    """How long ago a moment (UTC seconds) was."""
    if not at:
        return ""
    past = (time.time() if now is None else now) - float(at)
    return "just now" if past < 1 else f"{seconds(int(past))} ago"


def usd(value: Any) -> str:
    """Money: four significant digits below a dollar, cents above; empty for None."""
    if value is None:
        return ""
    value = float(value)
    if value == 0:
        return "$0"
    return f"${value:,.2f}" if abs(value) >= 1 else f"${value:.6f}".rstrip("0")


def count(value: Any) -> str:
    return "" if value is None else f"{int(value):,}"


def compact(value: Any) -> str:
    """A count in at most three digits: 950, 1.2k, 34k, 5.6M, 7G."""
    value = float(value or 0)
    for unit in ("", "k", "M", "G"):
        if value < 999.5 or unit == "G":
            return f"{value:.0f}{unit}" if unit == "" or value >= 9.95 else f"{value:.1f}{unit}"
        value /= 1000
    return ""


def size(value: float) -> str:
    """Bytes in decimal units, as disks are sold."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def get(value: Mapping[str, Any] | None, *path: str) -> Any:
    """`value[path[0]][path[1]]…`, or None if a key is missing, as with a daemon of another version."""
    current: Any = value
    for name in path:
        if not isinstance(current, Mapping):
            return None
        current = current.get(name)
    return current


def text_given(argument: str | None) -> str:
    """The argument. If there is none, or it is "-", all of standard input."""
    return sys.stdin.buffer.read().decode(errors="replace") if argument in (None, "-") else as_text(argument)


def as_text(argument: str) -> str:
    """An argument as text for a model: bytes that are not UTF-8 are replaced."""
    return os.fsencode(argument).decode(errors="replace")
