"""Fields that providers add beyond the API: plain JSON, as in the OpenAI SDK, with attribute access.

Must never: differ from a dict for code that expects one.
"""

from __future__ import annotations

from typing import Any


class Extra(dict[str, Any]):
    """A map in an unknown field: `extra["url"]` and `extra.url` are the same."""

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
    """The value with its maps as Extra, one level deep; deeper ones on access."""
    if value.__class__ is dict:
        return Extra(value)
    if value.__class__ is list:
        return [extra(item) for item in value]
    return value
