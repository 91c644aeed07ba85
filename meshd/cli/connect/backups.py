"""A program's settings from before `meshctl connect` changed them.

Owns: one file for each program below the state directory, readable only by its owner, since settings contain keys.
Must never: lose a backup: it is written before the settings are.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from meshd.cli import daemon
from meshd.cli.connect import files
from meshd.cli.connect.files import Content


@dataclass(slots=True)
class Saved:
    """One settings file. before: its content as base64; None: there was no file. after: SHA-256 of what was written.
    format, paths: of the file, and of the values that were written; no paths if some of them are items of lists.
    heads: keys that every such file has, written if they were missing. made: the directories that were created for
    it."""

    path: str
    before: str | None
    mode: int | None
    after: str
    format: str = ""
    paths: list[list[str]] = field(default_factory=list)
    heads: list[list[str]] = field(default_factory=list)
    made: list[str] = field(default_factory=list)

    @property
    def content(self) -> Content:
        return Content(None if self.before is None else base64.b64decode(self.before), self.mode)

    def is_as_written(self, found: Content) -> bool:
        return found.data is not None and digest(found.data) == self.after


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def saved(path: Path, before: Content, after: bytes) -> Saved:
    text = None if before.data is None else base64.b64encode(before.data).decode()
    return Saved(str(path), text, before.mode, digest(after))


def folder(environ: Mapping[str, str], home: Path) -> Path:
    base = environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else home / ".local" / "state") / "meshd" / "connect"


def load(place: Path, tool: str) -> list[Saved]:
    """Empty if it is not connected. Raises Refused for a record that cannot be read."""
    found = files.read(place / f"{tool}.json")
    if found.data is None:
        return []
    try:
        entries: list[dict[str, Any]] = json.loads(found.data)
        read = [Saved(**entry) for entry in entries]
        for each in read:
            base64.b64decode(each.before or "", validate=True)
        return read
    except (ValueError, TypeError, RecursionError):
        raise daemon.Refused(f"{place / tool}.json cannot be read: it is not a backup of meshctl") from None


def store(place: Path, tool: str, entries: list[Saved]) -> None:
    text = json.dumps([asdict(entry) for entry in entries], indent=1)
    files.write(place / f"{tool}.json", text.encode(), files.PRIVATE)


def drop(place: Path, tool: str) -> None:
    (place / f"{tool}.json").unlink(missing_ok=True)


def keep_replaced(place: Path, tool: str, path: Path, data: bytes) -> Path:
    """Keep a copy of a file that has changed since, before a restore replaces it. Returns where the copy is."""
    kept = place / f"{tool}.{path.name.lstrip('.')}.{digest(data)[:8]}"
    files.write(kept, data, files.PRIVATE)
    return kept


def home() -> Path:
    """Raises Refused where it is unknown."""
    found = os.path.expanduser("~")
    if not found.startswith("/"):
        raise daemon.Refused("your home directory is not known; set HOME")
    return Path(found)
