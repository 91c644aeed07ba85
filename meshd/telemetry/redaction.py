"""Keys and tokens out of everything that is written.

Owns: the patterns of what looks like a secret, and the values known to be one.
Must never: be skipped for a "harmless" stream; a key turns up where it is least expected, in a provider's error
text for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

MASK = "•••"
SHORTEST_KNOWN = 6
"""A known value shorter than this would mask half of every text, and protects nothing."""

_PATTERNS = (
    r"(?:sk|pk|rk|gsk|xai|tgp|pplx|csk|nvapi|fw|r8|key|jina|tvly|fc|ghp|gho|github_pat|glpat|hf|xox[abprs])"
    r"[-_][A-Za-z0-9_\-]{12,}"
    r"|AIza[A-Za-z0-9_\-]{30,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*"
)
_KEYS = re.compile(rf"(?<![A-Za-z0-9])(?:{_PATTERNS})")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=\-]{6,}")
_NAMED = re.compile(
    r"(?i)([\"']?\b(?:x-)?(?:api[-_]?key|access[-_]?token|auth[-_]?token|secret|password|passwd|authorization)\b[\"']?"
    r"\s*[:=]\s*[\"']?)(?!(?:bearer|basic)\b|\$\{)(?=[^\s\"'&,;}]*[0-9]|[^\s\"'&,;}]{16})[^\s\"'&,;}]{6,}"
)
_USERINFO = re.compile(r"(://[^/\s:@]+:)[^@\s/]+(?=@)")
_SECRET_FIELDS = re.compile(r"(?i)(?:^|[-_])(?:api[-_]?keys?|secrets?|passwords?|authorization|access[-_]?tokens?)$")


class Redactor:
    def __init__(self, known: Iterable[str] = ()) -> None:
        self._known: re.Pattern[str] | None = None
        self.learn(known)

    def learn(self, values: Iterable[str]) -> None:
        """The secrets in use now; those before are forgotten."""
        long = sorted({value for value in values if len(value) >= SHORTEST_KNOWN}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, long))) if long else None

    def text(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(MASK, text)
        text = _BEARER.sub(rf"\1 {MASK}", text)
        text = _KEYS.sub(MASK, text)
        text = _NAMED.sub(rf"\1{MASK}", text)
        return _USERINFO.sub(rf"\1{MASK}", text) if "://" in text else text

    def value(self, value: Any, name: str = "") -> Any:
        """The same structure of maps, lists and scalars, clean."""
        if isinstance(value, str):
            return MASK if value and _SECRET_FIELDS.search(name) else self.text(value)
        if isinstance(value, dict):
            return {key: self.value(item, str(key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item, name) for item in value]
        return value


def secrets_of(generation: Any) -> set[str]:
    """Every secret a generation's providers were made with, to be known by value."""
    found: set[str] = set()
    for settings in generation.providers.values():
        if settings.api_key:
            found.add(settings.api_key)
        for name, value in settings.headers.items():
            if re.search(r"(?i)key|token|auth|secret", name):
                found.update(value.split())
    return found - {"Bearer", "bearer", "Basic", "basic"}
