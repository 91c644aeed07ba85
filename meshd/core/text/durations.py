"""How long to wait, in reasons and errors: as text for people, and a default for when nothing says how long.

Must never: be parsed by a program; errors carry their times as numbers beside the text.
"""

from __future__ import annotations

ASK_AGAIN_IN = 1.0
"""Seconds that an app is told to wait where nothing says when it can be served, so that it does not ask in a loop."""

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_IN_SECONDS = 120


def format_duration(seconds: float) -> str:
    """ "42 s", "4 min 10 s", "10 h 2 min", "3 d 4 h": two units at most, and whole seconds up to two minutes."""
    whole = round(seconds)
    if whole < _IN_SECONDS:
        return f"{whole} s"
    at = next(index for index, (size, _) in enumerate(_UNITS) if whole >= size)
    (size, unit), (smaller, part) = _UNITS[at], _UNITS[at + 1]
    rest = whole % size // smaller
    return f"{whole // size} {unit} {rest} {part}" if rest else f"{whole // size} {unit}"
