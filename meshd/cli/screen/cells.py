"""Texts as a terminal shows them: harmless, measured in columns, wrapped between words.

Owns: which characters steer a terminal, and how wide the others are.
Must never: print.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, with the escape of every sequence
    "\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"  # directions, what is invisible
    "\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")


def harmless(text: str) -> str:
    """The text without what steers a terminal or hides from a reader, which is shown as Python writes it."""
    if text.isascii() and text.isprintable():
        return text
    text = _LINE_ENDS.sub("\n", text).expandtabs(4)
    return _STEERING.sub(lambda found: found.group().encode("unicode_escape", "surrogatepass").decode(), text)


def one_line(text: str) -> str:
    return " ".join(harmless(text).split())


def width_of(text: str) -> int:
    """Columns that a line of it takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def widest(text: str) -> int:
    """Of its lines."""
    return max(map(width_of, text.split("\n")))


def left(text: str, columns: int) -> str:
    return text + " " * (columns - width_of(text))


def right(text: str, columns: int) -> str:
    return " " * (columns - width_of(text)) + text


def wrapped(text: str, columns: int, indent: str = "") -> list[str]:
    """Lines of at most so many columns, broken between words; within one only where it is wider than a line, or is
    written without spaces. indent: before every line but the first."""
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


_WORDS = re.compile(r"( *)((?:meshctl|pip) \S+|\S+)")  # a command is copied whole


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
    """A script of wide signs is broken anywhere, other letters between them nowhere."""
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
    """One line of at most so many columns; what does not fit is dropped by words, and "…" says so."""
    text = one_line(text)
    if width_of(text) <= columns:
        return text
    kept = wrapped(text, columns - 2)[0]
    return f"{kept} …"
