"""What makes two requests one session, by `pools.NAME.session.key`.

Owns: the headers that may name a session. The fields of a body that may are known to its format.
Must never: remember one (`routing/decision/strategies/sessions.py`), or let two apps share one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from meshd.routing.table.specs import STICKY, PoolSpec

_HEADERS = ("mesh-session", "x-session-id")


def session_of(pool: PoolSpec, headers: Mapping[str, str], in_body: Callable[[], str], label: str) -> str:
    """in_body: the session that the body names. label: the app's name. The session's name; "" if the request has none,
    or no pool needs it."""
    if pool.strategy != STICKY:
        return ""
    name = ""
    if pool.session.key == "header":
        given = {header.lower(): value for header, value in headers.items()}
        name = next((given[header] for header in _HEADERS if given.get(header)), "")
    elif pool.session.key == "user":
        name = in_body()
    elif pool.session.key == "app":
        return label
    return f"{label}\0{name}" if name else ""
