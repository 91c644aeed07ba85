"""Ways in which each kind of store goes, and how it comes back as it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.support.secret_stores.all_kinds import AllKinds

OUTAGES = ("killed", "hung", "full")
_OF_SERVICES = {"killed": "dies", "hung": "hangs", "full": "full"}
_WAITED_FOR = ("command", "op", "pass", "keyring")
"""Kinds whose file is read outside of the daemon's thread, so that it may be one that gives nothing."""


class Outages:
    """`begin` and `end` for one kind of store. A file that is killed is gone, one that is full has lost its second
    half, as a disk without room leaves it, and one that hangs is a pipe into which nothing is written."""

    def __init__(self, kept: AllKinds) -> None:
        self._kept = kept
        self._undo: dict[str, Callable[[], None]] = {}

    def begin(self, kind: str, outage: str) -> None:
        service = self._kept.services.get(kind)
        if service is not None:
            service.fault = _OF_SERVICES[outage]
            self._undo[kind] = lambda: setattr(service, "fault", "")
            return
        path = self._kept.file(kind)
        content, mode = path.read_bytes(), path.stat().st_mode
        self._undo[kind] = lambda: _restore(path, content, mode)
        if outage == "full" or (outage == "hung" and kind not in _WAITED_FOR):
            path.write_bytes(content[: len(content) // 2] if outage == "full" and len(content) > 100 else b"")
            return
        path.unlink()
        if outage == "hung":
            os.mkfifo(path, 0o600)

    def end(self, kind: str) -> None:
        self._undo.pop(kind)()

    def end_all(self) -> None:
        for kind in list(self._undo):
            self.end(kind)


def _restore(path: Path, content: bytes, mode: int) -> None:
    whole = path.with_name(f".{path.name}.again")
    whole.write_bytes(content)
    whole.chmod(mode & 0o777)
    whole.replace(path)
