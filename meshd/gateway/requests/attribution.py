"""What a request was for: its project, agent, session and label, for statistics.

Owns: the headers that say so, and which programs are known as agents (`meshd/catalogue/agents.toml`).
Must never: decide anything by such a name, since anyone may send it; or let one be long or steer a terminal.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.catalogue.known import read_data
from meshd.gateway.frontends.exchange import Request
from meshd.host.plain_text import printable
from meshd.routing.request.session import named_in

PROJECT, AGENT, LABEL = "mesh-project", "mesh-agent", "mesh-label"
"""Headers of apps that were written for the mesh."""


class _Agent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """begins: how the header's value begins, in lower case."""

    name: str
    header: str
    begins: tuple[str, ...]
    source: str = ""
    date: str = ""


def of(request: Request) -> dict[str, Any]:
    """The fields of its `Outcome`. The project is the app's own word; "": where its process works."""
    headers = request.headers
    return {
        "project": printable(headers.get(PROJECT, "")),
        "agent": agent_in(headers),
        "session": printable(named_in(headers)),
        "label": printable(headers.get(LABEL, "")) or request.label,
    }


def agent_in(headers: Mapping[str, str]) -> str:
    """headers: by name in lower case."""
    named = headers.get(AGENT)
    if named:
        return printable(named)
    for agent in _agents():
        if headers.get(agent.header, "").lower().startswith(agent.begins):
            return agent.name
    return ""


@functools.cache
def _agents() -> tuple[_Agent, ...]:
    return tuple(msgspec.convert(row, _Agent) for row in read_data("agents.toml")["agent"])
