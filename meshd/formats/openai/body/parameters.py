"""Changing top-level parameters of a body; the rest of it stays as it came."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from meshd.core.needs import OUTPUT_LIMITS


def with_parameters(
    fields: Mapping[str, msgspec.Raw], defaults: Mapping[str, object], overrides: Mapping[str, object]
) -> Mapping[str, msgspec.Raw]:
    """The body with a model's `defaults` filled in and its `overrides` applied; the same object if there are none."""
    if not defaults and not overrides:
        return fields
    merged = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in defaults.items()}
    merged.update(fields)
    merged.update((name, msgspec.Raw(msgspec.json.encode(value))) for name, value in overrides.items())
    return merged


def _has(fields: Mapping[str, msgspec.Raw], name: str) -> bool:
    return name in fields and bytes(fields[name]) != b"null"


def with_output_limit(
    fields: Mapping[str, msgspec.Raw], limit: int, name: str = "max_tokens"
) -> Mapping[str, msgspec.Raw]:
    """The body with that output limit, so that the reservation holds: under the name it already has, else `name` ("" if
    the model takes none)."""
    name = next((given for given in OUTPUT_LIMITS if _has(fields, given)), name)
    if not name:
        return fields
    limited = {**fields, name: msgspec.Raw(b"%d" % limit)}
    for other in OUTPUT_LIMITS:
        if other != name:
            limited.pop(other, None)  # if there are two limits, a provider may use either
    return limited
