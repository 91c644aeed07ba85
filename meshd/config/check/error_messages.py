"""Pydantic's errors in our own words.

Owns: the sentence for each kind of type error.
Must never: show a value that may be secret (the caller says what may be shown).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a map",
    "mapping_type": "a map",
    "model_type": "a map of settings",
    "model_attributes_type": "a map of settings",
}


_BOUNDS = {
    "greater_than_equal": "of at least",
    "greater_than": "greater than",
    "less_than_equal": "of at most",
    "less_than": "less than",
}

ONE_OF = ("literal_error", "enum")
"""The kinds of pydantic's errors that list the valid values."""

_SHOULD_BE = "Input should be "


def sentence(kind: str, context: Mapping[str, Any], fallback: str, got: str) -> str:
    """For a pydantic error of this kind. got: the value (", got 3"), added where something else was expected."""
    if kind == "missing":
        return "is missing"
    if kind in ONE_OF:
        expected = str(context["expected"]).replace("'", "")
    elif "expected" in context:  # a check of our own
        expected = str(context["expected"])
    elif kind in _EXPECTED:
        expected = _EXPECTED[kind]
    elif kind in _BOUNDS:
        expected = f"a number {_BOUNDS[kind]} {str(next(iter(context.values()))).removesuffix('.0')}"
    elif fallback.startswith(_SHOULD_BE):
        expected = fallback.removeprefix(_SHOULD_BE)
    else:
        return fallback
    return f"expected {expected}{got}"


def shown(value: Any) -> str:
    """A value within a sentence: short, and as in the file rather than in Python."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list | tuple):
        return "a list"
    # A date that YAML has read, for example: as written, not as Python shows it.
    text = repr(value if isinstance(value, str | int | float) else str(value))
    return text if len(text) <= 60 else text[:57] + "…" + text[0]
