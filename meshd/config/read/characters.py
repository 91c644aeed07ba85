"""Decodes a configuration file, and finds characters that only look like the intended ones.

Owns: encodings by their marks, the limit on a file's size, and the wording for a word processor's characters.
Must never: know a format's grammar, or change what a text says.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path

MOST_BYTES = 8 * 1024 * 1024
"""The size limit of a file. The largest sensible one has a few hundred kilobytes."""

_MARKS = (  # the longer ones first: UTF-32's begins like UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BLANKS = {
    "\u00a0": "a non-breaking space",
    "\u2007": "a figure space",
    "\u202f": "a narrow non-breaking space",
    "\u2009": "a thin space",
    "\u3000": "an ideographic space",
    "\u200b": "a zero-width space",
    "\u200c": "a zero-width character",
    "\u200d": "a zero-width character",
    "\u2060": "a zero-width character",
    "\ufeff": "a byte order mark in the middle of the file",
    "\uff1a": "a full-width colon",
}
_QUOTES = "“”„‟‘’‚‛«»"
_PASTED = re.compile(r"^[\w.-]+:([" + "".join(_BLANKS) + "])")
_ODD = re.compile("[" + "".join(_BLANKS) + _QUOTES + "]")


class UnreadableText(Exception):
    """Bytes that are not text. The message follows the file's name."""


def read_file(path: str) -> str:
    """A file's text. Raises OSError, or UnreadableText."""
    with open(Path(path), "rb") as file:
        content = file.read(MOST_BYTES + 1)
    return decode(content)


def decode(content: bytes) -> str:
    """By the byte order mark; without one UTF-8, unless every other byte indicates UTF-16. Line ends become `\\n`."""
    if len(content) > MOST_BYTES:
        raise UnreadableText(f"is larger than {MOST_BYTES // 1024**2} MiB: is it the right file?")
    encoding, start = _encoding(content)
    try:
        text = content[start:].decode(encoding)
    except UnicodeDecodeError as error:
        before = content[start : start + error.start].decode(encoding, "replace")
        line = before.count("\n") + 1
        name = encoding.upper().removesuffix("-LE").removesuffix("-BE")
        where = f"byte {start + error.start}, line {line}"
        raise UnreadableText(f"is not {name} text ({where}); save it as UTF-8") from None
    return plain(text)


def plain(text: str) -> str:
    """The text without a byte order mark, and with one kind of line end."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _encoding(content: bytes) -> tuple[str, int]:
    for mark, name in _MARKS:
        if content.startswith(mark):
            return name, len(mark)
    head = content[:64]
    head = head[: len(head) // 2 * 2]
    if len(head) >= 4:
        # A file begins with an ASCII key, so in UTF-16 every other byte is zero.
        if not any(head[1::2]) and all(head[::2]):
            return "utf-16-le", 0
        if not any(head[::2]) and all(head[1::2]):
            return "utf-16-be", 0
    return "utf-8", 0


def odd_character(text: str, line: int | None = None) -> str | None:
    """The lookalike characters of an unreadable text, the nearest to the line first."""
    found = [
        (number, match[0])
        for number, content in enumerate(text.split("\n"), start=1)
        if (match := _ODD.search(content))
    ]
    if not found:
        return None
    number, char = min(found, key=lambda each: abs(each[0] - (line or 0)))
    if char in _QUOTES:
        return f"line {number} has a typographic quote ({char}): write ' or \" instead"
    meant = "a colon" if char == "\uff1a" else "a plain space" if char.isspace() else ""
    advice = f"write {meant} instead" if meant else "remove it"
    return f"line {number} has {_BLANKS[char]} (U+{ord(char):04X}): {advice}"


def odd_name(text: str) -> str | None:
    """The lookalike characters in the name of a key."""
    found = odd_character(text)
    return found.partition(" has ")[2] if found else None


def odd_value(text: str) -> str | None:
    """The lookalike characters in an unquoted value."""
    if len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
        return f"is in typographic quotes ({text[0]}…{text[-1]}): write ' or \" instead"
    pasted = _PASTED.search(text)
    if pasted:
        return f"has {_BLANKS[pasted[1]]} (U+{ord(pasted[1]):04X}) after a colon: write a plain space"
    for char in (text[:1], text[-1:]):
        if char in _BLANKS:
            return f"has {_BLANKS[char]} (U+{ord(char):04X}) at an end: remove it"
    return None
