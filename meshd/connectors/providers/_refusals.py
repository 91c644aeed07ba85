"""What kind of refusal an error body's words and codes are, by `meshd/catalogue/refusals.toml`.

Owns: looking up codes, and searching bounded text for compiled patterns.
Must never: hold a wording itself.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from meshd.catalogue import load_refusals
from meshd.cdk.provider import FailureKind

MOST_TEXT = 2000  # characters


class Refusals:
    """kind → its codes and its words."""

    def __init__(self) -> None:
        self._codes: dict[str, FailureKind] = {}
        words: dict[FailureKind, list[str]] = {}
        for row in load_refusals():
            kind = FailureKind(row.kind)
            for code in row.codes:
                self._codes.setdefault(code.lower(), kind)
            words.setdefault(kind, []).extend(row.words)
        self._words = {
            kind: re.compile("|".join(f"(?:{word})" for word in found), re.I | re.S)
            for kind, found in words.items()
            if found
        }

    def by_code(self, codes: Iterable[str]) -> FailureKind | None:
        """Of the first that a row knows."""
        return next((kind for code in codes if (kind := self._codes.get(code.lower())) is not None), None)

    def says(self, kind: FailureKind, text: str) -> bool:
        pattern = self._words.get(kind)
        return pattern is not None and pattern.search(text[:MOST_TEXT]) is not None

    def by_words(self, text: str, *kinds: FailureKind) -> FailureKind | None:
        return next((kind for kind in kinds if self.says(kind, text)), None)


@functools.cache
def refusals() -> Refusals:
    return Refusals()
