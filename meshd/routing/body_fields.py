"""What else of a body may raise its price, or name models.

Owns: the rules by which fields are told apart (the rows are data: `meshd/catalogue/body_fields.toml`).
Must never: change a body where no budget applies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from meshd.cdk.provider import Operation
from meshd.routing.needs import Needs
from meshd.routing.table import AppSpec, RoutingTable

_CARRIES_NAMES = frozenset({"model", "models", "fallbacks", "fallback_models", "allowed_models", "model_list"})
_OWN_TOOLS = frozenset({"function", "custom"})  # that the app runs
_NULL = b"null"
_LONGEST = 100  # characters of a field's name that are repeated


@dataclass(frozen=True, slots=True)
class Rule:
    does: Literal["pass", "priced", "needs_budget_free", "names_models"]
    harmless: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class BodyFields:
    """rules: by the field's name."""

    rules: Mapping[str, Rule]

    def judged(self, needs: Needs, fields: Mapping[str, msgspec.Raw]) -> Needs:
        """The same, knowing what cannot be priced."""
        costly: tuple[str, ...] = ()
        unknown: tuple[str, ...] = ()
        for name, raw in fields.items():
            rule = self.rules.get(name)
            if rule is None:
                if bytes(raw) != _NULL:
                    unknown += (name,)
            elif rule.does in ("needs_budget_free", "names_models") and not _is_harmless(raw, rule.harmless):
                costly += (name,)
        predicted = 0
        if "tools" in fields and not _all_own(fields["tools"]):
            costly += ("tools",)
        if "prediction" in fields and bytes(fields["prediction"]) != _NULL and needs.operation is Operation.CHAT:
            predicted = len(fields["prediction"])
        if not (costly or unknown or predicted):
            return needs
        return replace(needs, costly=costly, unknown=unknown, predicted=predicted)

    def names(self, fields: Mapping[str, msgspec.Raw]) -> Iterator[str]:
        """The models that it names beside `model`, as far as that can be seen."""
        for name, raw in fields.items():
            rule = self.rules.get(name)
            if rule is None or rule.does in ("needs_budget_free", "names_models"):
                direct = (rule is not None and rule.does == "names_models") or name in _CARRIES_NAMES
                yield from _named(_value(raw), direct)


def forbidden(rules: BodyFields, fields: Mapping[str, msgspec.Raw], app: AppSpec, table: RoutingTable) -> str | None:
    """The first model that the body names and the app may not use; None where there is none."""
    if app.models is None and app.pools is None:
        return None
    allowed: set[str] | None = None
    for name in rules.names(fields):
        if allowed is None:
            allowed = _may_name(app, table)
        if name not in allowed:
            return name
    return None


def _may_name(app: AppSpec, table: RoutingTable) -> set[str]:
    ids = set(table.models) if app.models is None else {id for id in app.models if id in table.models}
    if app.pools is not None:
        members = {id for name in app.pools if name in table.pools for id in table.pools[name].members}
        ids = ids & members if app.models is None else ids
    return ids | {table.models[id].upstream for id in ids}


def without(fields: Mapping[str, msgspec.Raw], names: tuple[str, ...]) -> Mapping[str, msgspec.Raw]:
    return {name: raw for name, raw in fields.items() if name not in names} if names else fields


def shown(names: tuple[str, ...]) -> str:
    """Fields in an error's words."""
    return ", ".join(f"`{name[:_LONGEST]}`" for name in names[:5])


def _is_harmless(raw: msgspec.Raw, harmless: tuple[Any, ...]) -> bool:
    value = _value(raw)
    # 0 is no false here, nor 1 true.
    return value is None or any(value == each and type(value) is type(each) for each in harmless)


def _all_own(raw: msgspec.Raw) -> bool:
    tools = _value(raw)
    if not isinstance(tools, list):
        return True  # its provider's to refuse
    return all(isinstance(tool, dict) and tool.get("type", "function") in _OWN_TOOLS for tool in tools)


def _named(value: Any, direct: bool) -> Iterator[str]:
    """Strings, of a value that names models or under the keys that do. msgspec reads nothing so deep that this could
    not follow."""
    if isinstance(value, str):
        if direct:
            yield value
    elif isinstance(value, list):
        for each in value:
            yield from _named(each, direct)
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _named(each, name in _CARRIES_NAMES)


def _value(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return bytes(raw).decode(errors="replace")
