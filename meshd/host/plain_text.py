"""Text from outside as plain text: nothing in it steers a terminal, forges a line of a log, or hides.

Owns: the only list of such characters. Must never: print.
"""

from __future__ import annotations

import re

_STEERING = (
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, with the escape of every sequence
    "\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"  # text direction, invisible characters
    r"\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_IN_TEXT = re.compile(_STEERING)
_IN_JSON = re.compile(f"[\u2028\u2029]|{_STEERING}")
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_LONGEST_NAME = 64  # characters


def harmless(text: str) -> str:
    """The text with such characters written as Python escapes. Lines stay lines."""
    if text.isascii() and text.isprintable():
        return text
    return _IN_TEXT.sub(_escaped, _LINE_ENDS.sub("\n", text).expandtabs(4))


def one_line(text: str) -> str:
    """The same on one line."""
    return " ".join(harmless(text).split())


def stripped(text: str) -> str:
    """The text without such characters. Lines stay lines."""
    return _IN_TEXT.sub("", _LINE_ENDS.sub("\n", text))


def printable(name: str) -> str:
    """A name that a program chose: on one line, without invisible characters, of bounded length."""
    if name.isprintable() and len(name) <= _LONGEST_NAME:
        return name.strip()
    shown = "".join(character for character in name[: _LONGEST_NAME * 2] if character.isprintable()).strip()
    return shown[: _LONGEST_NAME - 1] + "…" if len(shown) > _LONGEST_NAME else shown


def in_json(document: str) -> str:
    """A JSON document with such characters written as JSON's escapes; they occur only in its strings. The line ends and
    tabs between them stay."""
    return document if document.isascii() and "\x7f" not in document else _IN_JSON.sub(_json_escaped, document)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode()


def _json_escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
