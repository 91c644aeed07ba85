"""What makes two requests one session, by `pools.NAME.session.key`.

Owns: where a session's name is looked for, and in which order. The headers are data (`meshd/catalogue/sessions.toml`);
the fields of a body are known to its format.
Must never: remember one (`routing/decision/strategies/sessions.py`), or let two apps share one.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Protocol

import msgspec

from meshd.catalogue.known import read_data
from meshd.routing.table.specs import STICKY, PoolSpec


class Body(Protocol):
    """The part of an app's wire format that is used here."""

    def session(self, fields: Mapping[str, msgspec.Raw]) -> str:
        """The conversation that the body names; "" if it names none."""

    def user(self, fields: Mapping[str, msgspec.Raw]) -> str:
        """The user that the body names; "" if it names none."""


def session_of(
    pool: PoolSpec, headers: Mapping[str, str], format: Body, fields: Mapping[str, msgspec.Raw], label: str
) -> str:
    """headers: by name in lower case. label: the app's name. The session's name; "" if the request has none.

    A user or an app is a session only where the pool keeps sessions at one model: elsewhere, the session only chooses
    a provider's key, and all that a user or an app does should not go to one.
    """
    key, sticky = pool.session.key, pool.strategy == STICKY
    if key == "app":
        return label if sticky else ""
    name = ""
    if key != "user":
        name = named_in(headers)
    elif sticky:
        name = format.user(fields)
    if not name and key != "header":
        name = format.session(fields)
    if not name and sticky and key == "auto":
        name = format.user(fields)
    return f"{label}\0{name}" if name else ""


def named_in(headers: Mapping[str, str]) -> str:
    """The session that the headers name; "" if they name none. headers: by name in lower case."""
    ranks = _ranks()
    best, found = len(ranks), ""
    for header, value in headers.items():
        rank = ranks.get(header, best)
        if rank < best and value:
            best, found = rank, value
    return found


@functools.cache
def _ranks() -> dict[str, int]:
    return {row["name"]: rank for rank, row in enumerate(read_data("sessions.toml")["header"])}
