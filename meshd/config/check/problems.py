"""What is wrong with a configuration: one `Problem` per fault, with its place and a suggestion.

Owns: the shape of a problem, and its sentence.
Must never: hold a secret's value in a message.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import asdict

from meshd.core.text.key_path import Path
from modelmesh.wording import meant


class Problem(msgspec.Struct, frozen=True):
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
        return sentence + meant(self.suggestion)

    def asdict(self) -> dict[str, Any]:
        return asdict(self)


def line_of(lines: dict[Path, int], path: Path) -> int | None:
    """The line of a path, or of the nearest parent that has one."""
    for length in range(len(path), 0, -1):
        line = lines.get(path[:length])
        if line is not None:
            return line
    return None
