"""Fields that the API does not know, which providers add: plain JSON, as in the OpenAI SDK, and with attributes.

Must never: be anything but a dict to who reads it as one.
"""

from __future__ import annotations

from typing import Any


class Extra(dict[str, Any]):
    """A map of an unknown field: `extra["url"]` and `extra.url` are the same."""

    def __getattr__(self, name: str) -> Any:
        try:
            value = self[name]
        except KeyError:
            raise AttributeError(f"there is no field {name!r}") from None
        if value.__class__ is dict or value.__class__ is list:
            value = self[name] = extra(value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(f"there is no field {name!r}") from None


def extra(value: Any) -> Any:
    """The value with its maps as Extra, one level deep: the rest when it is asked for."""
    if value.__class__ is dict:
        return Extra(value)
    if value.__class__ is list:
        return [extra(item) for item in value]
    return value
