"""Notices that the configuration file has another content.

Owns: a thread that watches the file's directory, and those of the symlinks it stands behind.
Must never: read the configuration, or say so twice for one change.

Editors replace files, and Kubernetes swaps a symlink two levels up, so the directories are watched rather than
the file, and what counts is whether the content differs. Who writes in place truncates first: a change is one when
the content stays the same for `debounce`, and an empty file is one that somebody has not written yet.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

logger = logging.getLogger("meshd.config")


class FileWatch:
    """Calls `on_change(digest of the content)` from its own thread. debounce: seconds of quiet that end a burst of
    changes. known: the digest of the content in use."""

    def __init__(
        self, path: Path, debounce: float, on_change: Callable[[bytes], None], known: bytes | None = None
    ) -> None:
        self.path = path
        self.debounce = debounce
        self._on_change = on_change
        self._stop = threading.Event()
        self._content = known
        self._thread = threading.Thread(target=self._run, name="meshd-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns at once; the thread ends by itself."""
        self._stop.set()

    def _run(self) -> None:
        from watchfiles import watch

        while not self._stop.is_set():
            directories = watched_directories(self.path)
            try:
                for _ in watch(
                    *directories,
                    watch_filter=None,
                    debounce=max(int(self.debounce * 1000), 1),
                    step=max(min(int(self.debounce * 500), 50), 1),
                    stop_event=self._stop,
                    rust_timeout=500,
                    yield_on_timeout=True,
                    recursive=False,
                ):
                    self._look()
                    if watched_directories(self.path) != directories:
                        break  # a symlink points elsewhere now
            except OSError as error:
                logger.warning("cannot watch %s: %s", self.path, error)
                self._stop.wait(5.0)

    def _look(self) -> None:
        content = digest(self.path)
        if content is None or content == self._content:
            return  # gone for the moment (an editor at work), or only touched
        while not self._stop.wait(self.debounce) and (now := digest(self.path)) != content:
            content = now
        if self._stop.is_set() or content is None or content == self._content:
            return
        self._content = content
        self._on_change(content)


def watched_directories(path: Path) -> list[Path]:
    """The directory of the file and of every link on the way to it, those that exist."""
    found: list[Path] = []
    current = path
    for _ in range(16):
        parent = current.parent
        if parent.is_dir() and parent not in found:
            found.append(parent)
        # The directory itself may be reached through a link too (Kubernetes' `..data`).
        link = next((part for part in (current, *current.parents) if part.is_symlink()), None)
        if link is None:
            break
        target = Path(os.path.normpath(link.parent / os.readlink(link)))
        if link.parent not in found and link.parent.is_dir():
            found.append(link.parent)
        current = target / current.relative_to(link)
    return found


def digest(path: Path) -> bytes | None:
    """Of a file's content; None for one that is not there or is empty."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return hashlib.sha256(content).digest() if content else None
