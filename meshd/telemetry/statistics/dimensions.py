"""The dimensions of statistics.

Owns: the names of the dimensions and stretches of time that `--by` takes, and reading such a list.
Must never: import anything: the command line checks names with it before it asks the daemon.
"""

from __future__ import annotations

DIMENSIONS = ("pool", "model", "provider", "app", "user", "unit", "operation", "status")
TIMES = {"minute": 60, "hour": 3600, "day": 86400}
"""In seconds. A group's name is its start in UTC; minutes are kept for two hours, hours for eight days."""
OF_ATTEMPTS = frozenset({"model", "provider"})
"""Queries by one of these count attempts, all others requests."""
MOST_AT_ONCE = 3


def parse_by(text: str) -> tuple[str, ...]:
    """("app", "model") of "app,model". Raises ValueError, whose text lists the valid names."""
    by = tuple(part.strip() for part in text.split(","))
    known = (*DIMENSIONS, *TIMES)
    for name in by:
        if name not in known:
            raise ValueError(f"cannot count by {name!r}; give one of {', '.join(known)}, or several with commas")
    if len(set(by)) < len(by) or len(by) > MOST_AT_ONCE:
        raise ValueError(f"cannot count by {text!r}; give at most {MOST_AT_ONCE} names, each of them once")
    return by
