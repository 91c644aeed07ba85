"""Lays out columns: fitted to a terminal's width, or one line for each row in a pipe.

Owns: which columns are side by side and which below. Must never: cut a word that has room on a line of its own, or
print.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from meshd.cli.screen import cells
from meshd.host.plain_text import one_line

Cell = tuple[str, str]  # text, style
Line = Sequence[Cell]

_GAP = 2
_NARROWEST = 16  # least width of a last column of words, and of a first one of names
_HEAD = "bold"
_BELOW = "    "


def lines(
    heads: Sequence[str], rows: Sequence[Sequence[Cell]], numbers: Collection[str], width: int | None
) -> list[Line]:
    """width: None for a pipe. An empty column is left out."""
    used = [at for at in range(len(heads)) if at == 0 or any(row[at][0] for row in rows)]
    heads = [heads[at] for at in used]
    right = [head in numbers for head in heads]
    kept = [[row[at] for at in used] for row in rows]
    if width is None:
        return _piped(heads, kept, right)
    return _Screen(heads, kept, right, width).lines()


def _piped(heads: Sequence[str], rows: Sequence[Sequence[Cell]], right: Sequence[bool]) -> list[Line]:
    """For programs that read lines: each row is one line of any length; two or more spaces separate columns."""
    texts = [list(heads), *([one_line(text) or "-" for text, _ in row] for row in rows)]
    widths = [max(cells.width_of(row[at]) for row in texts) for at in range(len(heads))]
    return [[("  ".join(map(_set, row, widths, right)).rstrip(), "")] for row in texts]


def _set(text: str, columns: int, right: bool) -> str:
    return cells.right(text, columns) if right else cells.left(text, columns)


class _Screen:
    """Puts columns side by side as far as they fit. If they do not, words in the last column are wrapped, a name that
    is longer than the others gets a line of its own, and columns for which there is still no room are listed below
    their row, each with its heading."""

    def __init__(self, heads: Sequence[str], rows: Sequence[Sequence[Cell]], right: Sequence[bool], width: int) -> None:
        self.heads, self.rows, self.right, self.width = heads, rows, right, width
        self.widths = [
            max(cells.width_of(heads[at]), *(cells.widest(row[at][0]) for row in rows)) for at in range(len(heads))
        ]
        self.kept = self._fit()

    def _fit(self) -> int:
        """How many columns are side by side; fits their widths."""
        for kept in range(len(self.heads), 1, -1):
            if self._fits(kept):
                return kept
        self.widths[0] = min(self.widths[0], self.width)
        return 1

    def _fits(self, kept: int) -> bool:
        widths = self.widths[:kept]
        rest = self.width - sum(widths) - _GAP * (kept - 1)
        if rest >= 0:
            return True
        last = kept - 1
        words = not self.right[last] and kept == len(self.heads)
        least = max(min(widths[last], _NARROWEST), self._longest_word(last)) if words else widths[last]
        if widths[last] + rest >= least:
            self.widths[last] += rest
            return True
        # If most names are short and one is long, the long one overlaps the other columns.
        first = self.width - sum(widths[1:last]) - least - _GAP * (kept - 1)
        fitting = [size for size in (cells.widest(row[0][0]) for row in self.rows) if size <= first]
        if first < _NARROWEST or len(fitting) * 2 < len(self.rows):
            return False
        self.widths[0] = max(cells.width_of(self.heads[0]), *fitting)
        self.widths[last] = min(self.widths[last], self.width - sum(self.widths[:last]) - _GAP * last)
        return True

    def _longest_word(self, at: int) -> int:
        """The longest word, apart from those wider than a line, which are cut anyway."""
        sizes = (cells.width_of(word) for row in self.rows for word in row[at][0].split() if _breaks(word))
        return max((size for size in sizes if size <= self.width - len(_BELOW)), default=0)

    # -- lines ----------------------------------------------------------------------------------------

    def lines(self) -> list[Line]:
        head = [_set(text, size, right) for text, size, right in self._columns(self.heads)]
        found: list[Line] = [[("  ".join(head).rstrip(), _HEAD)]] if self.kept > 1 or len(self.heads) == 1 else []
        for row in self.rows:
            found += self._row(row)
        return found

    def _columns(self, of: Sequence[str]) -> Iterator[tuple[str, int, bool]]:
        return zip(of[: self.kept], self.widths[: self.kept], self.right[: self.kept], strict=True)

    def _row(self, row: Sequence[Cell]) -> Iterator[Line]:
        blocks = [self._block(row, at) for at in range(self.kept)]
        if self.kept > 1 and any(cells.width_of(line) > self.widths[0] for line in blocks[0]):
            for name in cells.wrapped(row[0][0], self.width):
                yield [(name, row[0][1])]
            blocks[0] = [""]
        for number in range(max(map(len, blocks))):
            line: list[Cell] = []
            for at, block in enumerate(blocks):
                text = block[number] if number < len(block) else ""
                line.append((_set(text, self.widths[at], self.right[at]), row[at][1]))
                line.append((" " * _GAP, ""))
            yield line[:-1]
        yield from self._below(row)

    def _block(self, row: Sequence[Cell], at: int) -> list[str]:
        text = row[at][0]
        if at == self.kept - 1:
            return cells.wrapped(text, self.widths[at])
        return text.split("\n")

    def _below(self, row: Sequence[Cell]) -> Iterator[Line]:
        room, line = self.width - len(_BELOW), ""
        style = ""
        for at in range(self.kept, len(row)):
            text, style = row[at]
            if not text:
                continue
            alone = self.kept == len(row) - 1  # a single field, such as a reason, needs no heading; several do
            named = text if alone or not self.heads[at] else f"{self.heads[at]} {text}"
            if line and cells.widest(named) + cells.width_of(line) + _GAP <= room and "\n" not in named:
                line += " " * _GAP + named
                continue
            if line:
                yield [(_BELOW + line, "")]
            *parts, line = cells.wrapped(named, room)
            for part in parts:
                yield [(_BELOW + part, style)]
        if line:
            yield [(_BELOW + line, style if self.kept == len(row) - 1 else "")]


def _breaks(word: str) -> bool:
    """Whether it has wide characters, between which it may be broken."""
    return word.isascii() or cells.width_of(word) == len(word)
