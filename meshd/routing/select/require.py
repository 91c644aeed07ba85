"""`require`: what a pool's members must declare.

Owns: the conditions, and the check of a model against them.
Must never: look at anything but what `models.ID` declares (`attributes.DECLARED`).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from meshd.routing.select.attributes import DECLARED, Kind, SelectionError, Value
from meshd.routing.table.specs import ModelSpec
from modelmesh.wording import likeliest

_COMPARISON = re.compile(r"\s*(>=|<=|!=|==|=|>|<)?\s*([0-9][0-9_]*(?:\.[0-9]+)?)\s*")
_OPERATORS: dict[str | None, Callable[[Any, Any], bool]] = {
    None: operator.eq,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_EXPECTED: Mapping[Kind, str] = {
    "truth": "true or false",
    "number": "a number, or a comparison with one like '>=100000'",
    "list": "a name, or '!=' and a name",
}

_Check = Callable[[Value], bool]


class Condition(NamedTuple):
    """One line of `require`. path: its keys as they are nested there."""

    path: tuple[str, ...]
    value: Any

    @property
    def key(self) -> str:
        return ".".join(self.path)

    def compiled(self) -> _Check:
        """A test of the model's value. Raises SelectionError."""
        attribute = DECLARED.get(self.key)
        if attribute is None:
            raise SelectionError(
                "unknown condition: expected a key of features, constraints or delivery",
                suggestion=_suggested(self.key),
            )
        given = list(self.value) if isinstance(self.value, list | tuple) else [self.value]
        checks = [_compiled(attribute.kind, each) for each in given]
        if not checks:
            raise SelectionError(f"expected {_EXPECTED[attribute.kind]}, got an empty list")
        return lambda value: any(check(value) for check in checks)


def conditions(require: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[Condition]:
    """Each condition, however maps and dotted keys are nested."""
    for name, value in require.items():
        path = (*above, str(name))
        if isinstance(value, Mapping):
            yield from conditions(value, path)
        else:
            yield Condition(path, value)


def unmet(require: Mapping[str, Any], model: ModelSpec) -> str | None:
    """The first condition of `require` that the model does not meet; None if it meets all.

    Keys: features.*, constraints.*, delivery.*, as `models.ID` has them, or nested maps of these. Values: a value to
    equal, a comparison as text (">=100000"), or a list, any of which is enough. An undeclared value meets only `false`.
    Raises SelectionError for an invalid condition.
    """
    for condition in conditions(require):
        check = condition.compiled()
        has = DECLARED[condition.key].read(model, None)
        if not check(has):
            return f"{condition.key} is {_shown(has)}, and {_shown(condition.value)} is required"
    return None


def _compiled(kind: Kind, wanted: Any) -> _Check:
    if kind == "truth" and isinstance(wanted, bool):
        return lambda has: has is wanted
    if kind == "number" and not isinstance(wanted, bool):
        comparison = _COMPARISON.fullmatch(wanted) if isinstance(wanted, str) else None
        if comparison is not None:
            compare, number = _OPERATORS[comparison[1]], float(comparison[2].replace("_", ""))
            return lambda has: has is not None and compare(has, number)
        if isinstance(wanted, int | float):
            return lambda has: bool(has == wanted)
    if kind == "list" and isinstance(wanted, str) and wanted.strip("!= "):
        name = wanted.removeprefix("!=").strip()
        return (lambda has: name not in has) if wanted.startswith("!=") else (lambda has: name in has)
    raise SelectionError(f"expected {_EXPECTED[kind]}, got {'nothing' if wanted is None else _shown(wanted)}")


def _suggested(key: str) -> str | None:
    """The closest key; for a name under the wrong section, or none, the right one."""
    by_name = {known.rpartition(".")[2]: known for known in DECLARED}
    below = next((known for known in DECLARED if known.startswith(f"{key}.")), None)
    name = key.rpartition(".")[2]
    return by_name.get(name) or below or likeliest(key, DECLARED) or by_name.get(likeliest(name, by_name) or "")


def _shown(value: Any) -> str:
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return " or ".join(map(_shown, value)) or "none"
    return str(value)[:60]
