"""How answers look: tables and lines for people, JSON for programs.

Owns: the consoles, number formats and the one way each command prints.
Must never: ask the daemon anything, or print to stdout beside JSON. Rich is loaded at the first table, not at
import: `--json` and streamed answers never need it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from rich.console import Console

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")]

# The panels of `meshctl --help`.
ASK: Final = "Ask models"
LOOK: Final = "Look"
STEER: Final = "Steer"
SET_UP: Final = "Set up"

_PIPED_WIDTH: Final = 160
GOOD, BAD, FAINT, HEAD = "green", "red", "dim", "bold"


def console(*, stderr: bool = False) -> Console:
    """Colour only on a terminal and without NO_COLOR; no markup in what the daemon says."""
    import rich.console

    class Console(rich.console.Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would exit with 1 itself

    file = sys.stderr if stderr else sys.stdout
    width = None if file.isatty() or os.environ.get("COLUMNS") else _PIPED_WIDTH
    return Console(file=file, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


def on_terminal() -> bool:
    """Whether a person reads: a pipe gets plain columns and no remarks."""
    return sys.stdout.isatty()


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def print_json_line(value: Any) -> None:
    """One JSON document on one line, at once: for streams."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str) + "\n")
    sys.stdout.flush()


def say(text: str = "", style: str | None = None) -> None:
    """A line for people."""
    if not on_terminal():
        sys.stdout.write(f"{text}\n")
        return
    console().print(text, style=style, soft_wrap=True)


def complain(text: str) -> None:
    """A line about what went wrong, on stderr."""
    sys.stdout.flush()
    sys.stderr.write(f"meshctl: {text}\n")


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    title: str = "",
    numbers: Iterable[str] = (),
    empty: str = "",
) -> None:
    """A table without frames. A cell is a text, a number, or (text, style); `numbers` names the columns set
    to the right; `empty` stands for a table of no rows. A column with nothing in it is left out."""
    rows = [list(row) for row in rows]
    if not rows:
        if empty:
            say(empty, FAINT)
        return
    used = [place for place in range(len(columns)) if place == 0 or any(_plain(row[place]) for row in rows)]
    right = {place for place in used if columns[place] in set(numbers)}
    if not on_terminal():
        _plain_table(columns, rows, used, right, title)
        return
    _rich_table(columns, rows, used, right, title)


def _plain_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], used: Sequence[int], right: set[int], title: str
) -> None:
    """For programs that read lines: a row is one, whole, whatever its length; two blanks or more part columns."""
    if title:
        sys.stdout.write(f"{title}\n")
    lines = [[columns[place] for place in used], *([_one_line(row[place]) for place in used] for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(used))]
    for line in lines:
        cells = [
            cell.rjust(widths[at]) if used[at] in right else cell.ljust(widths[at]) for at, cell in enumerate(line)
        ]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _one_line(cell: Any) -> str:
    return " ".join(_plain(cell).split()) or "-"


def _rich_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], used: Sequence[int], right: set[int], title: str
) -> None:
    """As wide as the terminal, and no word is broken: what does not fit beside the others stands below its row."""
    from rich.text import Text

    screen = console()
    heads = [columns[place] for place in used]
    cells = [[(_plain(row[place]), _style(row[place])) for place in used] for row in rows]
    widths = [max(len(heads[at]), *(_widest(row[at][0]) for row in cells)) for at in range(len(used))]
    kept, last = _fitting(widths, cells, screen.width)
    if title:
        screen.print(title, style=HEAD)
    if kept > 1 or len(used) == 1:
        line = (
            head.rjust(w) if used[at] in right else head.ljust(w)
            for at, (head, w) in enumerate(_zip(heads, widths, kept))
        )
        screen.print(Text("  ".join(line).rstrip(), style=HEAD), no_wrap=True, crop=False)
    for row in cells:
        for line in _row_lines(row[:kept], widths[:kept], [used[at] in right for at in range(kept)], last):
            screen.print(line, no_wrap=True, crop=False, overflow="ignore")
        for at in range(kept, len(row)):
            text, style = row[at]
            if text:
                # A reason speaks for itself; of many fields each has its name.
                named = f"{heads[at]} {text}" if kept < len(row) - 1 and heads[at] else text
                for each in _wrapped(named, screen.width - 4):
                    screen.print(Text(f"    {each}", style=style), no_wrap=True, crop=False, overflow="ignore")


_NARROWEST = 16  # columns that a last column of words needs


def _fitting(widths: Sequence[int], cells: Sequence[Sequence[tuple[str, str]]], width: int) -> tuple[int, int]:
    """(columns that stand side by side, how wide the last of them is)."""
    if sum(widths) + 2 * (len(widths) - 1) <= width:
        return len(widths), widths[-1]
    rest = width - sum(widths[:-1]) - 2 * (len(widths) - 1)
    word = max((len(word) for row in cells for word in row[-1][0].split()), default=0)
    if len(widths) == 1 or rest >= max(word, min(widths[-1], _NARROWEST)):
        return len(widths), max(rest, 1) if len(widths) > 1 else width
    kept = len(widths) - 1
    while kept > 1 and sum(widths[:kept]) + 2 * (kept - 1) > width:
        kept -= 1
    return kept, widths[kept - 1]


def _row_lines(row: Sequence[tuple[str, str]], widths: Sequence[int], right: Sequence[bool], last: int) -> list[Any]:
    """The lines of one row: one, or more where its last cell is long or a cell has several."""
    from rich.text import Text

    blocks = [text.splitlines() or [""] for text, _ in row[:-1]] + [_wrapped(row[-1][0], last) or [""]]
    lines = []
    for number in range(max(map(len, blocks))):
        line = Text()
        for at, block in enumerate(blocks):
            text = block[number] if number < len(block) else ""
            size = widths[at] if at < len(blocks) - 1 else min(widths[at], last)
            shown = text.rjust(size) if right[at] else text.ljust(size)
            line.append(shown if at < len(blocks) - 1 or right[at] else text, style=row[at][1])
            if at < len(blocks) - 1:
                line.append("  ")
        line.rstrip()
        lines.append(line)
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return [
        part
        for line in text.splitlines()
        for part in textwrap.wrap(line, max(width, 1), break_on_hyphens=False, drop_whitespace=True) or [""]
    ]


def _zip(heads: Sequence[str], widths: Sequence[int], kept: int) -> Iterable[tuple[str, int]]:
    return zip(heads[:kept], widths[:kept], strict=True)


def _widest(text: str) -> int:
    """Of its lines."""
    return max((len(line) for line in text.splitlines()), default=0)


def print_fields(fields: Iterable[tuple[str, Any]]) -> None:
    """Names and values, one a line; a value of None or "" is left out."""
    if not on_terminal():
        shown = [(name, _one_line(value)) for name, value in fields if value is not None and _plain(value) != ""]
        width = max((len(name) for name, _ in shown), default=0)
        sys.stdout.write("".join(f"{name.ljust(width)}  {value}\n" for name, value in shown))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style=FAINT)
    table.add_column(overflow="fold")
    for name, value in fields:
        if value is None or _plain(value) == "":
            continue
        table.add_row(name, Text(_plain(value), style=_style(value)))
    if table.row_count:
        console().print(table)


def _plain(cell: Any) -> str:
    value = cell[0] if isinstance(cell, tuple) else cell
    if value is None:
        return ""
    if isinstance(value, (list, set)):
        return ", ".join(str(entry) for entry in value)
    return str(value)


def _style(cell: Any) -> str:
    return cell[1] if isinstance(cell, tuple) else ""


# -- numbers ------------------------------------------------------------------------------------------


def good(yes: Any, true: str = "yes", false: str = "no") -> tuple[str, str]:
    return (true, GOOD) if yes else (false, BAD)


def seconds(value: Any) -> str:
    """A length of time: 12 ms, 1.3 s, 4 m 10 s, 3 h 12 m, 2 d 4 h. Empty for None."""
    if value is None or value == "":
        return ""
    value = float(value)
    if value < 0.9995:
        return f"{value * 1000:.0f} ms" if value >= 0.01 or value == 0 else f"{value * 1000:.1f} ms"
    if value < 60:
        return f"{value:.1f} s"
    whole = round(value)
    for size, unit, part, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit} {rest} {small}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def ago(at: Any, now: float | None = None) -> str:
    """A moment (UTC seconds) seen from now."""
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
    """A count in three digits: 950, 1.2k, 34k, 5.6M."""
    value = float(value or 0)
    for unit in ("", "k", "M"):
        if value < 999.5 or unit == "M":
            return f"{value:.0f}{unit}" if unit == "" or value >= 9.95 else f"{value:.1f}{unit}"
        value /= 1000
    return ""


def size(value: float) -> str:
    """Bytes, in the units disks are sold in."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def get(value: Mapping[str, Any] | None, *path: str) -> Any:
    """`value[path[0]][path[1]]…`, None where a step is missing: daemons of another version may lack it."""
    current: Any = value
    for name in path:
        if not isinstance(current, Mapping):
            return None
        current = current.get(name)
    return current


def piped_text() -> str:
    """All of standard input. What is not UTF-8 in it is replaced: a prompt is for reading."""
    return sys.stdin.buffer.read().decode(errors="replace")
