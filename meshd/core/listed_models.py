"""What a model list may contain, whether it comes from a provider, a discovered server or a connector of another
package."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

from meshd.sdk.provider import ModelListing

MOST_MODELS = 10_000  # of one provider: the largest catalogues list some hundreds
LONGEST_ID = 512
LARGEST_COUNT = 10**12  # tokens
_MOST_WORDS = 64  # capabilities or features of one model


def count(value: Any) -> int | None:
    """A positive number of tokens, None for anything else."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if number and 1 <= value <= LARGEST_COUNT else None


def day(value: Any) -> str:
    """As `2026-12-31`, from a date, a time or the seconds of one; "" for anything else."""
    try:
        if isinstance(value, str):
            return date.fromisoformat(value[:10]).isoformat()
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        pass
    return ""


def is_id(value: Any) -> bool:
    """Whether it can be a model's id: it is shown on terminals, and is part of keys."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_ID and value.isprintable() and not value.isspace()


def sound(listed: Iterable[ModelListing]) -> tuple[ModelListing, ...]:
    """The models that have an id, each once, without impossible values."""
    found: dict[str, ModelListing] = {}
    for model in listed:
        if len(found) >= MOST_MODELS:
            break
        if isinstance(model, ModelListing) and is_id(model.id):
            found.setdefault(model.id, _sound(model))
    return tuple(found.values())


def _sound(model: ModelListing) -> ModelListing:
    return ModelListing(
        model.id,
        _words(model.capabilities),
        count(model.context_window),
        count(model.max_output_tokens),
        _words(model.features),
        bool(model.deprecated),
        day(model.retires),
    )


def _words(value: Any) -> tuple[str, ...]:
    words = value[:_MOST_WORDS] if isinstance(value, tuple | list) else ()
    return tuple(word for word in words if is_id(word))
