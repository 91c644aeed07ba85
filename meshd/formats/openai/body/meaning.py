"""What OpenAI's parameters mean beyond the request itself: whether its answer is repeatable, and which session it
belongs to.

Owns: the names of these parameters. Must never: read a header, or decide what is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from meshd.sdk.reading.lenient import UNREADABLE

IMMATERIAL: Final = frozenset(
    {
        "metadata",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "store",
        "user",
    }
)
"""They say who asks, or what the provider keeps, and do not change the answer. Not `service_tier`, which the answer
names, nor `stream_options`, which changes the chunks."""

_SESSION: Final = ("prompt_cache_key",)
_USER: Final = ("user", "safety_identifier")
_NO_NAME: Final = ("null", '""')


def repeatable(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether the parameters make the answer repeatable.

    They do with a `temperature` of 0, which is greedy everywhere, or a `seed`, which asks for just that. A `top_p` of 0
    says nothing: some providers refuse it, some ignore it. Never a web search, whose answer changes with the day, nor
    with `store`, where each request must reach the provider.
    """
    if _given(fields, "web_search_options") or _scalar(fields, "store") is True:
        return False
    temperature, seed = _scalar(fields, "temperature"), _scalar(fields, "seed")
    return (_is_number(temperature) and temperature == 0) or _is_number(seed)


def session(fields: Mapping[str, msgspec.Raw]) -> str:
    """The conversation that the body names, as JSON; "" if it names none."""
    return named(fields, _SESSION)


def user(fields: Mapping[str, msgspec.Raw]) -> str:
    """The user that the body names, as JSON; "" if it names none."""
    return named(fields, _USER)


def named(fields: Mapping[str, msgspec.Raw], names: Iterable[str]) -> str:
    """The first of these fields that is given, as JSON."""
    values = (bytes(fields[field]).decode() for field in names if field in fields)
    return next((value for value in values if value not in _NO_NAME), "")


def _given(fields: Mapping[str, msgspec.Raw], name: str) -> bool:
    return name in fields and bytes(fields[name]).strip() != b"null"


def _scalar(fields: Mapping[str, msgspec.Raw], name: str) -> object:
    """The value of a number or bool, None for anything else."""
    try:
        return _number_or_bool.decode(fields[name])
    except (KeyError, *UNREADABLE):
        return None


_number_or_bool: msgspec.json.Decoder[int | float | bool] = msgspec.json.Decoder(int | float | bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
