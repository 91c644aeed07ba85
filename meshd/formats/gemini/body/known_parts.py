"""What may raise the price inside the contents and tools of a request to the Gemini API.

Owns: the places inside contents. The rows are data (`meshd/catalogue/body_fields.toml`), the rules are the chat's.
Must never: change what it reads; names are removed from a copy.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.core.needs import RequestNeeds
from meshd.formats.gemini.body.values import CONTENTS, SYSTEM, config_of, listed, member, parts_of, value
from meshd.formats.openai.body.fields import BodyFields
from meshd.formats.openai.body.inside import Found, Inside
from meshd.formats.openai.body.known_fields import carrying_names, inside_rows, load_rules

_MODALITIES = ("responseModalities", "response_modalities")
_SPEECH = ("speechConfig", "speech_config")


class PartsInside(Inside, frozen=True):
    """part_names: the members of a part that cost no more than their tokens."""

    part_names: frozenset[str] = frozenset()

    def of(self, fields: Mapping[str, msgspec.Raw]) -> Found:
        found = Found()
        for name in (*CONTENTS, *SYSTEM):
            for content in listed(value(fields, (name,))):
                for part in parts_of(content):
                    unknown = [each for each in part if each not in self.part_names]
                    found.fixed += [f"{name}[].parts[].{each[:60]}" for each in unknown]
                    found.files = found.files or _is_file(part)
        config = config_of(fields)
        modalities = member(config, *_MODALITIES)
        if any(str(each).upper() != "TEXT" for each in listed(modalities)):
            found.fixed.append("generationConfig.responseModalities")
        if member(config, *_SPEECH) is not None:
            found.fixed.append("generationConfig.speechConfig")
        return found


def _is_file(part: Mapping[str, Any]) -> bool:
    data = member(part, "inlineData", "inline_data", "fileData", "file_data")
    kind = member(data, "mimeType", "mime_type") if isinstance(data, dict) else None
    return isinstance(data, dict) and not (isinstance(kind, str) and kind.startswith("image/"))


@functools.cache
def load_part_fields() -> BodyFields:
    def names(place: str) -> frozenset[str]:
        return frozenset(name for row in inside_rows() if row.of == place for name in row.names)

    inside = PartsInside(tool=names("declared"), part_names=names("gemini_part"))
    return BodyFields(load_rules(), inside, carrying_names())


def priced(needs: RequestNeeds, fields: Mapping[str, msgspec.Raw]) -> Mapping[str, msgspec.Raw]:
    """The body without what cannot be priced."""
    return load_part_fields().priced(needs, fields)


def only_own_tools(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether the app runs all of its tools."""
    return "tools" not in fields or load_part_fields().inside.own_tools(fields["tools"])[0]
