"""The output limit of a body, and its other parameters, which are all in `generationConfig`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.formats.gemini.body.values import CONFIG, config_of

_LIMIT = ("maxOutputTokens", "max_output_tokens")


def with_output_limit(
    fields: Mapping[str, msgspec.Raw], limit: int, name: str = "maxOutputTokens"
) -> Mapping[str, msgspec.Raw]:
    """The body with that output limit, so that the reservation holds. name: the chat's name for the limit that the
    model takes, which has only one name here; "" if it takes none."""
    config = config_of(fields)
    given = next((each for each in _LIMIT if config.get(each) is not None), "")
    if not given and not name:
        return fields
    return _with(fields, {**config, given or _LIMIT[0]: limit})


def with_parameters(
    fields: Mapping[str, msgspec.Raw], defaults: Mapping[str, object], overrides: Mapping[str, object]
) -> Mapping[str, msgspec.Raw]:
    """The body with a model's `defaults` filled in and its `overrides` applied, under the API's own names;
    `generationConfig` is merged member by member. The same object if there are none."""
    if not defaults and not overrides:
        return fields
    merged: dict[str, msgspec.Raw] = {**_raw(defaults), **fields, **_raw(overrides)}
    first, last = (given.get(CONFIG[0]) for given in (defaults, overrides))
    config = {**_map(first), **config_of(fields), **_map(last)}
    return _with({name: raw for name, raw in merged.items() if name not in CONFIG}, config) if config else merged


def _raw(given: Mapping[str, object]) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(msgspec.json.encode(each)) for name, each in given.items()}


def _map(found: object) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _with(fields: Mapping[str, msgspec.Raw], config: dict[str, Any]) -> dict[str, msgspec.Raw]:
    name = next((each for each in CONFIG if each in fields), CONFIG[0])
    return {**fields, name: msgspec.Raw(msgspec.json.encode(config))}
