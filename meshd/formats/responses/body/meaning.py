"""What parameters mean beyond the request itself: whether its answer is repeatable, and which session it belongs to.

Owns: the names of these parameters. Must never: read a header, or decide what is kept.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from meshd.formats.openai.body import meaning
from meshd.formats.responses.body.known_items import only_own_tools

IMMATERIAL = meaning.IMMATERIAL | {"client_metadata"}

_SESSION = ("prompt_cache_key", "conversation", "previous_response_id")


def repeatable(fields: Mapping[str, msgspec.Raw]) -> bool:
    """With a `temperature` of 0 and without `store`, as in a chat; never with tools of the provider's own, whose
    answers change with the day, nor with what only the provider knows."""
    if any(name in fields for name in ("previous_response_id", "conversation", "prompt", "background")):
        return False
    return only_own_tools(fields) and meaning.repeatable({"store": _TRUE, **fields})


_TRUE = msgspec.Raw(b"true")  # the default of this API


def session(fields: Mapping[str, msgspec.Raw]) -> str:
    """The conversation that the body names, as JSON; "" if it names none. A `previous_response_id` is used last, since
    it differs in every request."""
    return meaning.named(fields, _SESSION)


user = meaning.user
