"""What may raise the price inside the input of the Responses API, and its other fields.

Owns: the places inside items. The rows are data (`meshd/catalogue/body_fields.toml`), the rules are the chat's.
Must never: change what it reads; names are removed from a copy.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import msgspec

from meshd.core.needs import RequestNeeds
from meshd.formats.openai.body.fields import BodyFields, Rule
from meshd.formats.openai.body.inside import LIST, MAP, Found, Inside, maps, text_of
from meshd.formats.openai.body.known_fields import carrying_names, inside_rows, known_inside, load_rules
from meshd.sdk.reading.lenient import UNREADABLE, whole

_CONTENTS = ("content", "output")


class ItemsInside(Inside, frozen=True):
    """item_kinds: items whose price is that of their tokens."""

    item_kinds: frozenset[str] = frozenset()

    def of(self, fields: Mapping[str, msgspec.Raw]) -> Found:
        found = Found()
        if "input" in fields and bytes(fields["input"]).lstrip()[:1] == b"[":
            self._of_items(fields["input"], found)
        if "tools" in fields:
            self.mark_each(fields["tools"], found)
        return found

    def _of_items(self, raw: msgspec.Raw, found: Found) -> None:
        try:
            items = maps.decode(raw)
        except UNREADABLE:
            found.fixed.append("input")
            return
        for item in items:
            kind = text_of(item["type"]) if "type" in item else "message" if "role" in item else "item_reference"
            if kind not in self.item_kinds:
                found.fixed.append(f"input[].{kind[:60] or 'type'}")
                continue
            self.mark(item, found)
            found.unknown += [f"input[].{name}" for name in item if self.counts(name, item)]
            for name in _CONTENTS:
                if name in item and kind != "reasoning":
                    self._of_content(item[name], name, found)

    def _of_content(self, raw: msgspec.Raw, name: str, found: Found) -> None:
        first = memoryview(raw)[0]
        if first == LIST and name == "content":
            self.of_parts(bytes(raw), found, "input[].content")
        elif first == LIST:
            self._of_output(raw, found)
        elif first == MAP:
            found.fixed.append(f"input[].{name}")

    def _of_output(self, raw: msgspec.Raw, found: Found) -> None:
        """The output of a function; a shell's output has parts without a type."""
        try:
            parts = maps.decode(raw)
        except UNREADABLE:
            found.fixed.append("input[].output")
            return
        if any("type" in part for part in parts):
            self.of_parts(bytes(raw), found, "input[].output")

    def known_items(self, raw: msgspec.Raw) -> msgspec.Raw:
        """The same without unknown names."""
        items = maps.decode(whole(bytes(raw)))
        for item in items:
            for name in [name for name in item if self.counts(name, item)]:
                del item[name]
            for name in _CONTENTS:
                if name in item and bytes(item[name]).startswith(b"["):
                    item[name] = self.known_parts(item[name])
        return msgspec.Raw(msgspec.json.encode(items))


@functools.cache
def _known() -> tuple[BodyFields, ItemsInside]:
    kinds = frozenset(kind for row in inside_rows() if row.of == "item" for kind in row.kinds)
    inside = ItemsInside(**known_inside("item", "own_tool"), item_kinds=kinds)
    rules = {**load_rules(), "prompt": Rule("needs_budget_free")}
    return BodyFields(rules, inside, carrying_names()), inside


def load_item_fields() -> BodyFields:
    return _known()[0]


def priced(needs: RequestNeeds, fields: Mapping[str, msgspec.Raw]) -> Mapping[str, msgspec.Raw]:
    """The body without what cannot be priced."""
    known, inside = _known()
    left = dict(known.priced(needs, fields))
    if any(name.startswith("input[]") for name in needs.unknown):
        left["input"] = inside.known_items(fields["input"])
    return left


def only_own_tools(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether the app runs all of its tools."""
    return "tools" not in fields or _known()[1].own_tools(fields["tools"])[0]
