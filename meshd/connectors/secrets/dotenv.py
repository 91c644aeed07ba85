"""`modelmesh.dotenv.v1`: a `.env` file.

Owns: the file's syntax, as in python-dotenv (without interpolation), and refusing one that others can read. Must never:
put a line of the file into an error.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meshd.connectors.secrets.files import read_text
from meshd.host.file_watching import state_of
from meshd.sdk.secrets import SecretMissing, SecretStore

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
_COMMENT = re.compile(r"(?:^|\s+)\#.*")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", "a": "\a"}


class DotenvStore(SecretStore):
    """Settings: `path` (relative to `folder`, which the resolver adds); `override`: the file wins over a
    variable of the environment that has the same name. Read again when the file has changed."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self.path = Path(settings.get("folder") or ".") / Path(settings.get("path") or ".env").expanduser()
        self._read_at: tuple[int, ...] | None = None
        self._values: dict[str, str] = {}

    def get(self, name: str) -> str:
        if self._in_environment(name):
            return os.environ[name]
        value = self._load().get(name)
        if value is None:
            raise SecretMissing(f"{self.path} has no {name}")
        return value

    def list(self) -> list[str]:
        return sorted(self._load())

    def refresh(self) -> None:
        self._read_at = None

    def files(self, name: str) -> tuple[Path, ...]:
        return () if self._in_environment(name) else (self.path,)

    def _in_environment(self, name: str) -> bool:
        return not self._settings.get("override", False) and bool(os.environ.get(name))

    def _load(self) -> dict[str, str]:
        version = state_of(self.path)
        if version is None or version != self._read_at:
            self._values = parse_dotenv(read_text(self.path, private=True))
            self._read_at = version
        return self._values


def parse_dotenv(text: str) -> dict[str, str]:
    """Names to values. Invalid lines are skipped; the last of two with one name wins."""
    values: dict[str, str] = {}
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    position = 0
    while position < len(text):
        match = _LINE.match(text, position)
        if match is None:
            end = text.find("\n", position)
            position = len(text) if end < 0 else end + 1
            continue
        position = match.end() + 1
        name = match["name"].strip("'")
        if match["single"] is not None:
            values[name] = re.sub(r"\\([\\'])", r"\1", match["single"])
        elif match["double"] is not None:
            values[name] = re.sub(r"\\(.)", _unescaped, match["double"], flags=re.DOTALL)
        elif match["bare"] is not None:
            values[name] = _COMMENT.sub("", match["bare"]).rstrip()
    return values


def _unescaped(match: re.Match[str]) -> str:
    # Unknown escapes stay as written; only the quote and the backslash can be escaped.
    return _ESCAPES.get(match[1]) or (match[1] if match[1] in "\"'\\" else match[0])
