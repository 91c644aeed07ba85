"""Notices that files which hold secrets are not what they were.

Owns: a thread that looks at what the system says of them.
Must never: read one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from meshd.config.watching import DirectoryWatch, watched_directories

_DEBOUNCE = 0.05  # s: whether a writer has finished is judged by the content


class SecretWatch(DirectoryWatch):
    """Calls `on_touch()` from its own thread."""

    def __init__(self, files: Sequence[Path], on_touch: Callable[[], None]) -> None:
        super().__init__("the files of secrets", _DEBOUNCE)
        self.files = tuple(files)
        self._on_touch = on_touch
        self._seen = self._state()

    def _directories(self) -> list[Path]:
        found = dict.fromkeys(folder for path in self.files for folder in watched_directories(path.absolute()))
        return list(found)

    def _look(self) -> None:
        state = self._state()
        if state != self._seen:
            self._seen = state
            self._on_touch()

    def _state(self) -> list[tuple[int, ...] | None]:
        return [_state(path) for path in self.files]


def _state(path: Path) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev, found.st_mode
