"""`modelmesh.dotenv.v1`: a `.env` file.

Owns: the file's syntax, as python-dotenv reads it (without interpolation), and the refusal of one that others
can read. Must never: put a line of the file into an error.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meshd.cdk.secrets import SecretMissing, SecretStore, SecretStoreError

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
    variable of the environment that has the same name. Read anew when the file has changed."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self.path = Path(settings.get("folder") or ".") / Path(settings.get("path") or ".env").expanduser()
        self._read_at: tuple[int, int, int] | None = None
        self._values: dict[str, str] = {}

    def get(self, name: str) -> str:
        if not self._settings.get("override", False) and os.environ.get(name):
            return os.environ[name]
        value = self._load().get(name)
        if value is None:
            raise SecretMissing(f"{self.path} has no {name}")
        return value

    def list(self) -> list[str]:
        return sorted(self._load())

    def refresh(self) -> None:
        self._read_at = None

    def _load(self) -> dict[str, str]:
        try:
            with open(self.path, encoding="utf-8-sig") as file:
                found = os.fstat(file.fileno())
                others = stat.S_IRWXO | stat.S_IWGRP | stat.S_IRGRP
                if found.st_mode & others:
                    raise SecretStoreError(f"{self.path} can be read by others: run `chmod 600 {self.path}`")
                version = (found.st_mtime_ns, found.st_size, found.st_ino)
                if version != self._read_at:
                    self._values = parse_dotenv(file.read())
                    self._read_at = version
        except FileNotFoundError:
            raise SecretMissing(f"there is no file {self.path}") from None
        except UnicodeDecodeError:
            raise SecretStoreError(f"{self.path} is not UTF-8 text") from None
        except OSError as error:
            raise SecretStoreError(f"{self.path} cannot be read: {error.strerror}") from error
        return self._values


def parse_dotenv(text: str) -> dict[str, str]:
    """Names to values. A line that makes no sense is passed over; the last of two with one name wins."""
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
    # What is no escape stays as written, backslash and all, but for the quote and the backslash themselves.
    return _ESCAPES.get(match[1]) or (match[1] if match[1] in "\"'\\" else match[0])
