"""Notices changes of files that hold secrets.

Owns: a thread that watches their metadata.
Must never: read one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from meshd.host.file_watching import DirectoryWatch

_DEBOUNCE = 0.05  # s: whether a writer has finished is judged by the content


class SecretWatch(DirectoryWatch):
    """Calls `on_touch()` from its own thread."""

    def __init__(self, files: Sequence[Path], on_touch: Callable[[], None]) -> None:
        super().__init__("the files of secrets", files, _DEBOUNCE)
        self._on_touch = on_touch
        self._seen = self._state()

    def _look(self) -> None:
        state = self._state()
        if state != self._seen:
            self._seen = state
            self._on_touch()
