"""The files of a configuration, for noticing when one of them changes.

Owns: which files match a pattern, which ones are in `conf.d`, and one digest for the content of all.
Must never: parse a file.
"""

from __future__ import annotations

import glob
import hashlib
import os
from pathlib import Path

import msgspec

from meshd.config.read.characters import MOST_BYTES
from meshd.config.read.lookup import ENDINGS
from meshd.host.real_path import real_path

PIECES = "conf.d"
_MAIN = "mesh"


class ConfigFiles(msgspec.Struct, frozen=True):
    """paths: the files that are read, the main one first, whether they exist or not. patterns: files that match them
    count too. profiles: the names of those in use."""

    paths: tuple[str, ...]
    patterns: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()

    @classmethod
    def of(cls, main: str | os.PathLike[str]) -> ConfigFiles:
        """As far as known before the file is read."""
        return cls((os.fspath(main),), pieces_beside(os.fspath(main)))

    @property
    def main(self) -> Path:
        return Path(self.paths[0])

    def current(self) -> list[Path]:
        """All files that would be read now, each once."""
        found = {real_path(path): path for path in reversed(self.paths)}
        matching = {real_path(path): path for pattern in self.patterns for path in matches(pattern)}
        return [*map(Path, self.paths), *(Path(path) for real, path in matching.items() if real not in found)]

    def directories(self) -> list[Path]:
        """The directories where matching files would appear."""
        return [Path(folder) for pattern in self.patterns for folder in _folders(os.path.dirname(pattern))]

    def contents(self) -> dict[Path, bytes]:
        """What is in each; empty if it does not exist."""
        return {path: content_of(path) for path in self.current()}

    def digest(self) -> bytes | None:
        return digest_of(self.contents(), self.main)


def digest_of(contents: dict[Path, bytes], main: Path) -> bytes | None:
    """One digest of all; None if the main file is missing or empty. It depends on the files, not on their order."""
    if not contents.get(main):
        return None
    whole = hashlib.sha256()
    for path in sorted({real_path(path): path for path in contents}.items()):
        whole.update(os.fsencode(path[0]) + b"\0" + hashlib.sha256(contents[path[1]]).digest())
    return whole.digest()


def content_of(path: Path) -> bytes:
    """The content, read only up to slightly more than the size limit; empty if there is no file."""
    try:
        if not path.is_file():
            return b""
        with open(path, "rb") as file:
            return file.read(MOST_BYTES + 1)
    except (OSError, ValueError):
        return b""


def is_pattern(text: str) -> bool:
    return glob.has_magic(text)


def matches(pattern: str) -> list[str]:
    """The configuration files that match, by name, whether they can be read or not. Directories, hidden files, those of
    another ending and links to /dev/null, with which people mask a file, do not count."""
    return sorted(path for path in glob.glob(pattern) if path.endswith(ENDINGS) and not _is_masked(path))


def _is_masked(path: str) -> bool:
    return os.path.isdir(path) or real_path(path) == os.devnull


def unreadable(pattern: str) -> list[str]:
    """The directories whose files may match, but cannot be listed."""
    folders = filter(os.path.isdir, glob.glob(os.path.dirname(pattern)))
    return sorted(folder for folder in folders if not os.access(folder, os.R_OK | os.X_OK))


def _folders(pattern: str) -> list[str]:
    found = [folder for folder in glob.glob(pattern) if os.path.isdir(folder)]
    while is_pattern(pattern):
        pattern = os.path.dirname(pattern)
    return [*found, pattern] if os.path.isdir(pattern) else found


def below(folder: str, pattern: str) -> str:
    """A pattern as seen from a folder, whose own name is not one."""
    return os.path.join(glob.escape(folder), pattern)


def pieces_beside(main: str) -> tuple[str, ...]:
    """The pattern of `conf.d` next to a file that is named mesh.yaml, mesh.toml …; other files have none."""
    folder, name = os.path.split(os.path.abspath(main))
    if os.path.splitext(name)[0] != _MAIN:
        return ()
    return (below(folder, f"{PIECES}/*"),)
