"""Translate: texts in another language."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from meshd.sdk.calls.operation import OperationSpec
from meshd.sdk.reading.lenient import UNREADABLE


def characters(fields: Mapping[str, msgspec.Raw]) -> dict[str, int]:
    """The characters of the texts; for anything but a text, its bytes, as it cannot have more characters than that."""
    raw = fields.get("text", msgspec.Raw(b""))
    try:
        texts = msgspec.json.decode(raw, type=str | list[str])
    except UNREADABLE:
        return {"characters": len(raw)}
    return {"characters": len(texts) if isinstance(texts, str) else sum(map(len, texts))}


TRANSLATE = OperationSpec(
    name="translate",
    word="translate",
    paths={"openai": "/v1/translate"},
    capabilities=("transformation.translation",),
    text=("text",),
    free=("target", "source", "formality", "format", "context"),
    default="translation",
    example=lambda text: {"text": text, "target": "de"},
    rows=("translations", "text"),
    tokens=False,
    units=characters,
    output=False,
    repeats=True,
    streamed=False,
    continued=False,
)
