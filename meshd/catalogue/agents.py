"""Programs that are known as agents, and the headers by which they name themselves (`agents.toml`)."""

from __future__ import annotations

import functools

import msgspec

from meshd.catalogue.known import read_data


class Agent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """begins: how the header's value begins, in lower case."""

    name: str
    header: str
    begins: tuple[str, ...]
    source: str = ""
    date: str = ""


@functools.cache
def known_agents() -> tuple[Agent, ...]:
    return tuple(msgspec.convert(row, Agent) for row in read_data("agents.toml")["agent"])


@functools.cache
def agent_headers() -> tuple[str, ...]:
    """In the order in which they count."""
    return tuple(dict.fromkeys(agent.header for agent in known_agents()))
