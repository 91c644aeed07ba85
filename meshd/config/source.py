"""The source of a running mesh's configuration, now and at every reload.

Owns: the choice between a file, a given configuration, and the built-in one.
Must never: decide what to do with it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from meshd.config.check.problems import Problem, configuration_error
from meshd.config.mesh_config import MeshConfig
from meshd.config.read.config_files import ConfigFiles
from meshd.config.read.including import read_files, read_one
from meshd.config.read.loading import load_file
from meshd.config.read.lookup import find_config, user_file

BUILT_IN = "built-in"
_DESCRIPTORS = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")


_READS = 3  # at most, until the files are the same before and after a read


class ConfigSource:
    """Where to read. files: those to watch, or None. seen: the digest of their content as it was read last. first: the
    result of the first read, instead of the file's content."""

    def __init__(
        self,
        read: Callable[[], tuple[MeshConfig, str]],
        files: ConfigFiles | None = None,
        first: tuple[MeshConfig, str] | None = None,
    ) -> None:
        self._read = read
        self._first = first
        self.files = files
        self.seen = files.digest() if files is not None and first is not None else None

    def read(self) -> tuple[MeshConfig, str]:
        """The configuration as it is now, and the name of its source."""
        first, self._first = self._first, None
        return first if first is not None else self._read()

    def peek(self) -> tuple[MeshConfig, str]:
        """What `read` would return."""
        return self._first if self._first is not None else self._read()

    @classmethod
    def of_file(cls, path: Path) -> ConfigSource:
        """A file, which is read again each time; a pipe or a terminal is read now and never again. Reading raises
        ConfigurationError if it fails."""
        if gives_itself_once(path):
            return cls._of_stream(path)
        absolute = path.absolute()  # not resolved, because a symlink may point elsewhere later
        source = cls(lambda: (source.read_file(absolute), str(absolute)), ConfigFiles.of(absolute))
        return source

    def read_file(self, path: Path) -> MeshConfig:
        """Raises ConfigurationError; the files that were read are known even then."""
        files = self.files if self.files is not None and self.files.main == path else ConfigFiles.of(path)
        for _ in range(_READS):
            seen = files.digest()
            found = read_files(str(path), os.environ)
            before, files = files, found.files or files
            if (files.paths, files.patterns) == (before.paths, before.patterns):  # or the digest is of others
                break
        self.files, self.seen = files, seen
        return MeshConfig.from_read(found, str(path))

    @classmethod
    def _of_stream(cls, path: Path) -> ConfigSource:
        def again() -> tuple[MeshConfig, str]:
            advice = "start it with --config and a file, or restart it"
            message = f"was read when the daemon started and cannot be read again: {advice}"
            raise configuration_error([Problem("", None, message, None, str(path))])

        name = str(path)
        content = read_one(load_file(name), name, os.environ)  # it is in no folder that could have other files
        return cls(again, first=(MeshConfig.from_read(content, name), name))

    @classmethod
    def of_config(cls, config: MeshConfig) -> ConfigSource:
        """A given configuration. A reload reads its file, if it has one, although the file may contain less."""
        if config.file is not None:
            if gives_itself_once(Path(config.file)):
                return cls(lambda: (config, "given"))
            of_file = cls.of_file(Path(config.file))
            files = config.sources or ConfigFiles.of(config.file)
            return cls(of_file.read, files, (config, str(Path(config.file).absolute())))
        return cls(lambda: (config, "given"))

    @classmethod
    def built_in(cls) -> ConfigSource:
        """What the machine offers: keys in the environment, embedded models. If the user's file is created later, it is
        read at once. A file in another of the usual places is read at the next reload. Either is watched from then
        on."""

        def read() -> tuple[MeshConfig, str]:
            path = find_config()
            if path is not None:
                absolute = path.absolute()
                return source.read_file(absolute), str(absolute)
            from meshd.config.zero_config import zero_config

            return zero_config(os.environ, os.environ.get("CREDENTIALS_DIRECTORY")), BUILT_IN

        source = cls(read, ConfigFiles.of(user_file(os.environ).absolute()))
        return source


def gives_itself_once(path: Path) -> bool:
    """Whether it can be read only once: a pipe, a terminal, a descriptor that the shell opened (`--config <(…)`)."""
    if str(path).startswith(_DESCRIPTORS):
        return True
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
