"""What parameters mean beyond the request itself: whether its answer repeats.

Owns: the names of these parameters. Must never: read a header, or decide what is kept. This API names neither users nor
sessions.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from meshd.formats.gemini.body.known_parts import only_own_tools
from meshd.formats.gemini.body.values import config_of

IMMATERIAL = frozenset({"labels"})
"""They say who asks, and do not change the answer."""


def repeatable(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether the parameters make the answer repeatable: with a `temperature` of 0 or a `seed`, and no tool that the
    provider runs."""
    if not only_own_tools(fields):
        return False
    config = config_of(fields)
    temperature, seed = config.get("temperature"), config.get("seed")
    return (_is_number(temperature) and temperature == 0) or _is_number(seed)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def session(fields: Mapping[str, msgspec.Raw]) -> str:
    return ""


user = session
