"""What was there before `meshctl service install`.

Owns: one file for each scope, which only its owner may read.
Must never: be incomplete: it is written before anything is changed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from meshd.cli import daemon
from meshd.cli.connect import files
from meshd.cli.connect.files import Content


class Kept(msgspec.Struct):
    """One file. before: its bytes, as base64 in JSON; None: there was none. after: SHA-256 of what was written. made:
    the directories that were created for it, the outermost first."""

    path: str
    before: bytes | None
    mode: int | None
    after: str
    made: list[str] = msgspec.field(default_factory=list)

    @property
    def content(self) -> Content:
        return Content(self.before, self.mode)

    def is_as_written(self, now: Content) -> bool:
        return now.data is not None and digest(now.data) == self.after


class Record(msgspec.Struct):
    """made_user: whether the user `meshd` was created. made_folders: those that systemd-tmpfiles created for the
    service. made: the directories that were created for this record, the outermost first."""

    files: list[Kept] = msgspec.field(default_factory=list)
    made_user: bool = False
    made_folders: list[str] = msgspec.field(default_factory=list)
    made: list[str] = msgspec.field(default_factory=list)

    def of(self, path: Path) -> Kept | None:
        return next((each for each in self.files if each.path == str(path)), None)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def load(path: Path) -> Record | None:
    """None if `meshctl` did not install the service. Raises Refused for a file that is not such a record."""
    found = files.read(path)
    if found.data is None:
        return None
    try:
        return msgspec.json.decode(found.data, type=Record)
    except msgspec.MsgspecError:
        raise daemon.Refused(f"{path} cannot be read: it is not a record of `meshctl service install`") from None


def store(path: Path, record: Record) -> None:
    """Raises Refused, OSError."""
    made = _write(path, record)
    if made:
        record.made = made
        _write(path, record)


def _write(path: Path, record: Record) -> list[str]:
    return files.write(path, msgspec.json.format(msgspec.json.encode(record)), files.PRIVATE)
