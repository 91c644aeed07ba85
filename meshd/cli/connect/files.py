"""Reads and replaces the user's settings files.

Owns: which files are touched: those that only the user and root can change, also through their own links. A file is
replaced completely or not at all. It keeps its mode, unless it contains a token: then only its owner can read it.
Must never: know what is in a file.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

import msgspec

from meshd.cli import daemon
from meshd.host.replaced_file import replace_file
from meshd.host.trust.paths import untrusted

LARGEST = 4 * 1024 * 1024
PRIVATE = 0o600


class Content(msgspec.Struct, frozen=True):
    """A file as it is: its bytes and permissions, or that there is none (None)."""

    data: bytes | None
    mode: int | None = None


def read(path: Path) -> Content:
    """Raises Refused if it is not this user's own file."""
    fault = untrusted(path)
    if fault is not None:
        raise daemon.Refused(f"{fault}; settings are not written where others can change them")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        if path.is_symlink():
            raise daemon.Refused(f"{path} is a broken link; remove it, or create its target") from None
        return Content(None)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise daemon.Refused(f"{path} is not a file")
        if found.st_uid != os.geteuid():
            raise daemon.Refused(f"{path} belongs to another user; run this as that user")
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise daemon.Refused(f"{path} is larger than {LARGEST // 1024**2} MiB")
    return Content(data, stat.S_IMODE(found.st_mode))


def mode_for(before: Content, *, secret: bool) -> int:
    mode = PRIVATE if before.mode is None else before.mode
    return mode & ~0o077 if secret else mode


def write(path: Path, data: bytes, mode: int, *, folders: int = 0o700) -> list[str]:
    """Replace the file. folders: the mode of directories that are missing. Returns those that were made, the outermost
    first. Raises OSError."""
    above, made = path.resolve().parent, []
    for folder in reversed([above, *above.parents]):
        if not folder.exists():
            folder.mkdir(mode=folders)
            folder.chmod(folders)  # the umask may have removed some bits
            made.append(str(folder))
    replace_file(path, data, mode)
    return made


def remove(path: Path, made: list[str]) -> None:
    """The file, and the directories that were made for it where they are empty."""
    path.unlink(missing_ok=True)
    for folder in reversed(made):
        with contextlib.suppress(OSError):
            os.rmdir(folder)
