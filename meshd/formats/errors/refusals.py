"""The kind of refusal that an error's words and codes mean, by `meshd/catalogue/refusals.toml`.

Owns: looking up codes, and searching bounded text for compiled patterns; which features a refusal names.
Must never: contain a wording itself.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from meshd.catalogue.known import FeatureRow, load_refusals, load_refused_features, load_refusing_words
from meshd.sdk.provider import FailureKind

MOST_TEXT = 2000  # characters


class Refusals:
    """kind → its codes and its words."""

    def __init__(self) -> None:
        self._codes: dict[str, FailureKind] = {}
        self._own_codes: set[str] = set()
        own: list[str] = []
        never: list[str] = []
        thoughts: list[str] = []
        self._codes_of_reasoning: set[str] = set()
        words: dict[FailureKind, list[str]] = {}
        for row in load_refusals():
            kind = FailureKind(row.kind)
            if row.own_failure:
                self._own_codes.update(code.lower() for code in row.codes)
                own += row.words
            if row.never_fits:
                never += row.words
            if row.of_reasoning:
                self._codes_of_reasoning.update(code.lower() for code in row.codes)
                thoughts += row.words
            for code in row.codes:
                self._codes.setdefault(code.lower(), kind)
            words.setdefault(kind, []).extend(row.words)
        self._words = {kind: _any_of(found) for kind, found in words.items() if found}
        self._own_words = _any_of(own)
        self._never_fits = _any_of(never)
        self._of_reasoning = _any_of(thoughts)
        self._refusing = _any_of(load_refusing_words())
        features = load_refused_features()
        self._features = [_Feature(row) for row in features]
        self._unlike = _any_of(word for row in features for word in row.unlike)

    def by_code(self, codes: Iterable[str]) -> FailureKind | None:
        """The kind for the first code that a row knows."""
        names = (code.lower().rpartition("#")[2] for code in codes)  # `com.amazon.coral.service#…`
        return next((kind for name in names if (kind := self._codes.get(name)) is not None), None)

    def says(self, kind: FailureKind, text: str) -> bool:
        pattern = self._words.get(kind)
        return pattern is not None and pattern.search(_plain(text)) is not None

    def by_words(self, text: str, *kinds: FailureKind) -> FailureKind | None:
        return next((kind for kind in kinds if self.says(kind, text)), None)

    def never_fits(self, text: str) -> bool:
        """Whether it exceeds the limit of a whole minute, so that waiting does not help."""
        return self._never_fits.search(_plain(text)) is not None

    def of_reasoning(self, text: str, codes: Iterable[str] = ()) -> bool:
        """Whether the provider refuses the reasoning in the conversation, which another model wrote."""
        if not self._codes_of_reasoning.isdisjoint(code.lower() for code in codes):
            return True
        return self._of_reasoning.search(_plain(text)) is not None

    def features(self, text: str, codes: Iterable[str] = ()) -> tuple[str, ...]:
        """Features that the text says this model lacks; none if the model failed at one that it has."""
        text = _plain(text)
        if not self._own_codes.isdisjoint(code.lower() for code in codes) or self._own_words.search(text):
            return ()
        if not self._refusing.search(text):
            return tuple(each.name for each in self._features if each.says.search(text))
        sentences = [each for each in _SENTENCE.split(self._unlike.sub(" … ", text)) if self._refusing.search(each)]
        return tuple(each.name for each in self._features if each.says.search(text) or each.is_in(sentences))


class _Feature:
    def __init__(self, row: FeatureRow) -> None:
        self.name = row.feature
        self.says = _any_of(row.says)
        self._names = re.compile(rf"(?<![A-Za-z0-9_-])(?:{_any_of(row.names).pattern})(?![A-Za-z0-9_-])", re.I)

    def is_in(self, sentences: Iterable[str]) -> bool:
        return any(self._names.search(each) for each in sentences)


def _plain(text: str) -> str:
    """Text in the patterns' spelling."""
    return text[:MOST_TEXT].replace("’", "'")


_SENTENCE = re.compile(r"(?<=[.;!?。])\s|\n")


def _any_of(words: Iterable[str]) -> re.Pattern[str]:
    """One pattern for all; it matches nothing if there are none."""
    return re.compile("|".join(f"(?:{word})" for word in words) or r"(?!)", re.I | re.S)


@functools.cache
def refusals() -> Refusals:
    return Refusals()
