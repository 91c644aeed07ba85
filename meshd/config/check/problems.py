"""What is wrong with a configuration: one `Problem` per fault, with its place and a suggestion.

Owns: the shape of a problem, its sentence, and the search for the closest valid name.
Must never: hold a secret's value in a message.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from meshd.core.key_path import Path


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault. `line` counts from 1; None where the file gives none. `suggestion` is the closest valid name."""

    path: str
    line: int | None
    message: str
    suggestion: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        where = self.file or "configuration"
        if self.line is not None:
            where = f"{where}:{self.line}"
        sentence = f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"
        return f'{sentence}; did you mean "{self.suggestion}"?' if self.suggestion else sentence

    def asdict(self) -> dict[str, Any]:
        return asdict(self)


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate a person most likely meant, or None when nothing is near."""
    by_folded = {candidate.lower().replace("-", "_"): candidate for candidate in candidates}
    found = difflib.get_close_matches(word.lower().replace("-", "_"), list(by_folded), n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def line_of(lines: dict[Path, int], path: Path) -> int | None:
    """The line of a path, or of the nearest parent that has one."""
    for length in range(len(path), 0, -1):
        line = lines.get(path[:length])
        if line is not None:
            return line
    return None
