"""Notices changes of the configuration file's content.

Must never: read the configuration, or report one change twice.

What counts is whether the content differs. A program that writes in place truncates the file first, so a change counts
when the content has stayed the same for `debounce`, and an empty file counts as not written yet.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from meshd.config.read.characters import MOST_BYTES
from meshd.host.file_watching import DirectoryWatch, being_written

CUT_PATIENCE = 2.0  # s of quiet after what may be the first piece of a file
MOST_PATIENCE = 30.0  # s: a process that has the file open for longer is not writing it


class FileWatch(DirectoryWatch):
    """Calls `on_change(digest of the content)` from its own thread. known: the digest of the content in use."""

    def __init__(
        self, path: Path, debounce: float, on_change: Callable[[bytes], None], known: bytes | None = None
    ) -> None:
        super().__init__(str(path), [path], debounce)
        self.path = path
        self._on_change = on_change
        self._content = known
        self._text = _read(path) if known is not None and digest(path) == known else b""

    def _look(self) -> None:
        content = digest(self.path)
        if content is None or content == self._content:
            return  # missing for a moment, while an editor saves it, or only touched
        deadline = time.monotonic() + MOST_PATIENCE
        while not self._stop.wait(self._patience(content)):
            now = digest(self.path)
            if now == content and (time.monotonic() > deadline or not being_written(self.path)):
                break
            content = now
        if self._stop.is_set() or content is None or content == self._content:
            return
        self._content = content
        self._text = _read(self.path)
        self._on_change(content)

    def _patience(self, content: bytes | None) -> float:
        """How long the content has to stay the same: longer if it may be a slow writer's first piece, which could be
        valid but incomplete. That is a text with which the one in use begins, or one that ends within a line although
        that one did not."""
        text = _read(self.path)
        known = self._text
        if content is None or not text or not known or text == known:
            return self.debounce
        cut = known.startswith(text) or (known.endswith(b"\n") and not text.endswith(b"\n"))
        return max(self.debounce, CUT_PATIENCE) if cut else self.debounce


def digest(path: Path) -> bytes | None:
    """The digest of a file's content; None if it is missing or empty."""
    content = _read(path)
    return hashlib.sha256(content).digest() if content else None


def _read(path: Path) -> bytes:
    """The content, read only up to slightly more than the size limit; empty if there is no file."""
    try:
        if not path.is_file():
            return b""
        with open(path, "rb") as file:
            return file.read(MOST_BYTES + 1)
    except (OSError, ValueError):
        return b""
