"""Notices changes to the content of the configuration's files.

Must never: parse the configuration, or report one change twice.

What counts is whether the content differs. A program that writes in place truncates the file first, so a change counts
when the content has stayed the same for `debounce`, and an empty main file counts as not written yet.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from meshd.config.read.config_files import ConfigFiles, digest_of
from meshd.host.file_watching import DirectoryWatch, being_written, state_of, watched_directories

CUT_PATIENCE = 2.0  # s of quiet after what may be the first piece of a file
MOST_PATIENCE = 30.0  # s: a process that has the file open for longer is not writing it


class FileWatch(DirectoryWatch):
    """Calls `on_change(digest of all content)` from its own thread. known: the digest of the content in use."""

    def __init__(
        self, files: ConfigFiles, debounce: float, on_change: Callable[[bytes], None], known: bytes | None = None
    ) -> None:
        super().__init__(str(files.main), [files.main], debounce)
        self.config_files = files
        self._on_change = on_change
        self._digest = known
        contents = files.contents()
        self._contents = contents if known is not None and self._digest_of(contents) == known else {}

    def _look(self) -> None:
        contents = self.config_files.contents()
        digest = self._digest_of(contents)
        if digest is None or digest == self._digest:
            return  # missing for a moment, while an editor saves it, or only touched
        deadline = time.monotonic() + MOST_PATIENCE
        while not self._stop.wait(self._patience(contents)):
            now = self.config_files.contents()
            settled = self._digest_of(now) == digest
            contents, digest = now, self._digest_of(now)
            if settled and (time.monotonic() > deadline or not self._being_written(contents)):
                break
        if self._stop.is_set() or digest is None or digest == self._digest:
            return
        self._digest = digest
        self._contents = contents
        self._on_change(digest)

    def _digest_of(self, contents: dict[Path, bytes]) -> bytes | None:
        return digest_of(contents, self.config_files.main)

    def _changed(self, contents: dict[Path, bytes]) -> list[Path]:
        return [path for path, text in contents.items() if text != self._contents.get(path)]

    def _being_written(self, contents: dict[Path, bytes]) -> bool:
        return any(being_written(path) for path in self._changed(contents))

    def _patience(self, contents: dict[Path, bytes]) -> float:
        """How long the content has to stay the same: longer if a file may be the first piece from a slow writer, which
        could be valid but incomplete. That is the case if the text in use begins with it, or if it ends within a line
        and the text in use did not."""
        if not contents.get(self.config_files.main):
            return self.debounce
        pieces = (_is_piece(contents[path], self._contents.get(path, b"")) for path in self._changed(contents))
        return max(self.debounce, CUT_PATIENCE) if any(pieces) else self.debounce

    def _directories(self) -> list[Path]:
        named = [folder for file in self.config_files.current() for folder in watched_directories(file)]
        matching = [folder for folder in self.config_files.directories() if folder.is_dir()]
        return list(dict.fromkeys([*named, *matching]))

    def _state(self) -> list[tuple[int, ...] | None]:
        return [state_of(file) for file in self.config_files.current()]


def _is_piece(text: bytes, known: bytes) -> bool:
    return bool(known) and (known.startswith(text) or (known.endswith(b"\n") and not text.endswith(b"\n")))
