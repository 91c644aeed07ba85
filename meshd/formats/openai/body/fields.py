"""Other fields of a body that may raise its price, or name models.

Owns: the rules for fields (the rows are data: `known_fields.py`).
Must never: change a body where no budget applies.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from meshd.core.needs import TIER_FIELD, Named, RequestNeeds
from meshd.core.prices import tier_of
from meshd.formats.openai.body.inside import Found, Inside, few, is_plain_input, longer
from meshd.sdk.reading.lenient import UNREADABLE, whole

_OF_A_MODEL = frozenset({"id", "name", "slug", "model", "modelid", "modelname", "modelslug", "deployment", "adapterid"})
_NOTHING = re.compile(r"(?!)")
_NULL = b"null"
MOST_THOUGHT = 10**7  # tokens


Does = Literal["pass", "priced", "writes_cache", "needs_budget_free", "names_models"]


class Rule(msgspec.Struct, frozen=True):
    does: Does
    harmless: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class BodyFields:
    """rules: by the field's name. carries_names: names of fields that name models."""

    rules: Mapping[str, Rule]
    inside: Inside
    carries_names: re.Pattern[str] = _NOTHING
    plain: frozenset[str] = field(init=False)  # names that do not affect the price, except by their contents

    def __post_init__(self) -> None:
        plain = {name for name, rule in self.rules.items() if rule.does in ("pass", "priced")}
        object.__setattr__(self, "plain", frozenset(plain - {"prediction"}))

    def judged(self, needs: RequestNeeds, fields: Mapping[str, msgspec.Raw], *, budgeted: bool = True) -> RequestNeeds:
        """The same needs, plus what cannot be priced. budgeted: False: no budget applies, and messages are not
        examined."""
        if not budgeted and self.plain.issuperset(fields):
            return needs
        costly: list[str] = []
        unknown: list[str] = []
        predicted, found = 0, Found()
        chat = needs.operation.conversation
        if budgeted:
            if chat:
                found = self.inside.of(fields)
            else:
                given = (name for name in needs.operation.text if name in fields)
                found.fixed += [f"{name}[]" for name in given if not is_plain_input(fields[name])]
        for name, raw in fields.items():
            if name in needs.operation.free:
                continue
            rule = self.rules.get(name)
            if rule is None:
                if bytes(raw) != _NULL and name not in needs.operation.text:
                    unknown.append(name)
            elif rule.does in ("needs_budget_free", "names_models") and not _is_harmless(raw, rule.harmless):
                costly.append(name)
            elif rule.does == "writes_cache" and bytes(raw) != _NULL:
                found.caches = longer(found.caches, _value(raw))
        if budgeted and "tools" in fields and not self.inside.own_tools(fields["tools"])[0]:
            costly.append("tools")
        if chat and _is_given(fields, "prediction"):
            predicted = len(fields["prediction"])
        predicted += _thinking(fields)
        tier = tier_of(_value(fields[TIER_FIELD])) if TIER_FIELD in fields else ""
        unknown += few(found.unknown)
        if not (costly or unknown or predicted or found.fixed or found.files or found.caches or tier):
            return needs
        return replace(
            needs,
            costly=tuple(costly),
            unknown=tuple(unknown),
            fixed=few(found.fixed),
            files=found.files,
            predicted=predicted,
            caches=found.caches,
            tier=tier,
        )

    def priced(self, needs: RequestNeeds, fields: Mapping[str, msgspec.Raw]) -> Mapping[str, msgspec.Raw]:
        """The body without what cannot be priced."""
        left_out = {*needs.costly, *needs.unknown}
        left = {name: raw for name, raw in fields.items() if name not in left_out}
        if "tools" in needs.costly:
            own = self.inside.own_tools(msgspec.Raw(whole(bytes(fields["tools"]))))[1]
            if own:
                left["tools"] = msgspec.Raw(msgspec.json.encode(own))
            else:
                left.pop("tool_choice", None)
        if any(name.startswith("messages[]") for name in needs.unknown):
            left["messages"] = self.inside.known_messages(fields["messages"])
        return left

    def names(self, fields: Mapping[str, msgspec.Raw], text: Collection[str] = ()) -> Iterator[Named]:
        """The models that it names besides `model`, as far as can be seen. text: the fields that hold the app's
        text."""
        for name, raw in fields.items():
            if name in text:
                continue
            rule = self.rules.get(name)
            if rule is None or rule.does in ("needs_budget_free", "names_models"):
                value = _value(raw)
                named = rule is not None and rule.does == "names_models" and not _has_maps(value)
                yield from self._named(value, named or self._carries_names(name))
            elif name == "tools" and isinstance(tools := _value(raw), list):
                for tool in tools:  # the contents of a function are the app's own
                    if isinstance(tool, dict):
                        yield from self._named({key: each for key, each in tool.items() if key != "function"}, False)

    def _named(self, value: Any, named: bool) -> Iterator[Named]:
        """named: the value belongs to a field that names models. msgspec rejects anything too deep for this
        recursion."""
        if isinstance(value, str):
            yield Named(value, named)
        elif isinstance(value, list):
            for each in value:
                yield from self._named(each, named)
        elif isinstance(value, dict):
            one = _is_one(value)
            for key, each in value.items():
                # In `{"name": "a", "provider": "b"}`, only the name; in `{"first": "a"}` and `{"a": {"weight": 1}}`,
                # every name.
                alone = named and not one and not isinstance(each, str | list) and not _is_one(each)
                yield Named(key, alone)
                yield from self._named(each, (named and (not one or _is_of_one(key))) or self._carries_names(key))

    def _carries_names(self, name: str) -> bool:
        return self.carries_names.search(name) is not None


def _is_harmless(raw: msgspec.Raw, harmless: tuple[Any, ...]) -> bool:
    value = _value(raw)
    # 0 does not count as false here, nor 1 as true.
    return value is None or any(value == each and type(value) is type(each) for each in harmless)


def _thinking(fields: Mapping[str, msgspec.Raw]) -> int:
    """Reasoning tokens that a request allows beyond its limit."""
    budget = _value(fields["thinking_budget"]) if "thinking_budget" in fields else 0
    return min(int(budget), MOST_THOUGHT) if type(budget) is int and budget > 0 else 0


def _is_given(fields: Mapping[str, msgspec.Raw], name: str) -> bool:
    return name in fields and bytes(fields[name]) != _NULL


def _is_one(value: Any) -> bool:
    """Whether the map describes a single model, identified by its name."""
    return isinstance(value, dict) and any(map(_is_of_one, value))


def _is_of_one(key: str) -> bool:
    return key.replace("_", "").replace("-", "").lower() in _OF_A_MODEL


def _has_maps(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, dict) for each in value))


def _value(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except UNREADABLE:
        return bytes(raw).decode(errors="replace")
