"""What makes two requests one session, by `pools.NAME.session.key`.

Owns: the headers and fields of a body that may name a session.
Must never: remember one (`routing/decision/strategies/sessions.py`), or let two apps share one.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from meshd.routing.table.specs import STICKY, PoolSpec

_HEADERS = ("mesh-session", "x-session-id")
_FIELDS = ("user", "safety_identifier", "prompt_cache_key")
_NO_NAME = ("null", '""')


def session_of(pool: PoolSpec, headers: Mapping[str, str], fields: Mapping[str, msgspec.Raw], label: str) -> str:
    """label: the app's name. The session's name; "" if the request has none, or no pool needs it."""
    if pool.strategy != STICKY:
        return ""
    name = ""
    if pool.session.key == "header":
        given = {header.lower(): value for header, value in headers.items()}
        name = next((given[header] for header in _HEADERS if given.get(header)), "")
    elif pool.session.key == "user":
        values = (bytes(fields[field]).decode() for field in _FIELDS if field in fields)
        name = next((value for value in values if value not in _NO_NAME), "")
    elif pool.session.key == "app":
        return label
    return f"{label}\0{name}" if name else ""
