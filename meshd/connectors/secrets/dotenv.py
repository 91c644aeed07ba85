"""`modelmesh.dotenv.v1`: a `.env` file.

Owns: the file's syntax, as in python-dotenv (without interpolation), and refusing one that others can read. Must never:
put a line of the file into an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from meshd.connectors.secrets.env import variable
from meshd.connectors.secrets.local.file_store import FileStore
from meshd.sdk.secrets import SecretStoreError

_LINE = re.compile(
    r"""[^\S\n]*(?:export[^\S\n]+)?
        (?P<name>'[^'\n]+'|[^=\#\s]+)[^\S\n]*
        (?:=[^\S\n]*
            (?: '(?P<single>(?:\\.|[^'\\])*)'
              | "(?P<double>(?:\\.|[^"\\])*)"
              | (?P<bare>[^\n]*) )
        )?
        [^\S\n]*(?:\#[^\n]*)?(?=\n|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_NAME = re.compile(r"[^=#\s'\"]+")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@+=,~-]+")
_COMMENT = re.compile(r"(?:^|\s+)\#.*")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", "a": "\a"}


class DotenvStore(FileStore):
    """Settings: `path` (relative to `folder`, which the resolver adds); `override`: the file wins over a
    variable of the environment that has the same name. Read again when the file has changed."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings, settings.get("path") or ".env")

    def get(self, name: str) -> str:
        return self._in_environment(name) or super().get(name)

    def files(self, name: str) -> tuple[Path, ...]:
        return () if self._in_environment(name) else super().files(name)

    def _in_environment(self, name: str) -> str | None:
        return None if self._settings.get("override", False) else variable(name)

    def _parsed(self, text: str) -> dict[str, str]:
        return parse_dotenv(text)

    def _changed(self, text: str | None, name: str, value: str | None) -> str:
        return change_dotenv(text or "", name, value)


def parse_dotenv(text: str) -> dict[str, str]:
    """Names to values. Invalid lines are skipped; if a name occurs twice, the last value wins."""
    values: dict[str, str] = {}
    for match in _entries(text.replace("\r\n", "\n").replace("\r", "\n")):
        name = match["name"].strip("'")
        if match["single"] is not None:
            values[name] = re.sub(r"\\([\\'])", r"\1", match["single"])
        elif match["double"] is not None:
            values[name] = re.sub(r"\\(.)", _unescaped, match["double"], flags=re.DOTALL)
        elif match["bare"] is not None:
            values[name] = _COMMENT.sub("", match["bare"]).rstrip()
    return values


def change_dotenv(text: str, name: str, value: str | None) -> str:
    """The text with the variable set to the value, or without it. Everything else stays, comments too.

    Raises SecretStoreError for a name that cannot be a variable's."""
    if not _NAME.fullmatch(name):
        raise SecretStoreError(f"{name!r} cannot be the name of a variable")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    found = [match for match in _entries(text) if match["name"].strip("'") == name]
    line = "" if value is None else f"{name}={_quoted(value)}"
    if not found and value is not None:
        return f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{line}\n"
    for number, match in reversed(list(enumerate(found))):
        last = number == len(found) - 1 and value is not None
        start, end = match.span()
        end = end if last else min(end + 1, len(text))  # with its line's end
        export = "export " if "export" in text[start : match.start("name")] else ""
        text = text[:start] + (export + line if last else "") + text[end:]
    return text


def _entries(text: str) -> Iterator[re.Match[str]]:
    position = 0
    while position < len(text):
        match = _LINE.match(text, position)
        if match is None:
            end = text.find("\n", position)
            position = len(text) if end < 0 else end + 1
            continue
        position = match.end() + 1
        yield match


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def _unescaped(match: re.Match[str]) -> str:
    # Unknown escapes stay as written; only the quote and the backslash can be escaped.
    return _ESCAPES.get(match[1]) or (match[1] if match[1] in "\"'\\" else match[0])
