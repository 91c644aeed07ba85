"""Notices that files may have changed, and whether they are still being written.

Owns: a thread that watches the directories of files, and those of symlinks that lead to them.
Must never: read a file.

Editors replace files, and Kubernetes swaps a symlink two levels up, so the directories are watched rather than the
files.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path

POLL = 2.0  # s between two checks if changes are not reported
_STEP = 0.2  # s between watchfiles' checks; 0.05 was most of an idle daemon's work
_UNASKED = 1.0  # s between checks without a report: a change may be older than the watch, or not be reported
POLLS = 150

logger = logging.getLogger("meshd.watch")


class DirectoryWatch:
    """A thread that calls `_look` when something happened in the directories, or when the files differ: not every file
    system reports changes.

    what: a name for the log. debounce: seconds of quiet that end a burst of changes.
    """

    def __init__(self, what: str, files: Sequence[Path], debounce: float) -> None:
        self.files = tuple(files)
        self.debounce = debounce
        self._what = what
        self._stop = threading.Event()
        self._polling = False
        self._thread = threading.Thread(target=self._run, name="meshd-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns at once; the thread ends by itself."""
        self._stop.set()

    def _look(self) -> None:
        raise NotImplementedError

    def _run(self) -> None:
        while not self._stop.is_set():
            directories = self._directories()
            if not directories:  # as yet
                self._stop.wait(POLL)
                self._look()
                continue
            try:
                self._follow(directories)
            except Exception as error:  # inotify used up, no descriptor left: exceptions differ
                if not self._polling:
                    why = str(error).split(" (")[0]
                    logger.warning("%s is checked every %g s: changes are not reported (%s)", self._what, POLL, why)
                self._polling = True
                self._poll()

    def _follow(self, directories: list[Path]) -> None:
        from watchfiles import watch

        watched = _identities(directories)
        state: list[tuple[int, ...] | None] = []
        for news in watch(
            *directories,
            watch_filter=None,
            debounce=max(int(self.debounce * 1000), 1),
            step=max(int(min(self.debounce, _STEP) * 1000), 1),
            stop_event=self._stop,
            rust_timeout=int(_UNASKED * 1000),
            yield_on_timeout=True,
            recursive=False,
        ):
            if not news and self._state() == state:
                continue
            state = self._state()
            self._look()
            if self._directories() != directories or _identities(directories) != watched:
                return  # a symlink now points elsewhere, or a directory was replaced

    def _directories(self) -> list[Path]:
        return list(dict.fromkeys(folder for file in self.files for folder in watched_directories(file)))

    def _state(self) -> list[tuple[int, ...] | None]:
        return [state_of(file) for file in self.files]

    def _poll(self) -> None:
        """Check now and then, and after a while try to watch again."""
        for _ in range(POLLS):
            if self._stop.wait(POLL):
                return
            self._look()


def _identities(directories: list[Path]) -> list[tuple[int, int] | None]:
    return [_identity(directory) for directory in directories]


def _identity(directory: Path) -> tuple[int, int] | None:
    try:
        found = directory.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def state_of(path: Path) -> tuple[int, ...] | None:
    """A file's metadata, without reading the file; None if it does not exist."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev, found.st_mode


def watched_directories(path: Path) -> list[Path]:
    """The existing directories of the file and of every link on the way to it."""
    found: list[Path] = []
    current = path.absolute()
    for _ in range(16):
        parent = current.parent
        if parent.is_dir() and parent not in found:
            found.append(parent)
        # The directory itself may be reached through a link too (Kubernetes' `..data`).
        link = next((part for part in (current, *current.parents) if part.is_symlink()), None)
        if link is None:
            break
        try:
            target = Path(os.path.normpath(link.parent / os.readlink(link)))
        except OSError:  # it has just been replaced, which is reported as well
            break
        if link.parent not in found and link.parent.is_dir():
            found.append(link.parent)
        current = target / current.relative_to(link)
    return found


def being_written(path: Path) -> bool:
    """Whether a process that we may inspect has the file open for writing."""
    try:
        wanted = os.stat(path)
        processes = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return False
    return any(_writes(process, wanted) for process in processes)


def _writes(process: str, wanted: os.stat_result) -> bool:
    folder = f"/proc/{process}/fd"
    try:
        numbers = os.listdir(folder)
    except OSError:  # another user's process, or it has ended
        return False
    return any(_is_to_write(f"{folder}/{number}", wanted) for number in numbers)


def _is_to_write(descriptor: str, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(descriptor), wanted) and bool(os.lstat(descriptor).st_mode & 0o200)
    except OSError:  # this descriptor was closed, which says nothing about others
        return False
