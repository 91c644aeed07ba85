"""Removes keys and tokens from everything that is written.

Owns: the patterns of what looks like a secret, and the values known to be one.
Must never: be skipped for a "harmless" stream; keys turn up in unexpected places, such as a provider's error text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from meshd.sdk.http.credentials import MASK, secrets_of, without_keys

SHORTEST_KNOWN = 6
"""Shorter known values are not masked: that would hide half of every text and protect nothing."""
MOST_KNOWN = 1024
LONGEST = 64 * 1024
"""Characters of a text; the rest is dropped, so that none keeps a thread busy."""
_CUT = 512
"""Characters before the cut that are dropped as well: they may be the beginning of a secret."""

_SHORT = 256
"""Characters of texts that are remembered to be clean."""
_MOST_SHORT = 1024

_SECRET_FIELDS = re.compile(r"(?i)(?:^|[-_])(?:api[-_]?keys?|secrets?|passwords?|authorization|access[-_]?tokens?)$")


class Redactor:
    def __init__(self, known: Iterable[str] = ()) -> None:
        self._known: re.Pattern[str] | None = None
        self._values: dict[str, None] = {}
        self._clean: set[tuple[str, ...]] = set()
        self.learn(known)

    def learn(self, values: Iterable[str]) -> None:
        """Mask these secrets, which are in use now. Recent earlier ones stay known, because requests sent with them may
        still fail."""
        for value in values:
            if len(value) >= SHORTEST_KNOWN:
                self._values.pop(value, None)
                self._values[value] = None
        while len(self._values) > MOST_KNOWN:
            del self._values[next(iter(self._values))]
        self._clean.clear()
        longest_first = sorted(self._values, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def text(self, text: str) -> str:
        cut, text = len(text) > LONGEST, text[:LONGEST]
        if self._known is not None:
            text = self._known.sub(MASK, text)
        text = without_keys(text)
        return f"{text[:-_CUT]}…" if cut else text

    def are_clean(self, texts: tuple[str, ...]) -> bool:
        """Whether nothing is to be masked in texts that come together often, as models' and apps' names do."""
        if texts in self._clean:
            return True
        if any(self.text(text) != text for text in texts):
            return False
        if sum(map(len, texts)) <= _SHORT:
            if len(self._clean) >= _MOST_SHORT:
                self._clean.clear()
            self._clean.add(texts)
        return True

    def secret_field(self, name: str, value: Any) -> str:
        """A mask, if fields of this name hold a secret; else ""."""
        return MASK if value and isinstance(value, str) and _SECRET_FIELDS.search(name) else ""

    def value(self, value: Any, name: str = "") -> Any:
        """The same structure of maps, lists and scalars, redacted."""
        if isinstance(value, str):
            return self.secret_field(name, value) or self.text(value)
        if isinstance(value, dict):
            return {key: self.value(item, str(key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item, name) for item in value]
        return value


def secrets_in(generation: Any) -> set[str]:
    """Every secret of a generation, wherever it is in the configuration, to be masked by value."""
    of_providers = map(secrets_of, generation.providers.values())
    return set(generation.config.secret_values()).union(*of_providers)
