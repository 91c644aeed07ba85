"""The dimensions of statistics.

Owns: the names of the dimensions and stretches of time that `--by` takes, and reading such a list.
Must never: import more than the standard library: the command line checks names with it before it asks the daemon.
"""

from __future__ import annotations

from collections.abc import Iterable

DIMENSIONS = ("pool", "model", "provider", "app", "user", "unit", "operation", "status")
OF_SPEND = ("project", "agent", "session", "label")
"""Those of spend alone, which is kept for longer and in less detail."""
SPEND = ("pool", "model", "provider", "app", "user", *OF_SPEND)
ALL = (*DIMENSIONS, *OF_SPEND)
TIMES = {"minute": 60, "hour": 3600, "day": 86400}
"""In seconds. A group's name is its start in UTC; minutes are kept for two hours, hours for eight days."""
OF_ATTEMPTS = frozenset({"model", "provider"})
"""Queries by one of these count attempts, all others requests."""
MOST_AT_ONCE = 3


def is_of_spend(names: Iterable[str]) -> bool:
    """Whether only the spend is counted by these."""
    return any(name in OF_SPEND for name in names)


def parse_by(text: str, where: Iterable[str] = (), *, of_spend: bool = False) -> tuple[str, ...]:
    """("app", "model") of "app,model". where: the dimensions of filters. of_spend: only those of spend. Raises
    ValueError, whose text lists the valid names."""
    by = tuple(part.strip() for part in text.split(","))
    of_spend = of_spend or is_of_spend((*by, *where))
    known = (*(SPEND if of_spend else ALL), *TIMES)
    for name in (*by, *where):
        if name not in known:
            with_these = " here" if of_spend and name in ALL else ""
            raise ValueError(
                f"cannot count by {name!r}{with_these}; give one of {', '.join(known)}, or several with commas"
            )
    if len(set(by)) < len(by) or len(by) > MOST_AT_ONCE:
        raise ValueError(f"cannot count by {text!r}; give at most {MOST_AT_ONCE} names, each of them once")
    return by
