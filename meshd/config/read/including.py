"""Reads a configuration that consists of several files: those of `include`, those of `conf.d`, and profiles.

Owns: which files count, in which order, and the bounds on them.
Must never: know any other key's meaning, or raise; what is wrong is a problem.

A file that is included comes below the one that includes it, files of `conf.d` come on top in the order of their names,
and the profiles of MESHD_PROFILE come last.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from meshd.config.check.problems import Place, Places, Problem, problem_in
from meshd.config.read.characters import MOST_BYTES
from meshd.config.read.config_files import ConfigFiles, below, is_pattern, matches, pieces_beside, unreadable
from meshd.config.read.loading import Loaded, load_file
from meshd.config.read.merging import Part, on_top
from meshd.config.read.normalise import canonical, flat_path
from meshd.core.text.key_path import Path
from meshd.host.real_path import real_path
from modelmesh.wording import likeliest

MOST_FILES = 256
MOST_DEPTH = 8
MOST_VALUES = 300_000
PROFILE = "MESHD_PROFILE"
_OF_FILES = frozenset({"include", "profiles"})
"""Keys that say what belongs to a configuration, and are none of its sections."""

_V = TypeVar("_V")


@dataclass(slots=True)
class Read:
    """All files as one. fatal: the problems are so serious that nothing else can be checked. idle: the profiles that
    are not in use, which are checked too."""

    part: Part
    files: ConfigFiles | None = None
    fatal: bool = False
    idle: dict[str, Part] = field(default_factory=dict)


def read_files(path: str, environ: Mapping[str, str]) -> Read:
    """A file with everything that belongs to it."""
    reader = _Reader(path)
    reader.read_all()
    return reader.result(environ)


def read_one(loaded: Loaded, file: str | None, environ: Mapping[str, str]) -> Read:
    """A configuration that is not a file on this machine: it may have profiles, but can include nothing."""
    reader = _Reader(file)
    if loaded.fatal:
        reader.problems += loaded.problems
    else:
        reader.take(loaded, file)
    read = reader.result(environ)
    if loaded.raw.get("include"):
        message = "works only in a configuration that is read from a file"
        read.part.problems.append(problem_in(_places(loaded, file), ("include",), message, file=file))
    return read


class _Reader:
    """One reading of one configuration. problems: those after which nothing else can be checked."""

    def __init__(self, main: str | None) -> None:
        self.problems: list[Problem] = []
        self._main = main
        self._parts: list[Part] = []
        self._profiles: dict[str, Part] = {}
        self._looked: dict[str, None] = {}
        self._patterns: list[str] = []
        self._done: set[str] = set()  # real paths
        self._open: list[str] = []  # real paths of the files that include the one being read
        self._size = 0
        self._values = 0

    def read_all(self) -> None:
        assert self._main is not None
        self._read(self._main, None)
        self._patterns += pieces_beside(self._main)
        for pattern in pieces_beside(self._main):
            for piece in self._matching(pattern, None):
                self._read(piece, Problem("", None, "", None, piece))

    def result(self, environ: Mapping[str, str]) -> Read:
        profiles = active_profiles(environ)
        files = ConfigFiles(tuple(self._looked), tuple(self._patterns), tuple(profiles)) if self._looked else None
        if self.problems:
            return Read(Part(problems=self.problems), files, fatal=True)
        whole = Part()
        for part in self._parts:
            whole = on_top(whole, part)
        idle = dict(self._profiles)
        # A program's own configuration need not know the profiles of its user's daemon.
        for name in profiles if files is not None or self._profiles else ():
            idle.pop(name, None)
            if name in self._profiles:
                whole = on_top(whole, self._profiles[name])
                continue
            message = f"{PROFILE} names the profile {name!r}, which does not exist"
            near = likeliest(name, self._profiles)
            whole.problems.append(Problem("profiles", None, message, near, self._main))
        return Read(whole, files, idle=idle)

    def take(self, loaded: Loaded, file: str | None) -> None:
        """A file's content, without `include`, and with its profiles apart."""
        places = _places(loaded, file)
        raw = {key: value for key, value in loaded.raw.items() if key not in _OF_FILES}
        part = _part(raw, places, loaded.written)
        part.problems[:0] = loaded.problems
        self._parts.append(part)
        profiles = loaded.raw.get("profiles")
        if profiles is not None and not isinstance(profiles, dict):
            part.problems.append(problem_in(places, ("profiles",), "expected a map of profiles by name", file=file))
            return
        for name, profile in (profiles or {}).items():
            at: Path = ("profiles", name)
            if profile is not None and not isinstance(profile, dict):
                part.problems.append(problem_in(places, at, "expected a map of sections", file=file))
                continue
            of_files = _OF_FILES & (profile or {}).keys()
            for key in sorted(of_files):
                message = "works only at the top of a file, not in a profile"
                part.problems.append(problem_in(places, (*at, key), message, file=file))
            sections = {key: value for key, value in (profile or {}).items() if key not in of_files}
            own = _part(sections, _below(places, at), _below(loaded.written, at))
            self._profiles[name] = on_top(self._profiles.get(name, Part()), own)

    # -- files ----------------------------------------------------------------------------------------

    def _read(self, path: str, named: Problem | None) -> None:
        """Read a file and what it includes, unless that has been done. named: where it is named, for messages; None for
        the main file."""
        real = real_path(path)
        self._looked[path] = None
        if real in self._open:
            chain = " → ".join(map(os.path.basename, [*self._open[self._open.index(real) :], real]))
            self._fail(named, f"the files include each other: {chain}")
        elif real not in self._done and self._is_acceptable(path, named):
            self._done.add(real)
            self._open.append(real)
            self._read_new(path, named)
            self._open.pop()

    def _is_acceptable(self, path: str, named: Problem | None) -> bool:
        if named is None:
            return True
        if len(self._done) >= MOST_FILES:
            self._fail(named, f"the configuration has more than {MOST_FILES} files")
        elif len(self._open) >= MOST_DEPTH:
            self._fail(named, f"the files include each other {MOST_DEPTH} levels deep")
        elif os.path.isdir(path):
            self._fail(named, f"{path} is a directory: write {path}/*.yaml")
        elif os.path.exists(path) and not os.path.isfile(path):  # a pipe would never end
            self._fail(named, f"{path} is not a file")
        elif not os.path.exists(path):
            is_link = os.path.islink(path)
            self._fail(named, f"{path} is a link to a missing file" if is_link else f"there is no file {path}")
        else:
            return True
        return False

    def _read_new(self, path: str, named: Problem | None) -> None:
        loaded = load_file(path)
        if loaded.fatal:
            self.problems += loaded.problems
            return
        self._values += len(loaded.lines)
        self._size += _size(path)
        if self._values > MOST_VALUES or self._size > MOST_BYTES:
            self._fail(named, "all files of the configuration together are too large")
            return
        self._include(loaded, path)
        self.take(loaded, path)

    def _include(self, loaded: Loaded, path: str) -> None:
        given = loaded.raw.get("include")
        entries = given if isinstance(given, list) else [] if given is None else [given]
        places = _places(loaded, path)
        for index, entry in enumerate(entries):
            at: Path = ("include", index) if isinstance(given, list) else ("include",)
            named = problem_in(places, at, "", file=path)
            if not isinstance(entry, str) or not entry or "${" in entry or "\0" in entry:
                self._fail(named, "expected the path of a file, or a pattern like providers/*.yaml")
                continue
            folder = os.path.dirname(os.path.abspath(path))
            if not is_pattern(entry):
                self._read(os.path.normpath(os.path.join(folder, os.path.expanduser(entry))), named)
                continue
            pattern = below(folder, os.path.expanduser(entry))
            self._patterns.append(pattern)
            for found in self._matching(pattern, named):
                if real_path(found) != self._open[-1]:  # `*.yaml` means the others
                    self._read(found, named)

    def _matching(self, pattern: str, named: Problem | None) -> list[str]:
        for folder in unreadable(pattern):
            self._fail(named, f"the files in {folder} cannot be listed: it is not readable")
        return matches(pattern)

    def _fail(self, named: Problem | None, message: str) -> None:
        about = named or Problem("", None, "", None, self._main)
        self.problems.append(Problem(about.path, about.line, message, None, about.file))


def active_profiles(environ: Mapping[str, str]) -> list[str]:
    """The names in MESHD_PROFILE, in order, each once."""
    names = (name.strip() for name in environ.get(PROFILE, "").split(","))
    return list(dict.fromkeys(name for name in names if name))


def _part(raw: dict[str, Any], places: Places, written: Mapping[Path, str]) -> Part:
    flat, moved, problems = canonical(raw, places)
    return Part(flat, moved, {flat_path(path): text for path, text in written.items()}, problems)


def _places(loaded: Loaded, file: str | None) -> Places:
    return {path: Place(line, file) for path, line in loaded.lines.items()}


def _below(values: Mapping[Path, _V], path: Path) -> dict[Path, _V]:
    """Those under a path, as seen from there."""
    depth = len(path)
    return {at[depth:]: value for at, value in values.items() if at[:depth] == path and len(at) > depth}


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
