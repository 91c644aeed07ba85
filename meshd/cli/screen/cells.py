"""Texts for a terminal: measured in columns, wrapped between words.

Owns: how wide characters are. (`host/plain_text.py` knows which of them control a terminal.)
Must never: print.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from meshd.host.plain_text import one_line


def width_of(text: str) -> int:
    """The number of columns that a line takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def widest(text: str) -> int:
    """The width of the widest line."""
    return max(map(width_of, text.split("\n")))


def left(text: str, columns: int) -> str:
    return text + " " * (columns - width_of(text))


def right(text: str, columns: int) -> str:
    return " " * (columns - width_of(text)) + text


def wrapped(text: str, columns: int, indent: str = "") -> list[str]:
    """Lines of at most `columns` columns, broken between words, or inside a word only if it is wider than a line or
    its script has no spaces. indent: before every line but the first."""
    columns = max(columns, len(indent) + 2)
    lines = []
    for line in text.split("\n"):
        if width_of(line) <= columns:
            lines.append(line)
            continue
        now, empty = "", True
        for blanks, word in _pieces(line, columns - len(indent)):
            if width_of(now) + len(blanks) + width_of(word) > columns:
                lines += [] if empty else [now]
                now, blanks = "" if empty else indent, ""
            now, empty = now + blanks + word, False
        lines.append(now)
    return lines


_WORDS = re.compile(r"(?<! )( *+)((?:meshctl|pip) \S+|\S+)")  # a command is copied as a whole


def _pieces(line: str, columns: int) -> Iterator[tuple[str, str]]:
    """Words with the spaces before them; parts of a word with none."""
    for blanks, word in _WORDS.findall(line):
        wide = not word.isascii() and width_of(word) > len(word)
        if not wide and width_of(word) <= columns:
            yield blanks, word
            continue
        for piece in _letters(word) if wide else (word,):
            for part in _parts(piece, columns):
                yield blanks, part
                blanks = ""


def _letters(word: str) -> Iterator[str]:
    """The parts of a word between which it may be broken: wide characters may be separated anywhere, others nowhere."""
    yield from re.findall(r"[\x21-\x7e]+|.", word)


def _parts(word: str, columns: int) -> Iterator[str]:
    part = ""
    for letter in word:
        if part and width_of(part + letter) > columns:
            yield part
            part = ""
        part += letter
    yield part


def clipped(text: str, columns: int) -> str:
    """One line of at most `columns` columns; words that do not fit are replaced by "…"."""
    text = one_line(text)
    if width_of(text) <= columns:
        return text
    kept = wrapped(text, columns - 2)[0]
    return f"{kept} …"
