"""What a request was for: its project, agent, session and label, for statistics.

Owns: the headers that say so, and which programs are known as agents (`meshd/catalogue/agents.toml`).
Must never: decide anything by such a name, since any program may send it; or let one be long or contain control
characters.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from meshd.catalogue.agents import agent_headers, known_agents
from meshd.gateway.frontends.exchange import Request
from meshd.host.plain_text import printable
from meshd.routing.request.session import named_in

PROJECT, AGENT, LABEL = "mesh-project", "mesh-agent", "mesh-label"
"""Headers of apps that were written for the mesh."""
_LONGEST = 64  # characters of a header that are looked at


def of(request: Request) -> dict[str, Any]:
    """The fields of its `Outcome`. The project is the one that the app names; "" means the one that its process works
    in."""
    headers = request.headers
    return {
        "project": _name(headers.get(PROJECT)),
        "agent": agent_in(headers),
        "session": _name(named_in(headers)),
        "label": _name(headers.get(LABEL)) or request.label,
    }


def agent_in(headers: Mapping[str, str]) -> str:
    """headers: by name in lower case."""
    named = _name(headers.get(AGENT))
    if named:
        return named
    for header in agent_headers():
        value = headers.get(header)
        if value and (agent := _known(header, value[:_LONGEST])):
            return agent
    return ""


def _name(value: str | None) -> str:
    if not value:
        return ""
    if not value.isascii():
        with suppress(UnicodeError):  # HTTP's headers are read as Latin-1; a folder's name, by contrast, is in UTF-8
            value = value.encode("latin-1").decode()
    return printable(value)


@functools.lru_cache(maxsize=256)
def _known(header: str, value: str) -> str:
    beginning = value.lower()
    return next(
        (each.name for each in known_agents() if each.header == header and beginning.startswith(each.begins)), ""
    )
